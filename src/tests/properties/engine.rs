//! A presenter, its GPU, and what the engine knows of both.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc;

use parking_lot::{Condvar, Mutex};
use webrender_api::{ImageDescriptor, ImageKey};
use wgpu_core::id::BufferId;

use super::super::world::*;
use crate::gpu::{fake, fake::FakeGpu};
use crate::{ContextId, ContextMap, PresentEnd, Presenter, ReturnedId};

/// So many buffer ids.
const IDS: u32 = 12;

pub(super) struct Engine {
    pub(super) gpu: FakeGpu,
    pub(super) recorder: Recorder,
    pub(super) presenter: Option<Presenter>,
    /// The numbers of its two devices.
    pub(super) devices: [u32; 2],
    /// Those that were destroyed or dropped.
    pub(super) ended: HashSet<u32>,
    pub(super) handed_in: HashMap<ReturnedId, usize>,
    /// The key of each image that was ever added.
    pub(super) images: Vec<ImageKey>,
    /// So many presents may have failed for want of memory, and so many mappings.
    pub(super) may_lack_memory: usize,
    pub(super) may_lack_mappings: usize,
}

impl Engine {
    pub(super) fn new(memory: FrameMemoryKind, map: &ContextMap) -> Self {
        let (gpu, recorder) = (FakeGpu::new(memory), Recorder::default());
        let presenter = Some(World::presenter(&gpu, map, &recorder));
        Self {
            gpu,
            recorder,
            presenter,
            devices: [0, 1],
            ended: HashSet::new(),
            handed_in: HashMap::new(),
            images: Vec::new(),
            may_lack_memory: 0,
            may_lack_mappings: 0,
        }
    }

    pub(super) fn presenter(&mut self) -> &mut Presenter {
        self.presenter.as_mut().expect("it is there")
    }

    pub(super) fn hand_in(&mut self, id: ReturnedId) {
        *self.handed_in.entry(id).or_default() += 1;
    }

    pub(super) fn returned(&self) -> HashMap<ReturnedId, usize> {
        let mut returned = HashMap::new();
        self.recorder.get(|record| {
            for id in &record.ids {
                *returned.entry(*id).or_default() += 1;
            }
        });
        returned
    }

    /// Buffer ids that nobody uses: as many as there are, up to so many.
    pub(super) fn free_ids(&self, count: usize) -> Vec<BufferId> {
        let returned = self.returned();
        let is_free = |id: &BufferId| {
            let id = ReturnedId::Buffer(*id);
            self.handed_in.get(&id) == returned.get(&id)
        };
        (0..IDS).map(|id| fake::buffer(100_000 + id)).filter(is_free).take(count).collect()
    }

    /// How the nth present with this number of this context ended, if it has.
    pub(super) fn end(&self, context: u64, sequence: usize, nth: usize) -> Option<PresentEnd> {
        let present = (ContextId(context), sequence as u64);
        self.recorder.get(|record| record.outcomes.get(&present)?.get(nth).cloned())
    }

    pub(super) fn finish_all(&self) {
        (0..=self.devices[0].max(self.devices[1])).for_each(|device| self.gpu.finish(fake::device(device)));
    }

    /// Waits until everything that was decided so far is told.
    pub(super) fn sync(&mut self) {
        let (sender, receiver) = mpsc::channel();
        self.presenter().get_image(ContextId(u64::MAX), None, move |_| {
            sender.send(()).expect("it is awaited");
        });
        receiver.recv_timeout(TIMEOUT).expect("the outbox is drained");
    }

    pub(super) fn told(&self) -> Vec<Told> {
        self.recorder.get(|record| told(&record.calls))
    }
}

/// What the compositor was told of an image, from its addition to its deletion.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) key: ImageKey,
    pub(super) offers: Vec<(ImageDescriptor, u8)>,
    pub(super) epochs: Vec<u64>,
    pub(super) is_deleted: bool,
}

/// Panics where WebRender would.
fn told(calls: &[Call]) -> Vec<Told> {
    let mut images: Vec<Told> = Vec::new();
    for call in calls {
        let (Call::Add(key, ..) | Call::Update(key, ..) | Call::Delete(key)) = *call;
        let living = images.iter_mut().find(|image| image.key == key && !image.is_deleted);
        match (call, living) {
            (Call::Add(_, descriptor, generation), None) => {
                let offers = vec![(*descriptor, *generation)];
                images.push(Told { key, offers, epochs: Vec::new(), is_deleted: false });
            }
            (Call::Update(_, descriptor, generation, epoch), Some(image)) => {
                image.offers.push((*descriptor, *generation));
                image.epochs.extend(epoch);
            }
            (Call::Delete(_), Some(image)) => image.is_deleted = true,
            (call, image) => panic!("{call:?} of {image:?}"),
        }
    }
    images
}

/// What was answered to each of many questions.
pub(super) struct Answers<T>(Arc<(Mutex<Vec<Vec<T>>>, Condvar)>);

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Send + 'static> Answers<T> {
    /// Takes the answer of the next question.
    pub(super) fn slot(&self) -> impl FnOnce(T) + Send + 'static {
        let shared = self.0.clone();
        let mut slots = shared.0.lock();
        let index = slots.len();
        slots.push(Vec::new());
        drop(slots);
        move |answer| {
            shared.0.lock()[index].push(answer);
            shared.1.notify_all();
        }
    }

    /// Waits until a question is answered.
    pub(super) fn until(&self, index: usize) {
        let mut slots = self.0.0.lock();
        while slots[index].is_empty() {
            assert!(!self.0.1.wait_for(&mut slots, TIMEOUT).timed_out(), "question {index} is answered");
        }
    }

    pub(super) fn get<U>(&self, read: impl FnOnce(&mut Vec<Vec<T>>) -> U) -> U {
        read(&mut self.0.0.lock())
    }
}
