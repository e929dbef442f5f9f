//! Where the pixels of an image lie in memory.
//!
//! A [`CopyLayout`] says how a texture lies in the staging buffer that it is copied to, a [`FrameLayout`] how WebRender is to read a frame.
//! All arithmetic on sizes of images is here, and all of it is checked, because sizes come from web content. Once a layout exists, its
//! byte length is below 2³¹ and no cast of its factors changes a value.

use std::ops::Range;

use euclid::default::{Box2D, Point2D, Size2D};
use webrender_api::{ImageDescriptor, ImageDescriptorFlags, ImageFormat, units::DeviceIntSize};
use wgpu_types::COPY_BYTES_PER_ROW_ALIGNMENT;

use crate::api::canvas::ContextConfiguration;
use crate::api::error::PresentError;
use crate::pixels::CanvasPixels;
use crate::pixels::{AlphaEncoding, AlphaMode, PixelEncoding, PixelFormat, PredefinedColorSpace};
use crate::staging::ImageLayout;

/// The largest side in pixels of an image that WebRender does not tile, unless its options say otherwise.
const LARGEST_UNTILED: u32 = 4096;

/// Bytes of a pixel that WebRender can show.
const BYTES_PER_PIXEL: u32 = 4;

/// How a renderer gets the pixels of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// It reads bytes.
    Memory,
    /// It samples a texture.
    Texture,
}

/// The order of the channels in the four bytes of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ByteOrder {
    Bgra,
    Rgba,
}

impl ByteOrder {
    pub(crate) fn format(self) -> PixelFormat {
        match self {
            Self::Bgra => PixelFormat::Bgra8,
            Self::Rgba => PixelFormat::Rgba8,
        }
    }

    /// The encoding that pixels are converted to for a frame in this order.
    pub(crate) fn encoding(self) -> PixelEncoding {
        PixelEncoding {
            format: self.format(),
            color_space: PredefinedColorSpace::Srgb,
            alpha: AlphaEncoding::Premultiplied,
        }
    }
}

/// How the rows of an image lie in memory, in bytes.
pub(crate) struct RowLayout {
    /// Bytes from one row to the next.
    pub(crate) stride: usize,
    /// Bytes of the pixels of one row.
    pub(crate) row_len: usize,
}

impl RowLayout {
    /// Returns the pixels of each row, without the padding.
    pub(crate) fn rows<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let row_len = self.row_len;
        bytes.chunks_exact(self.stride).map(move |row| &row[..row_len])
    }

    /// Returns the bytes `columns` of each of `rows`. What does not exist of them is left out.
    pub(crate) fn part<'a>(
        &self,
        bytes: &'a [u8],
        columns: Range<usize>,
        rows: Range<usize>,
    ) -> StoredRows<'a> {
        StoredRows { bytes, stride: self.stride, columns, rows }
    }

    /// Returns the pixels of each row for writing, without the padding.
    pub(crate) fn rows_mut<'a>(&self, bytes: &'a mut [u8]) -> impl Iterator<Item = &'a mut [u8]> + use<'a> {
        let row_len = self.row_len;
        bytes.chunks_exact_mut(self.stride).map(move |row| &mut row[..row_len])
    }
}

/// Some of the rows of an image, and of each of them a part. Yields the parts from top to bottom.
pub(crate) struct StoredRows<'a> {
    bytes: &'a [u8],
    /// Bytes from one row to the next.
    stride: usize,
    /// Bytes from the beginning of a row.
    columns: Range<usize>,
    rows: Range<usize>,
}

impl<'a> StoredRows<'a> {
    /// Returns all pixels at once, if they lie one after the other.
    pub(crate) fn whole(&self) -> Option<&'a [u8]> {
        let Range { start, end } = self.rows;
        let is_whole = self.columns == (0..self.stride);
        is_whole.then(|| self.bytes.get(start * self.stride..end * self.stride))?
    }
}

impl<'a> Iterator for StoredRows<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let row = self.bytes.get(self.rows.next()? * self.stride..)?;
        row.get(self.columns.clone())
    }
}

