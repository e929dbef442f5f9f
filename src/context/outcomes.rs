//! How the presents of a context end, and who is told. Lives under the lock of the context.

use std::sync::Arc;
use std::time::Instant;

use super::tickets::Present;
use crate::api::error::PresentError;
use crate::api::ids::{CanvasEpoch, ContextId};
use crate::api::outcome::{Awaited, PresentEnd, PresentOutcome};
use crate::api::report::{FrameMemoryKind, Statistics};
use crate::delivery::Waiters;
use crate::delivery::{Callback, Message, Outbox};

pub(crate) struct Outcomes {
    id: ContextId,
    outbox: Arc<Outbox>,
    waiters: Arc<Waiters>,
    /// Somebody may wait for this context: not asked for each present.
    awaited: bool,
    statistics: Statistics,
    /// The newest end, and the newest of those with the highest epoch: epochs may fall, and who waits for a high one must not
    /// be late.
    newest: Option<LastOutcome>,
    highest: Option<LastOutcome>,
}

#[derive(Clone)]
struct LastOutcome {
    epoch: CanvasEpoch,
    awaited: Awaited,
}

impl Outcomes {
    /// Of a context that is being put into the map: who waited for one of this id waits for this one.
    pub(crate) fn new(id: ContextId, outbox: Arc<Outbox>, waiters: Arc<Waiters>) -> Self {
        let awaited = waiters.any(id);
        let statistics = Statistics::default();
        Self { id, outbox, waiters, awaited, statistics, newest: None, highest: None }
    }

    pub(crate) fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// A copy was read from this kind of memory.
    pub(crate) fn completed(&mut self, memory: FrameMemoryKind) {
        self.statistics.frame_memory = Some(memory);
    }

    pub(crate) fn presented(&mut self, present: &Present) {
        self.statistics.presented += 1;
        let Present { sequence, epoch, .. } = *present;
        self.end(present, PresentEnd::Presented, Awaited::Presented { sequence, epoch });
    }

    /// `by` is the sequence number of the newer one.
    pub(crate) fn superseded(&mut self, present: &Present, by: u64) {
        self.statistics.superseded += 1;
        self.end(present, PresentEnd::Superseded, Awaited::Superseded { by });
    }

    pub(crate) fn failed(&mut self, present: &Present, error: &PresentError) {
        self.statistics.failed += 1;
        log::debug!("webgpu-presentation: {:?} present {}: {error}", self.id, present.sequence);
        self.end(present, PresentEnd::Failed(error.clone()), Awaited::Failed(error.clone()));
    }

    /// Answers with the newest end that has this epoch or a higher one, as soon as there is one.
    pub(crate) fn wait(&mut self, epoch: CanvasEpoch, deadline: Option<Instant>, callback: Callback) {
        let known = [&self.newest, &self.highest].into_iter().flatten().find(|end| end.epoch >= epoch);
        match known {
            Some(end) => self.outbox.message(Message::Awaited(callback, end.awaited.clone())),
            None => {
                self.awaited = true;
                self.waiters.add(self.id, epoch, deadline, callback);
            }
        }
    }

    /// The context is destroyed: from now on its id may be awaited for another one.
    pub(crate) fn gone(&mut self) {
        self.answer(CanvasEpoch(u64::MAX), &Awaited::ContextGone);
    }

    fn end(&mut self, present: &Present, end: PresentEnd, awaited: Awaited) {
        let Present { sequence, epoch, .. } = *present;
        self.outbox.message(Message::Outcome(PresentOutcome { context: self.id, sequence, epoch, end }));
        self.answer(epoch, &awaited);
        let ended = LastOutcome { epoch, awaited };
        if self.highest.as_ref().is_none_or(|highest| highest.epoch <= epoch) {
            self.highest = Some(ended.clone());
        }
        self.newest = Some(ended);
    }

    fn answer(&mut self, epoch: CanvasEpoch, awaited: &Awaited) {
        if self.awaited {
            for callback in self.waiters.take(self.id, epoch) {
                self.outbox.message(Message::Awaited(callback, awaited.clone()));
            }
            self.awaited = self.waiters.any(self.id);
        }
    }
}
