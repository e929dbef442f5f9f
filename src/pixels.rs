//! What the bytes of pixels mean.

mod color_space;
mod conversion;
mod opacity;
mod packed;
mod planar;

pub(crate) use self::conversion::Conversion;
pub(crate) use self::opacity::{is_opaque, make_opaque};
pub(crate) use self::packed::swap_in_place;
#[cfg(test)]
pub(crate) use self::planar::BLOCK;

use wgpu_types::TextureFormat;

/// [`GPUCanvasAlphaMode`](https://www.w3.org/TR/webgpu/#enumdef-gpucanvasalphamode).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AlphaMode {
    /// Alpha is ignored: what is shown and what is read has alpha 255 (in half floats 1).
    Opaque,
    /// Colour is multiplied by alpha already.
    Premultiplied,
}

/// [`PredefinedColorSpace`](https://html.spec.whatwg.org/multipage/canvas.html#predefinedcolorspace), as in
/// [`GPUCanvasConfiguration`](https://www.w3.org/TR/webgpu/#dictdef-gpucanvasconfiguration). Half floats below 0 and above 1 are
/// colours outside its gamut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PredefinedColorSpace {
    /// `srgb`.
    #[default]
    Srgb,
    /// `display-p3`.
    DisplayP3,
}

/// The channels of a pixel, in the order of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PixelFormat {
    /// Blue, green, red, alpha; 8 bits each.
    Bgra8,
    /// Red, green, blue, alpha; 8 bits each.
    Rgba8,
    /// Red, green, blue, alpha; half floats, little-endian.
    Rgba16Float,
}

impl PixelFormat {
    /// Of a canvas texture. `None` if a canvas cannot have this format.
    pub(crate) fn of(format: TextureFormat) -> Option<Self> {
        match format {
            TextureFormat::Bgra8Unorm => Some(Self::Bgra8),
            TextureFormat::Rgba8Unorm => Some(Self::Rgba8),
            TextureFormat::Rgba16Float => Some(Self::Rgba16Float),
            _ => None,
        }
    }

    /// 4 or 8.
    pub const fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Bgra8 | Self::Rgba8 => 4,
            Self::Rgba16Float => 8,
        }
    }
}

impl From<PixelFormat> for TextureFormat {
    fn from(format: PixelFormat) -> Self {
        match format {
            PixelFormat::Bgra8 => Self::Bgra8Unorm,
            PixelFormat::Rgba8 => Self::Rgba8Unorm,
            PixelFormat::Rgba16Float => Self::Rgba16Float,
        }
    }
}

/// How colour and alpha go together in an image that is made of a [`Snapshot`](crate::Snapshot). Where alpha is 255 they do not
/// differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AlphaEncoding {
    /// Colour is multiplied by alpha.
    Premultiplied,
    /// It is not; where the canvas' alpha is 0, colour is.
    Straight,
}

/// What the pixels of an image are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PixelEncoding {
    /// Channels and their bytes.
    pub format: PixelFormat,
    /// What the colours mean.
    pub color_space: PredefinedColorSpace,
    /// Multiplied or not.
    pub alpha: AlphaEncoding,
}

impl PixelEncoding {
    /// What [`ImageData`](https://html.spec.whatwg.org/multipage/imagebitmap-and-animations.html#imagedata) has if script does
    /// not ask for anything else.
    pub const IMAGE_DATA: Self = Self {
        format: PixelFormat::Rgba8,
        color_space: PredefinedColorSpace::Srgb,
        alpha: AlphaEncoding::Straight,
    };
}

/// What the pixels of a canvas are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CanvasPixels {
    pub(crate) format: PixelFormat,
    pub(crate) color_space: PredefinedColorSpace,
    pub(crate) alpha_mode: AlphaMode,
}
