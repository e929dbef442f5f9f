//! What renderers ask of a context.

use std::sync::Arc;

use super::{ContextData, Life};
use crate::delivery::Generation;
use crate::delivery::{HandlerId, Locked};
use crate::sync;

impl ContextData {
    /// What a renderer reads for a generation, or for whatever was told last. `None` if the context is destroyed.
    ///
    /// The renderer's thread tells nobody of a frame that was held back: another one does.
    pub(crate) fn lock(
        self: &Arc<Self>,
        handler: HandlerId,
        generation: Option<Generation>,
    ) -> Option<Locked> {
        let mut state = self.state.lock();
        if state.life == Life::Gone {
            return None;
        }
        let (locked, tells) = state.image.lock(handler, generation);
        // Without a key the compositor knows nothing of this context: whatever is asked for was an earlier one's.
        let locked = locked.unwrap_or_else(|| match generation {
            Some(_) => Locked::Zeros(self.fallback.get()),
            None => Locked::Frame(state.current.content.frame()),
        });
        drop(state);
        if tells {
            let outbox = self.outbox.clone();
            // Nobody need wait for it: it frees nothing.
            let _ = sync::spawn_or_run(move || outbox.drain());
        }
        Some(locked)
    }

    /// A renderer is gone.
    pub(crate) fn forget_handler(&self, handler: HandlerId) {
        let frame = self.state.lock().image.forget_handler(handler);
        drop(frame);
    }
}
