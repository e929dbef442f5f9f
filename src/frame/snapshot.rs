//! What `get_image` answers with: the pixels of a canvas in the hands of script.
//!
//! A [`Snapshot`] shares the frame or the readback that it was made of; nothing is copied or converted until its holder asks for bytes, on
//! the holder's own thread.

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
/// A snapshot is cheap to clone. It keeps the bytes of its frame: they stay as they are whatever happens to the canvas or its device, and
/// their memory cannot be reused before the last clone is dropped. Any thread may use it. Bytes are copied and converted on the thread
/// that asks for them.
#[derive(Clone)]
pub struct Snapshot(Source);

#[derive(Clone)]
enum Source {
    Frame(SharedFrame),
    Readback(Arc<Readback>),
    /// A cleared drawing buffer. All its rows are one row, which is made when it is asked for, because a page chooses the size.
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

    /// Precondition: `size` has passed [`check_size`](super::check_size).
    pub(crate) fn cleared(size: Size2D<u32>, alpha_mode: AlphaMode) -> Self {
        Self(Source::Cleared { size, alpha_mode, row: OnceLock::new() })
    }

    /// Returns the size in pixels, which may be empty.
    pub fn size(&self) -> Size2D<u32> {
        match &self.0 {
            Source::Frame(frame) => frame.layout().size(),
            Source::Readback(readback) => readback.layout().size(),
            Source::Cleared { size, .. } => *size,
        }
    }

    /// Returns the format of [`rows`](Self::rows).
    ///
    /// It is that of the texture, with two exceptions. If the format of the context changed while it had an image key, 8-bit frames have the
    /// byte order of the first one, because WebRender needs one order for each key. A cleared canvas is 8-bit sRGB.
    pub fn format(&self) -> PixelFormat {
        self.pixels().format
    }

    /// Returns the color space of [`rows`](Self::rows), which is that of the context's configuration.
    pub fn color_space(&self) -> PredefinedColorSpace {
        self.pixels().color_space
    }

    /// Returns the alpha mode. With [`AlphaMode::Opaque`] every alpha is 255 (or 1.0); otherwise color is multiplied by alpha.
    pub fn alpha_mode(&self) -> AlphaMode {
        self.pixels().alpha_mode
    }

    /// Returns the rows from top to bottom as they are: each has `size().width` times
    /// [`format().bytes_per_pixel()`](PixelFormat::bytes_per_pixel) bytes. An empty size has no rows.
    ///
    /// The rows are not copied, with one exception: if `get_image` was given an opaque texture whose alphas are not all 255, they are copied
    /// when they are asked for first. The other methods need no such copy.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.rows_of(Readback::rows_with_alpha)
    }

    /// Returns the rows that conversions begin with. Conversions count the alpha of an opaque canvas as full, whatever it is.
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

    /// Copies all rows as they are, one after the other.
    pub fn to_vec(&self) -> Vec<u8> {
        let CanvasPixels { format, color_space, .. } = self.pixels();
        self.convert(PixelEncoding { format, color_space, alpha: AlphaEncoding::Premultiplied })
    }

    /// Converts all rows, one after the other, as [`copy_into`](Self::copy_into) does.
    pub fn convert(&self, encoding: PixelEncoding) -> Vec<u8> {
        if let Some(ready) = self.ready(encoding) {
            return ready.to_vec();
        }
        let conversion = Conversion::new(self.pixels(), encoding);
        let mut bytes = Vec::with_capacity(self.count() * encoding.format.bytes_per_pixel());
        self.unconverted_rows().for_each(|row| conversion.append(row, &mut bytes));
        bytes
    }

    /// Converts all rows, in one pass, into memory of the caller's, with `stride` bytes from one row to the next. The bytes between rows are
    /// not touched.
    ///
    /// An 8-bit color is the nearest one: straight alpha makes it `min(255, round(c * 255 / a))`, and half floats are clamped at the end, not
    /// on the way (NaN becomes 0). Half floats are not clamped at all. Colors are converted between color spaces as numbers: sRGB values below
    /// 0 and above 1 are P3 colors that sRGB does not have.
    ///
    /// # Errors
    ///
    /// The stride is smaller than a row, or the memory is too small. Nothing is written then.
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

    /// Converts all rows to [`PixelEncoding::IMAGE_DATA`]: RGBA, 8 bits, sRGB, straight alpha.
    pub fn to_straight_rgba(&self) -> Vec<u8> {
        self.convert(PixelEncoding::IMAGE_DATA)
    }

    /// Precondition: `into` has room for all rows, and `stride` is no smaller than a row.
    fn write(&self, into: &mut [u8], stride: usize, encoding: PixelEncoding) {
        let row = self.size().width as usize * encoding.format.bytes_per_pixel();
        if let Some(ready) = self.ready(encoding).filter(|_| stride == row) {
            return into[..ready.len()].copy_from_slice(ready);
        }
        let conversion = Conversion::new(self.pixels(), encoding);
        // An image of width zero may have a stride of zero, which `chunks_mut` does not take.
        for (from, into) in self.unconverted_rows().zip(into.chunks_mut(stride.max(1))) {
            conversion.row(from, &mut into[..row]);
        }
    }

    /// Returns all rows at once, if they lie one after the other and have this encoding already. A single copy is faster than many.
    fn ready(&self, encoding: PixelEncoding) -> Option<&[u8]> {
        let CanvasPixels { format, color_space, alpha_mode } = self.pixels();
        let as_it_is = encoding.alpha == AlphaEncoding::Premultiplied || alpha_mode == AlphaMode::Opaque;
        if !(as_it_is && (format, color_space) == (encoding.format, encoding.color_space)) {
            return None;
        }
        match &self.0 {
            Source::Frame(frame) => frame.layout().row_layout().whole(frame.bytes()),
            // The alpha of an opaque readback may have to be set.
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
