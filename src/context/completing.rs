//! How a copy in flight ends: a poller makes a frame of it, or it fails.
//!
//! [`complete`](ContextData::complete) and [`fail`](ContextData::fail) are called by the poller of a device once it knows what
//! became of a submission. Bytes are converted without the lock of the context; the lock is taken again to decide whether the
//! frame is still newer than what is shown. What was decided stands in the outbox afterwards, which the caller drains.

use std::sync::Arc;

use super::drawing_buffer::{CanvasContent, CurrentContent};
use super::tickets::{OfFrame, Purpose, TakenBuffer, Ticket};
use super::{ContextData, ContextState};
use crate::api::error::{GetImageError, PresentError, UnknownContext};
use crate::delivery::Message;
use crate::frame::{ByteOrder, CopyLayout, Frame, ImageRead, Readback, SharedFrame, Snapshot};
use crate::staging::{Completed, MappedBuffer, MappingBuffer, NotMapped};
use crate::sync::catch_panic;

/// Size in bytes from which on a conversion takes long enough that what was completed before is told first.
const SLOW_CONVERSION: usize = 1 << 20;

impl ContextData {
    /// Makes the frame of a ticket whose submission is done, and shows it unless a newer one is shown already.
    ///
    /// Does nothing if the ticket has ended or another thread is completing it.
    pub(crate) fn complete(&self, number: u64, completed: &Completed) {
        span!("ContextData::complete");
        let taken = self.state.lock().tickets.take_buffer(number);
        let Some(TakenBuffer { layout, buffer, is_present, of_frame, behind }) = taken else { return };
        // They belong to earlier submissions of the same queue. Nobody looks at them; they go back to their ring.
        behind.into_iter().for_each(|image| drop(image.complete(completed, 0)));
        match buffer.complete(completed, layout.byte_len()) {
            Ok(buffer) if is_present => self.complete_present(number, layout, buffer),
            Ok(buffer) => self.complete_capture(number, layout, buffer, of_frame.is_some()),
            Err(NotMapped::Failed(error)) => self.fail(number, &error),
            Err(NotMapped::InFlight(buffer)) => {
                debug_assert!(false, "a poller waits for the submission that wrote the buffer");
                log::error!("webgpu-presentation: {:?} was completed before its copy was done", self.id);
                drop(buffer);
                self.fail(number, &PresentError::DeviceLost);
            }
        }
    }

    /// Makes the frame of a present of these bytes, and shows it unless a newer one is shown already.
    pub(crate) fn complete_present(&self, number: u64, layout: CopyLayout, buffer: MappedBuffer) {
        let (memory, is_direct) = (buffer.memory(), buffer.is_image());
        let Some((mut frame, readback)) = self.make_frame(layout, buffer) else {
            return self.fail(number, &PresentError::OutOfMemory);
        };
        let mut state = self.state.lock();
        // Another present can fix the byte order of the image while the bytes are swapped here. It is fixed once, so this ends.
        while let Some(order) = state.other_order(&frame) {
            drop(state);
            frame = frame.in_order(order);
            state = self.state.lock();
        }
        let Some((sequence, promised)) = state.tickets.promise(number) else { return };
        let frame = SharedFrame::new(frame, &self.pool);
        let content = CanvasContent::Frame { frame: frame.clone(), readback: readback.map(Arc::new) };
        state.outcomes.framed(memory, layout.pixels_len(), is_direct, content.unread().is_some());
        let unread = content.unread();
        let snapshot = unread.is_none().then(|| content.snapshot());
        let newest = state.current.sequence;
        if sequence > newest {
            state.current = CurrentContent { sequence, content };
            state.image.show(frame, promised);
        }
        // The ticket is taken out last: if what comes before panics, its poller finds it and lets it fail.
        let Some(Ticket { purpose: Purpose::Present(present), asked, .. }) = state.tickets.remove(number)
        else {
            return;
        };
        if sequence > newest {
            state.outcomes.took(asked.elapsed());
            state.outcomes.presented(&present);
        } else {
            // The newer present has acknowledged this one's epoch too.
            state.outcomes.superseded(&present, newest);
        }
        for reply in present.readers {
            match (&snapshot, &unread) {
                (Some(snapshot), _) => self.outbox.answer(reply, snapshot.clone()),
                (None, Some(read)) => {
                    state.unread.push((reply, read.clone(), OfFrame { sequence, is_shown: false }));
                }
                (None, None) => {}
            }
        }
        if !state.unread.is_empty() {
            self.outbox.message(Message::Wake);
        }
    }

    /// Answers reads of a texture; or of a shared image, of which the copy is kept, and shown if it is to be.
    fn complete_capture(&self, number: u64, layout: CopyLayout, buffer: MappedBuffer, is_of_frame: bool) {
        let memory = buffer.memory();
        let readback = Arc::new(match is_of_frame {
            true => Readback::shown(layout, buffer),
            false => Readback::captured(layout, buffer),
        });
        let mut state = self.state.lock();
        let Some(Ticket { purpose: Purpose::Capture(replies), of_frame, .. }) = state.tickets.remove(number)
        else {
            return;
        };
        let replaced = of_frame.and_then(|of_frame| self.keep_copy(&mut state, of_frame, &readback));
        state.outcomes.completed(memory);
        for reply in replies {
            self.outbox.answer(reply, Ok(Snapshot::of_readback(readback.clone())));
        }
        drop(state);
        drop(replaced);
    }

