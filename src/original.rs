//! What was copied of a texture, before it is made fit for WebRender.
//!
//! WebRender shows 8 bits of sRGB. A canvas of half floats, or of another colour space, has both: its original, which scripts
//! read, and a frame that was made of it. The original is kept as long as scripts may read it, until the next frame is
//! there, so such a canvas needs 8 (half floats) or 4 bytes a pixel more than others. (To convert in place would need none, and
//! a read would get fewer colours if it came later.)

use crate::AlphaMode;
use crate::layout::CopyLayout;
use crate::opaque::{is_opaque, make_opaque};
use crate::staging::{MappedBuffer, PooledBytes};

pub(crate) struct Original {
    layout: CopyLayout,
    buffer: MappedBuffer,
}

impl Original {
    /// What was copied; with alpha 1 if it is opaque.
    ///
    /// WebRender blends opaque images too (when clipped, rotated or anti-aliased), so the flag alone is not enough. Most frames of
    /// opaque canvases are opaque already: then nothing is written.
    pub(crate) fn new(layout: CopyLayout, buffer: MappedBuffer) -> Self {
        let mut original = Self { layout, buffer };
        let format = layout.pixels().format;
        if layout.pixels().alpha_mode == AlphaMode::Opaque
            && !original.rows().all(|row| is_opaque(format, row))
        {
            let lines = layout.lines();
            let len = original.bytes().len();
            original.buffer.edit(|bytes| {
                lines.rows_mut(&mut bytes[..len]).for_each(|row| make_opaque(format, row));
            });
        }
        original
    }

    pub(crate) fn layout(&self) -> &CopyLayout {
        &self.layout
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.layout.lines().rows(self.bytes())
    }

    pub(crate) fn into_buffer(self) -> MappedBuffer {
        self.buffer
    }

    /// Memory for a frame that is made of it. `None` if there is none.
    pub(crate) fn spare(&self, len: usize) -> Option<PooledBytes> {
        self.buffer.spare(len)
    }

    fn bytes(&self) -> &[u8] {
        let bytes = self.buffer.bytes();
        bytes.get(..self.layout.byte_len()).unwrap_or(bytes)
    }
}
