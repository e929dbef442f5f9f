//! A finished frame: bytes and layout, unchanging and shared. The last holder sends its buffer back to the ring.

use crate::AlphaMode;
use crate::layout::{ByteOrder, FrameLayout};
use crate::staging::MappedBuffer;

pub(crate) struct Frame {
    layout: FrameLayout,
    pixels: Pixels,
}

enum Pixels {
    Staged(MappedBuffer),
    /// The only pixel.
    Single([u8; 4]),
}

impl Frame {
    /// A frame of what was copied, with alpha 255 if it is opaque.
    ///
    /// WebRender blends opaque images too (when clipped, rotated or anti-aliased), so the flag alone is not enough.
    pub(crate) fn staged(layout: FrameLayout, mut buffer: MappedBuffer) -> Self {
        if layout.alpha_mode() == AlphaMode::Opaque && !is_opaque(&layout, buffer.bytes()) {
            buffer.edit(|bytes| each_pixel(&layout, bytes, |pixel| pixel[3] = 255));
        }
        Self { layout, pixels: Pixels::Staged(buffer) }
    }

    /// The same frame with its bytes in `order`.
    pub(crate) fn in_order(mut self, order: ByteOrder) -> Self {
        if self.layout.order() != order {
            match &mut self.pixels {
                Pixels::Staged(buffer) => {
                    buffer.edit(|bytes| each_pixel(&self.layout, bytes, |pixel| pixel.swap(0, 2)));
                }
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

    pub(crate) fn layout(&self) -> &FrameLayout {
        &self.layout
    }

    /// Whether dropping the last holder frees memory, which takes milliseconds, instead of giving it back to a ring.
    pub(crate) fn is_orphan(&self) -> bool {
        match &self.pixels {
            Pixels::Staged(buffer) => buffer.is_orphan(),
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

/// The pixels of each row, without the padding.
pub(crate) fn rows<'a>(layout: &FrameLayout, bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let row_len = layout.row_len();
    bytes.chunks_exact(layout.stride() as usize).map(move |row| &row[..row_len])
}

fn is_opaque(layout: &FrameLayout, bytes: &[u8]) -> bool {
    rows(layout, &bytes[..layout.byte_len().min(bytes.len())]).all(|row| {
        let (pixels, _) = row.as_chunks::<4>();
        // A fold without an early exit is vectorised; a row is short.
        pixels.iter().fold(255, |alpha, pixel| alpha & pixel[3]) == 255
    })
}

fn each_pixel(layout: &FrameLayout, bytes: &mut [u8], change: impl Fn(&mut [u8; 4])) {
    let row_len = layout.row_len();
    let len = layout.byte_len().min(bytes.len());
    for row in bytes[..len].chunks_exact_mut(layout.stride() as usize) {
        let (pixels, _) = row[..row_len].as_chunks_mut::<4>();
        pixels.iter_mut().for_each(&change);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use euclid::default::Size2D;
    use wgpu_types::TextureFormat;

    use super::*;
    use crate::gpu::fake::mapped_buffer;

    /// A frame of zeros.
    pub(crate) fn frame_of(layout: FrameLayout) -> Arc<Frame> {
        let buffer = mapped_buffer(&vec![0; layout.byte_len()]);
        Arc::new(Frame { layout, pixels: Pixels::Staged(buffer) })
    }

    /// A frame of four bytes, whatever its layout says.
    pub(crate) fn marked_frame(layout: FrameLayout, mark: u32) -> Arc<Frame> {
        Arc::new(Frame { layout, pixels: Pixels::Single(mark.to_le_bytes()) })
    }

    fn one_row(width: u32, alpha_mode: AlphaMode, pixel: [u8; 4]) -> (FrameLayout, MappedBuffer) {
        let size = Size2D::new(width, 1);
        let layout = FrameLayout::for_copy(size, TextureFormat::Bgra8Unorm, alpha_mode).unwrap();
        let mut bytes = pixel.repeat(width as usize);
        bytes.resize(layout.byte_len(), 7);
        (layout, mapped_buffer(&bytes))
    }

    fn pixels(frame: &Frame) -> Vec<u8> {
        rows(frame.layout(), frame.bytes()).flatten().copied().collect()
    }

    // R1 and R2.
    #[test]
    fn opaque_frames_have_alpha_255_and_untouched_colour() {
        let (layout, buffer) = one_row(3, AlphaMode::Opaque, [102, 0, 1, 102]);
        let frame = Frame::staged(layout, buffer);
        assert_eq!(pixels(&frame), [102, 0, 1, 255].repeat(3));
        assert_eq!(frame.bytes()[12], 7, "the padding is nobody's business");
    }

    // R3.
    #[test]
    fn premultiplied_frames_are_untouched() {
        let (layout, buffer) = one_row(3, AlphaMode::Premultiplied, [255, 128, 64, 1]);
        let frame = Frame::staged(layout, buffer);
        assert_eq!(pixels(&frame), [255, 128, 64, 1].repeat(3));
    }

    // R22.
    #[test]
    fn another_byte_order_swaps_red_and_blue() {
        let (layout, buffer) = one_row(2, AlphaMode::Opaque, [1, 2, 3, 4]);
        let frame = Frame::staged(layout, buffer).in_order(ByteOrder::Rgba);
        assert_eq!(pixels(&frame), [3, 2, 1, 255].repeat(2));
        assert_eq!(frame.layout().order(), ByteOrder::Rgba);
    }
}
