//! What script reads of a context.
//!
//! A read returns the drawing buffer: what was presented last, even if its copy is still in flight, or the cleared buffer that
//! [`take`](ContextData::take) or [`replace_drawing_buffer`](ContextData::replace_drawing_buffer) put in its place. Called on the
//! WebGPU thread, but a read that waits for a copy is answered by the poller that completes it. A present that fails does not
//! count: reads that wait for it are decided again.

use euclid::default::Size2D;

use super::drawing_buffer::ClearedBuffer;
use super::{ContextData, ContextState, Life};
use crate::api::error::{GetImageError, PresentError, UnknownContext};
use crate::delivery::Reply;
use crate::pixels::AlphaMode;

/// A drawing buffer that took the place of a presented one, for reads alone. What was presented is still shown.
pub(super) struct ReplacedBuffer {
    /// Sequence number of the newest present that the replacement hides from reads.
    through: u64,
    replacement: ClearedBuffer,
}

impl ContextData {
    /// Answers with the drawing buffer, as soon as its copy is done.
    pub(crate) fn read(&self, reply: Reply) {
        let mut state = self.state.lock();
        self.read_locked(&mut state, reply);
    }

    /// Answers with the drawing buffer, and puts a cleared one of the same size and alpha mode in its place.
    pub(crate) fn take(&self, reply: Reply) {
        let mut state = self.state.lock();
        let replacement = state.cleared_drawing_buffer();
        self.read_locked(&mut state, reply);
        state.replace_drawing_buffer(replacement);
    }

    /// Puts a cleared drawing buffer in the place of the present one, until something else is presented.
    pub(crate) fn replace_drawing_buffer(&self, size: Size2D<u32>, alpha_mode: AlphaMode) {
        self.state.lock().replace_drawing_buffer(ClearedBuffer { size, alpha_mode });
    }

    /// Decides again about a read that waited for the present `failed`.
    pub(super) fn read_again(
        &self,
        state: &mut ContextState,
        failed: u64,
        error: &PresentError,
        reply: Reply,
    ) {
        let hidden = state.replaced.as_ref().is_some_and(|replaced| failed <= replaced.through);
        if hidden && state.is_alive() && state.current.sequence > failed {
            // The read was made before the replacement, what was presented since is not what it asked for, and what was there
            // before is gone.
            self.outbox.answer(reply, Err(GetImageError::Texture(error.clone())));
        } else if hidden {
            // The read was made before the replacement, so the replacement does not answer it.
            self.read_presented(state, failed, reply);
        } else {
            self.read_locked(state, reply);
        }
    }

    fn read_locked(&self, state: &mut ContextState, reply: Reply) {
        match state.replacement() {
            Some(replacement) if state.is_alive() => self.outbox.answer(reply, replacement.snapshot()),
            Some(_) | None => self.read_presented(state, u64::MAX, reply),
        }
    }

    /// Answers with the newest content whose sequence number is not above `through`, or waits for its copy.
    fn read_presented(&self, state: &mut ContextState, through: u64, reply: Reply) {
        match state.in_flight.newest_between(state.current.sequence, through) {
            Some((_, present)) => present.readers.push(reply),
            None if state.life != Life::Alive => {
                let error = GetImageError::UnknownContext(UnknownContext(self.id));
                self.outbox.answer(reply, Err(error));
            }
            None => self.outbox.answer(reply, state.current.content.snapshot()),
        }
    }
}

impl ContextState {
    /// The sequence number of the newest present that is current or in flight.
    fn newest_present(&self) -> u64 {
        self.current.sequence.max(self.in_flight.newest_sequence())
    }

    /// The replacement that reads return, unless something was presented since it was made.
    fn replacement(&self) -> Option<&ClearedBuffer> {
        let newest = self.newest_present();
        let replaced = self.replaced.as_ref().filter(|replaced| newest <= replaced.through);
        replaced.map(|replaced| &replaced.replacement)
    }

    /// A cleared drawing buffer of the size and alpha mode of the one that reads return now.
    fn cleared_drawing_buffer(&mut self) -> ClearedBuffer {
        if let Some(replacement) = self.replacement() {
            return *replacement;
        }
        match self.in_flight.newest_between(self.current.sequence, u64::MAX) {
            Some((layout, _)) => {
                ClearedBuffer { size: layout.size(), alpha_mode: layout.pixels().alpha_mode }
            }
            None => self.current.content.cleared(),
        }
    }

    fn replace_drawing_buffer(&mut self, replacement: ClearedBuffer) {
        self.replaced = Some(ReplacedBuffer { through: self.newest_present(), replacement });
    }
}
