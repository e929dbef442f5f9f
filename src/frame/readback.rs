//! What was copied from a texture, as it was copied.
//!
//! WebRender shows 8 bits of sRGB. A canvas of half floats or of another color space therefore has both: a readback, which script reads,
//! and a frame that was converted from it. The readback is kept until the next frame is there, because script may read it until then, so
//! such a canvas needs 8 (half floats) or 4 bytes a pixel more than others. (Converting in place would need none, and a read that comes
//! later would get fewer colors.) A `get_image` of a texture gets a readback that is never shown.

use wgpu_core::id::DeviceId;

use super::layout::CopyLayout;
use crate::pixels::AlphaMode;
use crate::pixels::{is_opaque, make_opaque};
use crate::staging::{CopySource, DeviceUuids, MappedBuffer, PooledBytes};

/// The bytes of a texture in a staging buffer, with their layout.
pub(crate) struct Readback {
    layout: CopyLayout,
    buffer: MappedBuffer,
}

/// What it takes to copy a shared image to a staging buffer.
#[derive(Clone)]
pub(crate) struct ImageRead {
    pub(crate) source: CopySource,
    /// The device of the image, whose queue copies it.
    pub(crate) device: DeviceId,
    /// The names of that device.
    pub(crate) uuids: DeviceUuids,
    /// The layout of the copy.
    pub(crate) layout: CopyLayout,
}

impl Readback {
    /// Keeps what was copied for script alone. The alpha of an opaque canvas stays as script left it; whoever reads it counts it as full.
    pub(crate) fn captured(layout: CopyLayout, buffer: MappedBuffer) -> Self {
        Self { layout, buffer }
    }

    /// Keeps what was copied to be shown: with full alpha if the canvas is opaque.
    ///
    /// The flag that WebRender gets for opaque images is not enough, because WebRender blends them all the same when they are clipped,
    /// rotated or anti-aliased. Most frames of opaque canvases have full alpha already; nothing is written then.
    pub(crate) fn shown(layout: CopyLayout, buffer: MappedBuffer) -> Self {
        let mut readback = Self::captured(layout, buffer);
        if !readback.has_right_alpha() {
            let format = layout.pixels().format;
            let lines = layout.row_layout();
            let len = readback.bytes().len();
            readback.buffer.edit(|bytes| {
                lines.rows_mut(&mut bytes[..len]).for_each(|row| make_opaque(format, row));
            });
        }
        readback
    }

    pub(crate) fn layout(&self) -> &CopyLayout {
        &self.layout
    }

    /// Returns the pixels of each row as they were copied.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.layout.row_layout().rows(self.bytes())
    }

    pub(crate) fn into_buffer(self) -> MappedBuffer {
        self.buffer
    }

    /// Whether dropping the last holder frees memory.
    pub(crate) fn is_orphan(&self) -> bool {
        self.buffer.is_orphan()
    }

    /// Returns memory for a frame that is converted from this one. `None` if no memory can be had.
    pub(crate) fn spare(&self, len: usize) -> Option<PooledBytes> {
        self.buffer.spare(len)
    }

    /// Returns the `layout().byte_len()` bytes as they were copied.
    pub(crate) fn bytes(&self) -> &[u8] {
        let bytes = self.buffer.bytes();
        bytes.get(..self.layout.byte_len()).unwrap_or(bytes)
    }

    fn has_right_alpha(&self) -> bool {
        let pixels = self.layout.pixels();
        pixels.alpha_mode != AlphaMode::Opaque || self.rows().all(|row| is_opaque(pixels.format, row))
    }
}
