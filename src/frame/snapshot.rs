//! What `get_image` answers with: the pixels of a canvas in the hands of script.
//!
//! A [`Snapshot`] shares the frame or the readback that it was made of; nothing is copied or converted until its holder asks for bytes, on
//! the holder's own thread. A page chooses how large an image is, so every copy can fail for want of memory.

use std::fmt;
use std::sync::Arc;

use euclid::default::{Box2D, Size2D};

use super::cleared_pixel;
use super::layout::{FrameLayout, StoredRows};
use super::readback::Readback;
use super::shared::SharedFrame;
use crate::api::error::{CopyPixelsError, RegionOutside};
use crate::pixels::CanvasPixels;
use crate::pixels::Conversion;
use crate::pixels::{AlphaEncoding, AlphaMode, PixelEncoding, PixelFormat, PredefinedColorSpace};
use crate::pixels::{is_opaque, make_opaque};

/// The contents of a canvas, or of a part of it, at one moment.
///
/// A snapshot is cheap to clone. It keeps the bytes of its frame: they stay as they are whatever happens to the canvas or its device, and
/// their memory cannot be reused before the last clone is dropped. Any thread may use it. Bytes are copied and converted on the thread
/// that asks for them. A snapshot of a cleared canvas holds no pixels, however large it is.
#[derive(Clone)]
pub struct Snapshot {
    source: Source,
    /// The part of the source that this is an image of. It lies inside the source.
    region: Box2D<u32>,
}

#[derive(Clone)]
enum Source {
    Frame(SharedFrame),
    Readback(Arc<Readback>),
    /// A cleared drawing buffer.
    Cleared(AlphaMode),
}

impl Snapshot {
    pub(crate) fn of_frame(frame: SharedFrame) -> Self {
        let region = Box2D::from_size(frame.layout().size());
        Self { source: Source::Frame(frame), region }
    }

    pub(crate) fn of_readback(readback: Arc<Readback>) -> Self {
        let region = Box2D::from_size(readback.layout().size());
        Self { source: Source::Readback(readback), region }
    }

    /// Precondition: `size` has passed [`check_size`](super::check_size).
    pub(crate) fn cleared(size: Size2D<u32>, alpha_mode: AlphaMode) -> Self {
        Self { source: Source::Cleared(alpha_mode), region: Box2D::from_size(size) }
    }

    /// Returns a snapshot of a part of this one, in pixels from its top left corner. Nothing is copied: both share the same bytes.
    ///
    /// The part may be empty.
    ///
    /// # Errors
    ///
    /// The region does not lie inside the image.
    pub fn region(&self, region: Box2D<u32>) -> Result<Self, RegionOutside> {
        RegionOutside::check(region, self.size())?;
        // This cannot overflow: the sum is no larger than `self.region.max`.
        let region = region.translate(self.region.min.to_vector());
        Ok(Self { source: self.source.clone(), region })
    }

    /// Returns the size in pixels, which may be empty.
    pub fn size(&self) -> Size2D<u32> {
        self.region.size()
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
    /// The rows of a canvas that was drawn are not copied, unless `get_image` was given an opaque texture: then those whose alphas are not all
    /// 255 are, one at a time. A cleared canvas has one row, which is returned again and again.
    ///
    /// # Errors
    ///
    /// Memory for the one row that is copied or cleared cannot be had.
    pub fn rows(&self) -> Result<Rows<'_>, CopyPixelsError> {
        let CanvasPixels { format, alpha_mode, .. } = self.pixels();
        let size = self.size();
        let one_row = || with_capacity(byte_len(Size2D::new(size.width, 1), format));
        let rows = match (self.stored_rows(), &self.source) {
            (Some(rows), Source::Readback(_)) if alpha_mode == AlphaMode::Opaque => {
                RowSource::Opaque { rows, format, row: one_row()? }
            }
            (Some(rows), _) => RowSource::Stored(rows),
            (None, _) if size.is_empty() => RowSource::Cleared { count: 0, row: Vec::new() },
            (None, _) => {
                let mut row = one_row()?;
                fill(&mut row, size.width as usize, format, &cleared_pixel(alpha_mode));
                RowSource::Cleared { count: size.height, row }
            }
        };
        Ok(Rows(rows))
    }

    /// Copies all rows as they are, one after the other.
    ///
    /// # Errors
    ///
    /// Memory for the copy cannot be had.
    pub fn to_vec(&self) -> Result<Vec<u8>, CopyPixelsError> {
        let CanvasPixels { format, color_space, .. } = self.pixels();
        self.convert(PixelEncoding { format, color_space, alpha: AlphaEncoding::Premultiplied })
    }

