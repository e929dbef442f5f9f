//! The settings and the counts of a belt.
//!
//! They are plain data. The engine passes a [`BeltDescriptor`] in once, and reads [`BeltStats`] and
//! [`FlushStats`] out as copies, which do not change afterwards.

/// The settings of a belt.
///
/// Sizes of chunks are rounded up to multiples of 16 bytes and kept within the limits of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeltDescriptor {
    /// Size of the smallest chunk in bytes. About as much as one frame writes is best.
    pub chunk_size: u64,
    /// Size of the largest chunk in bytes, and of the largest allocation. A frame that writes more than
    /// `chunk_size` gets larger chunks, each twice as large as the one before, up to this size.
    pub max_chunk_size: u64,
    /// Most bytes that all chunks together have at any moment. Dropped [`ClosedChunks`](super::ClosedChunks)
    /// do not count, though wgpu-core keeps their memory until the GPU is done with it. Nor do the textures of
    /// [scattered writes](super#scattered-writes), which are as large as those writes and kept as long.
    pub max_bytes: u64,
    /// Number of frames after which a chunk that was not needed is freed. A chunk of more than twice what a
    /// frame needs is not needed for it, so that the chunks of a burst are freed too. Every successful call of
    /// [`finish`](super::StagingBelt::finish) counts as a frame, even if a frame has several, or nothing was
    /// written.
    ///
    /// It should be at least the number of frames that may be in flight. With less, chunks are freed as soon
    /// as the GPU is done with them, and each frame creates new ones.
    pub idle_frames: u32,
}

impl Default for BeltDescriptor {
    /// Chunks of 256 KiB to 16 MiB, of 256 MiB together, which are freed after 60 frames.
    fn default() -> Self {
        Self { chunk_size: 256 << 10, max_chunk_size: 16 << 20, max_bytes: 256 << 20, idle_frames: 60 }
    }
}

impl BeltDescriptor {
    /// Returns these settings with sizes that chunks can have. `largest_buffer` is the limit of the device in
    /// bytes.
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

    /// Returns the smallest usual size of a chunk that is at least `bytes`, or the largest one.
    ///
    /// The usual sizes are `chunk_size`, each twice the one before, and `max_chunk_size`.
    pub(super) fn usual_chunk_size(&self, bytes: u64) -> u64 {
        let factor = bytes.div_ceil(self.chunk_size).checked_next_power_of_two().unwrap_or(u64::MAX);
        self.chunk_size.saturating_mul(factor).min(self.max_chunk_size)
    }
}

/// What a belt holds now, and what it did since it was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BeltStats {
    /// Successful calls of [`finish`](super::StagingBelt::finish).
    pub frames: u64,
    /// Bytes of all chunks that exist: active, closed, recalled and free.
    pub bytes: u64,
    /// Chunks being written.
    pub active: usize,
    /// Chunks in [`ClosedChunks`](super::ClosedChunks) that were neither recalled nor dropped.
    pub closed: usize,
    /// Chunks that were recalled and that the GPU may still read.
    pub recalled: usize,
    /// Chunks that can be written again.
    pub free: usize,
    /// Chunks created since the belt was.
    pub created: u64,
    /// Chunks freed since the belt was created, for whatever reason.
    pub freed: u64,
}

/// What a [`flush`](super::StagingBelt::flush) recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlushStats {
    /// Copies recorded. Scattered writes at a constant distance may take fewer than there are writes.
    pub copies: usize,
    /// Bytes of the writes that were copied, including the padding of texture rows.
    pub bytes: u64,
    /// Copies left out because their destination cannot be copied to any more: it was, for example, destroyed
    /// or mapped since the write.
    pub refused: usize,
}

impl std::ops::AddAssign for FlushStats {
    fn add_assign(&mut self, other: Self) {
        self.copies += other.copies;
        self.bytes += other.bytes;
        self.refused += other.refused;
    }
}
