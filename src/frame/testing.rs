//! Layouts and frames that were never copied from a texture, for tests.

use euclid::default::Size2D;
use wgpu_core::id::Id;
use wgpu_types::TextureFormat;

use super::layout::{CopyLayout, FrameLayout};
use super::{Frame, Pixels, SharedFrame};
use crate::api::canvas::ContextConfiguration;
use crate::api::error::PresentError;
use crate::pixels::{AlphaMode, PredefinedColorSpace};

/// The layout of an sRGB canvas of this size, format and alpha mode.
pub(crate) fn copy_layout(
    size: Size2D<u32>,
    format: TextureFormat,
    alpha_mode: AlphaMode,
) -> Result<CopyLayout, PresentError> {
    CopyLayout::of(&ContextConfiguration {
        device_id: Id::zip(0, 1),
        queue_id: Id::zip(0, 1),
        format,
        color_space: PredefinedColorSpace::Srgb,
        alpha_mode,
        size,
    })
}

/// The layout of an opaque BGRA frame.
pub(crate) fn frame_layout(size: Size2D<u32>) -> FrameLayout {
    let layout = copy_layout(size, TextureFormat::Bgra8Unorm, AlphaMode::Opaque);
    layout.unwrap().shown_as_it_is().unwrap()
}

/// A frame of four bytes, whatever its layout says.
pub(crate) fn marked_frame(layout: FrameLayout, mark: u32) -> SharedFrame {
    Frame { layout, pixels: Pixels::Single(mark.to_le_bytes()) }.into()
}
