//! How a context ends: all of it at once, or for the engine first, and for the compositor later.

use std::sync::Arc;

use euclid::default::Size2D;
use webrender_api::IdNamespace;

use super::drawing_buffer::{CanvasContent, ClearedBuffer};
use super::{ContextData, ContextState, Life};
use crate::api::error::PresentError;
use crate::delivery::Generations;
use crate::pixels::AlphaMode;
use crate::staging::MappingBuffer;
use crate::staging::Recycler;

/// What is left of tickets, to be dropped without a lock: memory is freed.
type Leftovers = Vec<Option<MappingBuffer>>;

/// The recycler of a context that has lingered, whose ring is gone.
struct ClosedOnDrop(Arc<Recycler>);

impl Drop for ClosedOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl ContextData {
    /// Ends everything but what is shown, if anything is: the namespace of the image key tells where, and `linger` whether that
    /// goes on. `None` if it does not: then nothing has ended.
    #[must_use]
    pub(crate) fn linger(
        &self,
        recycler: &Arc<Recycler>,
        linger: impl FnOnce(IdNamespace) -> bool,
    ) -> Option<Leftovers> {
        let mut state = self.state.lock();
        let lingers = state.is_alive() && state.image.namespace().is_some_and(linger);
        lingers.then(|| {
            state.recycler = Some(recycler.clone());
            self.end_presents(&mut state)
        })
    }

    /// Ends everything. Frames that a renderer has locked stay with it. Returns what a later context with this id must know,
    /// and what is left, to be dropped without a lock.
    #[must_use]
    pub(crate) fn destroy(&self) -> (Generations, impl Sized + use<>) {
        let mut state = self.state.lock();
        let leftovers = self.end_presents(&mut state);
        state.life = Life::Gone;
        let cleared = CanvasContent::ClearedBuffer(ClearedBuffer {
            size: Size2D::zero(),
            alpha_mode: AlphaMode::Premultiplied,
        });
        let content = std::mem::replace(&mut state.current.content, cleared);
        let (generations, held) = state.image.destroy();
        (generations, (leftovers, content, held, state.recycler.take().map(ClosedOnDrop)))
    }

    /// Whether a compositor may still show it, though for the engine it has ended.
    pub(crate) fn lingers(&self) -> bool {
        self.state.lock().life == Life::Lingering
    }

    /// The engine's part: what is in flight fails, and nothing begins or is shown any more.
    fn end_presents(&self, state: &mut ContextState) -> Leftovers {
        if !state.is_alive() {
            return Vec::new();
        }
        state.life = Life::Lingering;
        state.current.sequence = u64::MAX;
        let tickets = state.in_flight.take_all().into_iter();
        let leftovers =
            tickets.map(|ticket| self.fail_ticket(state, ticket, &PresentError::ContextDestroyed));
        let leftovers = leftovers.collect();
        state.outcomes.gone();
        leftovers
    }
}
