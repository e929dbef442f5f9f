//! Copies that wait to be recorded.

use wgpu_core::id::{BufferId, TextureId};
use wgpu_types::{Extent3d, TexelCopyTextureInfo};

pub(super) enum Copy {
    Buffer(BufferCopy),
    /// From this offset in this chunk.
    Texture(BufferId, u64, TextureCopy),
}

/// From a chunk to a buffer; bytes.
pub(super) struct BufferCopy {
    pub(super) chunk: BufferId,
    pub(super) source: u64,
    pub(super) target: BufferId,
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl BufferCopy {
    /// Whether this copy goes on where `previous` ends, on both sides.
    pub(super) fn continues(&self, previous: &Self) -> bool {
        (self.chunk, self.target) == (previous.chunk, previous.target)
            && self.source == previous.source + previous.size
            && self.offset == previous.offset + previous.size
    }
}

/// To a texture; rows of blocks.
#[derive(Clone, Copy)]
pub(super) struct TextureCopy {
    pub(super) destination: TexelCopyTextureInfo<TextureId>,
    pub(super) size: Extent3d,
    /// Bytes of texels in a row.
    pub(super) row_bytes: u32,
    /// Bytes from row to row in the chunk.
    pub(super) stride: u32,
    /// Rows from layer to layer.
    pub(super) rows: u32,
}

impl Copy {
    /// Bytes read from the chunk.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Buffer(copy) => copy.size,
            Self::Texture(_, _, copy) => copy.bytes(),
        }
    }
}

impl TextureCopy {
    /// From the first texel to the last.
    pub(super) fn bytes(&self) -> u64 {
        let rows = u64::from(self.rows) * u64::from(self.size.depth_or_array_layers);
        rows.saturating_sub(1)
            .saturating_mul(u64::from(self.stride))
            .saturating_add(u64::from(self.row_bytes))
    }
}
