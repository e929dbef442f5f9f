//! Small writes at a constant distance, found among the copies of a flush, for which a few copies by way of a
//! texture can stand.
//!
//! wgpu-core records a barrier between any two copies to the same buffer, so that the GPU does scattered writes
//! one after the other, each as a copy of its own. A copy from a texture to a buffer, however, may put its rows
//! at any distance that is a multiple of 256 bytes. Here is how the writes `A`, `B`, … of `size` bytes, which lie
//! one behind the other in a chunk and `distance` bytes apart in the buffer, become three copies, if two times
//! `size` and two times `distance` are multiples of 256:
//!
//! ```text
//! chunk: A B C D E F ── a copy ──▶ texture: A B
//!                                           C D
//!                                           E F
//!                                           │ └─ a copy ──▶ buffer: B at distance, D at 3 distance, F at 5 distance
//!                                           └─── a copy ──▶ buffer: A at 0, C at 2 distance, E at 4 distance
//! ```
//!
//! Between the rows nothing is written, and wgpu-core knows that: it zeroes what was never written there before
//! the copy, and leaves the rest as it is. `intake` asks for the [`Strided`] copies at the beginning of what is
//! still to be recorded, and `device` records their [`Block`]s.

use wgpu_core::id::BufferId;
use wgpu_types::{COPY_BYTES_PER_ROW_ALIGNMENT, TextureFormat};

use super::copies::PendingCopy;

/// Fewer copies than this are recorded as they are, because a texture costs something too.
const MIN_COUNT: usize = 128;

/// With fewer rows the copies of the columns would be too many to win anything.
const MIN_ROWS: u64 = 4;

/// Larger copies are recorded as they are, because their bytes would be copied twice: in bytes.
const MAX_SIZE: u64 = 1 << 10;

/// Copies of the same size from places one behind the other in a chunk to places at a constant distance in a
/// buffer. They do not overlap. Sizes, offsets and the distance are in bytes, and multiples of 4.
pub(super) struct Strided {
    chunk: BufferId,
    chunk_offset: u64,
    target: BufferId,
    target_offset: u64,
    size: u64,
    distance: u64,
    pub(super) count: usize,
}

/// [`Strided`] copies that fit one texture, which is filled by one copy.
pub(super) struct Block {
    pub(super) chunk: BufferId,
    pub(super) chunk_offset: u64,
    pub(super) target: BufferId,
    pub(super) target_offset: u64,
    /// Bytes from one column to the next in the buffer.
    pub(super) column_distance: u64,
    /// Bytes from one row to the next in the chunk. A multiple of 256.
    pub(super) chunk_stride: u32,
    /// Bytes from one row to the next in the buffer. A multiple of 256.
    pub(super) target_stride: u32,
    /// The number of columns. Each column needs a copy of its own.
    pub(super) columns: u32,
    /// The number of rows. Each row has a write in each column.
    pub(super) rows: u32,
    /// Texels in the width of a column.
    pub(super) column_width: u32,
    pub(super) format: TextureFormat,
}

impl Block {
    /// Returns the number of copies that the block stands for.
    pub(super) fn count(&self) -> usize {
        self.columns as usize * self.rows as usize
    }
}

impl Strided {
    /// Returns the longest sequence of such copies at the beginning of `copies`, if it has more than one.
    pub(super) fn leading(copies: &[PendingCopy]) -> Option<Self> {
        let [PendingCopy::Buffer(first), PendingCopy::Buffer(second), ..] = copies else { return None };
        let size = first.size;
        let distance = second.target_offset.checked_sub(first.target_offset).filter(|&far| far > size)?;
        let follows = |pair: &[PendingCopy]| {
            let [PendingCopy::Buffer(copy), PendingCopy::Buffer(next)] = pair else { return false };
            (next.chunk, next.target, next.size) == (first.chunk, first.target, size)
                && next.chunk_offset == copy.chunk_offset + size
                && next.target_offset.checked_sub(copy.target_offset) == Some(distance)
        };
        let count = 1 + copies.windows(2).take_while(|pair| follows(pair)).count();
        (count > 1).then_some(Self {
            chunk: first.chunk,
            chunk_offset: first.chunk_offset,
            target: first.target,
            target_offset: first.target_offset,
            size,
            distance,
            count,
        })
    }

