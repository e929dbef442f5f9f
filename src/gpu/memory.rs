//! Memory that the GPU writes and the CPU reads, with one type for each state, so that nothing reads what is
//! being written.
//!
//! ```text
//! IdleMemory ── written_by(Submission) ──▶ InFlightMemory ── complete(Completed) ──▶ FrameMemory      (owned)
//!     ▲                                      │   ▲     │                                  │
//!     │             rewritten_by(Submission) └───┘     │                                  │
//!     ├──────────────────────────── into_idle() ───────┼──────────────────────────────────┘
//!     └──────────────────────── complete(Completed) ───┴───▶ a copy of the bytes                    (portable)
//! ```
//!
//! An *image* is owned memory that a texture of script's has for its own. While script can draw there it is
//! [`DrawnMemory`]; a submission after which the texture is destroyed takes the place of the copy.
//!
//! ```text
//! IdleMemory ── drawn_in() ──▶ DrawnMemory ── presented_by(Submission) ──▶ InFlightMemory
//! ```
//!
//! The WebGPU thread moves memory from idle to in flight when a submission was accepted. A poller completes
//! it with the proof that the submission is done. From then on any thread may read the frame.
//!
//! *Owned* memory is allocated by this crate and read where it is. *Portable* memory belongs to wgpu-core,
//! which may free it at any time: its bytes are copied out under a guard of wgpu-core's, and the memory is
//! idle again at once.

use std::any::Any;
use std::ptr::NonNull;
use std::sync::Arc;

use euclid::default::Size2D;
use wgpu_core::id::BufferId;
use wgpu_types::TextureFormat;

use super::{Completed, CopySource, DeviceUuids, ImageShape, SharedImage, Submission};
use crate::api::error::PresentError;

/// Owned memory, which stays mapped for as long as it exists.
///
/// # Safety
///
/// The implementation promises, until `self` is dropped:
///
/// - `pointer()` always returns the same pointer, which is valid for reads and writes of `len()` bytes, and
///   these are initialized.
/// - Nothing accesses the bytes but the GPU and the holder of `self`.
/// - The GPU writes the bytes of a buffer only for submissions with a copy to [`target`](Self::target); those of
///   an image only for submissions that were accepted before its texture was destroyed. The end of such a
///   submission makes them visible to the CPU.
pub(super) unsafe trait HostMemory: Send + Sync {
    fn pointer(&self) -> NonNull<u8>;

    /// Capacity in bytes.
    fn len(&self) -> usize;

    /// Returns what the device that allocated the memory knows it by.
    fn target(&self) -> Arc<dyn Any + Send + Sync>;

    /// Returns how the pixels of an image lie in the memory; `None` for a buffer.
    fn image(&self) -> Option<ImageLayout> {
        None
    }
}

/// A shared image: owned memory that the CPU does not read, because another graphics API samples it.
///
/// Its bytes are never accessed here. That a renderer samples no image while the GPU writes it, follows from the same
/// states as for memory that is read.
pub(super) trait SharedMemory: Send + Sync {
    /// Bytes of the memory.
    fn len(&self) -> usize;

    /// Returns what the device that allocated the image knows it by.
    fn target(&self) -> Arc<dyn Any + Send + Sync>;

    /// Returns the image for a renderer.
    fn image(&self) -> Arc<dyn SharedImage>;
}

/// How the pixels of an image lie in its memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ImageLayout {
    pub(crate) shape: ImageShape,
    /// Distance of two rows, in bytes.
    pub(crate) stride: u32,
}

/// Portable memory: a buffer in wgpu-core's hub, which wgpu-core maps and may free.
pub(super) trait HubMemory: Send + Sync {
    /// Capacity in bytes.
    fn len(&self) -> usize;

    /// The id of the buffer, which may name another one once this one was dropped.
    fn id(&self) -> BufferId;

    /// Appends the first `len` bytes to `into`. After an error, what was appended must not be used.
    ///
    /// Precondition: the last submission that copies to the buffer is done, and its device was polled since.
    fn copy_out(&self, len: usize, into: &mut Vec<u8>) -> Result<(), Unmapped>;
}

/// The bytes cannot be read, because the device was destroyed or lost, or wgpu-core dropped the mapping.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unmapped;

enum Memory {
    Owned(Box<dyn HostMemory>),
    Portable(Box<dyn HubMemory>),
    Shared(Box<dyn SharedMemory>),
}

impl Memory {
    fn len(&self) -> usize {
        match self {
            Self::Owned(memory) => memory.len(),
            Self::Portable(memory) => memory.len(),
            Self::Shared(memory) => memory.len(),
        }
    }

    fn target(&self) -> CopyTarget {
        match self {
            Self::Owned(memory) if memory.image().is_some() => CopyTarget::InPlace(memory.target()),
            Self::Owned(memory) => CopyTarget::Owned(memory.target()),
            Self::Portable(memory) => CopyTarget::Hub(memory.id()),
            Self::Shared(memory) => CopyTarget::Shared(memory.target()),
        }
    }