    /// Shows the copy of the shared image that is shown, in its place, if there is one already and the image `is_useless`.
    pub(crate) fn show_copy(&self, is_useless: impl Fn(&ImageRead) -> bool) {
        let mut state = self.state.lock();
        let of_frame = OfFrame { sequence: state.current.sequence, is_shown: true };
        let CanvasContent::Frame { frame, readback: Some(copy) } = &state.current.content else { return };
        if !frame.image_read().is_some_and(|read| is_useless(&read)) {
            return;
        }
        let copy = copy.clone();
        let replaced = self.keep_copy(&mut state, of_frame, &copy);
        // The lock is released first: dropping the image can free memory.
        drop(state);
        drop(replaced);
    }

    /// Keeps the copy of a shared image for reads, and shows it if it is to be, unless the image is not current any more. Returns the
    /// frame that it replaces, to be dropped without the lock.
    fn keep_copy(
        &self,
        state: &mut ContextState,
        OfFrame { sequence, is_shown }: OfFrame,
        copy: &Arc<Readback>,
    ) -> Option<SharedFrame> {
        let order = state.image.order();
        let is_current = state.is_alive() && state.current.sequence == sequence;
        let ContextState { current, image, promised, .. } = state;
        let CanvasContent::Frame { frame, readback } = &mut current.content else { return None };
        if !is_current {
            return None;
        }
        *readback = Some(copy.clone());
        is_shown.then(|| {
            // A canvas that has changed its format needs another byte order. The bytes that script reads are not touched, and this
            // is rare enough to be done under the lock.
            let of_read = Frame::of_read(copy);
            let of_read = of_read.filter(|shown| order.is_none_or(|order| order == shown.layout().order()));
            let shown = of_read.or_else(|| Some(Frame::converted(copy)?.in_order(order?)));
            // Without memory for it the canvas is blank until the next present.
            let shown = shown.unwrap_or_else(|| Frame::cleared(frame.layout().alpha_mode()));
            let replaced = std::mem::replace(frame, SharedFrame::new(shown, &self.pool));
            image.show(frame.clone(), *promised);
            replaced
        })
    }

    /// Makes the frame that WebRender is to show; and keeps what was copied, if script must read that instead. `None` if no memory
    /// can be had for the frame.
    fn make_frame(&self, layout: CopyLayout, buffer: MappedBuffer) -> Option<(Frame, Option<Readback>)> {
        if buffer.shared_image().is_some() {
            return Some((Frame::of_texture(&layout, buffer)?, None));
        }
        match Frame::of(Readback::shown(layout, buffer)) {
            Ok(frame) => Some((frame, None)),
            Err(readback) => {
                if layout.byte_len() >= SLOW_CONVERSION {
                    // Frames of other canvases that were completed before this one are told of first.
                    self.outbox.drain();
                }
                let frame = Frame::converted(&readback)?;
                Some((frame, Some(readback)))
            }
        }
    }

    /// Ends a ticket whose copy will never be done; the last good frame stays. Does nothing if the ticket has ended already.
    pub(crate) fn fail(&self, number: u64, error: &PresentError) {
        let mut state = self.state.lock();
        if let Some(ticket) = state.tickets.remove(number) {
            let buffer = self.fail_ticket(&mut state, ticket, error);
            // The lock is released first: dropping the buffer can free memory.
            drop(state);
            drop(buffer);
        }
    }

    /// Ends a queued copy that could not be submitted. If `shows_cleared`, the present shows the cleared frame of its size, otherwise the last
    /// good frame stays. Does nothing if the ticket has ended already.
    pub(crate) fn refuse(&self, number: u64, error: &PresentError, shows_cleared: bool) {
        let mut state = self.state.lock();
        let Some(mut ticket) = state.tickets.remove(number) else { return };
        if shows_cleared && let Purpose::Present(present) = &mut ticket.purpose {
            let cleared = state.show_cleared(present, ticket.layout.size());
            state.outcomes.failed(present, error);
            for reply in std::mem::take(&mut present.readers) {
                self.outbox.answer(reply, cleared.snapshot());
            }
        } else {
            // It was not submitted, so it has no buffer.
            let _ = self.fail_ticket(&mut state, ticket, error);
        }
    }

    /// Ends a present that [`admit`](Self::admit) took out and whose bytes may have been overwritten.
    pub(crate) fn fail_taken(&self, ticket: Ticket, error: &PresentError) {
        let buffer = self.fail_ticket(&mut self.state.lock(), ticket, error);
        drop(buffer);
    }

    /// Ends a ticket, and answers the reads that wait for it: they asked for this frame and no other. Returns its buffer, to be dropped without
    /// the lock, because that can free memory.
    #[must_use = "dropping the buffer under the lock can free memory there"]
    pub(super) fn fail_ticket(
        &self,
        state: &mut ContextState,
        ticket: Ticket,
        error: &PresentError,
    ) -> Option<MappingBuffer> {
        let read_error = if state.is_alive() {
            GetImageError::Texture(error.clone())
        } else {
            GetImageError::UnknownContext(UnknownContext(self.id))
        };
        match ticket.purpose {
            Purpose::Present(present) => {
                // Whatever this panics with, a bug of this crate, must not keep the outcome and the answers back.
                catch_panic("the acknowledgement of a present", || state.image.acknowledge(present.promised));
                state.outcomes.failed(&present, error);
                for reply in present.readers {
                    self.outbox.answer(reply, Err(read_error.clone()));
                }
            }
            Purpose::Capture(replies) => {
                for reply in replies {
                    self.outbox.answer(reply, Err(read_error.clone()));
                }
            }
        }
        ticket.stage.into_buffer()
    }
}

impl ContextState {
    /// The byte order that a frame must have to be shown, if that is not the order it has.
    fn other_order(&self, frame: &Frame) -> Option<ByteOrder> {
        let order = self.image.order_of(frame);
        (order != frame.layout().order()).then_some(order)
    }
}
