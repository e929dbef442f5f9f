//! What script reads of a context.
//!
//! A read returns the drawing buffer: what was presented last, even if its copy is still in flight or queued, or the cleared buffer that
//! [`take`](ContextData::take) or [`replace_drawing_buffer`](ContextData::replace_drawing_buffer) put in its place. Called on the WebGPU thread;
//! a read that waits for a copy is answered by the thread that ends it. A read gets the frame that it asked for, or an error: if the present
//! that it waits for fails, no other frame takes its place.

use euclid::default::Size2D;

use super::drawing_buffer::{CanvasContent, ClearedBuffer};
use super::{ContextData, ContextState, Life, OfFrame, Purpose};
use crate::api::error::{GetImageError, UnknownContext};
use crate::delivery::Reply;
use crate::frame::ImageRead;
use crate::pixels::AlphaMode;

/// A drawing buffer that took the place of a presented one, for reads alone. What was presented is still shown.
pub(super) struct ReplacedBuffer {
    /// Sequence number of the newest present that the replacement hides from reads.
    through: u64,
    replacement: ClearedBuffer,
}

/// A read that is not answered yet, and the image that it is of.
pub(crate) type Unread = (Reply, ImageRead, OfFrame);

impl ContextData {
    /// Answers with the drawing buffer, as soon as its copy is done. Returns the reply if the drawing buffer is an image that must be copied
    /// first.
    #[must_use]
    pub(crate) fn read(&self, reply: Reply) -> Option<Unread> {
        let mut state = self.state.lock();
        self.read_locked(&mut state, reply)
    }

    /// Returns the reads that waited for presents whose frames have turned out to be images.
    pub(crate) fn take_unread(&self) -> Vec<Unread> {
        std::mem::take(&mut self.state.lock().unread)
    }

    /// Returns the image that is shown, or that a present in flight will show, unless it was copied already. It is to be copied because its
    /// device goes, or to be shown (`is_shown`), because renderers can sample it no more.
    pub(crate) fn image_to_copy(&self, is_shown: bool) -> Option<(ImageRead, OfFrame)> {
        let state = self.state.lock();
        let current = state.current.sequence;
        let (read, sequence) = match &state.current.content {
            CanvasContent::Frame { frame, .. } if is_shown => frame.image_read().map(|read| (read, current)),
            content => {
                let in_flight = state.tickets.newest_image_after(current);
                in_flight.or_else(|| content.unread().map(|read| (read, current)))
            }
        }?;
        (state.life == Life::Alive).then_some((read, OfFrame { sequence, is_shown }))
    }

    /// Lets a read wait for a copy of the same shared image, if there is one; and that copy be shown, if this one is to be. Returns the reply if
    /// there is none.
    pub(crate) fn join_image_copy(
        &self,
        reply: Option<Reply>,
        of_frame: OfFrame,
    ) -> Result<(), Option<Reply>> {
        let mut state = self.state.lock();
        let has_room = state.tickets.has_room_to_read();
        let Some(ticket) = state.tickets.image_copy(of_frame.sequence) else { return Err(reply) };
        if let Some(known) = &mut ticket.of_frame {
            known.is_shown |= of_frame.is_shown;
        }
        match (&mut ticket.purpose, reply) {
            (Purpose::Capture(replies), Some(reply)) if has_room => replies.push(reply),
            (_, Some(reply)) => self.outbox.answer(reply, Err(GetImageError::TooManyReads)),
            (_, None) => {}
        }
        Ok(())
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

    /// Answers as [`read`](Self::read) does, and puts a cleared drawing buffer of the same size and alpha mode in its place.
    #[must_use]
    pub(crate) fn take(&self, reply: Reply) -> Option<Unread> {
        let mut state = self.state.lock();
        let replacement = state.cleared_drawing_buffer();
        let unread = self.read_locked(&mut state, reply);
        state.replace_drawing_buffer(replacement);
        unread
    }

    /// Puts a cleared drawing buffer in the place of the present one, until something else is presented. Returns whether the context is alive.
    pub(crate) fn replace_drawing_buffer(&self, size: Size2D<u32>, alpha_mode: AlphaMode) -> bool {
        let mut state = self.state.lock();
        state.replace_drawing_buffer(ClearedBuffer { size, alpha_mode });
        state.is_alive()
    }

    fn read_locked(&self, state: &mut ContextState, reply: Reply) -> Option<Unread> {
        if state.life != Life::Alive {
            let error = GetImageError::UnknownContext(UnknownContext(self.id));
            self.outbox.answer(reply, Err(error));
            return None;
        }
        if let Some(replacement) = state.replacement() {
            self.outbox.answer(reply, replacement.snapshot());
            return None;
        }
        if let Some((read, sequence)) = state.tickets.newest_image_after(state.current.sequence) {
            return Some((reply, read, OfFrame { sequence, is_shown: false }));
        }
        let has_room = state.tickets.has_room_to_read();
        match state.tickets.newest_after(state.current.sequence) {
            Some((_, present)) if has_room => present.readers.push(reply),
            Some(_) => self.outbox.answer(reply, Err(GetImageError::TooManyReads)),
            None => {
                let sequence = state.current.sequence;
                if let Some(read) = state.current.content.unread() {
                    return Some((reply, read, OfFrame { sequence, is_shown: false }));
                }
                self.outbox.answer(reply, state.current.content.snapshot());
            }
        }
        None
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
