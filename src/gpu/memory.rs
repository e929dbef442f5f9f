//! Memory that the GPU writes and the CPU reads, one type per state, so that nobody reads what is being written.
//!
//! ```text
//! IdleMemory ── written_by(Submission) ──▶ InFlightMemory ── complete(Completed) ──▶ FrameMemory      (owned)
//!     ▲                                      │   ▲     │                                  │
//!     │                                      └───┘ rewritten_by(Submission)               │
//!     ├──────────────────────────── into_idle() ────────────┼──────────────────────────────────┘
//!     └──────────────────────── complete(Completed) ───┴───▶ a copy of the bytes           (portable)
//! ```
//!
//! *Owned* memory is ours: it is read where it is. *Portable* memory is wgpu-core's, which may free it at any time: it is copied
//! out under wgpu-core's guard, and can be written again.

use std::ptr::NonNull;

use super::{Completed, Submission};
use crate::api::error::PresentError;

/// Host memory that a GPU can write.
///
/// # Safety
///
/// Until `self` is dropped, `pointer()` is valid for reads and writes of `len()` bytes, nothing but the GPU and the
/// holder of `self` accesses them, and the GPU writes them only for submissions that copy to the buffer made with it.
pub(crate) unsafe trait HostMemory: Send + Sync {
    fn pointer(&self) -> NonNull<u8>;
    fn len(&self) -> usize;
    /// Makes what the GPU wrote visible to the CPU.
    fn invalidate(&self);
    /// Makes what the CPU wrote visible to the GPU.
    fn flush(&self);
}

/// Memory that wgpu-core maps, and may free.
pub(crate) trait HubMemory: Send + Sync {
    /// Capacity in bytes.
    fn len(&self) -> usize;

    /// Appends the first `len` bytes, once the submission that wrote them is done and its device was polled since. What was
    /// appended before an error is not to be used.
    fn copy_out(&self, len: usize, into: &mut Vec<u8>) -> Result<(), Unmapped>;
}

/// The bytes are not there: the device was destroyed or lost, or wgpu-core dropped the mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unmapped;

enum Memory {
    Owned(Box<dyn HostMemory>),
    Portable(Box<dyn HubMemory>),
}

impl Memory {
    fn len(&self) -> usize {
        match self {
            Self::Owned(memory) => memory.len(),
            Self::Portable(memory) => memory.len(),
        }
    }
}

/// Nobody writes it, and there is nothing in it worth reading.
pub(crate) struct IdleMemory(Memory);

impl IdleMemory {
    pub(crate) fn owned(memory: Box<dyn HostMemory>) -> Self {
        Self(Memory::Owned(memory))
    }

    pub(crate) fn portable(memory: Box<dyn HubMemory>) -> Self {
        Self(Memory::Portable(memory))
    }

    /// Capacity in bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether what is copied to it arrives though wgpu-core forgets its buffer meanwhile.
    pub(crate) fn outlives_its_buffer(&self) -> bool {
        matches!(self.0, Memory::Owned(_))
    }

    /// A submission was accepted that copies to it.
    pub(crate) fn written_by(self, submission: Submission) -> InFlightMemory {
        InFlightMemory { memory: self.0, submission }
    }
}

/// The GPU may be writing it.
pub(crate) struct InFlightMemory {
    memory: Memory,
    submission: Submission,
}

/// What became of memory in flight whose submission is done.
pub(crate) enum Readable {
    InPlace(FrameMemory),
    /// The bytes, and what can be written again.
    Copied(Vec<u8>, IdleMemory),
}

/// Why memory in flight cannot be read.
pub(crate) enum Unreadable {
    /// The submission is not done.
    InFlight(InFlightMemory),
    /// It will never be readable.
    Failed(PresentError),
}

impl InFlightMemory {
    pub(crate) fn len(&self) -> usize {
        self.memory.len()
    }

    pub(crate) fn submission(&self) -> Submission {
        self.submission
    }

    /// A later submission of the same queue was accepted that copies to it too.
    pub(crate) fn rewritten_by(self, submission: Submission) -> Self {
        Self { submission, ..self }
    }

    /// Readable, if the submission that last wrote it is done. If the first `len` bytes must be copied for that, `spare` gives
    /// a vector with room for them, perhaps. A new one gets a quarter more than that if this memory has: the canvas grows.
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
            Memory::Owned(memory) => {
                memory.invalidate();
                Ok(Readable::InPlace(FrameMemory(memory)))
            }
            Memory::Portable(memory) => {
                let mut bytes = spare();
                bytes.clear();
                if bytes.capacity() < len {
                    let roomy = memory.len().min(len + len / 4);
                    let room = bytes.try_reserve_exact(roomy).or_else(|_| bytes.try_reserve_exact(len));
                    room.map_err(|_| Unreadable::Failed(PresentError::OutOfMemory))?;
                }
                memory
                    .copy_out(len, &mut bytes)
                    .map_err(|Unmapped| Unreadable::Failed(PresentError::DeviceLost))?;
                Ok(Readable::Copied(bytes, IdleMemory(Memory::Portable(memory))))
            }
        }
    }
}

/// The GPU is done with it: its bytes are those of a frame.
pub(crate) struct FrameMemory(Box<dyn HostMemory>);

impl FrameMemory {
    /// Capacity in bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `HostMemory` promises validity for `len` bytes while `self.0` lives, which the borrow of `self` ensures.
        // Nobody writes: a `FrameMemory` is only made by `InFlightMemory::complete`, after the last submission that
        // copies to it was done, and only `rest` makes memory that a submission can be recorded for; the CPU writes
        // through `edit` alone, which borrows `self` exclusively.
        unsafe { std::slice::from_raw_parts(self.0.pointer().as_ptr(), self.0.len()) }
    }

    /// Changes the bytes in place.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut [u8])) {
        // SAFETY: as in `bytes`; and `self` is borrowed exclusively, so there is no other reference to the bytes.
        change(unsafe { std::slice::from_raw_parts_mut(self.0.pointer().as_ptr(), self.0.len()) });
        self.0.flush();
    }

    pub(crate) fn into_idle(self) -> IdleMemory {
        IdleMemory::owned(self.0)
    }
}
