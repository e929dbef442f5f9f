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
//!
//! Any thread may destroy the context between two calls of another: then what was begun fails, and nothing new begins.

mod completing;
mod drawing_buffer;
mod ending;
mod locking;
mod map;
mod outcomes;
mod reading;
mod tickets;

pub use self::map::ContextMap;
pub(crate) use self::tickets::{MOST_IN_FLIGHT, Purpose, Ticket};

use std::sync::Arc;
use std::time::Instant;

use euclid::default::Size2D;
use webrender_api::ImageKey;
use wgpu_core::id::DeviceId;

use self::drawing_buffer::{CanvasContent, ClearedBuffer, CurrentContent};
use self::outcomes::Outcomes;
use self::reading::Taken;
use self::tickets::{Present, Tickets};
use crate::api::error::PresentError;
use crate::api::ids::{CanvasEpoch, ContextId, OwnerId};
use crate::api::report::Statistics;
use crate::delivery::CompositorImage;
use crate::delivery::Fallback;
use crate::delivery::Generations;
use crate::delivery::Waiters;
use crate::delivery::{Callback, Outbox, Reply};
use crate::frame::CopyLayout;
use crate::frame::{Frame, FramePool};
use crate::pixels::AlphaMode;
use crate::staging::MappingBuffer;
use crate::staging::Recycler;
use crate::sync::{Mutex, MutexGuard};

/// What the map knows of a context. Shared by the presenter, pollers and renderers.
pub(crate) struct ContextData {
    id: ContextId,
    owner: OwnerId,
    outbox: Arc<Outbox>,
    fallback: Arc<Fallback>,
    pool: Arc<FramePool>,
    state: Mutex<ContextState>,
}

/// For the engine a context that lingers is destroyed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Alive,
    /// The compositor may still show what it showed last.
    Lingering,
    Gone,
}

struct ContextState {
    life: Life,
    /// Where frames go while it lingers: a renderer's thread frees none.
    recycler: Option<Arc<Recycler>>,
    /// Presents begun.
    sequence: u64,
    /// Names given to tickets.
    number: u64,
    /// The largest epoch of any present so far.
    promised: CanvasEpoch,
    in_flight: Tickets,
    current: CurrentContent,
    taken: Option<Taken>,
    image: CompositorImage,
    outcomes: Outcomes,
}

impl ContextData {
    pub(crate) fn new(
        id: ContextId,
        owner: OwnerId,
        size: Size2D<u32>,
        generations: Generations,
        outbox: Arc<Outbox>,
        fallback: Arc<Fallback>,
        waiters: Arc<Waiters>,
    ) -> Self {
        let content =
            CanvasContent::ClearedBuffer(ClearedBuffer { size, alpha_mode: AlphaMode::Premultiplied });
        let state = ContextState {
            life: Life::Alive,
            recycler: None,
            sequence: 0,
            number: 0,
            promised: CanvasEpoch(0),
            in_flight: Tickets::default(),
            current: CurrentContent { sequence: 0, content },
            taken: None,
            image: CompositorImage::new(id, generations, outbox.clone(), fallback.clone()),
            outcomes: Outcomes::new(id, outbox.clone(), waiters),
        };
        Self { id, owner, outbox, fallback, pool: Arc::default(), state: Mutex::new(state) }
    }

    pub(crate) fn id(&self) -> ContextId {
        self.id
    }

    pub(crate) fn owner(&self) -> OwnerId {
        self.owner
    }

