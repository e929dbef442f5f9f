//! What was copied of a texture, before it is made fit for WebRender.
//!
//! WebRender shows 8 bits of sRGB. A canvas of half floats, or of another colour space, has both: its readback, which scripts
//! read, and a frame that was made of it. The readback is kept as long as scripts may read it, until the next frame is
//! there, so such a canvas needs 8 (half floats) or 4 bytes a pixel more than others. (To convert in place would need none, and
//! a read would get fewer colours if it came later.)

use std::sync::OnceLock;

use super::layout::CopyLayout;
use crate::pixels::AlphaMode;
use crate::pixels::{is_opaque, make_opaque};
use crate::staging::{MappedBuffer, PooledBytes};

pub(crate) struct Readback {
    layout: CopyLayout,
    buffer: MappedBuffer,
    /// All rows with alpha 1, without padding, once somebody has asked for them; `None` if they had that.
    opaque: OnceLock<Option<Vec<u8>>>,
}

impl Readback {
    /// What was copied, for script alone. Alpha of an opaque canvas is as script left it: who converts takes it for 1.
    pub(crate) fn captured(layout: CopyLayout, buffer: MappedBuffer) -> Self {
        Self { layout, buffer, opaque: OnceLock::new() }
    }

    /// What was copied; with alpha 1 if it is opaque.
    ///
    /// WebRender blends opaque images too (when clipped, rotated or anti-aliased), so the flag alone is not enough. Most frames of
    /// opaque canvases are opaque already: then nothing is written.
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
        readback.opaque = OnceLock::from(None);
        readback
    }

    pub(crate) fn layout(&self) -> &CopyLayout {
        &self.layout
    }

    /// The pixels of each row as they were copied.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.layout.row_layout().rows(self.bytes())
    }

    /// The pixels of each row, with alpha 1 if the canvas is opaque.
    pub(crate) fn rows_with_alpha(&self) -> impl Iterator<Item = &[u8]> {
        let opaque = self.opaque.get_or_init(|| (!self.has_right_alpha()).then(|| self.to_opaque()));
        let (copied, opaque) = match opaque {
            None => (Some(self.rows()), None),
            Some(opaque) => (None, Some(opaque.chunks_exact(self.layout.row_layout().row_len))),
        };
        copied.into_iter().flatten().chain(opaque.into_iter().flatten())
    }

    pub(crate) fn into_buffer(self) -> MappedBuffer {
        self.buffer
    }

    /// Memory for a frame that is made of it. `None` if there is none.
    pub(crate) fn spare(&self, len: usize) -> Option<PooledBytes> {
        self.buffer.spare(len)
    }

    /// `layout().byte_len()` bytes, as they were copied.
    pub(crate) fn bytes(&self) -> &[u8] {
        let bytes = self.buffer.bytes();
        bytes.get(..self.layout.byte_len()).unwrap_or(bytes)
    }

    fn has_right_alpha(&self) -> bool {
        let pixels = self.layout.pixels();
        pixels.alpha_mode != AlphaMode::Opaque || self.rows().all(|row| is_opaque(pixels.format, row))
    }

    fn to_opaque(&self) -> Vec<u8> {
        let lines = self.layout.row_layout();
        let mut opaque = Vec::with_capacity(lines.row_len * self.layout.size().height as usize);
        self.rows().for_each(|row| opaque.extend_from_slice(row));
        opaque.chunks_exact_mut(lines.row_len).for_each(|row| make_opaque(self.layout.pixels().format, row));
        opaque
    }
}