/// How a texture, or a part of it, lies in the staging buffer that it is copied to. Rows are padded to what a copy needs; the format is any that a canvas
/// can have; neither dimension is zero, and all rows together have less than 2³¹ bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CopyLayout {
    /// The first pixel of the texture that is copied.
    origin: Point2D<u32>,
    size: Size2D<u32>,
    stride: u32,
    pixels: CanvasPixels,
}

impl CopyLayout {
    /// Returns the layout for a texture of this configuration. Precondition: its size is not empty.
    pub(crate) fn of(configuration: &ContextConfiguration) -> Result<Self, PresentError> {
        Self::of_region(configuration, Box2D::from_size(configuration.size))
    }

    /// Returns the layout for a part of a texture of this configuration. Precondition: the part is not empty, and lies inside the texture.
    pub(crate) fn of_region(
        configuration: &ContextConfiguration,
        region: Box2D<u32>,
    ) -> Result<Self, PresentError> {
        let ContextConfiguration { format, color_space, alpha_mode, .. } = *configuration;
        let (origin, size) = (region.min, region.size());
        let format = PixelFormat::of(format).ok_or(PresentError::UnsupportedFormat(format))?;
        let stride = checked_stride(size, format).ok_or(PresentError::TooLarge(size))?;
        Ok(Self { origin, size, stride, pixels: CanvasPixels { format, color_space, alpha_mode } })
    }

    /// Whether WebRender may draw a frame of this size in tiles.
    pub(crate) fn is_tiled(&self) -> bool {
        self.size.width.max(self.size.height) > LARGEST_UNTILED
    }

    /// Returns the layout of the same pixels where the texture lies in an image. `None` if the image is of another size or
    /// format, or has 2³¹ bytes or more.
    pub(crate) fn in_place(self, image: &ImageLayout) -> Option<Self> {
        let ImageLayout { shape, stride } = *image;
        let is_same = shape.size == self.size && PixelFormat::of(shape.format) == Some(self.pixels.format);
        let bytes = stride.checked_mul(self.size.height).map(i32::try_from);
        (is_same && matches!(bytes, Some(Ok(_)))).then_some(Self { stride, ..self })
    }

    /// Returns the layout with the alpha mode and the color space of another one, if that has the same size and format.
    pub(crate) fn with_meaning_of(self, other: &Self) -> Self {
        let is_same = (self.size, self.pixels.format) == (other.size, other.pixels.format);
        Self { pixels: if is_same { other.pixels } else { self.pixels }, ..self }
    }

    /// The first pixel of the texture that is copied.
    pub(crate) fn origin(&self) -> Point2D<u32> {
        self.origin
    }

    /// The part of the texture that is copied.
    pub(crate) fn region(&self) -> Box2D<u32> {
        // This cannot overflow: the part lies inside the texture.
        Box2D::from_origin_and_size(self.origin, self.size)
    }

    pub(crate) fn size(&self) -> Size2D<u32> {
        self.size
    }

    /// Bytes from one row to the next.
    pub(crate) fn stride(&self) -> u32 {
        self.stride
    }

    pub(crate) fn pixels(&self) -> CanvasPixels {
        self.pixels
    }

    /// Bytes of all rows; the last row is padded too.
    pub(crate) fn byte_len(&self) -> usize {
        self.stride as usize * self.size.height as usize
    }

    /// Bytes of all pixels, without the padding of rows.
    pub(crate) fn pixels_len(&self) -> usize {
        self.row_layout().row_len * self.size.height as usize
    }

    pub(crate) fn row_layout(&self) -> RowLayout {
        let row_len = self.size.width as usize * self.pixels.format.bytes_per_pixel();
        RowLayout { stride: self.stride as usize, row_len }
    }

    /// Returns the layout of a frame that consists of the copied bytes; `None` if WebRender cannot show them as they are.
    pub(crate) fn shown_as_it_is(&self) -> Option<FrameLayout> {
        let order = match (self.pixels.format, self.pixels.color_space) {
            (PixelFormat::Bgra8, PredefinedColorSpace::Srgb) => ByteOrder::Bgra,
            (PixelFormat::Rgba8, PredefinedColorSpace::Srgb) => ByteOrder::Rgba,
            (PixelFormat::Rgba16Float, _) | (_, PredefinedColorSpace::DisplayP3) => return None,
        };
        let Self { size, stride, pixels, .. } = *self;
        let alpha_mode = pixels.alpha_mode;
        Some(FrameLayout { size, stride, order, alpha_mode, place: Place::Memory })
    }

