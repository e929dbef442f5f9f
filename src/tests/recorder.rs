//! Records everything that leaves a presenter: calls of the sink, outcomes and returned ids.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use webrender_api::{ExternalImageData, IdNamespace, ImageDescriptor, ImageKey};
use wgpu_core::id::TextureId;

use super::world::CONTEXT;
use crate::{CanvasEpoch, ContextId, ImageSink, PresentEnd, PresentError, PresentOutcome, ReturnedId};

/// Longest wait of a test. What takes longer never comes.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn key(index: u32) -> ImageKey {
    ImageKey::new(IdNamespace(1), index)
}

/// A call of the sink.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Call {
    Add(ImageKey, ImageDescriptor, u8),
    Update(ImageKey, ImageDescriptor, u8, u64),
    Delete(ImageKey),
}

impl Call {
    /// The descriptor and generation that the call offers.
    #[track_caller]
    pub(super) fn offer(&self) -> (ImageDescriptor, u8) {
        match *self {
            Self::Add(_, descriptor, generation) | Self::Update(_, descriptor, generation, _) => {
                (descriptor, generation)
            }
            Self::Delete(_) => panic!("no image: {self:?}"),
        }
    }

    /// The epoch that the call acknowledges.
    pub(super) fn epoch(&self) -> Option<u64> {
        match self {
            Self::Update(_, _, _, epoch) => Some(*epoch),
            Self::Add(..) | Self::Delete(_) => None,
        }
    }
}

#[derive(Default)]
pub(super) struct Record {
    pub(super) calls: Vec<Call>,
    /// The thread on which each update came.
    pub(super) updated_on: Vec<ThreadId>,
    /// How often the sink was flushed. Each flush is a transaction of the compositor.
    pub(super) flushes: usize,
    pub(super) outcomes: HashMap<(ContextId, u64), Vec<PresentEnd>>,
    /// The presents of the outcomes, in the order in which they were told.
    pub(super) order: Vec<(ContextId, u64)>,
    /// The ids of buffers, encoders and command buffers that came back.
    pub(super) ids: Vec<ReturnedId>,
    pub(super) contexts: Vec<ContextId>,
    pub(super) textures: Vec<TextureId>,
    /// How long the sink takes for an update.
    pub(super) update_takes: Duration,
}

#[derive(Clone, Default)]
pub(super) struct Recorder(Arc<(Mutex<Record>, Condvar)>);

impl Recorder {
    pub(super) fn record(&self, change: impl FnOnce(&mut Record)) {
        change(&mut self.0.0.lock());
        self.0.1.notify_all();
    }

    pub(super) fn outcome(&self, outcome: PresentOutcome) {
        let PresentOutcome { context, sequence, end, .. } = outcome;
        self.record(|record| {
            record.outcomes.entry((context, sequence)).or_default().push(end);
            record.order.push((context, sequence));
        });
    }

    pub(super) fn id(&self, id: ReturnedId) {
        self.record(|record| match id {
            ReturnedId::Context(id) => record.contexts.push(id),
            ReturnedId::Texture(id) => record.textures.push(id),
            id => record.ids.push(id),
        });
    }

    pub(super) fn get<T>(&self, read: impl FnOnce(&Record) -> T) -> T {
        read(&self.0.0.lock())
    }

    /// Waits until a condition holds. A test that waits in vain fails.
    #[track_caller]
    pub(super) fn until(&self, what: &str, condition: impl Fn(&Record) -> bool) {
        let mut record = self.0.0.lock();
        while !condition(&record) {
            let timed_out = self.0.1.wait_for(&mut record, TIMEOUT).timed_out();
            assert!(!timed_out, "waited in vain until {what}");
        }
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.get(|record| record.calls.clone())
    }

    /// The calls for one key.
    pub(super) fn calls_of(&self, index: u32) -> Vec<Call> {
        let mut calls = self.calls();
        calls.retain(|call| {
            let (Call::Add(of, ..) | Call::Update(of, ..) | Call::Delete(of)) = *call;
            of == key(index)
        });
        calls
    }

