//! What becomes of copies in flight: a frame, or nothing.

use std::sync::Arc;

use super::drawing_buffer::{Content, Current};
use super::tickets::{Purpose, Ticket};
use super::{ContextData, State};
use crate::api::error::{GetImageError, PresentError, UnknownContext};
use crate::frame::Original;
use crate::frame::Snapshot;
use crate::frame::{ByteOrder, CopyLayout};
use crate::frame::{Frame, SharedFrame};
use crate::staging::Completed;
use crate::staging::{MappedBuffer, MappingBuffer, NotMapped};

/// To convert so many bytes takes a while.
const SLOW: usize = 1 << 20;

impl ContextData {
    /// The submission of a ticket is done: makes its frame and shows it, unless a newer one was shown.
    ///
    /// Nothing happens if the ticket has ended, or somebody else is completing it.
    pub(crate) fn complete(&self, number: u64, completed: &Completed) {
        let taken = self.state.lock().in_flight.take_buffer(number);
        let Some((layout, buffer)) = taken else { return };
        let buffer = match buffer.complete(completed, layout.byte_len()) {
            Ok(buffer) => buffer,
            Err(NotMapped::Failed(error)) => return self.fail(number, &error),
            Err(NotMapped::InFlight(buffer)) => {
                // Cannot be: a poller waits for the submission that wrote the buffer.
                log::error!("webgpu-presentation: {:?} completed before its time", self.id);
                drop(buffer);
                return self.fail(number, &PresentError::DeviceLost);
            }
        };
        let memory = buffer.memory();
        let Some((original, mut frame)) = self.make(number, layout, buffer) else {
            return self.fail(number, &PresentError::OutOfMemory);
        };
        let mut state = self.state.lock();
        // The order can change, once, while the bytes are being put in order.
        while let Some(order) = frame.as_ref().and_then(|frame| state.other_order(number, frame)) {
            drop(state);
            frame = frame.map(|frame| frame.in_order(order));
            state = self.state.lock();
        }
        let Some(ticket) = state.in_flight.remove(number) else { return };
        state.ends.completed(memory);
        let original = original.map(Arc::new);
        let frame = frame.map(|frame| SharedFrame::new(frame, &self.shells));
        if let (Purpose::Present(present), Some(frame)) = (&ticket.purpose, &frame) {
            if present.sequence > state.current.sequence {
                let content = Content::Frame { frame: frame.clone(), original: original.clone() };
                state.current = Current { sequence: present.sequence, content };
                state.display.show(frame.clone(), present.promised);
                state.ends.presented(present);
            } else {
                // The newer one has acknowledged this one's epoch too.
                let by = state.current.sequence;
                state.ends.superseded(present, by);
            }
        }
        let snapshot = match (original, frame) {
            (Some(original), _) => Snapshot::of_original(original),
            (None, Some(frame)) => Snapshot::of_frame(frame),
            (None, None) => return,
        };
        for reply in ticket.replies {
            self.outbox.answer(reply, Ok(snapshot.clone()));
        }
    }

    /// A frame of what a ticket brought, if it is to be shown; and what was copied, if the frame had to be made of it or there is
    /// none. `None` without memory for it.
    fn make(
        &self,
        number: u64,
        layout: CopyLayout,
        buffer: MappedBuffer,
    ) -> Option<(Option<Original>, Option<Frame>)> {
        if !self.state.lock().in_flight.is_present(number) {
            return Some((Some(Original::captured(layout, buffer)), None));
        }
        Some(match Frame::of(Original::shown(layout, buffer)) {
            Ok(frame) => (None, Some(frame)),
            Err(original) => {
                if layout.byte_len() >= SLOW {
                    // What was completed before it does not wait for it.
                    self.outbox.drain();
                }
                let frame = Frame::converted(&original)?;
                (Some(original), Some(frame))
            }
        })
    }

    /// A copy in flight will never be done.
    pub(crate) fn fail(&self, number: u64, error: &PresentError) {
        let mut state = self.state.lock();
        let ticket = state.in_flight.remove(number);
        if let Some(ticket) = ticket {
            let buffer = self.fail_ticket(&mut state, ticket, error);
            drop(state);
            drop(buffer);
        }
    }

    /// Ends what [`take_youngest`](Self::take_youngest) took: its bytes may have been overwritten.
    pub(crate) fn fail_taken(&self, ticket: Ticket, error: &PresentError) {
        let buffer = self.fail_ticket(&mut self.state.lock(), ticket, error);
        drop(buffer);
    }

    /// Ends a ticket. What is left of it is returned: freeing memory takes long, so not under the lock.
    #[must_use]
    pub(super) fn fail_ticket(
        &self,
        state: &mut State,
        ticket: Ticket,
        error: &PresentError,
    ) -> Option<MappingBuffer> {
        match &ticket.purpose {
            Purpose::Present(present) => {
                state.display.acknowledge(present.promised);
                state.ends.failed(present, error);
                for reply in ticket.replies {
                    self.read_again(state, present.sequence, error, reply);
                }
            }
            Purpose::Capture => {
                for reply in ticket.replies {
                    let error = self.get_image_error(state, error);
                    self.outbox.answer(reply, Err(error));
                }
            }
        }
        ticket.buffer
    }

    fn get_image_error(&self, state: &State, error: &PresentError) -> GetImageError {
        if state.is_alive() {
            GetImageError::Texture(error.clone())
        } else {
            GetImageError::UnknownContext(UnknownContext(self.id))
        }
    }
}

impl State {
    /// The byte order that the frame of a ticket must have, if that is not its own. A frame that is not to be shown has any.
    fn other_order(&self, number: u64, frame: &Frame) -> Option<ByteOrder> {
        let order = self.display.order_of(frame);
        (self.in_flight.is_present(number) && order != frame.layout().order()).then_some(order)
    }
}