    /// Returns the layout of a frame that is converted from the copied bytes. It has no padding.
    pub(crate) fn converted(&self) -> FrameLayout {
        let order = match self.pixels.format {
            PixelFormat::Rgba8 => ByteOrder::Rgba,
            // WebRender prefers this order.
            PixelFormat::Bgra8 | PixelFormat::Rgba16Float => ByteOrder::Bgra,
        };
        // This cannot overflow: the stride of the copied bytes is no smaller.
        let stride = self.size.width * BYTES_PER_PIXEL;
        let alpha_mode = self.pixels.alpha_mode;
        FrameLayout { size: self.size, stride, order, alpha_mode, place: Place::Memory }
    }

    /// Returns the layout of a frame that is a texture with these pixels; `None` if WebRender cannot show them as they are.
    pub(crate) fn as_texture(&self) -> Option<FrameLayout> {
        let shown = self.shown_as_it_is()?;
        // Frames of the same pixels have the same layout, whatever their copies look like.
        Some(FrameLayout { stride: self.size.width * BYTES_PER_PIXEL, place: Place::Texture, ..shown })
    }
}

/// How a frame lies in memory: `size.height` rows of `stride` bytes, each of which begins with `size.width` pixels of 4 bytes. Neither
/// dimension is zero, and all rows together have less than 2³¹ bytes. A texture has the layout that its pixels would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FrameLayout {
    size: Size2D<u32>,
    stride: u32,
    order: ByteOrder,
    alpha_mode: AlphaMode,
    place: Place,
}

impl FrameLayout {
    /// Returns the layout of the single pixel that stands for a cleared canvas of any size. WebRender stretches it over the canvas.
    pub(crate) fn cleared(alpha_mode: AlphaMode) -> Self {
        let (size, order) = (Size2D::new(1, 1), ByteOrder::Bgra);
        Self { size, stride: BYTES_PER_PIXEL, order, alpha_mode, place: Place::Memory }
    }

    pub(crate) fn with_order(self, order: ByteOrder) -> Self {
        Self { order, ..self }
    }

    pub(crate) fn size(&self) -> Size2D<u32> {
        self.size
    }

    pub(crate) fn order(&self) -> ByteOrder {
        self.order
    }

    pub(crate) fn alpha_mode(&self) -> AlphaMode {
        self.alpha_mode
    }

    /// Bytes from one row to the next.
    pub(crate) fn stride(&self) -> u32 {
        self.stride
    }

    pub(crate) fn is_one_pixel(&self) -> bool {
        self.size == Size2D::new(1, 1)
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Bytes that a renderer reads: those of all rows, the last row padded too; none of a texture.
    pub(crate) fn byte_len(&self) -> usize {
        match self.place {
            Place::Memory => self.memory_len(),
            Place::Texture => 0,
        }
    }

    /// Bytes of all rows, wherever they are.
    pub(crate) fn memory_len(&self) -> usize {
        self.stride as usize * self.size.height as usize
    }

    pub(crate) fn row_layout(&self) -> RowLayout {
        let row_len = self.size.width as usize * BYTES_PER_PIXEL as usize;
        RowLayout { stride: self.stride as usize, row_len }
    }

    /// Returns what WebRender is told of a frame with this layout.
    pub(crate) fn descriptor(&self) -> ImageDescriptor {
        ImageDescriptor {
            format: match self.order {
                ByteOrder::Bgra => ImageFormat::BGRA8,
                ByteOrder::Rgba => ImageFormat::RGBA8,
            },
            // No cast changes a value, because the byte length is below 2³¹ and so are its factors.
            size: DeviceIntSize::new(self.size.width as i32, self.size.height as i32),
            stride: (self.place == Place::Memory).then_some(self.stride as i32),
            offset: 0,
            flags: match self.alpha_mode {
                AlphaMode::Opaque => ImageDescriptorFlags::IS_OPAQUE,
                AlphaMode::Premultiplied => ImageDescriptorFlags::empty(),
            },
        }
    }
}

/// Returns the row stride of a copy in bytes, if all rows together stay below 2³¹ bytes.
fn checked_stride(size: Size2D<u32>, format: PixelFormat) -> Option<u32> {
    let row = size.width.checked_mul(u32::try_from(format.bytes_per_pixel()).ok()?)?;
    let stride = row.checked_next_multiple_of(COPY_BYTES_PER_ROW_ALIGNMENT)?;
    let bytes = stride.checked_mul(size.height)?;
    i32::try_from(bytes).ok().map(|_| stride)
}

/// Checks that a cleared canvas of this size is not larger than a frame of 4 bytes a pixel may be. Empty sizes pass.
pub(crate) fn check_size(size: Size2D<u32>) -> Result<(), PresentError> {
    if size.is_empty() || checked_stride(size, PixelFormat::Bgra8).is_some() {
        Ok(())
    } else {
        Err(PresentError::TooLarge(size))
    }
}

#[cfg(test)]
mod tests {
    use wgpu_types::TextureFormat;