    #[track_caller]
    pub(super) fn until_ended(&self, context: ContextId, sequence: u64) {
        self.until("the present ends", |record| record.outcomes.contains_key(&(context, sequence)));
    }

    /// Waits until a present ends for the second time, in the second life of its context's id.
    #[track_caller]
    pub(super) fn until_ended_again(&self, context: ContextId, sequence: u64) {
        self.until("a present of each life ends", |r| r.outcomes[&(context, sequence)].len() == 2);
    }

    /// How a present ended. It must have ended exactly once.
    #[track_caller]
    pub(super) fn end_of(&self, context: ContextId, sequence: u64) -> PresentEnd {
        self.until_ended(context, sequence);
        let mut ends = self.get(|record| record.outcomes[&(context, sequence)].clone());
        assert_eq!(ends.len(), 1, "a present ends once: {ends:?}");
        ends.remove(0)
    }

    /// The present must have failed because its context was destroyed.
    #[track_caller]
    pub(super) fn assert_destroyed(&self, context: ContextId, sequence: u64) {
        let end = self.end_of(context, sequence);
        assert!(matches!(end, PresentEnd::Failed(PresentError::ContextDestroyed)), "{end:?}");
    }

    /// The image must be deleted, by the last call for its key. Waits, because another thread may be the one that tells.
    #[track_caller]
    pub(super) fn assert_deleted_last(&self, index: u32) {
        self.until("the image is deleted", |record| record.calls.contains(&Call::Delete(key(index))));
        let calls = self.calls_of(index);
        assert_eq!(calls.iter().position(|call| matches!(call, Call::Delete(_))), Some(calls.len() - 1));
    }

    /// The image must be added, updated and deleted, and added again only then. Returns how often it was deleted.
    #[track_caller]
    pub(super) fn assert_lives(&self, index: u32) -> usize {
        let (mut displayed, mut deleted) = (false, 0);
        for call in self.calls_of(index) {
            assert_eq!(displayed, !matches!(call, Call::Add(..)), "{call:?}");
            displayed = !matches!(call, Call::Delete(_));
            deleted += usize::from(!displayed);
        }
        assert!(!displayed, "deleted in the end");
        deleted
    }

    pub(super) fn times_returned(&self) -> HashMap<ReturnedId, usize> {
        let mut times = HashMap::new();
        self.get(|record| record.ids.iter().for_each(|id| *times.entry(*id).or_default() += 1));
        times
    }

    /// So many ids must come back, each of them once. Waits, because another thread may be the one that tells.
    #[track_caller]
    pub(super) fn assert_ids_returned_once(&self, expected: usize) {
        self.until("ids come back", |record| record.ids.len() >= expected);
        let times = self.times_returned();
        assert!(times.values().all(|times| *times == 1), "{times:?}");
        assert_eq!(times.len(), expected);
    }
}

impl ImageSink for Recorder {
    fn add_image(&mut self, key: ImageKey, descriptor: ImageDescriptor, data: ExternalImageData) {
        // Contexts other than `CONTEXT` are displayed under the key of their number.
        assert!([CONTEXT.0, key.1.into()].contains(&data.id.0), "{data:?} under {key:?}");
        self.record(|record| record.calls.push(Call::Add(key, descriptor, data.channel_index)));
    }

    fn update_image(
        &mut self,
        key: ImageKey,
        descriptor: ImageDescriptor,
        data: ExternalImageData,
        epoch: CanvasEpoch,
    ) {
        thread::sleep(self.get(|record| record.update_takes));
        self.record(|record| {
            record.calls.push(Call::Update(key, descriptor, data.channel_index, epoch.0));
            record.updated_on.push(thread::current().id());
        });
    }

    fn delete_image(&mut self, key: ImageKey) {
        self.record(|record| record.calls.push(Call::Delete(key)));
    }

    fn flush(&mut self) {
        self.record(|record| record.flushes += 1);
    }
}
