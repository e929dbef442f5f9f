//! What `get_image` answers with.

use std::sync::{Arc, OnceLock};

use euclid::default::Size2D;

use super::cleared_pixel;
use super::layout::FrameLayout;
use super::readback::Readback;
use super::shared::SharedFrame;
use crate::api::error::CopyPixelsError;
use crate::pixels::CanvasPixels;
use crate::pixels::Conversion;
use crate::pixels::{AlphaEncoding, AlphaMode, PixelEncoding, PixelFormat, PredefinedColorSpace};

/// The contents of a canvas at one moment.
///
/// Cheap to clone. It keeps the bytes of its frame: they stay as they are whatever happens to the canvas or its device, and
/// their memory cannot be reused before the snapshot is dropped. Bytes are copied, and converted, by who asks for them, on
/// his thread.
#[derive(Clone)]
pub struct Snapshot(Source);

#[derive(Clone)]
enum Source {
    Frame(SharedFrame),
    Readback(Arc<Readback>),
    /// Its rows are one, made when it is asked for: `size` is what a page wanted.
    Cleared {
        size: Size2D<u32>,
        alpha_mode: AlphaMode,
        row: OnceLock<Arc<[u8]>>,
    },
}

impl Snapshot {
    pub(crate) fn of_frame(frame: SharedFrame) -> Self {
        Self(Source::Frame(frame))
    }

    pub(crate) fn of_readback(readback: Arc<Readback>) -> Self {
        Self(Source::Readback(readback))
    }

    /// `size` has passed `layout::check_size`.
    pub(crate) fn cleared(size: Size2D<u32>, alpha_mode: AlphaMode) -> Self {
        Self(Source::Cleared { size, alpha_mode, row: OnceLock::new() })
    }

    /// Size in pixels. May be empty.
    pub fn size(&self) -> Size2D<u32> {
        match &self.0 {
            Source::Frame(frame) => frame.layout().size(),
            Source::Readback(readback) => readback.layout().size(),
            Source::Cleared { size, .. } => *size,
        }
    }

    /// The format of [`rows`](Self::rows).
    ///
    /// It is that of the texture, with two exceptions. If the format of the context changed while it had an image key, 8-bit
    /// frames have the byte order of the first: WebRender needs one order per key. A cleared canvas is 8-bit sRGB.
    pub fn format(&self) -> PixelFormat {
        self.pixels().format
    }

    /// What the colours of [`rows`](Self::rows) mean: as the context was configured.
    pub fn color_space(&self) -> PredefinedColorSpace {
        self.pixels().color_space
    }

    /// With [`AlphaMode::Opaque`] every alpha is 255 (or 1.0); otherwise colour is multiplied by alpha.
    pub fn alpha_mode(&self) -> AlphaMode {
        self.pixels().alpha_mode
    }

