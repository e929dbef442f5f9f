//! What renderers ask of a context. Called on their threads.

use std::sync::Arc;

use super::{ContextData, Life};
use crate::delivery::{Generation, HandlerId, Locked};
use crate::sync;

impl ContextData {
    /// Returns what a renderer reads for a generation, or for the newest update if `generation` is `None`. Returns `None` if the
    /// context is destroyed.
    pub(crate) fn lock(
        self: &Arc<Self>,
        handler: HandlerId,
        generation: Option<Generation>,
    ) -> Option<Locked> {
        let mut state = self.state.lock();
        if state.life == Life::Gone {
            return None;
        }
        let (locked, has_news) = state.image.lock(handler, generation);
        // Without an image key the compositor was told nothing of this context: the generation is one of an earlier context with
        // this id.
        let locked = locked.unwrap_or_else(|| match generation {
            Some(_) => Locked::Zeros(self.fallback.get()),
            None => Locked::Frame(state.current.content.frame()),
        });
        drop(state);
        if has_news {
            // A frame that was held back is offered now. Another thread tells the sink, so that this one is not kept waiting.
            let outbox = self.outbox.clone();
            // That thread frees nothing, so it need not be joined.
            let _ = sync::spawn_or_run(move || outbox.drain());
        }
        Some(locked)
    }

    /// Forgets what a renderer locked last. Its `ExternalImages` is gone.
    pub(crate) fn forget_handler(&self, handler: HandlerId) {
        let frame = self.state.lock().image.forget_handler(handler);
        drop(frame);
    }
}
