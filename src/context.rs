//! The life of each canvas context, and the map of all of them.
//!
//! A context is shared by three kinds of threads: the WebGPU thread begins, submits, supersedes and clears; the pollers of devices
//! complete copies; the threads of renderers lock frames. Each method takes the lock of the context for a moment, decides, and
//! writes what must be told into the outbox of the presenter; its caller drains the outbox once it holds no lock. No call of
//! wgpu-core, no copy and no conversion of pixels happens under the lock.
//!
//! ```text
//! begin ──▶ submitted ──▶ complete ──▶ current ──▶ offered ──▶ locked
//!   │           │            │
//!   │           │            └─ older than what is current: superseded
//!   │           ├─ take_youngest, then supersede: a newer present takes its buffer
//!   └───────────┴─ fail: the last good frame stays, or the cleared one is shown
//! ```
//!
//! Any thread may destroy a context between two calls of another thread: what was begun fails then, and nothing new begins.
//!
//! The folder imports `delivery`, `frame`, `staging`, `api`, `pixels` and `sync`. It hands out [`ContextMap`] and [`ContextData`], and
//! to the presenter the tickets that it submits.

mod completing;
mod drawing_buffer;
mod ending;
mod latencies;
mod locking;
mod map;
mod outcomes;
mod reading;
mod tickets;

use std::sync::Arc;
use std::time::Instant;

use euclid::default::Size2D;
use smallvec::smallvec;
use webrender_api::ImageKey;
use wgpu_core::id::DeviceId;

use self::drawing_buffer::{CanvasContent, ClearedBuffer, CurrentContent};
use self::latencies::NewestLatencies;
use self::outcomes::Outcomes;
use self::reading::ReplacedBuffer;
use self::tickets::{Present, Tickets};
use crate::api::error::{GetImageError, PresentError};
use crate::api::ids::{CanvasEpoch, ContextId, OwnerId};
use crate::api::report::{ReadbackReason, Statistics};
use crate::delivery::{Callback, CompositorImage, Fallback, Generations, KeyClaim, Outbox, Waiters};
use crate::frame::{CopyLayout, Frame, FramePool};
use crate::pixels::AlphaMode;
use crate::staging::{MappingBuffer, Recycler};
use crate::sync::{Mutex, rank};

pub(crate) use self::locking::NotLocked;
pub use self::map::ContextMap;
pub(crate) use self::reading::Unread;
pub(crate) use self::tickets::{Admission, OfFrame, Purpose, Stage, Ticket};

/// One canvas context, as the presenter, pollers and renderers share it. What only the WebGPU thread touches, the ring of staging
/// buffers, lies with the presenter.
pub(crate) struct ContextData {
    id: ContextId,
    owner: OwnerId,
    /// The outbox of the presenter that the context belongs to.
    outbox: Arc<Outbox>,
    fallback: Arc<Fallback>,
    /// Allocations of frames that are gone, for the next frames.
    pool: Arc<FramePool>,
    state: Mutex<rank::Context, ContextState>,
}

/// How far a context has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Alive,
    /// Ended for the engine; the compositor may still draw what it showed last.
    Lingering,
    Gone,
}

/// The part of a context that its lock guards.
struct ContextState {
    life: Life,
    /// While the context lingers, the recycler that its frames return to. A renderer's thread may drop them, and must free nothing.
    recycler: Option<Arc<Recycler>>,
    /// Number of presents begun.
    sequence: u64,
    /// Number of ticket names given out.
    number: u64,
    /// The largest epoch of any present so far.
    promised: CanvasEpoch,
    tickets: Tickets,
    /// No frame is a texture any more: a present was so large that WebRender draws it in tiles, and it goes on to do so with the image key,
    /// and would draw the whole of a texture in each tile; or a renderer had no memory to import an image.
    stays_bytes: bool,
    current: CurrentContent,
    replaced: Option<ReplacedBuffer>,
    /// Reads that waited for a present whose frame has turned out to be an image. The WebGPU thread copies it.
    unread: Vec<Unread>,
    image: CompositorImage,
    outcomes: Outcomes,
}

