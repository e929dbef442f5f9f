//! The meaning of pixel bytes: formats, colour spaces, alpha, and the conversions between them.
//!
//! The types of this file name what a canvas holds and what a caller wants; the files below turn one into the
//! other, a row of bytes at a time. Every function is a pure function of its arguments. It takes no lock,
//! makes no call of wgpu-core or WebRender, and may run on any thread: frames are converted for the screen
//! where their copy is completed (most often on the poller thread of a device), snapshots on the thread of
//! whoever reads them.
//!
//! This folder imports nothing of the crate. It hands out [`Conversion`], [`is_opaque`], [`make_opaque`] and
//! [`swap_in_place`] to `frame`, and the public types to everything.

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

/// How a canvas treats its alpha channel:
/// [`GPUCanvasAlphaMode`](https://www.w3.org/TR/webgpu/#enumdef-gpucanvasalphamode).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AlphaMode {
    /// Alpha is ignored: shown frames and reads have alpha 255 (1.0 in half floats), whatever script wrote
    /// there.
    Opaque,
    /// The colour channels are already multiplied by alpha.
    Premultiplied,
}

/// The colour space of a canvas or of an image:
/// [`PredefinedColorSpace`](https://html.spec.whatwg.org/multipage/canvas.html#predefinedcolorspace), as in
/// [`GPUCanvasConfiguration`](https://www.w3.org/TR/webgpu/#dictdef-gpucanvasconfiguration).
///
/// Half floats below 0 and above 1 are colours outside the gamut of the space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PredefinedColorSpace {
    /// `"srgb"`.
    #[default]
    Srgb,
    /// `"display-p3"`.
    DisplayP3,
}

/// The channels of a pixel, their size, and their order in memory.
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
    /// Returns the pixel format of a texture, or `None` if a canvas texture cannot have `format`.
    pub(crate) fn of(format: TextureFormat) -> Option<Self> {
        match format {
            TextureFormat::Bgra8Unorm => Some(Self::Bgra8),
            TextureFormat::Rgba8Unorm => Some(Self::Rgba8),
            TextureFormat::Rgba16Float => Some(Self::Rgba16Float),
            _ => None,
        }
    }

    /// Returns the size of a pixel in bytes: 4 or 8.
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

/// How colour and alpha are combined in an image that is made of a [`Snapshot`](crate::Snapshot).
///
/// The variants do not differ for pixels whose alpha is 255 (1.0 in half floats).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AlphaEncoding {
    /// The colour channels are multiplied by alpha.
    Premultiplied,
    /// The colour channels are not multiplied by alpha. Where the alpha of a premultiplied canvas is 0, they
    /// are 0.
    Straight,
}

/// The pixels that a caller wants an image to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PixelEncoding {
    /// The channels and their order in memory.
    pub format: PixelFormat,
    /// The space that the colours are in.
    pub color_space: PredefinedColorSpace,
    /// Whether colour is multiplied by alpha.
    pub alpha: AlphaEncoding,
}

impl PixelEncoding {
    /// The encoding of
    /// [`ImageData`](https://html.spec.whatwg.org/multipage/imagebitmap-and-animations.html#imagedata) when
    /// script asks for nothing else: RGBA, 8 bits, sRGB, straight alpha.
    pub const IMAGE_DATA: Self = Self {
        format: PixelFormat::Rgba8,
        color_space: PredefinedColorSpace::Srgb,
        alpha: AlphaEncoding::Straight,
    };
}

/// The pixels of a canvas, as script configured it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CanvasPixels {
    pub(crate) format: PixelFormat,
    pub(crate) color_space: PredefinedColorSpace,
    pub(crate) alpha_mode: AlphaMode,
}
