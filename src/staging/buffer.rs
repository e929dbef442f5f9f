//! Staging buffers outside their ring, with one type for each state.
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
//! An [image](crate::gpu::DrawnMemory) goes another way to Mapping: `AvailableBuffer ── drawn_in ──▶ DrawnBuffer ──
//! presented ──▶ MappingBuffer`. In between it is the memory of a canvas texture.
//!
//! The states are those of Servo's canvas contexts. The ring lends a buffer on the WebGPU thread, where it is
//! also submitted; a poller completes it; any thread may drop it. When it is dropped, what is left of it goes
//! back to the ring's [`Recycler`]. What has an id in wgpu-core is said in `ring`.
//!
//! A frame in *owned* memory reads the buffer itself. *Portable* memory is copied out when the copy
//! completes: the buffer is then given back at once, and the frame holds a vector, which is later given back
//! as a *spare*.

use std::sync::Arc;

use euclid::default::Size2D;
use scopeguard::ScopeGuard;
use wgpu_core::id::{BufferId, DeviceId};
use wgpu_types::TextureFormat;

use super::recycler::{LentBytesGuard, LentKind, Recycler};
use crate::api::error::PresentError;
use crate::api::report::FrameMemoryKind;
use crate::gpu::{
    Completed, CopySource, CopyTarget, DeviceUuids, DrawnMemory, FrameMemory, IdleMemory, ImageLayout,
    InFlightMemory, Readable, SharedImage, Submission, Unreadable,
};
use crate::sync::catch_panic;

/// The memory of a lent buffer; the implementing type says what state the buffer is in.
pub(crate) trait BufferMemory {
    /// What the recycler counts the memory as.
    const KIND: LentKind;

    /// Capacity in bytes.
    fn len(&self) -> usize;

    /// Returns the id of the buffer that portable memory is in the hub; `None` for owned memory.
    fn hub_id(&self) -> Option<BufferId>;

    /// Returns the memory for another copy when the buffer is dropped, or `None` if it cannot be used again.
    fn into_idle(self) -> Option<IdleMemory>;
}

impl BufferMemory for IdleMemory {
    /// A buffer without a submission counts as in flight: it was acquired to be submitted next.
    const KIND: LentKind = LentKind::InFlight;

    fn len(&self) -> usize {
        IdleMemory::len(self)
    }

    fn hub_id(&self) -> Option<BufferId> {
        IdleMemory::hub_id(self)
    }

    fn into_idle(self) -> Option<IdleMemory> {
        Some(self)
    }
}

impl BufferMemory for InFlightMemory {
    const KIND: LentKind = LentKind::InFlight;

    fn len(&self) -> usize {
        InFlightMemory::len(self)
    }

    fn hub_id(&self) -> Option<BufferId> {
        InFlightMemory::hub_id(self)
    }

    /// The GPU may still be writing, so the memory is not used again. wgpu-core keeps it alive until the
    /// submission is done.
    fn into_idle(self) -> Option<IdleMemory> {
        None
    }
}

impl BufferMemory for DrawnMemory {
    const KIND: LentKind = LentKind::Drawn;

    fn len(&self) -> usize {
        DrawnMemory::len(self)
    }

    fn hub_id(&self) -> Option<BufferId> {
        None
    }

    /// The texture may still be drawn in, so the memory is not used again. The texture keeps it alive.
    fn into_idle(self) -> Option<IdleMemory> {
        None
    }
}

impl BufferMemory for FrameMemory {
    const KIND: LentKind = LentKind::Frame;

    fn len(&self) -> usize {
        FrameMemory::len(self)
    }

    fn hub_id(&self) -> Option<BufferId> {
        None
    }

    fn into_idle(self) -> Option<IdleMemory> {
        Some(FrameMemory::into_idle(self))
    }
}

/// A lent buffer that no submission copies to.
pub(crate) type AvailableBuffer = Buffer<IdleMemory>;

