//! The life of one canvas context: what is in flight, what is current, what the compositor was told.
//!
//! ```text
//! begin ──▶ submitted ──▶ complete ──▶ current ──▶ offered ──▶ locked
//!   │           │            │
//!   │           │            └─ stale: superseded
//!   │           ├─ take_youngest, then supersede: a newer one takes its buffer
//!   └───────────┴─ fail: the last good frame stays, or the cleared one is shown
//! ```
//!
//! The WebGPU thread begins, submits, supersedes and clears; pollers complete; renderer threads lock. Each method takes the
//! lock for a moment and writes what must be told into the outbox; the caller drains that. No wgpu-core call, copy or
//! conversion happens under the lock.

use std::sync::Arc;

use euclid::default::Size2D;
use parking_lot::{Mutex, MutexGuard};
use webrender_api::ImageKey;
use wgpu_core::id::DeviceId;

use crate::blank::Blanks;
use crate::content::Content;
use crate::display::{Display, HandlerId, Locked};
use crate::frame::Frame;
use crate::gpu::Completed;
use crate::layout::{ByteOrder, FrameLayout};
use crate::offers::{Generation, Offers};
use crate::outbox::{Message, Outbox, Reply};
use crate::staging::MappingBuffer;
use crate::ticket::{Present, Purpose, Ticket};
use crate::{
    AlphaMode, CanvasEpoch, ContextId, GetImageError, PresentEnd, PresentError, PresentOutcome, Snapshot,
    Statistics, UnknownContext,
};

/// So many presents of one device may be in flight before the next one takes the place of the youngest.
const MOST_IN_FLIGHT: usize = 2;

/// So many may be in flight that a `get_image` waits for, so that they cannot be superseded; and one more. As many textures may
/// be in flight for a `get_image`.
const MOST_AWAITED: usize = 8;

/// What the map knows of a context. Shared by the presenter, pollers and renderers.
pub(crate) struct ContextData {
    id: ContextId,
    outbox: Arc<Outbox>,
    blanks: Arc<Blanks>,
    state: Mutex<State>,
}

struct State {
    alive: bool,
    /// Presents begun.
    sequence: u64,
    /// Tickets made.
    number: u64,
    /// The largest epoch of any present so far.
    promised: CanvasEpoch,
    /// In the order of their submission.
    in_flight: Vec<Ticket>,
    current: Current,
    display: Display,
    statistics: Statistics,
}

/// What a read returns, and what is shown or about to be.
struct Current {
    /// Of the present that made it; 0 before any.
    sequence: u64,
    content: Content,
}

impl ContextData {
    pub(crate) fn new(
        id: ContextId,
        size: Size2D<u32>,
        offers: Offers,
        outbox: Arc<Outbox>,
        blanks: Arc<Blanks>,
    ) -> Self {
        let content = Content::Cleared { size, alpha_mode: AlphaMode::Premultiplied };
        let state = State {
            alive: true,
            sequence: 0,
            number: 0,
            promised: CanvasEpoch(0),
            in_flight: Vec::with_capacity(MOST_IN_FLIGHT + 1),
            current: Current { sequence: 0, content },
            display: Display::new(id, offers, outbox.clone(), blanks.clone()),
            statistics: Statistics::default(),
        };
        Self { id, outbox, blanks, state: Mutex::new(state) }
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let state = self.state.lock();
        Statistics { in_flight: state.in_flight.len(), ..state.statistics }
    }

    /// Gives a present its place in the order.
    pub(crate) fn begin(&self, epoch: CanvasEpoch, alpha_mode: AlphaMode) -> Present {
        let mut state = self.state.lock();
        state.sequence += 1;
        state.promised = state.promised.max(epoch);
        Present { sequence: state.sequence, epoch, promised: state.promised, alpha_mode }
    }

    /// Shows the cleared drawing buffer. `size` was checked.
    pub(crate) fn clear(&self, present: &Present, size: Size2D<u32>) {
        let mut state = self.state.lock();
        self.show_cleared(&mut state, present, size);
        self.end(&mut state, present, PresentEnd::Presented);
    }

    /// Whether another present may be submitted, though none can be superseded.
    pub(crate) fn has_room_to_present(&self) -> bool {
        self.state.lock().presents_in_flight() <= MOST_AWAITED
    }

    /// Whether another texture may be copied for a `get_image`.
    pub(crate) fn has_room_to_capture(&self) -> bool {
        let state = self.state.lock();
        state.in_flight.len() - state.presents_in_flight() < MOST_AWAITED
    }

