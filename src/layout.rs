//! Where the pixels of a frame lie in memory. All arithmetic on sizes is here, and it is checked: sizes come from web content.

use euclid::default::Size2D;
use webrender_api::{ImageDescriptor, ImageDescriptorFlags, ImageFormat, units::DeviceIntSize};
use wgpu_types::{COPY_BYTES_PER_ROW_ALIGNMENT, TextureFormat};

use crate::{AlphaMode, PresentError};

pub(crate) const BYTES_PER_PIXEL: u32 = 4;

/// The order of the four bytes of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ByteOrder {
    Bgra,
    Rgba,
}

impl ByteOrder {
    pub(crate) fn of(format: TextureFormat) -> Option<Self> {
        match format {
            TextureFormat::Bgra8Unorm => Some(Self::Bgra),
            TextureFormat::Rgba8Unorm => Some(Self::Rgba),
            _ => None,
        }
    }

    pub(crate) fn format(self) -> TextureFormat {
        match self {
            Self::Bgra => TextureFormat::Bgra8Unorm,
            Self::Rgba => TextureFormat::Rgba8Unorm,
        }
    }
}

/// The layout of a frame: `size.height` rows of `stride` bytes, each beginning with `size.width` pixels of 4 bytes.
/// Neither dimension is zero and [`byte_len`](Self::byte_len) is below 2³¹.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FrameLayout {
    size: Size2D<u32>,
    stride: u32,
    order: ByteOrder,
    alpha_mode: AlphaMode,
}

impl FrameLayout {
    /// The layout that a texture is copied to. `size` must not be empty.
    pub(crate) fn for_copy(
        size: Size2D<u32>,
        format: TextureFormat,
        alpha_mode: AlphaMode,
    ) -> Result<Self, PresentError> {
        let order = ByteOrder::of(format).ok_or(PresentError::UnsupportedFormat(format))?;
        let stride = checked_stride(size).ok_or(PresentError::TooLarge(size))?;
        Ok(Self { size, stride, order, alpha_mode })
    }

    /// The single pixel that stands for a cleared canvas of any size: WebRender stretches it over the canvas.
    pub(crate) fn cleared(alpha_mode: AlphaMode) -> Self {
        Self { size: Size2D::new(1, 1), stride: BYTES_PER_PIXEL, order: ByteOrder::Bgra, alpha_mode }
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

    /// Bytes of all rows, the last one padded too.
    pub(crate) fn byte_len(&self) -> usize {
        self.stride as usize * self.size.height as usize
    }

    /// Bytes of the pixels of one row.
    pub(crate) fn row_len(&self) -> usize {
        self.size.width as usize * BYTES_PER_PIXEL as usize
    }

    /// What WebRender is told about a frame of this layout.
    pub(crate) fn descriptor(&self) -> ImageDescriptor {
        ImageDescriptor {
            format: match self.order {
                ByteOrder::Bgra => ImageFormat::BGRA8,
                ByteOrder::Rgba => ImageFormat::RGBA8,
            },
            // No cast changes a value: byte_len is below 2³¹, so are its factors.
            size: DeviceIntSize::new(self.size.width as i32, self.size.height as i32),
            stride: Some(self.stride as i32),
            offset: 0,
            flags: match self.alpha_mode {
                AlphaMode::Opaque => ImageDescriptorFlags::IS_OPAQUE,
                AlphaMode::Premultiplied => ImageDescriptorFlags::empty(),
            },
        }
    }
}

/// Row stride of a copy in bytes, if all rows together stay below 2³¹ bytes.
fn checked_stride(size: Size2D<u32>) -> Option<u32> {
    let stride =
        size.width.checked_mul(BYTES_PER_PIXEL)?.checked_next_multiple_of(COPY_BYTES_PER_ROW_ALIGNMENT)?;
    let bytes = stride.checked_mul(size.height)?;
    i32::try_from(bytes).ok().map(|_| stride)
}

/// Whether an image of this size can exist: what holds for frames holds for cleared canvases. Empty is fine.
pub(crate) fn check_size(size: Size2D<u32>) -> Result<(), PresentError> {
    if size.is_empty() || checked_stride(size).is_some() { Ok(()) } else { Err(PresentError::TooLarge(size)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(width: u32, height: u32) -> Result<FrameLayout, PresentError> {
        FrameLayout::for_copy(Size2D::new(width, height), TextureFormat::Rgba8Unorm, AlphaMode::Opaque)
    }

    #[test]
    fn rows_are_padded_to_256_bytes() {
        for (width, stride) in [(1, 256), (64, 256), (65, 512), (301, 1280), (8193, 33024), (16384, 65536)] {
            assert_eq!(layout(width, 3).unwrap().stride(), stride, "{width}");
        }
    }

    // D15: 32-bit overflow of stride, offset and area.
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
        assert_eq!(largest.descriptor().compute_total_size(), 65536 * 32767);
    }

    #[test]
    fn other_formats_are_errors() {
        for format in [TextureFormat::Rgba16Float, TextureFormat::Rgba8UnormSrgb, TextureFormat::Depth32Float]
        {
            let layout = FrameLayout::for_copy(Size2D::new(4, 4), format, AlphaMode::Opaque);
            assert!(matches!(layout, Err(PresentError::UnsupportedFormat(f)) if f == format));
        }
    }
}