impl ContextData {
    /// Precondition: the map's lock is held. `generations` are those of an earlier context with this id, or empty.
    pub(crate) fn new(
        id: ContextId,
        owner: OwnerId,
        size: Size2D<u32>,
        generations: Generations,
        outbox: Arc<Outbox>,
        fallback: Arc<Fallback>,
        waiters: Arc<Waiters>,
    ) -> Self {
        let content = CanvasContent::Cleared(ClearedBuffer { size, alpha_mode: AlphaMode::Premultiplied });
        let state = ContextState {
            life: Life::Alive,
            recycler: None,
            sequence: 0,
            number: 0,
            promised: CanvasEpoch(0),
            tickets: Tickets::default(),
            stays_bytes: false,
            current: CurrentContent { sequence: 0, content },
            replaced: None,
            unread: Vec::new(),
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

    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// Whether the context exists for the engine: it has neither ended nor does it linger.
    pub(crate) fn is_alive(&self) -> bool {
        self.state.lock().is_alive()
    }

    /// Counts of the context. The number of staging buffers is missing: only the presenter knows it.
    pub(crate) fn statistics(&self) -> Statistics {
        let state = self.state.lock();
        let counts = Statistics { in_flight: state.tickets.len(), ..state.outcomes.statistics() };
        let latencies = state.outcomes.latencies();
        // Sorting is not done under the lock.
        drop(state);
        Statistics { latency: latencies.and_then(NewestLatencies::summary), ..counts }
    }

    /// Gives a present its place in the order. Returns `None` if the context is destroyed.
    pub(crate) fn begin(&self, epoch: CanvasEpoch, alpha_mode: AlphaMode) -> Option<Present> {
        let mut state = self.state.lock();
        if !state.is_alive() {
            return None;
        }
        state.sequence += 1;
        state.promised = state.promised.max(epoch);
        let ContextState { sequence, promised, .. } = *state;
        let readback = Some(ReadbackReason::OrdinaryTexture);
        Some(Present { sequence, epoch, promised, alpha_mode, readback, readers: Vec::new() })
    }

    /// Ends a present by showing the cleared drawing buffer.
    pub(crate) fn clear(&self, present: &Present, size: Size2D<u32>) {
        let mut state = self.state.lock();
        state.show_cleared(present, size);
        if state.is_alive() {
            state.outcomes.presented(present);
        } else {
            state.outcomes.failed(present, &PresentError::ContextDestroyed);
        }
    }

    /// Asks for a copy: makes a ticket that is queued. Returns the name of the ticket.
    ///
    /// A present can supersede an older one that is queued too. A capture is refused if too many reads wait already.
    pub(crate) fn ask(&self, purpose: Purpose, layout: CopyLayout, of_frame: Option<OfFrame>) -> u64 {
        let mut state = self.state.lock();
        state.number += 1;
        let number = state.number;
        let purpose = match purpose {
            Purpose::Capture(replies) if !state.tickets.has_room_to_read() => {
                for reply in replies {
                    self.outbox.answer(reply, Err(GetImageError::TooManyReads));
                }
                return number;
            }
            purpose => purpose,
        };
        if let Purpose::Present(present) = &purpose {
            state.outcomes.copies(present.readback);
            state.stays_bytes |= layout.is_tiled();
        }
        let sequence = state.sequence;
        let ticket = Ticket {
            number,
            purpose,
            layout,
            of_frame,
            asked: Instant::now(),
            stage: Stage::Queued,
            behind: smallvec![],
        };
        if !state.is_alive() {
            let _ = self.fail_ticket(&mut state, ticket, &PresentError::ContextDestroyed);
        } else if let Some(superseded) = state.tickets.push(ticket) {
            state.end_superseded(&superseded, sequence);
        }
        number
    }

    /// Notes that the newest present is a shared image.
    pub(crate) fn is_shared(&self) {
        self.state.lock().outcomes.copies(None);
    }

    /// Whether the frame of a present may be a texture: no read waits for it, and WebRender has never tiled the canvas.
    pub(crate) fn may_be_texture(&self, number: u64) -> bool {
        let state = self.state.lock();
        !state.stays_bytes && !state.tickets.is_read(number)
    }

    /// Whether no frame is a texture any more.
    pub(crate) fn stays_bytes(&self) -> bool {
        self.state.lock().stays_bytes
    }

    /// Lets no frame be a texture any more. Returns false if that is so already.
    pub(crate) fn stay_bytes(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().stays_bytes, true)
    }

    /// Whether this ticket has not ended.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.state.lock().tickets.has(number)
    }

    /// Decides whether and how a queued copy may be submitted on `device`.
    ///
    /// The ticket that it [supersedes](Admission::Supersedes) is taken out. It must be [superseded](Self::supersede) once the copy is submitted, or
    /// else [restored](Self::restore). Older presents in flight are left to finish, so that something always arrives.
    pub(crate) fn admit(&self, number: u64, device: DeviceId) -> Admission {
        self.state.lock().tickets.admit(number, device)
    }

