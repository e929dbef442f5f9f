//! How the presents of one context end, and who is told: the engine, and whoever waits for a present.
//!
//! Lies under the lock of the context. Each end is counted in the statistics and written into the outbox; nothing is called here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::latencies::{Latencies, NewestLatencies};
use super::tickets::Present;
use crate::api::error::PresentError;
use crate::api::ids::{CanvasEpoch, ContextId};
use crate::api::outcome::{Awaited, PresentEnd, PresentOutcome};
use crate::api::report::{FrameMemoryKind, ReadbackReason, Statistics};
use crate::delivery::{Callback, Message, Outbox, Waiters};

/// The ends of the presents of one context.
pub(crate) struct Outcomes {
    id: ContextId,
    outbox: Arc<Outbox>,
    waiters: Arc<Waiters>,
    /// Whether the list of waiters may have some of this context. Kept here so that a present need not take the lock of the list.
    may_be_awaited: bool,
    /// The counts. What others know is left out: the copies in flight, the buffers and the latency.
    statistics: Statistics,
    latencies: Latencies,
    /// It was logged why a present was a copy. Pages can cause it, so it is logged once.
    has_logged_copies: bool,
    /// The newest end.
    newest: Option<LastOutcome>,
    /// The newest end among those with the highest epoch. Epochs may fall, and a wait for a high epoch must still be answered.
    highest: Option<LastOutcome>,
}

/// An end that later waits are answered with.
#[derive(Clone)]
struct LastOutcome {
    epoch: CanvasEpoch,
    awaited: Awaited,
}

impl Outcomes {
    /// Precondition: the map's lock is held, and the context is about to be put into the map. Waits for a context of this id that
    /// began before it existed become waits for this context.
    pub(crate) fn new(id: ContextId, outbox: Arc<Outbox>, waiters: Arc<Waiters>) -> Self {
        let may_be_awaited = waiters.any(id);
        let statistics = Statistics::default();
        Self {
            id,
            outbox,
            waiters,
            may_be_awaited,
            statistics,
            latencies: Latencies::default(),
            has_logged_copies: false,
            newest: None,
            highest: None,
        }
    }

    pub(crate) fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Returns the latencies of the newest frames; `None` before the first one.
    pub(crate) fn latencies(&self) -> Option<NewestLatencies> {
        self.latencies.newest()
    }

    /// Notes the kind of memory that a copy is in.
    pub(crate) fn completed(&mut self, memory: FrameMemoryKind) {
        self.statistics.frame_memory = Some(memory);
    }

    /// Notes the kind of memory that the frame of a present is in, how many bytes its pixels have, and how it came there.
    pub(crate) fn framed(&mut self, memory: FrameMemoryKind, len: usize, is_direct: bool, is_shared: bool) {
        self.completed(memory);
        let Statistics { copied, direct, shared, bytes, .. } = &mut self.statistics;
        *bytes += len as u64;
        *match (is_direct, is_shared) {
            (true, _) => direct,
            (false, true) => shared,
            (false, false) => copied,
        } += 1;
    }

    /// Notes why a present is a copy, or that it is none.
    pub(crate) fn copies(&mut self, reason: Option<ReadbackReason>) {
        self.statistics.readback = reason;
        let unexpected = reason.filter(|reason| *reason != ReadbackReason::OrdinaryTexture);
        if let Some(reason) = unexpected
            && !std::mem::replace(&mut self.has_logged_copies, true)
        {
            log::debug!("webgpu-presentation: a frame of {:?} is copied: {reason:?}", self.id);
        }
    }

    pub(crate) fn presented(&mut self, present: &Present) {
        self.statistics.presented += 1;
        let Present { sequence, epoch, .. } = *present;
        self.end(present, PresentEnd::Presented, Awaited::Presented { sequence, epoch });
    }

    /// Notes how long a frame took that is shown.
    pub(crate) fn took(&mut self, latency: Duration) {
        self.latencies.add(latency);
    }

    /// Ends a present whose place the newer present `by` has taken.
    pub(crate) fn superseded(&mut self, present: &Present, by: u64) {
        self.statistics.superseded += 1;
        self.end(present, PresentEnd::Superseded, Awaited::Superseded { by });
    }

    pub(crate) fn failed(&mut self, present: &Present, error: &PresentError) {
        self.statistics.failed += 1;
        self.statistics.failures.count(error);
        log_failure(self.id, present.sequence, error);
        self.end(present, PresentEnd::Failed(error.clone()), Awaited::Failed(error.clone()));
    }

    /// Answers with the newest end that has this epoch or a higher one: now, or when the first such present ends.
    pub(crate) fn wait(&mut self, epoch: CanvasEpoch, deadline: Option<Instant>, callback: Callback) {
        let known = [&self.newest, &self.highest].into_iter().flatten().find(|end| end.epoch >= epoch);
        match known {
            Some(end) => self.outbox.message(Message::Awaited(callback, end.awaited.clone())),
            None => {
                self.may_be_awaited = true;
                self.waiters.add(self.id, epoch, deadline, callback);
            }
        }
    }

    /// Answers all waits: the context is destroyed. Waits that begin afterwards are for a later context with this id.
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
        if self.may_be_awaited {
            for callback in self.waiters.take(self.id, epoch) {
                self.outbox.message(Message::Awaited(callback, awaited.clone()));
            }
            self.may_be_awaited = self.waiters.any(self.id);
        }
    }
}

/// Logs why a present failed: as a warning if the engine must have made a mistake, otherwise, when pages can cause it, for debugging only.
fn log_failure(context: ContextId, sequence: u64, error: &PresentError) {
    let level = match error {
        PresentError::Refused(_)
        | PresentError::WrongDevice
        | PresentError::UnsupportedBackend
        | PresentError::Panicked => log::Level::Warn,
        _ => log::Level::Debug,
    };
    if log::log_enabled!(level) {
        let mut causes = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            causes = format!("{causes}: {cause}");
            source = cause.source();
        }
        log::log!(level, "webgpu-presentation: present {sequence} of {context:?} failed: {causes}");
    }
}