    fn hub_id(&self) -> Option<BufferId> {
        match self {
            Self::Owned(_) | Self::Shared(_) => None,
            Self::Portable(memory) => Some(memory.id()),
        }
    }

    fn image(&self) -> Option<ImageLayout> {
        match self {
            Self::Owned(memory) => memory.image(),
            Self::Portable(_) | Self::Shared(_) => None,
        }
    }

    fn shared_image(&self) -> Option<Arc<dyn SharedImage>> {
        match self {
            Self::Shared(memory) => Some(memory.image()),
            Self::Owned(_) | Self::Portable(_) => None,
        }
    }
}

/// Where a copy goes.
#[derive(Clone)]
pub(crate) enum CopyTarget {
    /// Owned memory. Only the device that allocated it knows what this is.
    Owned(Arc<dyn Any + Send + Sync>),
    /// A buffer in the hub.
    Hub(BufferId),
    /// Nothing is copied: the texture was drawn in this image.
    InPlace(Arc<dyn Any + Send + Sync>),
    /// A shared image.
    Shared(Arc<dyn Any + Send + Sync>),
}

/// Memory that no submission writes and nothing reads.
pub(crate) struct IdleMemory(Memory);

impl IdleMemory {
    pub(super) fn owned(memory: Box<dyn HostMemory>) -> Self {
        Self(Memory::Owned(memory))
    }

    pub(super) fn shared(memory: Box<dyn SharedMemory>) -> Self {
        Self(Memory::Shared(memory))
    }

    pub(super) fn portable(memory: Box<dyn HubMemory>) -> Self {
        Self(Memory::Portable(memory))
    }

    /// Capacity in bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the id of the buffer that portable memory is in the hub; `None` for owned memory.
    pub(crate) fn hub_id(&self) -> Option<BufferId> {
        self.0.hub_id()
    }

    /// Returns the target of copies to the memory.
    pub(crate) fn target(&self) -> CopyTarget {
        self.0.target()
    }

    /// Returns how an image lies in the memory; `None` for a buffer.
    pub(crate) fn image(&self) -> Option<ImageLayout> {
        self.0.image()
    }

    /// Whether it is an image, shared or drawn in, and no buffer.
    pub(crate) fn is_image(&self) -> bool {
        matches!(self.0, Memory::Shared(_)) || self.0.image().is_some()
    }

    /// Returns the size and the format of a shared image; `None` for other memory.
    pub(crate) fn shared_shape(&self) -> Option<(Size2D<u32>, TextureFormat)> {
        self.0.shared_image().map(|image| (image.size(), image.format()))
    }

    /// Notes that the image is the memory of a texture.
    pub(crate) fn drawn_in(self) -> DrawnMemory {
        DrawnMemory(self.0)
    }

    /// Notes that `submission`, which copies to the memory, was accepted.
    pub(crate) fn written_by(self, submission: Submission) -> InFlightMemory {
        InFlightMemory { memory: self.0, submission }
    }
}

/// An image that is the memory of a texture, so that the GPU may be writing it at any time.
pub(crate) struct DrawnMemory(Memory);

impl DrawnMemory {
    /// Capacity in bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn image(&self) -> Option<ImageLayout> {
        self.0.image()
    }

    /// Returns the target that stands for the image in a submission.
    pub(crate) fn target(&self) -> CopyTarget {
        self.0.target()
    }

    /// Notes that `submission`, which presents the texture in place, was accepted. The texture is destroyed, so
    /// nothing that is submitted later draws in the image.
    pub(crate) fn presented_by(self, submission: Submission) -> InFlightMemory {
        InFlightMemory { memory: self.0, submission }
    }
}

/// Memory that the GPU may be writing.
pub(crate) struct InFlightMemory {
    memory: Memory,
    /// The last submission that copies to the memory.
    submission: Submission,
}

/// The readable bytes of a submission that is done.
pub(crate) enum Readable {
    /// Owned memory, read where it is; or a shared image.
    InPlace(FrameMemory),
    /// A copy of the bytes of portable memory, and that memory, which can be written again.
    Copied(Vec<u8>, IdleMemory),
}

/// Why memory in flight cannot be read.
pub(crate) enum Unreadable {
    /// The submission is not known to be done.
    InFlight(InFlightMemory),
    /// The bytes will never be readable. The memory was freed.
    Failed(PresentError),
}

impl InFlightMemory {
    /// Capacity in bytes.
    pub(crate) fn len(&self) -> usize {
        self.memory.len()
    }

    pub(crate) fn submission(&self) -> Submission {
        self.submission
    }

    /// Returns the id of the buffer that portable memory is in the hub; `None` for owned memory.
    pub(crate) fn hub_id(&self) -> Option<BufferId> {
        self.memory.hub_id()
    }

