//! How the presents of a context end. Lives under the lock of the context.

use std::sync::Arc;

use crate::outbox::{Message, Outbox};
use crate::ticket::Present;
use crate::{ContextId, PresentEnd, PresentError, PresentOutcome, Statistics};

pub(crate) struct Ends {
    id: ContextId,
    outbox: Arc<Outbox>,
    statistics: Statistics,
}

impl Ends {
    pub(crate) fn new(id: ContextId, outbox: Arc<Outbox>) -> Self {
        Self { id, outbox, statistics: Statistics::default() }
    }

    pub(crate) fn statistics(&self) -> Statistics {
        self.statistics
    }

    pub(crate) fn presented(&mut self, present: &Present) {
        self.statistics.presented += 1;
        self.end(present, PresentEnd::Presented);
    }

    pub(crate) fn superseded(&mut self, present: &Present) {
        self.statistics.superseded += 1;
        self.end(present, PresentEnd::Superseded);
    }

    pub(crate) fn failed(&mut self, present: &Present, error: &PresentError) {
        self.statistics.failed += 1;
        log::debug!("webgpu-presentation: {:?} present {}: {error}", self.id, present.sequence);
        self.end(present, PresentEnd::Failed(error.clone()));
    }

    fn end(&mut self, present: &Present, end: PresentEnd) {
        let Present { sequence, epoch, .. } = *present;
        self.outbox.message(Message::Outcome(PresentOutcome { context: self.id, sequence, epoch, end }));
    }
}
