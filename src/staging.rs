//! A staging buffer on its way: one type per state, so that a buffer is in exactly one place.
//!
//! ```text
//!                 StagingRing                                Ticket                  Frame
//!  Unassigned ──▶ Available ── AvailableBuffer::submitted ─▶ Mapping ── complete ──▶ Mapped
//!  (an id, no       ▲  ▲                                        │                      │
//!   memory)         │  └───────────────── last holder gone ─────┼──────────────────────┘
//!       ▲           └── never submitted, or copied out ─────────┤
//!       └────────────────────── dropped while the GPU writes ───┘
//! ```
//!
//! The states are Servo's. A buffer that leaves its ring is *lent*: it carries a [`Loan`], and when it is dropped, on
//! whatever thread, what is left of it goes to the ring's [`Tray`]. The ring keeps the id, so that ids can go back to
//! the engine at once when a context is destroyed, while frames live on.
//!
//! Portable memory is copied out when it completes: its buffer is back in the ring then, and the frame holds a vector, which
//! goes to the tray as a *spare* for the next one.

use std::sync::Arc;

use parking_lot::Mutex;
use wgpu_core::id::{BufferId, DeviceId};

use crate::gpu::{Completed, FrameMemory, IdleMemory, InFlightMemory, Readable, Submission, Unreadable};
use crate::{FrameMemoryKind, PresentError};

/// So many spares are kept: one to copy into while one frame is shown and another one is still locked.
const MOST_SPARES: usize = 2;

/// Memory serves for what is no smaller than this part of it, so that a shrunken canvas gives its memory back.
pub(crate) const LARGEST_EXCESS: usize = 4;

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
    /// More than are kept, until one is taken or the ring collects: a renderer's thread frees nothing.
    spares: Vec<Vec<u8>>,
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
        let mut state = self.0.lock();
        into.append(&mut state.returned);
        let kept = state.spares.len().min(MOST_SPARES);
        let surplus = state.spares.split_off(kept);
        drop(state);
        drop(surplus);
    }

    /// Frees what nobody uses.
    pub(crate) fn trim(&self) {
        let spares = std::mem::take(&mut self.0.lock().spares);
        drop(spares);
    }

    fn put_spare(&self, bytes: Vec<u8>) {
        let mut state = self.0.lock();
        if !state.closed {
            state.spares.push(bytes);
        }
    }

    /// A vector with room for so many bytes, if there is one. Frees those that are too small or too large.
    fn take_spare(&self, len: usize) -> Vec<u8> {
        let spares = std::mem::take(&mut self.0.lock().spares);
        let most = len.saturating_mul(LARGEST_EXCESS);
        let mut fitting: Vec<_> =
            spares.into_iter().filter(|spare| (len..=most).contains(&spare.capacity())).collect();
        let taken = fitting.pop().unwrap_or_default();
        fitting.truncate(MOST_SPARES);
        let mut state = self.0.lock();
        if !state.closed {
            state.spares.append(&mut fitting);
        }
        taken
    }

    fn is_closed(&self) -> bool {
        self.0.lock().closed
    }

    /// The ring is gone.
    pub(crate) fn close(&self) {
        let returned = {
            let mut state = self.0.lock();
            state.closed = true;
            (std::mem::take(&mut state.returned), std::mem::take(&mut state.spares))
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

    /// Mapped, if its submission is done. `len` is how many bytes will be read.
    pub(crate) fn complete(mut self, completed: &Completed, len: usize) -> Result<MappedBuffer, NotMapped> {
        let tray = self.tray.clone();
        let spare = || tray.take_spare(len);
        match self.memory.take().map(|memory| memory.complete(completed, len, spare)) {
            Some(Ok(Readable::InPlace(memory))) => {
                Ok(MappedBuffer(Bytes::InPlace(self.with_memory(Some(memory)))))
            }
            Some(Ok(Readable::Copied(bytes, memory))) => {
                drop(self.with_memory(Some(memory)));
                Ok(MappedBuffer(Bytes::Copied { tray, bytes }))
            }
            Some(Err(Unreadable::InFlight(memory))) => {
                self.memory = Some(memory);
                Err(NotMapped::InFlight(self))
            }
            Some(Err(Unreadable::Failed(error))) => {
                self.tray.put(Returned { loan: self.loan, memory: None });
                Err(NotMapped::Failed(error))
            }
            // Cannot be: only transitions, which consume the buffer, take its memory.
            None => Err(NotMapped::Failed(PresentError::DeviceLost)),
        }
    }
}

/// Why a buffer in flight is not mapped.
pub(crate) enum NotMapped {
    /// Its submission is not done.
    InFlight(MappingBuffer),
    /// It never will be.
    Failed(PresentError),
}

/// Inside a frame.
pub(crate) struct MappedBuffer(Bytes);

enum Bytes {
    InPlace(Buffer<FrameMemory>),
    Copied { tray: Arc<Tray>, bytes: Vec<u8> },
}

impl MappedBuffer {
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::InPlace(buffer) => buffer.memory.as_ref().map_or(&[], FrameMemory::bytes),
            Bytes::Copied { bytes, .. } => bytes,
        }
    }

    pub(crate) fn memory(&self) -> FrameMemoryKind {
        match &self.0 {
            Bytes::InPlace(_) => FrameMemoryKind::Owned,
            Bytes::Copied { .. } => FrameMemoryKind::Portable,
        }
    }

    /// Whether dropping it frees memory instead of giving it back.
    pub(crate) fn is_orphan(&self) -> bool {
        match &self.0 {
            Bytes::InPlace(Buffer { tray, .. }) | Bytes::Copied { tray, .. } => tray.is_closed(),
        }
    }

    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut [u8])) {
        match &mut self.0 {
            Bytes::InPlace(buffer) => {
                if let Some(memory) = &mut buffer.memory {
                    memory.edit(change);
                }
            }
            Bytes::Copied { bytes, .. } => change(bytes),
        }
    }
}

impl Drop for MappedBuffer {
    fn drop(&mut self) {
        if let Bytes::Copied { tray, bytes } = &mut self.0 {
            tray.put_spare(std::mem::take(bytes));
        }
    }
}
