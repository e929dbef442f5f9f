//! Memory that the GPU writes and the CPU reads, one type per state, so that nobody reads what is being written.
//!
//! ```text
//! IdleMemory ── written_by(Submission) ──▶ InFlightMemory ── complete(Completed) ──▶ FrameMemory
//!     ▲                                        │   ▲                                     │
//!     │                                        └───┘ rewritten_by(Submission)            │
//!     └──────────────────────────────── rest() ──────────────────────────────────────────┘
//! ```

use std::ptr::NonNull;

use super::{Completed, Submission};

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

/// Nobody writes it, and there is nothing in it worth reading.
pub(crate) struct IdleMemory(Box<dyn HostMemory>);

impl IdleMemory {
    pub(crate) fn new(memory: Box<dyn HostMemory>) -> Self {
        Self(memory)
    }

    /// Capacity in bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// A submission was accepted that copies to it.
    pub(crate) fn written_by(self, submission: Submission) -> InFlightMemory {
        InFlightMemory { memory: self.0, submission }
    }
}

/// The GPU may be writing it.
pub(crate) struct InFlightMemory {
    memory: Box<dyn HostMemory>,
    submission: Submission,
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

    /// Readable, if the submission that last wrote it is done.
    pub(crate) fn complete(self, completed: &Completed) -> Result<FrameMemory, Self> {
        if completed.covers(&self.submission) {
            self.memory.invalidate();
            Ok(FrameMemory(self.memory))
        } else {
            Err(self)
        }
    }
}

/// The GPU is done with it: its bytes are those of a frame.
pub(crate) struct FrameMemory(Box<dyn HostMemory>);

impl FrameMemory {
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

    pub(crate) fn rest(self) -> IdleMemory {
        IdleMemory(self.0)
    }
}