    use super::*;
    use crate::frame::testing::copy_layout;

    fn layout(width: u32, height: u32) -> Result<CopyLayout, PresentError> {
        copy_layout(Size2D::new(width, height), TextureFormat::Rgba8Unorm, AlphaMode::Opaque)
    }

    #[test]
    fn rows_are_padded_to_256_bytes() {
        for (width, stride) in [(1, 256), (64, 256), (65, 512), (301, 1280), (8193, 33024), (16384, 65536)] {
            assert_eq!(layout(width, 3).unwrap().stride(), stride, "{width}");
        }
        let halves = copy_layout(Size2D::new(33, 3), TextureFormat::Rgba16Float, AlphaMode::Opaque).unwrap();
        assert_eq!((halves.stride(), halves.row_layout().row_len, halves.byte_len()), (512, 264, 1536));
    }

    // The stride, the offset of a row and the area must not wrap around in 32 bits.
    #[test]
    fn sizes_that_overflow_are_errors() {
        for (width, height) in [
            (u32::MAX, 1),
            (u32::MAX / 4, 1),
            (u32::MAX / 4 + 1, 1),
            (1 << 30, 4),
            (32768, 16384),
            (65536, 65536),
            (1, u32::MAX),
        ] {
            assert!(matches!(layout(width, height), Err(PresentError::TooLarge(_))), "{width}×{height}");
        }
        let largest = layout(16384, 32767).unwrap();
        assert_eq!(largest.byte_len(), 65536 * 32767);
        let descriptor = largest.shown_as_it_is().unwrap().descriptor();
        assert_eq!(descriptor.compute_total_size(), 65536 * 32767);
        for (size, fits) in [((16384, 16383), true), ((16384, 16384), false), ((1 << 29, 1), false)] {
            let size = Size2D::new(size.0, size.1);
            let halves = copy_layout(size, TextureFormat::Rgba16Float, AlphaMode::Opaque);
            assert_eq!(halves.is_ok(), fits, "{size:?}");
        }
    }

    #[test]
    fn other_formats_are_errors() {
        for format in [TextureFormat::Rgba32Float, TextureFormat::Rgba8UnormSrgb, TextureFormat::Depth32Float]
        {
            let layout = copy_layout(Size2D::new(4, 4), format, AlphaMode::Opaque);
            assert!(matches!(layout, Err(PresentError::UnsupportedFormat(f)) if f == format));
        }
    }

    #[test]
    fn frames_that_are_made_have_no_padding() {
        let halves = copy_layout(Size2D::new(33, 3), TextureFormat::Rgba16Float, AlphaMode::Opaque).unwrap();
        assert!(halves.shown_as_it_is().is_none());
        let layout = halves.converted();
        assert_eq!((layout.stride(), layout.byte_len(), layout.order()), (132, 396, ByteOrder::Bgra));
        assert_eq!(layout.descriptor().stride, Some(132));
    }
}