    /// Belongs to the presenter.
    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.state.lock().is_alive()
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let state = self.state.lock();
        Statistics { in_flight: state.in_flight.len(), ..state.outcomes.statistics() }
    }

    /// Gives a present its place in the order. `None` if the context is destroyed.
    pub(crate) fn begin(&self, epoch: CanvasEpoch, alpha_mode: AlphaMode) -> Option<Present> {
        let mut state = self.state.lock();
        if !state.is_alive() {
            return None;
        }
        state.sequence += 1;
        state.promised = state.promised.max(epoch);
        Some(Present { sequence: state.sequence, epoch, promised: state.promised, alpha_mode })
    }

    /// Shows the cleared drawing buffer. `size` was checked.
    pub(crate) fn clear(&self, present: &Present, size: Size2D<u32>) {
        let mut state = self.state.lock();
        state.show_cleared(present, size);
        if state.is_alive() {
            state.outcomes.presented(present);
        } else {
            state.outcomes.failed(present, &PresentError::ContextDestroyed);
        }
    }

    /// Whether another present may be submitted, though none can be superseded.
    pub(crate) fn has_room_to_present(&self) -> bool {
        self.state.lock().in_flight.has_room_to_present()
    }

    /// Whether another texture may be copied for a `get_image`.
    pub(crate) fn has_room_to_capture(&self) -> bool {
        self.state.lock().in_flight.has_room_to_capture()
    }

    /// Takes the youngest present in flight out if `enough` are in flight and the next one is to take its place.
    ///
    /// It must be [superseded](Self::supersede) once the next one is submitted, or [restored](Self::restore). The
    /// older one is left to finish, so that something always arrives.
    pub(crate) fn take_youngest(&self, device: DeviceId, enough: usize) -> Option<Ticket> {
        self.state.lock().in_flight.take_youngest(device, enough)
    }

    /// Puts back what [`take_youngest`](Self::take_youngest) took. No submission was accepted since.
    ///
    /// The result names it from now on: who is completing it under its old name polled before its buffer was unmapped for the
    /// submission that was refused.
    pub(crate) fn restore(&self, ticket: Ticket) -> u64 {
        let mut state = self.state.lock();
        state.number += 1;
        let number = state.number;
        self.put(state, Ticket { number, ..ticket });
        number
    }

    /// A newer present takes its place.
    pub(crate) fn supersede(&self, ticket: Ticket, by: u64) {
        if let Purpose::Present(present) = &ticket.purpose {
            self.state.lock().outcomes.superseded(present, by);
        }
    }

    /// A copy was submitted. The result names its ticket.
    pub(crate) fn submitted(
        &self,
        purpose: Purpose,
        layout: CopyLayout,
        buffer: MappingBuffer,
        reply: Option<Reply>,
    ) -> u64 {
        let mut state = self.state.lock();
        state.number += 1;
        let number = state.number;
        let replies = reply.into_iter().collect();
        self.put(state, Ticket { number, purpose, layout, buffer: Some(buffer), replies });
        number
    }

    /// A ticket is in flight, unless the context was destroyed before it was.
    fn put(&self, mut state: MutexGuard<'_, ContextState>, ticket: Ticket) {
        if state.is_alive() {
            state.in_flight.push(ticket);
        } else {
            let buffer = self.fail_ticket(&mut state, ticket, &PresentError::ContextDestroyed);
            drop(state);
            drop(buffer);
        }
    }

    /// A present failed before its copy was submitted. `size` is that of the cleared frame, should it be shown.
    pub(crate) fn fail_present(&self, present: &Present, size: Size2D<u32>, error: &PresentError) {
        let mut state = self.state.lock();
        if error.shows_cleared() {
            state.show_cleared(present, size);
        } else {
            state.image.acknowledge(present.promised);
        }
        state.outcomes.failed(present, error);
    }

    /// Answers with the end of a present that has this epoch or a higher one. The callback comes back if the context is
    /// destroyed.
    pub(crate) fn wait(
        &self,
        epoch: CanvasEpoch,
        deadline: Option<Instant>,
        callback: Callback,
    ) -> Option<Callback> {
        let mut state = self.state.lock();
        if !state.is_alive() {
            return Some(callback);
        }
        state.outcomes.wait(epoch, deadline, callback);
        None
    }

    /// Displays the context under `key` from now on, and under no other. False if the context is destroyed.
    pub(crate) fn set_key(&self, key: ImageKey) -> bool {
        let mut state = self.state.lock();
        let ContextState { life, current, image, .. } = &mut *state;
        let alive = *life == Life::Alive;
        if alive {
            image.set_key(key, || current.content.frame());
        }
        alive
    }
}

#[cfg(test)]
impl ContextData {
    /// How many tickets were named: the newest has this number.
    pub(crate) fn tickets(&self) -> u64 {
        self.state.lock().number
    }
}

impl ContextState {
    fn is_alive(&self) -> bool {
        self.life == Life::Alive
    }

    /// Nothing is newer than what a destroyed context shows: that is acknowledged alone.
    fn show_cleared(&mut self, present: &Present, size: Size2D<u32>) {
        if present.sequence > self.current.sequence {
            let content =
                CanvasContent::ClearedBuffer(ClearedBuffer { size, alpha_mode: present.alpha_mode });
            self.current = CurrentContent { sequence: present.sequence, content };
            self.image.show(Frame::cleared(present.alpha_mode).into(), present.promised);
        } else {
            self.image.acknowledge(present.promised);
        }
    }
}
