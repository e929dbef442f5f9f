//! The belt's settings and counts.

/// The sizes of a belt, in bytes. Sizes of chunks are rounded up to multiples of 16, and kept within the device's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeltDescriptor {
    /// The smallest chunk. Best about as large as what one frame writes.
    pub chunk_size: u64,
    /// The largest chunk: a frame that writes more than `chunk_size` gets larger ones, up to this. Also the largest allocation.
    pub max_chunk_size: u64,
    /// All chunks together, at any moment. Those of dropped batches no longer count, though wgpu-core keeps their memory until the
    /// GPU is done with it.
    pub max_bytes: u64,
    /// A chunk that was not needed in so many frames is freed. Every call of [`finish`](super::StagingBelt::finish) counts as one,
    /// also if there are several in a frame, or nothing was written. At least as many as may be in flight: else chunks that the
    /// GPU is done with are freed at once, and each frame makes new ones.
    pub idle_frames: u32,
}

impl Default for BeltDescriptor {
    /// Chunks of 256 KiB to 16 MiB, 256 MiB together, freed after 60 frames.
    fn default() -> Self {
        Self { chunk_size: 256 << 10, max_chunk_size: 16 << 20, max_bytes: 256 << 20, idle_frames: 60 }
    }
}

impl BeltDescriptor {
    /// With sizes that chunks can have.
    pub(super) fn checked(self, largest_buffer: u64) -> Self {
        let largest = (largest_buffer & !15).max(16);
        let round = |size: u64| size.checked_next_multiple_of(16).unwrap_or(largest).clamp(16, largest);
        let chunk_size = round(self.chunk_size);
        Self {
            chunk_size,
            max_chunk_size: round(self.max_chunk_size).max(chunk_size),
            max_bytes: self.max_bytes,
            idle_frames: self.idle_frames.max(1),
        }
    }
}

/// What a belt holds now, and what it did since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BeltStats {
    /// Calls of [`finish`](super::StagingBelt::finish) that made a batch.
    pub frames: u64,
    /// Bytes of all chunks below.
    pub bytes: u64,
    /// Chunks being written.
    pub active: usize,
    /// Chunks in batches that were neither recalled nor dropped.
    pub finished: usize,
    /// Chunks that were recalled and that the GPU may still read.
    pub recalled: usize,
    /// Chunks at rest.
    pub free: usize,
    /// Chunks made.
    pub created: u64,
    /// Chunks freed, for whatever reason.
    pub freed: u64,
}

/// What one [`flush`](super::StagingBelt::flush) recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlushStats {
    /// Copies recorded.
    pub copies: usize,
    /// Bytes that they copy, row padding of textures included.
    pub bytes: u64,
    /// Copies left out, because their destination can no longer be copied to: it was destroyed or mapped since the write.
    pub refused: usize,
}

impl std::ops::AddAssign for FlushStats {
    fn add_assign(&mut self, other: Self) {
        self.copies += other.copies;
        self.bytes += other.bytes;
        self.refused += other.refused;
    }
}
