//! How a context ends: all of it at once, or for the engine first, and for the compositor later.

use std::sync::Arc;

use euclid::default::Size2D;
use webrender_api::IdNamespace;

use super::drawing_buffer::{Cleared, Content};
use super::{ContextData, Life, State};
use crate::api::error::PresentError;
use crate::delivery::Offers;
use crate::pixels::AlphaMode;
use crate::staging::MappingBuffer;
use crate::staging::Tray;

/// What is left of tickets, to be dropped without a lock: memory is freed.
type Left = Vec<Option<MappingBuffer>>;

/// The tray of a context that has lingered, whose ring is gone.
struct ClosedOnDrop(Arc<Tray>);

impl Drop for ClosedOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl ContextData {
    /// Ends everything but what is shown, if anything is: the namespace of the image key tells where, and `linger` whether that
    /// goes on. `None` if it does not: then nothing has ended.
    #[must_use]
    pub(crate) fn linger(&self, tray: &Arc<Tray>, linger: impl FnOnce(IdNamespace) -> bool) -> Option<Left> {
        let mut state = self.state.lock();
        let lingers = state.is_alive() && state.display.namespace().is_some_and(linger);
        lingers.then(|| {
            state.tray = Some(tray.clone());
            self.end_presents(&mut state)
        })
    }

    /// Ends everything. Frames that a renderer has locked stay with it. Returns what a later context with this id must know,
    /// and what is left, to be dropped without a lock.
    #[must_use]
    pub(crate) fn destroy(&self) -> (Offers, impl Sized + use<>) {
        let mut state = self.state.lock();
        let left = self.end_presents(&mut state);
        state.life = Life::Gone;
        let cleared =
            Content::Cleared(Cleared { size: Size2D::zero(), alpha_mode: AlphaMode::Premultiplied });
        let content = std::mem::replace(&mut state.current.content, cleared);
        let (offers, held) = state.display.destroy();
        (offers, (left, content, held, state.tray.take().map(ClosedOnDrop)))
    }

    /// Whether a compositor may still show it, though for the engine it has ended.
    pub(crate) fn lingers(&self) -> bool {
        self.state.lock().life == Life::Lingering
    }

    /// The engine's part: what is in flight fails, and nothing begins or is shown any more.
    fn end_presents(&self, state: &mut State) -> Left {
        if !state.is_alive() {
            return Vec::new();
        }
        state.life = Life::Lingering;
        state.current.sequence = u64::MAX;
        let tickets = state.in_flight.take_all().into_iter();
        let left = tickets.map(|ticket| self.fail_ticket(state, ticket, &PresentError::ContextDestroyed));
        let left = left.collect();
        state.ends.gone();
        left
    }
}
