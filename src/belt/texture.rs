//! A write to a texture: rows get the stride that copies need, and a write that does not fit a chunk is cut
//! into pieces.
//!
//! `staging_belt` makes a [`TextureWrite`] of the caller's data and layout; `intake` reserves room for each
//! of its pieces and has it filled. Nothing here calls wgpu-core.

use wgpu_core::id::TextureId;
use wgpu_types as wgt;
use wgt::{Extent3d, TexelCopyBufferLayout, TexelCopyTextureInfo, TextureFormat};

use super::BeltError;
use super::copies::TextureCopy;

/// A write to a texture, checked as far as that is possible without the texture.
///
/// Rows are rows of texel blocks.
pub(super) struct TextureWrite<'a> {
    /// The write as a single copy.
    whole: TextureCopy,
    /// The caller's data, from the first texel on.
    data: &'a [u8],
    /// Bytes from one row of `data` to the next.
    row_stride: u64,
    /// Bytes from one layer of `data` to the next.
    layer_stride: u64,
    /// Texels in the height of a row.
    block_height: u32,
    /// Copies begin in a chunk at multiples of this many bytes.
    pub(super) alignment: u64,
    /// Whether a piece must have all rows of its layers, as copies of depth and stencil must.
    whole_layers: bool,
}

/// A part of a write that fits a chunk: all rows of some layers, or some rows of one layer.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    /// The first layer.
    layer: u32,
    layers: u32,
    /// The first row.
    row: u32,
    rows: u32,
}

impl<'a> TextureWrite<'a> {
    /// Checks a write and prepares it. Returns `None` if the size has no texels.
    pub(super) fn new(
        destination: &TexelCopyTextureInfo<TextureId>,
        format: TextureFormat,
        data: &'a [u8],
        layout: &TexelCopyBufferLayout,
        size: Extent3d,
    ) -> Result<Option<Self>, BeltError> {
        let aspect = destination.aspect;
        let block_size = format.block_copy_size(Some(aspect)).ok_or(BeltError::UnsupportedFormat(format))?;
        if size.width == 0 || size.height == 0 || size.depth_or_array_layers == 0 {
            return Ok(None);
        }
        let info =
            layout.get_buffer_texture_copy_info(format, aspect, &size).map_err(BeltError::TextureLayout)?;
        let layers = size.depth_or_array_layers;
        if layout.bytes_per_row.is_none() && (layers > 1 || info.height_blocks > 1)
            || layout.rows_per_image.is_none() && layers > 1
        {
            return Err(BeltError::IncompleteLayout);
        }
        let given = data.len() as u64;
        let needed = layout.offset.saturating_add(info.bytes_in_copy);
        if needed > given {
            return Err(BeltError::DataTooShort { needed, given });
        }
        let too_wide = BeltError::TooLarge { size: u64::MAX, max_chunk_size: u64::from(u32::MAX) };
        let row_bytes = u32::try_from(info.row_bytes_dense).map_err(|_| too_wide.clone())?;
        let stride = row_bytes.checked_next_multiple_of(wgt::COPY_BYTES_PER_ROW_ALIGNMENT).ok_or(too_wide)?;
        let whole = TextureCopy {
            destination: *destination,
            size,
            row_bytes,
            stride,
            // The conversion cannot fail: there are at most `size.height` rows.
            rows: u32::try_from(info.height_blocks).unwrap_or(u32::MAX),
        };
        Ok(Some(Self {
            whole,
            data: data.get(layout.offset as usize..).unwrap_or(&[]),
            row_stride: info.row_stride_bytes,
            layer_stride: info.image_stride_bytes,
            block_height: format.block_dimensions().1,
            alignment: u64::from(block_size).max(wgt::COPY_BUFFER_ALIGNMENT),
            whole_layers: format.is_depth_stencil_format(),
        }))
    }

    /// Returns the write as a single copy.
    pub(super) fn whole(&self) -> &TextureCopy {
        &self.whole
    }

    /// Cuts the write into pieces, each of which fits a chunk of `max_chunk_size` bytes.
    pub(super) fn pieces(
        &self,
        max_chunk_size: u64,
    ) -> Result<impl Iterator<Item = Piece> + Clone + use<>, BeltError> {
        let (stride, rows) = (u64::from(self.whole.stride), self.whole.rows);
        let layers = self.whole.size.depth_or_array_layers;
        // A product that saturates is larger than any chunk, as the exact one would be.
        let layer = stride.saturating_mul(u64::from(rows));
        let at_most = |count: u64, all: u32| u32::try_from(count).unwrap_or(u32::MAX).min(all);
        let (layers_each, rows_each) = match max_chunk_size / layer {
            0 => (1, at_most(max_chunk_size / stride, rows)),
            count => (at_most(count, layers), rows),
        };
        if rows_each == 0 || rows_each < rows && self.whole_layers {
            let size = if self.whole_layers { layer } else { stride };
            return Err(BeltError::TooLarge { size, max_chunk_size });
        }
        Ok((0..layers).step_by(layers_each as usize).flat_map(move |layer| {
            (0..rows).step_by(rows_each as usize).map(move |row| Piece {
                layer,
                layers: layers_each.min(layers - layer),
                row,
                rows: rows_each.min(rows - row),
            })
        }))
    }

    /// Returns the copy of a piece, and the number of bytes that it takes in a chunk.
    pub(super) fn copy(&self, piece: Piece) -> (TextureCopy, u64) {
        let mut copy = self.whole;
        let destination = &mut copy.destination.origin;
        // The sums do not overflow, because the whole write was checked against the size of the texture.
        destination.y += piece.row * self.block_height;
        destination.z += piece.layer;
        copy.size.depth_or_array_layers = piece.layers;
        if piece.rows < copy.rows {
            copy.size.height = piece.rows * self.block_height;
            copy.rows = piece.rows;
        }
        // Rounding up does not overflow, because the piece fits a chunk.
        let bytes = copy.bytes().next_multiple_of(wgt::COPY_BUFFER_ALIGNMENT);
        (copy, bytes)
    }

    /// Writes the rows of a piece to `bytes`: zeroed, and as many as [`copy`](Self::copy) returned.
    pub(super) fn fill(&self, piece: Piece, bytes: &mut [u8]) {
        let row_bytes = self.whole.row_bytes as usize;
        let rows = (0..piece.layers).flat_map(|layer| (0..piece.rows).map(move |row| (layer, row)));
        for ((layer, row), to) in rows.zip(bytes.chunks_mut(self.whole.stride as usize)) {
            let layer = u64::from(piece.layer + layer) * self.layer_stride;
            let start = (layer + u64::from(piece.row + row) * self.row_stride) as usize;
            // `get` cannot fail, because the length of the data was checked.
            if let Some(from) = self.data.get(start..start + row_bytes) {
                to[..row_bytes].copy_from_slice(from);
            }
        }
    }
}
