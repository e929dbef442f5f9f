//! What renderers ask of a context. Called on their threads.

use super::{ContextData, Life};
use crate::delivery::{Generation, HandlerId, LockAnswer, Locked};

/// Why a renderer gets no bytes.
pub(crate) enum NotLocked {
    /// The context is destroyed.
    Gone,
    /// No frame fits the descriptor that the renderer may hold, and there is no memory for as many bytes.
    OutOfMemory,
}

impl ContextData {
    /// Returns what a renderer reads for a generation, or for the newest update if `generation` is `None`. It is never shorter than a descriptor
    /// that the renderer may hold.
    pub(crate) fn lock(
        &self,
        handler: HandlerId,
        generation: Option<Generation>,
    ) -> Result<Locked, NotLocked> {
        let mut state = self.state.lock();
        if state.life == Life::Gone {
            return Err(NotLocked::Gone);
        }
        let (answer, before) = state.image.lock(handler, generation);
        // Without an image key the compositor was told nothing of this context: the generation is one of an earlier context with this id.
        let answer = answer.unwrap_or_else(|| match generation {
            Some(_) => state.image.blank(),
            None => state.image.undescribed(state.current.content.frame()),
        });
        // Memory is mapped, written and unmapped without the lock.
        drop(state);
        drop(before);
        let is_padded = matches!(answer, LockAnswer::TooShort(..));
        let locked = self.fallback.provide(answer).ok_or(NotLocked::OutOfMemory)?;
        if is_padded {
            self.state.lock().image.keep_padded(handler, &locked);
        }
        Ok(locked)
    }

    /// Drops frames that only renderers ask for which lag far behind.
    pub(crate) fn settle(&self) {
        let frames = self.state.lock().image.settle();
        drop(frames);
    }

    /// Forgets what a renderer locked last. Its `ExternalImages` is gone.
    pub(crate) fn forget_handler(&self, handler: HandlerId) {
        let locked = self.state.lock().image.forget_handler(handler);
        drop(locked);
    }
}