    /// Converts all rows, one after the other, as [`copy_into`](Self::copy_into) does.
    ///
    /// # Errors
    ///
    /// Memory for the result cannot be had.
    pub fn convert(&self, encoding: PixelEncoding) -> Result<Vec<u8>, CopyPixelsError> {
        let size = self.size();
        let mut bytes = with_capacity(byte_len(size, encoding.format))?;
        if let Some(ready) = self.ready(encoding) {
            bytes.extend_from_slice(ready);
            return Ok(bytes);
        }
        let conversion = Conversion::new(self.pixels(), encoding);
        match self.stored_rows() {
            Some(rows) => rows.for_each(|row| conversion.append(row, &mut bytes)),
            None => {
                let pixels = size.width as usize * size.height as usize;
                let pixel = converted_pixel(&conversion, self.alpha_mode());
                fill(&mut bytes, pixels, encoding.format, &pixel);
            }
        }
        Ok(bytes)
    }

    /// Converts all rows, in one pass, into memory of the caller's, with `stride` bytes from one row to the next. The bytes between rows are
    /// not touched, and no memory is allocated.
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
        let row = byte_len(Size2D::new(size.width, 1), encoding.format);
        let row = row.ok_or(CopyPixelsError::TooShort { needed: usize::MAX })?;
        if stride < row {
            return Err(CopyPixelsError::StrideTooSmall { needed: row });
        }
        let needed = stride.saturating_mul(size.height as usize - 1).saturating_add(row);
        if into.len() < needed {
            return Err(CopyPixelsError::TooShort { needed });
        }
        if let Some(ready) = self.ready(encoding).filter(|_| stride == row) {
            into[..ready.len()].copy_from_slice(ready);
            return Ok(());
        }
        let conversion = Conversion::new(self.pixels(), encoding);
        let into = into.chunks_mut(stride).map(|line| &mut line[..row]);
        match self.stored_rows() {
            Some(rows) => rows.zip(into).for_each(|(from, into)| conversion.row(from, into)),
            None => {
                let pixel = converted_pixel(&conversion, self.alpha_mode());
                let rows = into.take(size.height as usize);
                rows.for_each(|row| fill_slice(row, encoding.format, &pixel));
            }
        }
        Ok(())
    }

    /// Converts all rows to [`PixelEncoding::IMAGE_DATA`]: RGBA, 8 bits, sRGB, straight alpha.
    ///
    /// # Errors
    ///
    /// Memory for the result cannot be had.
    pub fn to_straight_rgba(&self) -> Result<Vec<u8>, CopyPixelsError> {
        self.convert(PixelEncoding::IMAGE_DATA)
    }

    /// Returns the rows as they lie in memory; `None` if the canvas is cleared. The alpha of an opaque readback is that which script left.
    fn stored_rows(&self) -> Option<StoredRows<'_>> {
        let region = self.region.to_usize();
        let bytes_per_pixel = self.format().bytes_per_pixel();
        let columns = bytes_per_pixel * region.min.x..bytes_per_pixel * region.max.x;
        let rows = if columns.is_empty() { 0..0 } else { region.min.y..region.max.y };
        match &self.source {
            Source::Frame(frame) => Some(frame.layout().row_layout().part(frame.bytes(), columns, rows)),
            Source::Readback(readback) => {
                Some(readback.layout().row_layout().part(readback.bytes(), columns, rows))
            }
            Source::Cleared(_) => None,
        }
    }

    /// Returns all rows at once, if they lie one after the other and have this encoding already. A single copy is faster than many.
    fn ready(&self, encoding: PixelEncoding) -> Option<&[u8]> {
        let CanvasPixels { format, color_space, alpha_mode } = self.pixels();
        let as_it_is = encoding.alpha == AlphaEncoding::Premultiplied || alpha_mode == AlphaMode::Opaque;
        if !(as_it_is && (format, color_space) == (encoding.format, encoding.color_space)) {
            return None;
        }
        // The alpha of an opaque readback may have to be set.
        let is_right = matches!(self.source, Source::Frame(_)) || alpha_mode == AlphaMode::Premultiplied;
        self.stored_rows().filter(|_| is_right)?.whole()
    }

    fn pixels(&self) -> CanvasPixels {
        let shown = |layout: &FrameLayout| CanvasPixels {
            format: layout.order().format(),
            color_space: PredefinedColorSpace::Srgb,
            alpha_mode: layout.alpha_mode(),
        };
        match &self.source {
            Source::Frame(frame) => shown(frame.layout()),
            Source::Readback(readback) => readback.layout().pixels(),
            Source::Cleared(alpha_mode) => shown(&FrameLayout::cleared(*alpha_mode)),
        }
    }
}

