//! What script writes to buffers goes to the GPU through a belt.

use webgpu_presentation::belt::{Batch, BeltDescriptor, BeltStats, FlushStats, StagingBelt};
use wgpu_core::SubmissionIndex;
use wgpu_core::id::{BufferId, CommandEncoderId};

use crate::gfx::{Attempt, Gfx, GpuError};

/// The belt of a device.
pub struct Uploads {
    belt: StagingBelt,
    writes: u64,
    copied: FlushStats,
}

impl Uploads {
    pub fn new(gfx: &Gfx) -> Result<Self, GpuError> {
        let descriptor = BeltDescriptor::default();
        let belt = StagingBelt::new(gfx.global.clone(), gfx.device.id, gfx.device.queue, &descriptor);
        Ok(Self { belt: belt.attempt("a belt")?, writes: 0, copied: FlushStats::default() })
    }

    pub fn write(&mut self, target: BufferId, offset: u64, bytes: &[u8]) -> Result<(), GpuError> {
        self.writes += 1;
        self.belt.write_buffer(target, offset, bytes).attempt("an upload")
    }

    /// Records the copies of what was written: before the passes that read it.
    pub fn finish(&mut self, encoder: CommandEncoderId) -> Result<Batch, GpuError> {
        let batch = self.belt.finish(encoder).attempt("the copies of uploads")?;
        self.copied += batch.stats();
        Ok(batch)
    }

    /// The encoder was submitted.
    pub fn recall(&mut self, batch: Batch, submission: SubmissionIndex) -> Result<(), GpuError> {
        self.belt.recall(batch, submission).attempt("a recall")
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