    /// Takes out the youngest present in flight on a device, unless a read waits for it, to give its buffer to the next present. The same must
    /// become of it as of a ticket that [`admit`](Self::admit) takes out.
    pub(crate) fn take_youngest(&self, device: DeviceId) -> Option<Ticket> {
        self.state.lock().tickets.take_youngest(device)
    }

    /// Puts a ticket back that [`admit`](Self::admit) or [`take_youngest`](Self::take_youngest) took out, under a new name, which is returned.
    /// Precondition: no submission that copies to its buffer was accepted meanwhile.
    ///
    /// The name is new because a poller may be about to complete the ticket under the old one: that poller polled before the buffer was unmapped
    /// for the submission that was refused, and would find it not mapped.
    pub(crate) fn restore(&self, ticket: Ticket) -> u64 {
        let mut state = self.state.lock();
        state.number += 1;
        let number = state.number;
        let ticket = Ticket { number, ..ticket };
        if state.is_alive() {
            state.tickets.put_back(ticket);
        } else {
            let buffer = self.fail_ticket(&mut state, ticket, &PresentError::ContextDestroyed);
            // The lock is released first: dropping the buffer can free memory.
            drop(state);
            drop(buffer);
        }
        number
    }

    /// A queued copy was submitted, in the place of `superseded` if that is one. What it supersedes ends.
    pub(crate) fn submitted(&self, number: u64, buffer: MappingBuffer, superseded: Option<Ticket>) {
        let mut state = self.state.lock();
        match state.tickets.submitted(number, buffer) {
            Ok(Some((by, queued))) => {
                superseded.iter().chain(&queued).for_each(|ticket| state.end_superseded(ticket, by));
                if let Some(superseded) = superseded {
                    state.tickets.leave_behind(number, superseded);
                }
            }
            Ok(None) => {}
            Err(buffer) => {
                // The context was destroyed since it was admitted, and the ticket has ended. What was taken out for it has not.
                let taken = superseded
                    .and_then(|ticket| self.fail_ticket(&mut state, ticket, &PresentError::ContextDestroyed));
                drop(state);
                drop((buffer, taken));
            }
        }
    }

    /// Ends a present that failed before a copy was asked for. `size` is that of the cleared frame, should the error show it.
    pub(crate) fn fail_present(&self, present: &Present, size: Size2D<u32>, error: &PresentError) {
        let mut state = self.state.lock();
        if error.shows_cleared() {
            state.show_cleared(present, size);
        } else {
            state.image.acknowledge(present.promised);
        }
        state.outcomes.failed(present, error);
    }

    /// Answers with the end of a present that has this epoch or a higher one. Returns the callback if the context is destroyed.
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

    /// Whether the context is alive and displayed under `key`.
    pub(crate) fn has_key(&self, key: ImageKey) -> bool {
        let state = self.state.lock();
        state.is_alive() && state.image.has_key(key)
    }

    /// Displays the context under a key that it has claimed, and under no other one. Returns whether the context is alive; if not, the
    /// key is free again.
    pub(crate) fn set_key(&self, claim: KeyClaim) -> bool {
        let mut state = self.state.lock();
        let is_alive = state.is_alive();
        let ContextState { current, image, .. } = &mut *state;
        if is_alive {
            image.set_key(claim, || current.content.frame());
        }
        is_alive
    }
}

#[cfg(test)]
impl ContextData {
    /// Number of ticket names given out, which is the name of the newest ticket.
    pub(crate) fn tickets(&self) -> u64 {
        self.state.lock().number
    }
}

impl ContextState {
    fn is_alive(&self) -> bool {
        self.life == Life::Alive
    }

    /// Shows the cleared drawing buffer, unless something newer is current; then only the epoch is acknowledged. (Nothing is newer than what a
    /// destroyed context shows.) Returns it, for reads that wait for the present.
    fn show_cleared(&mut self, present: &Present, size: Size2D<u32>) -> ClearedBuffer {
        let cleared = ClearedBuffer { size, alpha_mode: present.alpha_mode };
        if present.sequence > self.current.sequence {
            let content = CanvasContent::Cleared(cleared);
            self.current = CurrentContent { sequence: present.sequence, content };
            self.image.show(Frame::cleared(present.alpha_mode).into(), present.promised);
        } else {
            self.image.acknowledge(present.promised);
        }
        cleared
    }

    /// Ends a ticket whose place the present `by` has taken.
    fn end_superseded(&mut self, ticket: &Ticket, by: u64) {
        if let Purpose::Present(present) = &ticket.purpose {
            self.outcomes.superseded(present, by);
        }
    }
}
