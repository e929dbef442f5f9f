//! A staging buffer on its way: one type per state, so that a buffer is in exactly one place.
//!
//! ```text
//!                 StagingRing                                Ticket                  Frame
//!  Unassigned ──▶ Available ── AvailableBuffer::submitted ─▶ Mapping ── complete ──▶ Mapped
//!  (an id, no       ▲  ▲                                        │                      │
//!   memory)         │  └───────────────── last holder gone ─────┼──────────────────────┘
//!       ▲           └── never submitted                         │
//!       └────────────────────── dropped while the GPU writes ───┘
//! ```
//!
//! The states are Servo's. A buffer that leaves its ring is *lent*: it carries a [`Loan`], and when it is dropped, on
//! whatever thread, what is left of it goes to the ring's [`Tray`]. The ring keeps the id, so that ids can go back to
//! the engine at once when a context is destroyed, while frames live on.

use std::sync::Arc;

use parking_lot::Mutex;
use wgpu_core::id::{BufferId, DeviceId};

use crate::gpu::{Completed, FrameMemory, IdleMemory, InFlightMemory, Submission};

/// Names one lending of a buffer, never another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loan(pub(crate) u64);

/// Where lent buffers return to. It outlives its ring: what returns later is freed.
#[derive(Default)]
pub(crate) struct Tray(Mutex<TrayState>);

#[derive(Default)]
struct TrayState {
    closed: bool,
    returned: Vec<Returned>,
}

/// A buffer that is not lent any more; without memory if the GPU may still be writing that.
pub(crate) struct Returned {
    pub(crate) loan: Loan,
    pub(crate) memory: Option<IdleMemory>,
}

impl Tray {
    fn put(&self, returned: Returned) {
        let mut state = self.0.lock();
        if !state.closed {
            state.returned.push(returned);
        }
        // Otherwise `returned` is freed here, after the lock is released: it was declared before.
    }

    /// Moves everything that has returned into `into`.
    pub(crate) fn collect(&self, into: &mut Vec<Returned>) {
        into.append(&mut self.0.lock().returned);
    }

    fn is_closed(&self) -> bool {
        self.0.lock().closed
    }

    /// The ring is gone.
    pub(crate) fn close(&self) {
        let returned = {
            let mut state = self.0.lock();
            state.closed = true;
            std::mem::take(&mut state.returned)
        };
        drop(returned);
    }
}

/// What becomes of a buffer's memory when the buffer is dropped.
pub(crate) trait Memory {
    fn rest(self) -> Option<IdleMemory>;
}

impl Memory for IdleMemory {
    fn rest(self) -> Option<IdleMemory> {
        Some(self)
    }
}

impl Memory for InFlightMemory {
    /// The GPU may be writing: wgpu-core frees it once that is over.
    fn rest(self) -> Option<IdleMemory> {
        None
    }
}

impl Memory for FrameMemory {
    fn rest(self) -> Option<IdleMemory> {
        Some(FrameMemory::rest(self))
    }
}

/// Lent, and nobody uses it.
pub(crate) type AvailableBuffer = Buffer<IdleMemory>;
/// In flight: the GPU copies into it.
pub(crate) type MappingBuffer = Buffer<InFlightMemory>;
/// Inside a frame.
pub(crate) type MappedBuffer = Buffer<FrameMemory>;

/// A lent staging buffer in the state that `M` says.
pub(crate) struct Buffer<M: Memory> {
    tray: Arc<Tray>,
    loan: Loan,
    id: BufferId,
    device: DeviceId,
    /// Taken only by a transition, which consumes the buffer.
    memory: Option<M>,
}

impl<M: Memory> Buffer<M> {
    pub(crate) fn id(&self) -> BufferId {
        self.id
    }

    pub(crate) fn loan(&self) -> Loan {
        self.loan
    }

    pub(crate) fn device(&self) -> DeviceId {
        self.device
    }

    fn with_memory<N: Memory>(&self, memory: Option<N>) -> Buffer<N> {
        Buffer { tray: self.tray.clone(), loan: self.loan, id: self.id, device: self.device, memory }
    }
}

impl<M: Memory> Drop for Buffer<M> {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.tray.put(Returned { loan: self.loan, memory: memory.rest() });
        }
    }
}

impl AvailableBuffer {
    pub(crate) fn lent(
        tray: Arc<Tray>,
        loan: Loan,
        id: BufferId,
        device: DeviceId,
        memory: IdleMemory,
    ) -> Self {
        Self { tray, loan, id, device, memory: Some(memory) }
    }

    /// A submission that copies to it was accepted.
    pub(crate) fn submitted(mut self, submission: Submission) -> MappingBuffer {
        let memory = self.memory.take();
        self.with_memory(memory.map(|memory| memory.written_by(submission)))
    }

    /// A submission that copies to it failed, and the GPU may have accepted it: never use it again.
    pub(crate) fn abandon(mut self) {
        self.memory = None;
        self.tray.put(Returned { loan: self.loan, memory: None });
    }
}

impl MappingBuffer {
    /// Capacity in bytes.
    pub(crate) fn len(&self) -> usize {
        self.memory.as_ref().map_or(0, InFlightMemory::len)
    }

    pub(crate) fn submission(&self) -> Option<Submission> {
        self.memory.as_ref().map(InFlightMemory::submission)
    }

    /// A later submission of the same queue copies to it too: only that one's bytes count.
    pub(crate) fn resubmitted(mut self, submission: Submission) -> Self {
        let memory = self.memory.take();
        self.with_memory(memory.map(|memory| memory.rewritten_by(submission)))
    }

    /// Mapped, if its submission is done.
    pub(crate) fn complete(mut self, completed: &Completed) -> Result<MappedBuffer, Self> {
        match self.memory.take().map(|memory| memory.complete(completed)) {
            Some(Ok(memory)) => Ok(self.with_memory(Some(memory))),
            Some(Err(memory)) => {
                self.memory = Some(memory);
                Err(self)
            }
            None => Err(self),
        }
    }
}

impl MappedBuffer {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.memory.as_ref().map_or(&[], FrameMemory::bytes)
    }

    pub(crate) fn is_orphan(&self) -> bool {
        self.tray.is_closed()
    }

    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut [u8])) {
        if let Some(memory) = &mut self.memory {
            memory.edit(change);
        }
    }
}