    /// Returns the target of copies to the memory.
    pub(crate) fn target(&self) -> CopyTarget {
        self.memory.target()
    }

    /// Returns the size and the format of a shared image; `None` for other memory.
    pub(crate) fn shared_shape(&self) -> Option<(Size2D<u32>, TextureFormat)> {
        self.memory.shared_image().map(|image| (image.size(), image.format()))
    }

    /// Returns the names of the device of a shared image; `None` for other memory.
    pub(crate) fn uuids(&self) -> Option<DeviceUuids> {
        self.memory.shared_image().map(|image| image.uuids())
    }

    /// Whether it is an image, shared or drawn in, and no buffer.
    pub(crate) fn is_image(&self) -> bool {
        matches!(self.memory, Memory::Shared(_)) || self.memory.image().is_some()
    }

    /// Notes that `submission`, a later one of the same queue, overwrites the memory.
    pub(crate) fn rewritten_by(self, submission: Submission) -> Self {
        Self { submission, ..self }
    }

    /// Makes the bytes readable, if `completed` covers the submission that wrote them last.
    ///
    /// The first `len` bytes of portable memory are copied to the vector that `spare` returns. If that is too
    /// small it is enlarged to `len` bytes, or to a quarter more where this memory has headroom too, because
    /// the canvas grows.
    pub(crate) fn complete(
        self,
        completed: &Completed,
        len: usize,
        spare: impl FnOnce() -> Vec<u8>,
    ) -> Result<Readable, Unreadable> {
        if !completed.covers(&self.submission) {
            return Err(Unreadable::InFlight(self));
        }
        match self.memory {
            Memory::Owned(_) | Memory::Shared(_) => Ok(Readable::InPlace(FrameMemory(self.memory))),
            Memory::Portable(memory) => {
                let mut bytes = spare();
                bytes.clear();
                if bytes.capacity() < len {
                    let with_headroom = memory.len().min(len + len / 4);
                    bytes
                        .try_reserve_exact(with_headroom)
                        .or_else(|_| bytes.try_reserve_exact(len))
                        .map_err(|_| Unreadable::Failed(PresentError::OutOfMemory))?;
                }
                memory
                    .copy_out(len, &mut bytes)
                    .map_err(|Unmapped| Unreadable::Failed(PresentError::DeviceLost))?;
                Ok(Readable::Copied(bytes, IdleMemory(Memory::Portable(memory))))
            }
        }
    }
}

/// Owned memory or a shared image, with the pixels of a frame. No submission writes it.
pub(crate) struct FrameMemory(Memory);

impl FrameMemory {
    /// Capacity in bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the bytes; none of a shared image.
    pub(crate) fn bytes(&self) -> &[u8] {
        let Memory::Owned(memory) = &self.0 else { return &[] };
        // SAFETY: `HostMemory` promises `len` valid, initialized bytes for as long as `self.0` exists, and
        // the result borrows `self`. Nothing writes them meanwhile:
        // - The GPU writes them only for submissions that copy to the memory.
        //   `InFlightMemory::complete`, which alone makes a `FrameMemory`, demands proof that the last one is
        //   done. A further submission needs `IdleMemory`, and only `into_idle` makes that of a frame; it
        //   consumes `self`. The texture of an image was destroyed after that submission was accepted.
        // - The CPU writes them only in `edit`, which borrows `self` exclusively.
        unsafe { std::slice::from_raw_parts(memory.pointer().as_ptr(), memory.len()) }
    }

    /// Changes the bytes in place. A shared image has none.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut [u8])) {
        let Memory::Owned(memory) = &mut self.0 else { return };
        // SAFETY: `HostMemory` promises `len` valid, initialized bytes for as long as `self.0` exists, and
        // the slice does not outlive this call. `bytes` says why the GPU does not write them. No other
        // reference to them exists: references are made here and in `bytes` only, and `self` is borrowed
        // exclusively.
        change(unsafe { std::slice::from_raw_parts_mut(memory.pointer().as_ptr(), memory.len()) });
    }

    /// Returns whether the memory is an image, in which a texture was drawn.
    pub(crate) fn is_image(&self) -> bool {
        self.0.image().is_some()
    }

    /// Returns the image that a renderer samples; `None` if it reads bytes.
    pub(crate) fn shared_image(&self) -> Option<Arc<dyn SharedImage>> {
        self.0.shared_image()
    }

    /// Returns what a submission reads that copies a shared image.
    pub(crate) fn copy_source(&self) -> Option<CopySource> {
        match &self.0 {
            Memory::Shared(memory) => Some(CopySource::Image(memory.target())),
            Memory::Owned(_) | Memory::Portable(_) => None,
        }
    }

    /// Gives up the bytes, so that the memory can be written again.
    pub(crate) fn into_idle(self) -> IdleMemory {
        IdleMemory(self.0)
    }
}
