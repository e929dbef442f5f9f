//! Writes to buffers, which reach the GPU through an upload belt.

use webgpu_presentation::belt::{BeltDescriptor, BeltStats, ClosedChunks, FlushStats, StagingBelt};
use wgpu_core::SubmissionIndex;
use wgpu_core::id::{BufferId, CommandEncoderId};

use crate::gfx::{Attempt, Gfx, GpuError};

/// The belt of a device, and how much went through it.
pub struct Uploads {
    belt: StagingBelt,
    writes: u64,
    copied: FlushStats,
}

impl Uploads {
    pub fn new(gfx: &Gfx) -> Result<Self, GpuError> {
        let descriptor = BeltDescriptor::default();
        let (global, device) = (gfx.global.clone(), &gfx.device);
        // SAFETY: the demo names no buffer but those that it created itself.
        let belt = unsafe { StagingBelt::new(global, device.id, device.queue, &descriptor) };
        Ok(Self { belt: belt.attempt("a belt")?, writes: 0, copied: FlushStats::default() })
    }

    pub fn write(&mut self, target: BufferId, offset: u64, bytes: &[u8]) -> Result<(), GpuError> {
        self.writes += 1;
        self.belt.write_buffer(target, offset, bytes).attempt("an upload")
    }

    /// Records the copies of what was written.
    ///
    /// Precondition: the passes that read it are recorded later in the same encoder.
    pub fn finish(&mut self, encoder: CommandEncoderId) -> Result<ClosedChunks, GpuError> {
        let chunks = self.belt.finish(encoder).attempt("the copies of uploads")?;
        self.copied += chunks.stats();
        Ok(chunks)
    }

    /// Makes the belt's memory usable again once the GPU has done this submission, which is that of the encoder.
    pub fn recall(&mut self, chunks: ClosedChunks, submission: SubmissionIndex) -> Result<(), GpuError> {
        self.belt.recall(chunks, submission).attempt("a recall")
    }

    pub fn writes(&self) -> u64 {
        self.writes
    }

    pub fn copied(&self) -> FlushStats {
        self.copied
    }

    pub fn stats(&self) -> BeltStats {
        self.belt.stats()
    }
}