    /// Takes the youngest copy in flight out if the next one is to take its place: if there are enough in flight, it is
    /// on the same device (what one loses the other loses too) and nobody waits for it.
    ///
    /// It must be [superseded](Self::supersede) once the next one is submitted, or [restored](Self::restore). The
    /// older one is left to finish, so that something always arrives; one of another device does not count, it may hang.
    pub(crate) fn take_youngest(&self, device: DeviceId) -> Option<Ticket> {
        let mut state = self.state.lock();
        let index = state.in_flight.iter().rposition(|ticket| ticket.sequence().is_some())?;
        let youngest = &state.in_flight[index];
        let same_device = youngest.buffer.as_ref().is_some_and(|buffer| buffer.device() == device);
        // Without a buffer its frame is being made.
        let arrives = |ticket: &&Ticket| {
            ticket.sequence().is_some()
                && ticket.buffer.as_ref().is_none_or(|buffer| buffer.device() == device)
        };
        let enough = state.in_flight.iter().filter(arrives).count() >= MOST_IN_FLIGHT;
        (enough && youngest.replies.is_empty() && same_device).then(|| state.in_flight.remove(index))
    }

    /// Puts back what [`take_youngest`](Self::take_youngest) took. Nothing was submitted since.
    pub(crate) fn restore(&self, ticket: Ticket) {
        self.state.lock().in_flight.push(ticket);
    }

    /// A newer frame took its place.
    pub(crate) fn supersede(&self, ticket: Ticket) {
        if let Purpose::Present(present) = &ticket.purpose {
            self.end(&mut self.state.lock(), present, PresentEnd::Superseded);
        }
    }

    /// A copy was submitted. The result names its ticket.
    pub(crate) fn submitted(
        &self,
        purpose: Purpose,
        layout: FrameLayout,
        buffer: MappingBuffer,
        reply: Option<Reply>,
    ) -> u64 {
        let mut state = self.state.lock();
        state.number += 1;
        let number = state.number;
        let replies = reply.into_iter().collect();
        state.in_flight.push(Ticket { number, purpose, layout, buffer: Some(buffer), replies });
        number
    }

    /// The submission of a ticket is done: makes its frame and shows it, unless a newer one was shown.
    ///
    /// Nothing happens if the ticket has ended, or somebody else is completing it.
    pub(crate) fn complete(&self, number: u64, completed: &Completed) {
        let Some((layout, buffer)) = self.take_buffer(number) else { return };
        let mut frame = match buffer.complete(completed) {
            Ok(buffer) => Frame::staged(layout, buffer),
            Err(buffer) => {
                // Cannot be: a poller waits for the submission that wrote the buffer.
                log::error!("webgpu-presentation: {:?} completed before its time", self.id);
                drop(buffer);
                return self.fail(number, &PresentError::DeviceLost);
            }
        };
        let mut state = self.state.lock();
        // The order can change, once, while the bytes are being put in order.
        loop {
            let order = state.order_of(number, &frame);
            if frame.layout().order() == order {
                break;
            }
            frame = MutexGuard::unlocked(&mut state, || frame.in_order(order));
        }
        let Some(ticket) = state.remove(number) else { return };
        let frame = Arc::new(frame);
        if let Purpose::Present(present) = &ticket.purpose {
            if present.sequence > state.current.sequence {
                state.current =
                    Current { sequence: present.sequence, content: Content::Frame(frame.clone()) };
                state.display.show(frame.clone(), present.promised);
                self.end(&mut state, present, PresentEnd::Presented);
            } else {
                // The newer one has acknowledged this one's epoch too.
                self.end(&mut state, present, PresentEnd::Superseded);
            }
        }
        for reply in ticket.replies {
            self.outbox.answer(reply, Ok(Snapshot::of_frame(frame.clone())));
        }
    }

