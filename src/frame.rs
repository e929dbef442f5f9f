//! Frames: the pixels of a canvas at one moment, with a layout, unchanging and shared.
//!
//! A poller makes a [`Frame`] of a staging buffer whose copy is done. The frame is what WebRender shows; if script must read something
//! else than that (half floats, or another color space), a [`Readback`] keeps the bytes as they were copied. A [`Snapshot`] is either of
//! them in the hands of script. When the last holder of a frame drops it, its staging buffer goes back to the ring of its context.
//!
//! The folder imports `staging`, `pixels` and `api`. It hands out frames, snapshots, and the layouts of both; all arithmetic on sizes of
//! images is in `layout`.

mod layout;
mod readback;
mod shared;
mod snapshot;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use crate::pixels::{AlphaMode, Conversion, swap_in_place};
use crate::staging::{MappedBuffer, PooledBytes};

pub(crate) use crate::staging::{CountedBytes, DeviceUuids, SharedImage};

pub(crate) use self::layout::{ByteOrder, CopyLayout, FrameLayout, Place, check_size};
pub(crate) use self::readback::{ImageRead, Readback};
#[cfg(test)]
pub(crate) use self::shared::WeakFrame;
pub(crate) use self::shared::{FramePool, SharedFrame};
pub use self::snapshot::{Rows, Snapshot};

/// Pixels that WebRender can show: 8 bits a channel, sRGB, and alpha 255 if the canvas is opaque.
pub(crate) struct Frame {
    layout: FrameLayout,
    pixels: Pixels,
}

enum Pixels {
    /// The bytes that the GPU copied, in place.
    Staged(MappedBuffer),
    /// Bytes that were converted from those that the GPU copied.
    Converted(PooledBytes),
    /// Bytes that script reads too.
    Read(Arc<Readback>),
    /// A texture, and the layout of a copy of it. There are no bytes.
    Texture(MappedBuffer, CopyLayout),
    /// The only pixel of a frame of one pixel.
    Single([u8; 4]),
}

impl Frame {
    /// Makes a frame of a texture that another API can sample. `layout` is that of the texture that was copied to it. Returns
    /// `None` if WebRender cannot show its pixels as they are.
    pub(crate) fn of_texture(layout: &CopyLayout, texture: MappedBuffer) -> Option<Self> {
        Some(Self { layout: layout.as_texture()?, pixels: Pixels::Texture(texture, *layout) })
    }

    /// Makes a frame of bytes that script reads too. Returns `None` if WebRender cannot show them as they are.
    pub(crate) fn of_read(readback: &Arc<Readback>) -> Option<Self> {
        let layout = readback.layout().shown_as_it_is()?;
        Some(Self { layout, pixels: Pixels::Read(readback.clone()) })
    }

    /// Makes a frame of the copied bytes, in place. Returns them if WebRender cannot show them as they are.
    pub(crate) fn of(readback: Readback) -> Result<Self, Readback> {
        match readback.layout().shown_as_it_is() {
            Some(layout) => Ok(Self { layout, pixels: Pixels::Staged(readback.into_buffer()) }),
            None => Err(readback),
        }
    }

    /// Converts copied bytes to what WebRender can show. Returns `None` if no memory can be had for the frame.
    pub(crate) fn converted(readback: &Readback) -> Option<Self> {
        let layout = readback.layout().converted();
        let mut pooled = readback.spare(layout.byte_len())?;
        let conversion = Conversion::new(readback.layout().pixels(), layout.order().encoding());
        let rows = pooled.bytes_mut().chunks_exact_mut(layout.stride() as usize);
        readback.rows().zip(rows).for_each(|(from, to)| conversion.row(from, to));
        Some(Self { layout, pixels: Pixels::Converted(pooled) })
    }

    /// Puts the bytes of each pixel in `order`, in place.
    pub(crate) fn in_order(mut self, order: ByteOrder) -> Self {
        if self.layout.order() != order {
            match &mut self.pixels {
                Pixels::Staged(buffer) => {
                    buffer.edit(|bytes| swap_red_and_blue(&self.layout, bytes));
                }
                Pixels::Converted(pooled) => swap_red_and_blue(&self.layout, pooled.bytes_mut()),
                Pixels::Single(pixel) => pixel.swap(0, 2),
                // Bytes that others read are not changed, and a texture has its order for good.
                Pixels::Read(_) | Pixels::Texture(..) => return self,
            }
            self.layout = self.layout.with_order(order);
        }
        self
    }