    /// Returns the blocks that stand for the first copies, in their order. `largest_texture` is the limit of the
    /// device in texels. There are none if they would not win anything.
    pub(super) fn blocks(&self, largest_texture: u32) -> Vec<Block> {
        let &Self { chunk, target, size, distance, .. } = self;
        let row_alignment = u64::from(COPY_BYTES_PER_ROW_ALIGNMENT);
        // A row has so many writes that it is a multiple of 256 bytes long, and also lies that far apart.
        let columns = row_alignment >> (size | distance | row_alignment).trailing_zeros();
        // Larger texels are copied faster. Offsets must be multiples of their size.
        let places = size | distance | self.chunk_offset | self.target_offset;
        let (format, texel) = match places % 16 {
            0 => (TextureFormat::Rgba32Uint, 16),
            _ => (TextureFormat::R32Uint, 4),
        };
        let (chunk_stride, target_stride) = (columns * size, columns.saturating_mul(distance));
        let (Ok(chunk_stride), Ok(target_stride)) =
            (u32::try_from(chunk_stride), u32::try_from(target_stride))
        else {
            return Vec::new();
        };
        let rows = self.count as u64 / columns;
        if self.count < MIN_COUNT
            || size > MAX_SIZE
            || rows < MIN_ROWS
            || u64::from(chunk_stride) / texel > u64::from(largest_texture)
        {
            return Vec::new();
        }
        let rows_each = u64::from(largest_texture);
        (0..rows)
            .step_by(largest_texture as usize)
            .map(|row| Block {
                chunk,
                chunk_offset: self.chunk_offset + row * u64::from(chunk_stride),
                target,
                target_offset: self.target_offset + row * u64::from(target_stride),
                column_distance: distance,
                chunk_stride,
                target_stride,
                // These fit: there are at most 64 columns, and no more rows than a `u32` counts.
                columns: columns as u32,
                rows: rows_each.min(rows - row) as u32,
                column_width: (size / texel) as u32,
                format,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::belt::copies::BufferCopy;

    /// Does what the copies of a block do. Fails if WebGPU would refuse one of them.
    fn copy_block(block: &Block, largest_texture: u32, chunk: &[u8], target: &mut [u8]) {
        let texel = u64::from(block.format.block_copy_size(None).unwrap());
        let width = block.columns * block.column_width;
        assert!(width <= largest_texture && block.rows <= largest_texture);
        assert_eq!(u64::from(block.chunk_stride), u64::from(width) * texel);
        assert_eq!((block.chunk_stride % 256, block.target_stride % 256), (0, 0));
        let size = u64::from(block.column_width) * texel;
        for column in 0..u64::from(block.columns) {
            let offset = block.target_offset + column * block.column_distance;
            assert_eq!((block.chunk_offset % texel, offset % texel), (0, 0));
            for row in 0..u64::from(block.rows) {
                let from = block.chunk_offset + row * u64::from(block.chunk_stride) + column * size;
                let to = offset + row * u64::from(block.target_stride);
                let (from, to, size) = (from as usize, to as usize, size as usize);
                target[to..to + size].copy_from_slice(&chunk[from..from + size]);
            }
        }
    }

    proptest! {
        // What is copied before and after the strided copies has another distance.
        #[test]
        fn blocks_do_what_their_copies_would(
            (before, count, after) in (0..3usize, 1..600usize, 0..3usize),
            (size, gap) in (1..80u64, 1..80u64),
            (chunk_offset, target_offset) in (0..20u64, 0..20u64),
            largest_texture in prop_oneof![Just(16u32), Just(64), Just(8192)],
        ) {
            let (size, distance) = (size * 4, (size + gap) * 4);
            let (chunk_offset, target_offset) = (chunk_offset * 4, target_offset * 4);
            let ids = (BufferId::zip(1, 1), BufferId::zip(2, 1));
            let mut place = target_offset;
            let copies: Vec<_> = (0..before + count + after).map(|index| {
                let copy = BufferCopy {
                    chunk: ids.0,
                    chunk_offset: chunk_offset + index as u64 * size,
                    target: ids.1,
                    target_offset: place,
                    size,
                };
                place += if (before..before + count - 1).contains(&index) { distance } else { distance + 4 };
                PendingCopy::Buffer(copy)
            }).collect();
            let chunk: Vec<u8> = (0..chunk_offset + copies.len() as u64 * size).map(|byte| byte as u8).collect();
            let mut target = vec![0; (place + size) as usize];
            let mut wanted = target.clone();
            let strided = Strided::leading(&copies[before..]);
            prop_assert_eq!(strided.as_ref().map_or(1, |strided| strided.count), match count {
                1 => (1 + after).min(3),
                count => count,
            });
            let mut done = before;
            for block in strided.iter().flat_map(|strided| strided.blocks(largest_texture)) {
                copy_block(&block, largest_texture, &chunk, &mut target);
                done += block.count();
            }
            for copy in &copies[before..done] {
                let PendingCopy::Buffer(copy) = copy else { unreachable!() };
                let from = &chunk[copy.chunk_offset as usize..][..size as usize];
                wanted[copy.target_offset as usize..][..size as usize].copy_from_slice(from);
            }
            prop_assert!(target == wanted);
            if count >= 1024 / 4 && size <= 256 && largest_texture == 8192 {
                prop_assert!(done > before);
            }
        }
    }
}