/// A lent image that is the memory of a canvas texture.
pub(crate) type DrawnBuffer = Buffer<DrawnMemory>;

/// A lent buffer in flight: the GPU copies into it, or finishes what is drawn in it.
pub(crate) type MappingBuffer = Buffer<InFlightMemory>;

/// A lent staging buffer in the state that `M` names. Dropping it gives it back to the recycler, on any
/// thread.
pub(crate) struct Buffer<M: BufferMemory> {
    parts: ScopeGuard<Parts<M>, fn(Parts<M>)>,
}

/// A buffer that does not return by itself: [`hold`] or [`LentBytesGuard::give_back`] must follow.
struct Parts<M> {
    lent: LentBytesGuard,
    memory: M,
}

/// Makes a buffer of memory in its current state.
fn hold<M: BufferMemory>(lent: LentBytesGuard, memory: M) -> Buffer<M> {
    let give_back = |Parts { lent, memory }: Parts<M>| {
        let hub_id = memory.hub_id();
        lent.give_back(memory.into_idle(), hub_id);
    };
    Buffer { parts: scopeguard::guard(Parts { lent, memory }, give_back) }
}

impl<M: BufferMemory> Buffer<M> {
    fn into_parts(self) -> Parts<M> {
        ScopeGuard::into_inner(self.parts)
    }

    /// Moves the buffer to another state.
    fn transition<N: BufferMemory>(self, change: impl FnOnce(M) -> N) -> Buffer<N> {
        let Parts { mut lent, memory } = self.into_parts();
        let memory = change(memory);
        lent.recount(N::KIND, memory.len());
        hold(lent, memory)
    }
}

impl AvailableBuffer {
    /// Lends `memory`, which the GPU on `device` writes.
    pub(super) fn lent(recycler: Arc<Recycler>, device: DeviceId, memory: IdleMemory) -> Self {
        hold(LentBytesGuard::of_buffer(recycler, device, memory.len()), memory)
    }

    /// Capacity in bytes.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.parts.memory.len()
    }

    /// Returns where copies to the buffer go.
    pub(crate) fn target(&self) -> CopyTarget {
        self.parts.memory.target()
    }

    /// Notes that `submission`, which copies to the buffer, was accepted.
    pub(crate) fn submitted(self, submission: Submission) -> MappingBuffer {
        self.transition(|memory| memory.written_by(submission))
    }

    /// Returns the image that the buffer is, if it is one.
    pub(crate) fn memory(&self) -> &IdleMemory {
        &self.parts.memory
    }

    /// Notes that the image is the memory of a texture.
    pub(crate) fn drawn_in(self) -> DrawnBuffer {
        self.transition(IdleMemory::drawn_in)
    }

    /// Gives the buffer back without its memory. So it is not used again, as is necessary after a submission
    /// that failed although the GPU may have accepted it, and nothing of it rests.
    pub(crate) fn abandon(self) {
        let Parts { lent, memory } = self.into_parts();
        let hub_id = memory.hub_id();
        drop(memory);
        lent.give_back(None, hub_id);
    }
}

impl DrawnBuffer {
    /// Returns how the pixels lie in the image.
    pub(crate) fn image(&self) -> Option<ImageLayout> {
        self.parts.memory.image()
    }

    /// Returns what stands for the image in a submission.
    pub(crate) fn target(&self) -> CopyTarget {
        self.parts.memory.target()
    }

    /// Notes that `submission` was accepted, which presents the texture in place.
    pub(crate) fn presented(self, submission: Submission) -> MappingBuffer {
        self.transition(|memory| memory.presented_by(submission))
    }
}

impl MappingBuffer {
    /// Capacity in bytes.
    pub(crate) fn len(&self) -> usize {
        self.parts.memory.len()
    }

    /// Returns the submission that writes the buffer last.
    pub(crate) fn submission(&self) -> Submission {
        self.parts.memory.submission()
    }

