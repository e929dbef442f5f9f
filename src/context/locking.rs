//! What renderers ask of a context. Called on their threads.

use super::{ContextData, Life};
use crate::delivery::{Generation, HandlerId, Locked};

impl ContextData {
    /// Returns what a renderer reads for a generation, or for the newest update if `generation` is `None`. Returns `None` if the context is
    /// destroyed.
    pub(crate) fn lock(&self, handler: HandlerId, generation: Option<Generation>) -> Option<Locked> {
        let mut state = self.state.lock();
        if state.life == Life::Gone {
            return None;
        }
        let locked = state.image.lock(handler, generation);
        // Without an image key the compositor was told nothing of this context: the generation is one of an earlier context with this id.
        Some(locked.unwrap_or_else(|| match generation {
            Some(_) => Locked::Bytes(self.fallback.get()),
            None => state.image.pad(state.current.content.frame()),
        }))
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