    /// Copies a frame of one pixel, with its bytes in `order`. Returns `None` if the frame is larger.
    pub(crate) fn single(&self, order: ByteOrder) -> Option<Self> {
        let pixel = *self.bytes().first_chunk::<4>().filter(|_| self.layout.is_one_pixel())?;
        let layout = FrameLayout::cleared(self.layout.alpha_mode()).with_order(self.layout.order());
        Some(Self { layout, pixels: Pixels::Single(pixel) }.in_order(order))
    }

    /// Makes the single pixel that stands for a cleared canvas of any size.
    pub(crate) fn cleared(alpha_mode: AlphaMode) -> Self {
        Self { layout: FrameLayout::cleared(alpha_mode), pixels: Pixels::Single(cleared_pixel(alpha_mode)) }
    }

    pub(crate) fn layout(&self) -> &FrameLayout {
        &self.layout
    }

    /// Counts a copy of the bytes as memory of the same context, until the result is dropped. A single pixel is not counted.
    pub(crate) fn count_copy(&self) -> Option<CountedBytes> {
        let len = self.bytes().len();
        match &self.pixels {
            Pixels::Staged(buffer) => Some(buffer.count_more(len)),
            Pixels::Converted(pooled) => Some(pooled.count_more(len)),
            Pixels::Read(_) | Pixels::Texture(..) | Pixels::Single(_) => None,
        }
    }

    /// Whether dropping the last holder frees memory, which takes milliseconds, instead of giving it back to a ring. True once the
    /// context of the frame is gone.
    pub(crate) fn is_orphan(&self) -> bool {
        match &self.pixels {
            Pixels::Staged(buffer) | Pixels::Texture(buffer, _) => buffer.is_orphan(),
            Pixels::Read(readback) => readback.is_orphan(),
            Pixels::Converted(pooled) => pooled.is_orphan(),
            Pixels::Single(_) => false,
        }
    }

    /// Returns the image that a renderer samples; `None` if it reads bytes.
    pub(crate) fn texture(&self) -> Option<Arc<dyn SharedImage>> {
        match &self.pixels {
            Pixels::Texture(buffer, _) => buffer.shared_image(),
            _ => None,
        }
    }

    /// Returns what it takes to read the frame's texture; `None` if the frame is bytes.
    pub(crate) fn image_read(&self) -> Option<ImageRead> {
        match &self.pixels {
            Pixels::Texture(buffer, layout) => {
                let (source, image) = (buffer.copy_source()?, buffer.shared_image()?);
                Some(ImageRead { source, device: image.device(), uuids: image.uuids(), layout: *layout })
            }
            _ => None,
        }
    }

    /// Whether a renderer can have the frame that reads `len` bytes, if it reads bytes.
    pub(crate) fn serves(&self, len: usize) -> bool {
        self.layout.place() == Place::Texture || self.bytes().len() >= len
    }

    /// Returns the `layout().byte_len()` bytes of the frame.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.pixels {
            Pixels::Staged(buffer) => {
                let bytes = buffer.bytes();
                bytes.get(..self.layout.byte_len()).unwrap_or(bytes)
            }
            Pixels::Converted(pooled) => pooled.bytes(),
            Pixels::Read(readback) => readback.bytes(),
            Pixels::Texture(..) => &[],
            Pixels::Single(pixel) => pixel,
        }
    }
}

/// The pixel of a cleared canvas: transparent black or opaque black. It is the same in both byte orders.
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

    // WebRender blends images that say they are opaque, so their alpha must be 255 in the bytes.
    #[test]
    fn opaque_frames_have_alpha_255_and_untouched_colour() {
        let frame = one_row(3, AlphaMode::Opaque, [102, 0, 1, 102]);
        assert_eq!(pixels(&frame), [102, 0, 1, 255].repeat(3));
        assert_eq!(frame.bytes()[12], 7, "the padding is left alone");
    }

    #[test]
    fn premultiplied_frames_are_untouched() {
        let frame = one_row(3, AlphaMode::Premultiplied, [255, 128, 64, 1]);
        assert_eq!(pixels(&frame), [255, 128, 64, 1].repeat(3));
    }

    #[test]
    fn another_byte_order_swaps_red_and_blue() {
        let frame = one_row(2, AlphaMode::Opaque, [1, 2, 3, 4]).in_order(ByteOrder::Rgba);
        assert_eq!(pixels(&frame), [3, 2, 1, 255].repeat(2));
        assert_eq!(frame.layout().order(), ByteOrder::Rgba);
    }
}