    /// Returns the device whose GPU writes the buffer.
    pub(crate) fn device(&self) -> DeviceId {
        self.submission().device
    }

    /// Returns where copies to the buffer go.
    pub(crate) fn target(&self) -> CopyTarget {
        self.parts.memory.target()
    }

    /// Returns the size and the format of a shared image; `None` for a buffer.
    pub(crate) fn shared_shape(&self) -> Option<(Size2D<u32>, TextureFormat)> {
        self.parts.memory.shared_shape()
    }

    /// Returns the names of the device of a shared image; `None` for a buffer.
    pub(crate) fn uuids(&self) -> Option<DeviceUuids> {
        self.parts.memory.uuids()
    }

    /// Returns what a later submission of the same queue reads that copies a shared image.
    pub(crate) fn copy_source(&self) -> Option<CopySource> {
        match self.target() {
            CopyTarget::Shared(image) => Some(CopySource::Image(image)),
            CopyTarget::Owned(_) | CopyTarget::Hub(_) | CopyTarget::InPlace(_) => None,
        }
    }

    /// Returns whether it is an image and no buffer.
    pub(crate) fn is_image(&self) -> bool {
        self.parts.memory.is_image()
    }

    /// Returns whether another copy to the buffer can be submitted: its device was neither destroyed nor
    /// dropped.
    pub(crate) fn is_usable(&self) -> bool {
        !self.parts.lent.is_device_gone()
    }

    /// Notes that a later `submission` of the same queue overwrites the buffer: only its bytes count.
    pub(crate) fn resubmitted(self, submission: Submission) -> Self {
        self.transition(|memory| memory.rewritten_by(submission))
    }

    /// Makes the bytes readable, if `completed` covers the buffer's submission. `len` is how many bytes of
    /// the buffer will be read.
    pub(crate) fn complete(self, completed: &Completed, len: usize) -> Result<MappedBuffer, NotMapped> {
        let Parts { mut lent, memory } = self.into_parts();
        let hub_id = memory.hub_id();
        let spare = || lent.recycler().take_spare(len);
        // wgpu-core panics if the engine has dropped a portable buffer. The buffer must be given back all the same,
        // or the ring would miss it for ever.
        let read = catch_panic("reading a frame", || memory.complete(completed, len, spare));
        match read.unwrap_or(Err(Unreadable::Failed(PresentError::Panicked))) {
            Ok(Readable::InPlace(memory)) => {
                lent.recount(FrameMemory::KIND, memory.len());
                Ok(MappedBuffer(Bytes::InPlace(hold(lent, memory))))
            }
            Ok(Readable::Copied(bytes, memory)) => {
                let copied = lent.count_more(LentKind::Frame, bytes.capacity());
                lent.give_back(Some(memory), hub_id);
                Ok(MappedBuffer(Bytes::Copied(PooledBytes { lent: copied, bytes })))
            }
            Err(Unreadable::InFlight(memory)) => Err(NotMapped::InFlight(hold(lent, memory))),
            Err(Unreadable::Failed(error)) => {
                lent.give_back(None, hub_id);
                Err(NotMapped::Failed(error))
            }
        }
    }
}

/// Why [`MappingBuffer::complete`] made no bytes readable.
pub(crate) enum NotMapped {
    /// The buffer's submission is not covered yet.
    InFlight(MappingBuffer),
    /// The bytes will never be readable. The buffer was given back without its memory.
    Failed(PresentError),
}

/// The readable bytes of a completed copy. They belong to a frame, which may change them before it is shared.
pub(crate) struct MappedBuffer(Bytes);

enum Bytes {
    /// Owned memory, read where the GPU wrote it.
    InPlace(Buffer<FrameMemory>),
    /// A copy of portable memory.
    Copied(PooledBytes),
}

