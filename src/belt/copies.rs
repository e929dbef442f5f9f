//! Copies from a chunk to a destination that were decided and are not recorded yet.
//!
//! `active_chunks` queues one when it places bytes; `intake` records them in an encoder at the next flush, in
//! this order.

use wgpu_core::id::{BufferId, TextureId};
use wgpu_types::{Extent3d, TexelCopyTextureInfo};

/// A copy that waits for the next flush.
pub(super) enum PendingCopy {
    Buffer(BufferCopy),
    Texture {
        chunk: BufferId,
        /// Where the texels begin in the chunk, in bytes.
        chunk_offset: u64,
        copy: TextureCopy,
    },
}

/// A copy to a buffer. Offsets and size are in bytes.
pub(super) struct BufferCopy {
    pub(super) chunk: BufferId,
    pub(super) chunk_offset: u64,
    pub(super) target: BufferId,
    pub(super) target_offset: u64,
    pub(super) size: u64,
}

impl BufferCopy {
    /// Returns whether this copy begins where `previous` ends, in the chunk and in the target.
    pub(super) fn continues(&self, previous: &Self) -> bool {
        (self.chunk, self.target) == (previous.chunk, previous.target)
            && self.chunk_offset == previous.chunk_offset + previous.size
            && self.target_offset == previous.target_offset + previous.size
    }
}

/// A copy to a texture. Rows are rows of texel blocks.
#[derive(Clone, Copy)]
pub(super) struct TextureCopy {
    pub(super) destination: TexelCopyTextureInfo<TextureId>,
    pub(super) size: Extent3d,
    /// Bytes of the texels of a row.
    pub(super) row_bytes: u32,
    /// Bytes from one row to the next in the chunk.
    pub(super) stride: u32,
    /// Rows from one layer to the next in the chunk.
    pub(super) rows: u32,
}

impl PendingCopy {
    /// Returns the number of bytes read from the chunk.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Buffer(copy) => copy.size,
            Self::Texture { copy, .. } => copy.bytes(),
        }
    }
}

impl TextureCopy {
    /// Returns the number of bytes in the chunk from the first texel to the end of the last. Row padding
    /// counts, except behind the last row.
    pub(super) fn bytes(&self) -> u64 {
        let rows = u64::from(self.rows) * u64::from(self.size.depth_or_array_layers);
        rows.saturating_sub(1)
            .saturating_mul(u64::from(self.stride))
            .saturating_add(u64::from(self.row_bytes))
    }
}
