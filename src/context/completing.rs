//! What becomes of copies in flight: a frame, or nothing.

use std::sync::Arc;

use super::drawing_buffer::{CanvasContent, CurrentContent};
use super::tickets::{Purpose, Ticket};
use super::{ContextData, ContextState};
use crate::api::error::{GetImageError, PresentError, UnknownContext};
use crate::frame::Readback;
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
        let Some((readback, mut frame)) = self.make(number, layout, buffer) else {
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
        state.outcomes.completed(memory);
        let readback = readback.map(Arc::new);
        let frame = frame.map(|frame| SharedFrame::new(frame, &self.pool));
        if let (Purpose::Present(present), Some(frame)) = (&ticket.purpose, &frame) {
            if present.sequence > state.current.sequence {
                let content = CanvasContent::Frame { frame: frame.clone(), readback: readback.clone() };
                state.current = CurrentContent { sequence: present.sequence, content };
                state.image.show(frame.clone(), present.promised);
                state.outcomes.presented(present);
            } else {
                // The newer one has acknowledged this one's epoch too.
                let by = state.current.sequence;
                state.outcomes.superseded(present, by);
            }
        }
        let snapshot = match (readback, frame) {
            (Some(readback), _) => Snapshot::of_readback(readback),
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
    ) -> Option<(Option<Readback>, Option<Frame>)> {
        if !self.state.lock().in_flight.is_present(number) {
            return Some((Some(Readback::captured(layout, buffer)), None));
        }
        Some(match Frame::of(Readback::shown(layout, buffer)) {
            Ok(frame) => (None, Some(frame)),
            Err(readback) => {
                if layout.byte_len() >= SLOW {
                    // What was completed before it does not wait for it.
                    self.outbox.drain();
                }
                let frame = Frame::converted(&readback)?;
                (Some(readback), Some(frame))
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
        state: &mut ContextState,
        ticket: Ticket,
        error: &PresentError,
    ) -> Option<MappingBuffer> {
        match &ticket.purpose {
            Purpose::Present(present) => {
                state.image.acknowledge(present.promised);
                state.outcomes.failed(present, error);
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

    fn get_image_error(&self, state: &ContextState, error: &PresentError) -> GetImageError {
        if state.is_alive() {
            GetImageError::Texture(error.clone())
        } else {
            GetImageError::UnknownContext(UnknownContext(self.id))
        }
    }
}

impl ContextState {
    /// The byte order that the frame of a ticket must have, if that is not its own. A frame that is not to be shown has any.
    fn other_order(&self, number: u64, frame: &Frame) -> Option<ByteOrder> {
        let order = self.image.order_of(frame);
        (self.in_flight.is_present(number) && order != frame.layout().order()).then_some(order)
    }
}
