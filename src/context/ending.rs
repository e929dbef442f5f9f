//! How a context ends.
//!
//! A context ends for the engine at once: what is in flight fails, and nothing begins any more. For the compositor it ends at the
//! same time ([`destroy`](ContextData::destroy)), or it lingers ([`linger`](ContextData::linger)): its last frame can be drawn
//! until the compositor has done a transaction. Any thread may end a context. What is left of its copies is returned, to be
//! dropped without a lock, because that frees memory.

use std::sync::Arc;

use euclid::default::Size2D;
use webrender_api::IdNamespace;

use super::drawing_buffer::{CanvasContent, ClearedBuffer};
use super::{ContextData, ContextState, Life};
use crate::api::error::{GetImageError, PresentError, UnknownContext};
use crate::delivery::Generations;
use crate::pixels::AlphaMode;
use crate::staging::{MappingBuffer, Recycler};

/// The buffers of copies that were in flight. Dropping them frees memory, so they are dropped without a lock.
type LeftBuffers = Vec<Option<MappingBuffer>>;

/// Closes the recycler of a context that has lingered, and whose ring is gone, once nothing of it is shown any more.
struct ClosedOnDrop(Arc<Recycler>);

impl Drop for ClosedOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl ContextData {
    /// Ends the context for the engine, and lets its image be drawn on, if it has an image key and `linger` agrees for the key's
    /// namespace. Returns `None`, and ends nothing, if not.
    #[must_use]
    pub(crate) fn linger(
        &self,
        recycler: &Arc<Recycler>,
        linger: impl FnOnce(IdNamespace) -> bool,
    ) -> Option<LeftBuffers> {
        let mut state = self.state.lock();
        let lingers = state.is_alive() && state.image.namespace().is_some_and(linger);
        lingers.then(|| {
            state.recycler = Some(recycler.clone());
            self.end_presents(&mut state)
        })
    }

    /// Ends the context for the engine and the compositor. Frames that a renderer has locked stay readable until they are
    /// unlocked.
    ///
    /// Returns what a later context with this id must know of the updates that were sent, and what is left of this one, to be
    /// dropped without a lock.
    #[must_use]
    pub(crate) fn destroy(&self) -> (Generations, impl Sized + use<>) {
        let mut state = self.state.lock();
        let buffers = self.end_presents(&mut state);
        state.life = Life::Gone;
        let cleared = CanvasContent::Cleared(ClearedBuffer {
            size: Size2D::zero(),
            alpha_mode: AlphaMode::Premultiplied,
        });
        let content = std::mem::replace(&mut state.current.content, cleared);
        let (generations, frames) = state.image.destroy();
        (generations, (buffers, content, frames, state.recycler.take().map(ClosedOnDrop)))
    }

    /// Whether the compositor may still draw the context, which has ended for the engine.
    pub(crate) fn lingers(&self) -> bool {
        self.state.lock().life == Life::Lingering
    }

    /// Ends the context for the engine: what is in flight fails, and nothing begins or is shown any more.
    fn end_presents(&self, state: &mut ContextState) -> LeftBuffers {
        if !state.is_alive() {
            return Vec::new();
        }
        state.life = Life::Lingering;
        // No present is newer than this, so none is shown any more.
        state.current.sequence = u64::MAX;
        let tickets = state.tickets.take_all().into_iter();
        let buffers = tickets.map(|ticket| self.fail_ticket(state, ticket, &PresentError::ContextDestroyed));
        let buffers = buffers.collect();
        for (reply, ..) in std::mem::take(&mut state.unread) {
            let error = GetImageError::UnknownContext(UnknownContext(self.id));
            self.outbox.answer(reply, Err(error));
        }
        state.outcomes.gone();
        buffers
    }
}