    /// A copy in flight will never be done.
    pub(crate) fn fail(&self, number: u64, error: &PresentError) {
        let mut state = self.state.lock();
        let ticket = state.remove(number);
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

    /// A present failed before its copy was submitted. `size` is that of the cleared frame, should it be shown.
    pub(crate) fn fail_present(&self, present: &Present, size: Size2D<u32>, error: &PresentError) {
        let mut state = self.state.lock();
        if error.shows_cleared() {
            self.show_cleared(&mut state, present, size);
        } else {
            state.display.acknowledge(present.promised);
        }
        self.end(&mut state, present, PresentEnd::Failed(error.clone()));
    }

    /// Answers with the newest frame presented, as soon as its copy is done.
    pub(crate) fn read(&self, reply: Reply) {
        let mut state = self.state.lock();
        self.read_locked(&mut state, reply);
    }

    /// Displays the context under `key` from now on, and under no other.
    pub(crate) fn set_key(&self, key: ImageKey) {
        let mut state = self.state.lock();
        let State { alive, current, display, .. } = &mut *state;
        if *alive {
            display.set_key(key, || current.content.frame());
        }
    }

    /// What a renderer reads for a generation, or for whatever was told last. `None` if the context is destroyed.
    ///
    /// The renderer's thread tells nobody of a frame that was held back: another one does.
    pub(crate) fn lock(
        self: &Arc<Self>,
        handler: HandlerId,
        generation: Option<Generation>,
    ) -> Option<Locked> {
        let mut state = self.state.lock();
        if !state.alive {
            return None;
        }
        let (locked, tells) = state.display.lock(handler, generation);
        // Without a key the compositor knows nothing of this context: whatever is asked for was an earlier one's.
        let locked = locked.unwrap_or_else(|| match generation {
            Some(_) => Locked::Blank(self.blanks.get()),
            None => Locked::Frame(state.current.content.frame()),
        });
        drop(state);
        if tells {
            let outbox = self.outbox.clone();
            crate::elsewhere(move || outbox.drain());
        }
        Some(locked)
    }

    /// A renderer is gone.
    pub(crate) fn forget_handler(&self, handler: HandlerId) {
        let frame = self.state.lock().display.forget_handler(handler);
        drop(frame);
    }

    /// Ends everything. Frames that a renderer has locked stay with it. Returns what a later context with this id must know.
    pub(crate) fn destroy(&self) -> Offers {
        let mut state = self.state.lock();
        state.alive = false;
        let tickets = std::mem::take(&mut state.in_flight).into_iter();
        let buffers: Vec<_> = tickets
            .map(|ticket| self.fail_ticket(&mut state, ticket, &PresentError::ContextDestroyed))
            .collect();
        let content = Content::Cleared { size: Size2D::zero(), alpha_mode: AlphaMode::Premultiplied };
        let current = std::mem::replace(&mut state.current, Current { sequence: u64::MAX, content });
        let (ended, held) = state.display.destroy();
        let rest = (current, held, buffers);
        // Memory is freed after the lock is released.
        drop(state);
        drop(rest);
        ended
    }

    fn take_buffer(&self, number: u64) -> Option<(FrameLayout, MappingBuffer)> {
        let mut state = self.state.lock();
        let ticket = state.in_flight.iter_mut().find(|ticket| ticket.number == number)?;
        ticket.buffer.take().map(|buffer| (ticket.layout, buffer))
    }

    fn show_cleared(&self, state: &mut State, present: &Present, size: Size2D<u32>) {
        if present.sequence > state.current.sequence {
            let content = Content::Cleared { size, alpha_mode: present.alpha_mode };
            state.current = Current { sequence: present.sequence, content };
            state.display.show(Arc::new(Frame::cleared(present.alpha_mode)), present.promised);
        } else {
            state.display.acknowledge(present.promised);
        }
    }

    /// Ends a ticket. What is left of it is returned: freeing memory takes long, so not under the lock.
    #[must_use]
    fn fail_ticket(&self, state: &mut State, ticket: Ticket, error: &PresentError) -> Option<MappingBuffer> {
        match &ticket.purpose {
            Purpose::Present(present) => {
                state.display.acknowledge(present.promised);
                self.end(state, present, PresentEnd::Failed(error.clone()));
                for reply in ticket.replies {
                    self.read_locked(state, reply);
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

    fn read_locked(&self, state: &mut State, reply: Reply) {
        let newest = state
            .in_flight
            .iter_mut()
            .filter(|ticket| ticket.sequence() > Some(state.current.sequence))
            .max_by_key(|ticket| ticket.sequence());
        match newest {
            Some(ticket) => ticket.replies.push(reply),
            None if !state.alive => {
                let error = GetImageError::UnknownContext(UnknownContext(self.id));
                self.outbox.answer(reply, Err(error));
            }
            None => self.outbox.answer(reply, state.current.content.snapshot()),
        }
    }

    fn get_image_error(&self, state: &State, error: &PresentError) -> GetImageError {
        if state.alive {
            GetImageError::Texture(error.clone())
        } else {
            GetImageError::UnknownContext(UnknownContext(self.id))
        }
    }

    fn end(&self, state: &mut State, present: &Present, end: PresentEnd) {
        match &end {
            PresentEnd::Presented => state.statistics.presented += 1,
            PresentEnd::Superseded => state.statistics.superseded += 1,
            PresentEnd::Failed(error) => {
                state.statistics.failed += 1;
                log::debug!("webgpu-presentation: {:?} present {}: {error}", self.id, present.sequence);
            }
        }
        let Present { sequence, epoch, .. } = *present;
        self.outbox.message(Message::Outcome(PresentOutcome { context: self.id, sequence, epoch, end }));
    }
}

impl State {
    fn presents_in_flight(&self) -> usize {
        self.in_flight.iter().filter(|ticket| ticket.sequence().is_some()).count()
    }

    fn remove(&mut self, number: u64) -> Option<Ticket> {
        let index = self.in_flight.iter().position(|ticket| ticket.number == number)?;
        Some(self.in_flight.remove(index))
    }

    /// The byte order that the frame of a ticket must have: its own, if it is not to be shown.
    fn order_of(&self, number: u64, frame: &Frame) -> ByteOrder {
        let shown = |ticket: &Ticket| ticket.number == number && ticket.sequence().is_some();
        if self.in_flight.iter().any(shown) { self.display.order_of(frame) } else { frame.layout().order() }
    }
}