/// The rows of a [`Snapshot`], from top to bottom. See [`Snapshot::rows`].
///
/// It is not an iterator, because a row may lie in memory that the next row overwrites.
pub struct Rows<'a>(RowSource<'a>);

enum RowSource<'a> {
    /// Rows that are right as they lie in memory.
    Stored(StoredRows<'a>),
    /// Rows that count as opaque, whatever their alphas are.
    Opaque {
        rows: StoredRows<'a>,
        format: PixelFormat,
        /// Room for one row, to set its alphas.
        row: Vec<u8>,
    },
    /// So many times the same row.
    Cleared { count: u32, row: Vec<u8> },
}

impl Rows<'_> {
    /// Returns the next row, which stays until the one after it is asked for; `None` after the last one.
    pub fn next_row(&mut self) -> Option<&[u8]> {
        match &mut self.0 {
            RowSource::Stored(rows) => rows.next(),
            RowSource::Opaque { rows, format, row } => {
                let stored = rows.next()?;
                if is_opaque(*format, stored) {
                    return Some(stored);
                }
                row.clear();
                row.extend_from_slice(stored);
                make_opaque(*format, row);
                Some(row)
            }
            RowSource::Cleared { count, row } => {
                *count = count.checked_sub(1)?;
                Some(row)
            }
        }
    }
}

impl fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}

/// Returns the bytes of so many pixels; `None` if a `usize` cannot count them.
fn byte_len(size: Size2D<u32>, format: PixelFormat) -> Option<usize> {
    let pixels = (size.width as usize).checked_mul(size.height as usize)?;
    pixels.checked_mul(format.bytes_per_pixel())
}

/// Returns an empty vector with room for `len` bytes.
fn with_capacity(len: Option<usize>) -> Result<Vec<u8>, CopyPixelsError> {
    let mut bytes = Vec::new();
    let reserved = len.map(|len| bytes.try_reserve_exact(len));
    match reserved {
        Some(Ok(())) => Ok(bytes),
        Some(Err(_)) | None => Err(CopyPixelsError::OutOfMemory),
    }
}

/// Returns the pixel of a cleared canvas, converted, and zeros behind it if it is shorter than 8 bytes.
fn converted_pixel(conversion: &Conversion, alpha_mode: AlphaMode) -> [u8; 8] {
    let mut pixel = [0; 8];
    conversion.row(&cleared_pixel(alpha_mode), &mut pixel);
    pixel
}

/// Fills an empty vector with a pixel. Precondition: it has room.
fn fill(bytes: &mut Vec<u8>, pixels: usize, format: PixelFormat, pixel: &[u8]) {
    bytes.resize(pixels * format.bytes_per_pixel(), 0);
    fill_slice(bytes, format, pixel);
}

/// Fills memory with a pixel of this format.
fn fill_slice(bytes: &mut [u8], format: PixelFormat, pixel: &[u8]) {
    match (format.bytes_per_pixel(), pixel.first_chunk::<8>(), pixel.first_chunk::<4>()) {
        (8, Some(pixel), _) => bytes.as_chunks_mut().0.fill(*pixel),
        (_, _, Some(pixel)) => bytes.as_chunks_mut().0.fill(*pixel),
        _ => debug_assert!(false, "a pixel has 4 or 8 bytes"),
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

    fn count(snapshot: &Snapshot) -> usize {
        let mut rows = snapshot.rows().unwrap();
        std::iter::from_fn(|| rows.next_row().map(<[u8]>::len)).count()
    }

    #[test]
    fn a_cleared_snapshot_has_all_its_rows() {
        let snapshot = Snapshot::cleared(Size2D::new(3, 2), AlphaMode::Opaque);
        assert_eq!(snapshot.to_vec().unwrap(), [0, 0, 0, 255].repeat(6));
        assert_eq!(snapshot.rows().unwrap().next_row().unwrap(), [0, 0, 0, 255].repeat(3));
        assert_eq!(count(&snapshot), 2);
    }

    #[test]
    fn an_empty_snapshot_has_no_rows() {
        for size in [Size2D::new(0, 0), Size2D::new(0, 7), Size2D::new(7, 0)] {
            let snapshot = Snapshot::cleared(size, AlphaMode::Premultiplied);
            assert_eq!(snapshot.size(), size);
            assert_eq!(count(&snapshot), 0);
            assert!(snapshot.to_vec().unwrap().is_empty());
            assert!(snapshot.to_straight_rgba().unwrap().is_empty());
        }
    }
}
