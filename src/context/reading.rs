//! What script reads of a context.
//!
//! A read gets the drawing buffer: what was presented last, even if its copy is in flight, or after a [`take`] the cleared one that
//! took its place. Failed presents do not count, so who waits for one reads again.
//!
//! [`take`]: ContextData::take

use euclid::default::Size2D;

use super::drawing_buffer::ClearedBuffer;
use super::tickets::Ticket;
use super::{ContextData, ContextState, Life};
use crate::api::error::{GetImageError, PresentError, UnknownContext};
use crate::delivery::Reply;
use crate::pixels::AlphaMode;

/// The drawing buffer was taken away: what was presented up to then is read no more. It is still shown.
pub(super) struct Taken {
    /// Of the newest present that was taken.
    through: u64,
    replacement: ClearedBuffer,
}

impl ContextData {
    /// Answers with the newest frame presented, as soon as its copy is done.
    pub(crate) fn read(&self, reply: Reply) {
        let mut state = self.state.lock();
        self.read_locked(&mut state, reply);
    }

    /// The same, and leaves a cleared drawing buffer.
    pub(crate) fn take(&self, reply: Reply) {
        let mut state = self.state.lock();
        let replacement = state.drawing_buffer();
        self.read_locked(&mut state, reply);
        state.replace_with(replacement);
    }

    /// Leaves a cleared drawing buffer.
    pub(crate) fn replace_drawing_buffer(&self, size: Size2D<u32>, alpha_mode: AlphaMode) {
        self.state.lock().replace_with(ClearedBuffer { size, alpha_mode });
    }

    /// The present that somebody waited for has failed.
    pub(super) fn read_again(
        &self,
        state: &mut ContextState,
        failed: u64,
        error: &PresentError,
        reply: Reply,
    ) {
        let taken = state.taken.as_ref().is_some_and(|taken| failed <= taken.through);
        if taken && state.is_alive() && state.current.sequence > failed {
            // What was presented since is not meant, and what was there before is gone.
            self.outbox.answer(reply, Err(GetImageError::Texture(error.clone())));
        } else if taken {
            // It was asked for before it was taken away.
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

    /// Answers with the newest frame up to a present.
    fn read_presented(&self, state: &mut ContextState, through: u64, reply: Reply) {
        match state.in_flight.newest_between(state.current.sequence, through) {
            Some(ticket) => ticket.replies.push(reply),
            None if state.life != Life::Alive => {
                let error = GetImageError::UnknownContext(UnknownContext(self.id));
                self.outbox.answer(reply, Err(error));
            }
            None => self.outbox.answer(reply, state.current.content.snapshot()),
        }
    }
}

impl ContextState {
    /// The sequence number of what is current, or of the newest that will be.
    fn newest_present(&self) -> u64 {
        self.current.sequence.max(self.in_flight.newest_sequence())
    }

    /// The drawing buffer that took the place of one taken, unless something was presented since.
    fn replacement(&self) -> Option<&ClearedBuffer> {
        let newest = self.newest_present();
        self.taken.as_ref().filter(|taken| newest <= taken.through).map(|taken| &taken.replacement)
    }

    /// What a cleared drawing buffer is like that takes the place of this one.
    fn drawing_buffer(&mut self) -> ClearedBuffer {
        if let Some(replacement) = self.replacement() {
            return *replacement;
        }
        match self.in_flight.newest_between(self.current.sequence, u64::MAX) {
            Some(Ticket { layout, .. }) => {
                ClearedBuffer { size: layout.size(), alpha_mode: layout.pixels().alpha_mode }
            }
            None => self.current.content.cleared(),
        }
    }

    fn replace_with(&mut self, replacement: ClearedBuffer) {
        self.taken = Some(Taken { through: self.newest_present(), replacement });
    }
}
