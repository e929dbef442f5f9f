//! A finished frame: bytes and layout, unchanging and shared. The last holder sends its buffer back to the ring.

mod layout;
mod readback;
mod shared;
mod snapshot;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use self::layout::{ByteOrder, CopyLayout, FrameLayout, check_size};
pub(crate) use self::readback::Readback;
#[cfg(test)]
pub(crate) use self::shared::WeakFrame;
pub(crate) use self::shared::{FramePool, SharedFrame};
pub use self::snapshot::Snapshot;
use crate::pixels::AlphaMode;
use crate::pixels::Conversion;
use crate::pixels::swap_in_place;
use crate::staging::{MappedBuffer, PooledBytes};

/// What WebRender can show: 8 bits, sRGB.
pub(crate) struct Frame {
    layout: FrameLayout,
    pixels: Pixels,
}

enum Pixels {
    Staged(MappedBuffer),
    Converted(PooledBytes),
    /// The only pixel.
    Single([u8; 4]),
}

impl Frame {
    /// A frame of what was copied, where it is; or what was copied, if WebRender cannot show that.
    pub(crate) fn of(readback: Readback) -> Result<Self, Readback> {
        match readback.layout().shown_as_it_is() {
            Some(layout) => Ok(Self { layout, pixels: Pixels::Staged(readback.into_buffer()) }),
            None => Err(readback),
        }
    }

    /// What WebRender is to show of an readback: sRGB of 8 bits. `None` without memory for it.
    pub(crate) fn converted(readback: &Readback) -> Option<Self> {
        let layout = readback.layout().converted();
        let mut pooled = readback.spare(layout.byte_len())?;
        let conversion = Conversion::new(readback.layout().pixels(), layout.order().encoding());
        let rows = pooled.bytes_mut().chunks_exact_mut(layout.stride() as usize);
        readback.rows().zip(rows).for_each(|(from, to)| conversion.row(from, to));
        Some(Self { layout, pixels: Pixels::Converted(pooled) })
    }

    /// The same frame with its bytes in `order`.
    pub(crate) fn in_order(mut self, order: ByteOrder) -> Self {
        if self.layout.order() != order {
            match &mut self.pixels {
                Pixels::Staged(buffer) => {
                    buffer.edit(|bytes| swap_red_and_blue(&self.layout, bytes));
                }
                Pixels::Converted(pooled) => swap_red_and_blue(&self.layout, pooled.bytes_mut()),
                Pixels::Single(pixel) => pixel.swap(0, 2),
            }
            self.layout = self.layout.with_order(order);
        }
        self
    }

    /// A copy of a frame of one pixel, in `order`.
    pub(crate) fn single(&self, order: ByteOrder) -> Option<Self> {
        let pixel = *self.bytes().first_chunk::<4>().filter(|_| self.layout.is_one_pixel())?;
        let layout = FrameLayout::cleared(self.layout.alpha_mode()).with_order(self.layout.order());
        Some(Self { layout, pixels: Pixels::Single(pixel) }.in_order(order))
    }

    pub(crate) fn cleared(alpha_mode: AlphaMode) -> Self {
        Self { layout: FrameLayout::cleared(alpha_mode), pixels: Pixels::Single(cleared_pixel(alpha_mode)) }
    }

    /// The pixels of each row, without the padding.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.layout.row_layout().rows(self.bytes())
    }

    pub(crate) fn layout(&self) -> &FrameLayout {
        &self.layout
    }

    /// Whether dropping the last holder frees memory, which takes milliseconds, instead of giving it back to a ring.
    pub(crate) fn is_orphan(&self) -> bool {
        match &self.pixels {
            Pixels::Staged(buffer) => buffer.is_orphan(),
            Pixels::Converted(pooled) => pooled.is_orphan(),
            Pixels::Single(_) => false,
        }
    }

    /// `layout().byte_len()` bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.pixels {
            Pixels::Staged(buffer) => {
                let bytes = buffer.bytes();
                bytes.get(..self.layout.byte_len()).unwrap_or(bytes)
            }
            Pixels::Converted(pooled) => pooled.bytes(),
            Pixels::Single(pixel) => pixel,
        }
    }
}

/// Transparent black or opaque black, in either byte order.
pub(crate) fn cleared_pixel(alpha_mode: AlphaMode) -> [u8; 4] {
    match alpha_mode {
        AlphaMode::Opaque => [0, 0, 0, 255],
        AlphaMode::Premultiplied => [0; 4],
    }
}

fn swap_red_and_blue(layout: &FrameLayout, bytes: &mut [u8]) {
    let len = layout.byte_len().min(bytes.len());
    layout.row_layout().rows_mut(&mut bytes[..len]).for_each(swap_in_place);
}

#[cfg(test)]
mod tests {
    use euclid::default::Size2D;
    use wgpu_types::TextureFormat;

    use self::testing::copy_layout;
    use super::*;
    use crate::staging::testing::mapped_buffer;

    fn one_row(width: u32, alpha_mode: AlphaMode, pixel: [u8; 4]) -> Frame {
        let layout = copy_layout(Size2D::new(width, 1), TextureFormat::Bgra8Unorm, alpha_mode).unwrap();
        let mut bytes = pixel.repeat(width as usize);
        bytes.resize(layout.byte_len(), 7);
        Frame::of(Readback::shown(layout, mapped_buffer(&bytes)))
            .unwrap_or_else(|_| panic!("it can be shown"))
    }

    fn pixels(frame: &Frame) -> Vec<u8> {
        frame.layout().row_layout().rows(frame.bytes()).flatten().copied().collect()
    }

    // R1 and R2.
    #[test]
    fn opaque_frames_have_alpha_255_and_untouched_colour() {
        let frame = one_row(3, AlphaMode::Opaque, [102, 0, 1, 102]);
        assert_eq!(pixels(&frame), [102, 0, 1, 255].repeat(3));
        assert_eq!(frame.bytes()[12], 7, "the padding is nobody's business");
    }

    // R3.
    #[test]
    fn premultiplied_frames_are_untouched() {
        let frame = one_row(3, AlphaMode::Premultiplied, [255, 128, 64, 1]);
        assert_eq!(pixels(&frame), [255, 128, 64, 1].repeat(3));
    }

    // R22.
    #[test]
    fn another_byte_order_swaps_red_and_blue() {
        let frame = one_row(2, AlphaMode::Opaque, [1, 2, 3, 4]).in_order(ByteOrder::Rgba);
        assert_eq!(pixels(&frame), [3, 2, 1, 255].repeat(2));
        assert_eq!(frame.layout().order(), ByteOrder::Rgba);
    }
}
