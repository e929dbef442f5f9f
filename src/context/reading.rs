//! What script reads of a context.
//!
//! A read returns the drawing buffer: what was presented last, even if its copy is still in flight or queued, or the cleared buffer that
//! [`take`](ContextData::take) or [`replace_drawing_buffer`](ContextData::replace_drawing_buffer) put in its place. Called on the WebGPU thread;
//! a read that waits for a copy is answered by the thread that ends it. A read gets the frame that it asked for, or an error: if the present
//! that it waits for fails, no other frame takes its place.

use euclid::default::Size2D;

use super::drawing_buffer::ClearedBuffer;
use super::{ContextData, ContextState, Life};
use crate::api::error::{GetImageError, UnknownContext};
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

    /// Lets another read wait for a capture. Precondition: the capture was queued since the last submission.
    pub(crate) fn join(&self, number: u64, reply: Reply) {
        let mut state = self.state.lock();
        let has_room = state.tickets.has_room_to_read();
        let error = match state.tickets.queued_capture(number) {
            Some(replies) if has_room => return replies.push(reply),
            Some(_) => GetImageError::TooManyReads,
            // Another thread has ended the context.
            None => GetImageError::UnknownContext(UnknownContext(self.id)),
        };
        self.outbox.answer(reply, Err(error));
    }

    /// Answers with the drawing buffer, and puts a cleared one of the same size and alpha mode in its place.
    pub(crate) fn take(&self, reply: Reply) {
        let mut state = self.state.lock();
        let replacement = state.cleared_drawing_buffer();
        self.read_locked(&mut state, reply);
        state.replace_drawing_buffer(replacement);
    }

    /// Puts a cleared drawing buffer in the place of the present one, until something else is presented. Returns whether the context is alive.
    pub(crate) fn replace_drawing_buffer(&self, size: Size2D<u32>, alpha_mode: AlphaMode) -> bool {
        let mut state = self.state.lock();
        state.replace_drawing_buffer(ClearedBuffer { size, alpha_mode });
        state.is_alive()
    }

    fn read_locked(&self, state: &mut ContextState, reply: Reply) {
        if state.life != Life::Alive {
            let error = GetImageError::UnknownContext(UnknownContext(self.id));
            return self.outbox.answer(reply, Err(error));
        }
        if let Some(replacement) = state.replacement() {
            return self.outbox.answer(reply, replacement.snapshot());
        }
        let has_room = state.tickets.has_room_to_read();
        match state.tickets.newest_after(state.current.sequence) {
            Some((_, present)) if has_room => present.readers.push(reply),
            Some(_) => self.outbox.answer(reply, Err(GetImageError::TooManyReads)),
            None => self.outbox.answer(reply, state.current.content.snapshot()),
        }
    }
}

impl ContextState {
    /// The sequence number of the newest present that is current or has not ended.
    fn newest_present(&self) -> u64 {
        self.current.sequence.max(self.tickets.newest_sequence())
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
        match self.tickets.newest_after(self.current.sequence) {
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