    /// The rows from top to bottom as they are, not copied: each `size().width` times
    /// [`format().bytes_per_pixel()`](PixelFormat::bytes_per_pixel) bytes. None if the size is empty.
    ///
    /// Of an opaque texture that `get_image` was given, whose alphas are not all 255, they are a copy, made when they are asked for
    /// first. The other methods need none.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.rows_of(Readback::rows_with_alpha)
    }

    /// What conversions begin with, which take no alpha of an opaque canvas for granted.
    fn unconverted_rows(&self) -> impl Iterator<Item = &[u8]> {
        self.rows_of(Readback::rows)
    }

    fn rows_of<'a, R: Iterator<Item = &'a [u8]>>(
        &'a self,
        rows: impl FnOnce(&'a Readback) -> R,
    ) -> impl Iterator<Item = &'a [u8]> {
        let (frame, readback, cleared) = match &self.0 {
            Source::Frame(frame) => (Some(frame.rows()), None, None),
            Source::Readback(readback) => (None, Some(rows(readback)), None),
            Source::Cleared { size, .. } if size.is_empty() => (None, None, None),
            Source::Cleared { size, alpha_mode, row } => {
                let row = row.get_or_init(|| cleared_pixel(*alpha_mode).repeat(size.width as usize).into());
                (None, None, Some(std::iter::repeat_n(&**row, size.height as usize)))
            }
        };
        let rows = frame.into_iter().flatten().chain(readback.into_iter().flatten());
        rows.chain(cleared.into_iter().flatten())
    }

    /// All rows as they are, one after the other.
    pub fn to_vec(&self) -> Vec<u8> {
        let CanvasPixels { format, color_space, .. } = self.pixels();
        self.convert(PixelEncoding { format, color_space, alpha: AlphaEncoding::Premultiplied })
    }

    /// All rows, converted, one after the other. As [`copy_into`](Self::copy_into).
    pub fn convert(&self, encoding: PixelEncoding) -> Vec<u8> {
        if let Some(ready) = self.ready(encoding) {
            return ready.to_vec();
        }
        let conversion = Conversion::new(self.pixels(), encoding);
        let mut bytes = Vec::with_capacity(self.count() * encoding.format.bytes_per_pixel());
        self.unconverted_rows().for_each(|row| conversion.append(row, &mut bytes));
        bytes
    }

    /// Converts all rows, in one pass, into memory of the caller's: `stride` bytes from one row to the next. What lies between
    /// rows is not touched.
    ///
    /// In 8 bits a colour is the nearest there is: straight alpha makes it `min(255, round(c * 255 / a))`, and half floats are
    /// clamped at the end, not on the way (NaN is 0). Half floats are not clamped at all. Colours are converted between colour
    /// spaces as numbers: sRGB values below 0 and above 1 are P3 colours that sRGB has not.
    pub fn copy_into(
        &self,
        into: &mut [u8],
        stride: usize,
        encoding: PixelEncoding,
    ) -> Result<(), CopyPixelsError> {
        let size = self.size();
        if size.is_empty() {
            return Ok(());
        }
        let row = size.width as usize * encoding.format.bytes_per_pixel();
        if stride < row {
            return Err(CopyPixelsError::StrideTooSmall { needed: row });
        }
        let needed = stride.saturating_mul(size.height as usize - 1).saturating_add(row);
        if into.len() < needed {
            return Err(CopyPixelsError::TooShort { needed });
        }
        self.write(into, stride, encoding);
        Ok(())
    }

    /// All rows as [`PixelEncoding::IMAGE_DATA`]: RGBA, 8 bits, sRGB, straight alpha.
    pub fn to_straight_rgba(&self) -> Vec<u8> {
        self.convert(PixelEncoding::IMAGE_DATA)
    }

    /// There is room.
    fn write(&self, into: &mut [u8], stride: usize, encoding: PixelEncoding) {
        let row = self.size().width as usize * encoding.format.bytes_per_pixel();
        if let Some(ready) = self.ready(encoding).filter(|_| stride == row) {
            return into[..ready.len()].copy_from_slice(ready);
        }
        let conversion = Conversion::new(self.pixels(), encoding);
        // An image without rows may have a stride of 0.
        for (from, into) in self.unconverted_rows().zip(into.chunks_mut(stride.max(1))) {
            conversion.row(from, &mut into[..row]);
        }
    }

    /// All rows, if they lie one after the other and are encoded that way already: a single copy is faster than many.
    fn ready(&self, encoding: PixelEncoding) -> Option<&[u8]> {
        let CanvasPixels { format, color_space, alpha_mode } = self.pixels();
        let as_it_is = encoding.alpha == AlphaEncoding::Premultiplied || alpha_mode == AlphaMode::Opaque;
        if !(as_it_is && (format, color_space) == (encoding.format, encoding.color_space)) {
            return None;
        }
        match &self.0 {
            Source::Frame(frame) => frame.layout().row_layout().whole(frame.bytes()),
            // Of an opaque one alpha may have to be set.
            Source::Readback(readback) if alpha_mode == AlphaMode::Premultiplied => {
                readback.layout().row_layout().whole(readback.bytes())
            }
            Source::Readback(_) | Source::Cleared { .. } => None,
        }
    }

    fn count(&self) -> usize {
        let size = self.size();
        size.width as usize * size.height as usize
    }

    fn pixels(&self) -> CanvasPixels {
        let shown = |layout: &FrameLayout| CanvasPixels {
            format: layout.order().format(),
            color_space: PredefinedColorSpace::Srgb,
            alpha_mode: layout.alpha_mode(),
        };
        match &self.0 {
            Source::Frame(frame) => shown(frame.layout()),
            Source::Readback(readback) => readback.layout().pixels(),
            Source::Cleared { alpha_mode, .. } => shown(&FrameLayout::cleared(*alpha_mode)),
        }
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("size", &self.size())
            .field("format", &self.format())
            .field("color_space", &self.color_space())
            .field("alpha_mode", &self.alpha_mode())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cleared_snapshot_has_all_its_rows() {
        let snapshot = Snapshot::cleared(Size2D::new(3, 2), AlphaMode::Opaque);
        assert_eq!(snapshot.to_vec(), [0, 0, 0, 255].repeat(6));
        assert_eq!(snapshot.rows().count(), 2);
    }

    // R13.
    #[test]
    fn an_empty_snapshot_has_no_rows() {
        for size in [Size2D::new(0, 0), Size2D::new(0, 7), Size2D::new(7, 0)] {
            let snapshot = Snapshot::cleared(size, AlphaMode::Premultiplied);
            assert_eq!(snapshot.size(), size);
            assert_eq!(snapshot.rows().count(), 0);
            assert!(snapshot.to_vec().is_empty() && snapshot.to_straight_rgba().is_empty());
        }
    }
}
