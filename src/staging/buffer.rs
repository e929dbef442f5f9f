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
//! whatever thread, what is left of it goes to the ring's [`Recycler`]. The ring keeps the id, so that ids can go back to
//! the engine at once when a context is destroyed, while frames live on.
//!
//! Portable memory is copied out when it completes: its buffer is back in the ring then, and the frame holds a vector, which
//! goes to the recycler as a *spare* for the next one.

use std::sync::Arc;

use wgpu_core::id::{BufferId, DeviceId};

use super::recycler::{Counted, Loan, Recycler, Returned, Use};
use crate::api::error::PresentError;
use crate::api::report::FrameMemoryKind;
use crate::gpu::{Completed, FrameMemory, IdleMemory, InFlightMemory, Readable, Submission, Unreadable};

/// What becomes of a buffer's memory when the buffer is dropped.
pub(crate) trait BufferMemory {
    const USE: Use;
    fn len(&self) -> usize;
    fn into_idle(self) -> Option<IdleMemory>;
}

impl BufferMemory for IdleMemory {
    const USE: Use = Use::InFlight;

    fn len(&self) -> usize {
        IdleMemory::len(self)
    }

    fn into_idle(self) -> Option<IdleMemory> {
        Some(self)
    }
}

impl BufferMemory for InFlightMemory {
    const USE: Use = Use::InFlight;

    fn len(&self) -> usize {
        InFlightMemory::len(self)
    }

    /// The GPU may be writing: wgpu-core frees it once that is over.
    fn into_idle(self) -> Option<IdleMemory> {
        None
    }
}

impl BufferMemory for FrameMemory {
    const USE: Use = Use::Frame;

    fn len(&self) -> usize {
        FrameMemory::len(self)
    }

    fn into_idle(self) -> Option<IdleMemory> {
        Some(FrameMemory::into_idle(self))
    }
}

/// Lent, and nobody uses it.
pub(crate) type AvailableBuffer = Buffer<IdleMemory>;
/// In flight: the GPU copies into it.
pub(crate) type MappingBuffer = Buffer<InFlightMemory>;

/// A lent staging buffer in the state that `M` says.
pub(crate) struct Buffer<M: BufferMemory> {
    counted: Counted,
    loan: Loan,
    id: BufferId,
    device: DeviceId,
    /// Taken only by a transition, which consumes the buffer.
    memory: Option<M>,
}

impl<M: BufferMemory> Buffer<M> {
    pub(crate) fn id(&self) -> BufferId {
        self.id
    }

    pub(crate) fn loan(&self) -> Loan {
        self.loan
    }

    pub(crate) fn device(&self) -> DeviceId {
        self.device
    }

    fn with_memory<N: BufferMemory>(&self, memory: Option<N>) -> Buffer<N> {
        let counted = self.counted.more(N::USE, memory.as_ref().map_or(0, N::len));
        Buffer { counted, loan: self.loan, id: self.id, device: self.device, memory }
    }

    fn give_back(&self, memory: Option<IdleMemory>) {
        self.counted.recycler().put(Returned { loan: self.loan, memory });
    }
}

impl<M: BufferMemory> Drop for Buffer<M> {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.give_back(memory.into_idle());
        }
    }
}

impl AvailableBuffer {
    pub(crate) fn lent(
        recycler: Arc<Recycler>,
        loan: Loan,
        id: BufferId,
        device: DeviceId,
        memory: IdleMemory,
    ) -> Self {
        let counted = Counted::new(recycler, device, Use::InFlight, memory.len());
        Self { counted, loan, id, device, memory: Some(memory) }
    }

    /// Capacity in bytes.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.memory.as_ref().map_or(0, IdleMemory::len)
    }

    /// A submission that copies to it was accepted.
    pub(crate) fn submitted(mut self, submission: Submission) -> MappingBuffer {
        let memory = self.memory.take();
        self.with_memory(memory.map(|memory| memory.written_by(submission)))
    }

    /// A submission that copies to it failed, and the GPU may have accepted it: never use it again.
    pub(crate) fn abandon(mut self) {
        self.memory = None;
        self.give_back(None);
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
        let memory = self.memory.take();
        let spare = || self.counted.recycler().take_spare(len);
        match memory.map(|memory| memory.complete(completed, len, spare)) {
            Some(Ok(Readable::InPlace(memory))) => {
                Ok(MappedBuffer(Bytes::InPlace(self.with_memory(Some(memory)))))
            }
            Some(Ok(Readable::Copied(bytes, memory))) => {
                let counted = self.counted.more(Use::Frame, bytes.capacity());
                self.give_back(Some(memory));
                Ok(MappedBuffer(Bytes::Copied(PooledBytes { counted, bytes })))
            }
            Some(Err(Unreadable::InFlight(memory))) => {
                self.memory = Some(memory);
                Err(NotMapped::InFlight(self))
            }
            Some(Err(Unreadable::Failed(error))) => {
                self.give_back(None);
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
    Copied(PooledBytes),
}

impl MappedBuffer {
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::InPlace(buffer) => buffer.memory.as_ref().map_or(&[], FrameMemory::bytes),
            Bytes::Copied(pooled) => pooled.bytes(),
        }
    }

    pub(crate) fn memory(&self) -> FrameMemoryKind {
        match &self.0 {
            Bytes::InPlace(_) => FrameMemoryKind::Owned,
            Bytes::Copied(_) => FrameMemoryKind::Portable,
        }
    }

    /// Whether dropping it frees memory instead of giving it back.
    pub(crate) fn is_orphan(&self) -> bool {
        match &self.0 {
            Bytes::InPlace(buffer) => buffer.counted.recycler().is_closed(),
            Bytes::Copied(pooled) => pooled.is_orphan(),
        }
    }

    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut [u8])) {
        match &mut self.0 {
            Bytes::InPlace(buffer) => {
                if let Some(memory) = &mut buffer.memory {
                    memory.edit(change);
                }
            }
            Bytes::Copied(pooled) => change(pooled.bytes_mut()),
        }
    }

    /// As many bytes of the same context, with anything in them. `None` if there is no memory.
    pub(crate) fn spare(&self, len: usize) -> Option<PooledBytes> {
        let counted = match &self.0 {
            Bytes::InPlace(buffer) => &buffer.counted,
            Bytes::Copied(pooled) => &pooled.counted,
        };
        let mut bytes = counted.recycler().take_spare(len);
        bytes.truncate(len);
        bytes.try_reserve_exact(len - bytes.len()).ok()?;
        bytes.resize(len, 0);
        Some(PooledBytes { counted: counted.more(Use::Frame, bytes.capacity()), bytes })
    }
}

/// Bytes of a frame that go to the recycler as a spare.
pub(crate) struct PooledBytes {
    counted: Counted,
    bytes: Vec<u8>,
}

impl PooledBytes {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Whether dropping it frees memory instead of giving it back.
    pub(crate) fn is_orphan(&self) -> bool {
        self.counted.recycler().is_closed()
    }
}

impl Drop for PooledBytes {
    fn drop(&mut self) {
        self.counted.recycler().put_spare(std::mem::take(&mut self.bytes));
    }
}