impl MappedBuffer {
    /// Returns at least as many bytes as were completed. Padding and excess capacity may follow the pixels.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::InPlace(buffer) => buffer.parts.memory.bytes(),
            Bytes::Copied(pooled) => pooled.bytes(),
        }
    }

    /// Returns whether the pixels lie where the texture was drawn.
    pub(crate) fn is_image(&self) -> bool {
        match &self.0 {
            Bytes::InPlace(buffer) => buffer.parts.memory.is_image(),
            Bytes::Copied(_) => false,
        }
    }

    /// Returns the image that a renderer samples; `None` if it reads bytes.
    pub(crate) fn shared_image(&self) -> Option<Arc<dyn SharedImage>> {
        match &self.0 {
            Bytes::InPlace(buffer) => buffer.parts.memory.shared_image(),
            Bytes::Copied(_) => None,
        }
    }

    /// Returns what a submission reads that copies a shared image.
    pub(crate) fn copy_source(&self) -> Option<CopySource> {
        match &self.0 {
            Bytes::InPlace(buffer) => buffer.parts.memory.copy_source(),
            Bytes::Copied(_) => None,
        }
    }

    pub(crate) fn memory(&self) -> FrameMemoryKind {
        match &self.0 {
            Bytes::InPlace(_) => FrameMemoryKind::Owned,
            Bytes::Copied(_) => FrameMemoryKind::Portable,
        }
    }

    /// Returns whether dropping the buffer would free memory, because the recycler is closed.
    pub(crate) fn is_orphan(&self) -> bool {
        match &self.0 {
            Bytes::InPlace(buffer) => buffer.parts.lent.recycler().is_closed(),
            Bytes::Copied(pooled) => pooled.is_orphan(),
        }
    }

    /// Changes the bytes in place.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut [u8])) {
        match &mut self.0 {
            Bytes::InPlace(buffer) => buffer.parts.memory.edit(change),
            Bytes::Copied(pooled) => change(pooled.bytes_mut()),
        }
    }

    /// Counts `len` bytes more for the same device, as those of a frame.
    pub(crate) fn count_more(&self, len: usize) -> CountedBytes {
        match &self.0 {
            Bytes::InPlace(buffer) => {
                CountedBytes { _lent: buffer.parts.lent.count_more(LentKind::Frame, len) }
            }
            Bytes::Copied(pooled) => pooled.count_more(len),
        }
    }

    /// Returns `len` bytes of unspecified content, taken from the same recycler and counted for the same
    /// device, or `None` if memory cannot be allocated.
    pub(crate) fn spare(&self, len: usize) -> Option<PooledBytes> {
        let lent = match &self.0 {
            Bytes::InPlace(buffer) => &buffer.parts.lent,
            Bytes::Copied(pooled) => &pooled.lent,
        };
        let mut bytes = lent.recycler().take_spare(len);
        bytes.truncate(len);
        bytes.try_reserve_exact(len - bytes.len()).ok()?;
        bytes.resize(len, 0);
        Some(PooledBytes { lent: lent.count_more(LentKind::Frame, bytes.capacity()), bytes })
    }
}

/// Counts bytes as those of a frame until it is dropped, though they lie elsewhere.
pub(crate) struct CountedBytes {
    _lent: LentBytesGuard,
}

/// A frame's bytes in ordinary memory. Dropping them gives the vector back to the recycler as a spare.
pub(crate) struct PooledBytes {
    lent: LentBytesGuard,
    bytes: Vec<u8>,
}

impl PooledBytes {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Counts `len` bytes more for the same device, as those of a frame.
    pub(crate) fn count_more(&self, len: usize) -> CountedBytes {
        CountedBytes { _lent: self.lent.count_more(LentKind::Frame, len) }
    }

    /// Returns whether dropping the bytes would free memory, because the recycler is closed.
    pub(crate) fn is_orphan(&self) -> bool {
        self.lent.recycler().is_closed()
    }
}

impl Drop for PooledBytes {
    fn drop(&mut self) {
        self.lent.recycler().put_spare(std::mem::take(&mut self.bytes));
    }
}
