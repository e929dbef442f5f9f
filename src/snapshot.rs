//! What `get_image` answers with.

use std::sync::{Arc, OnceLock};

use euclid::default::Size2D;
use wgpu_types::TextureFormat;

use crate::AlphaMode;
use crate::frame::{Frame, cleared_pixel, rows};
use crate::layout::{ByteOrder, FrameLayout};

/// The contents of a canvas at one moment.
///
/// Cheap to clone. It keeps the bytes of its frame: they stay as they are whatever happens to the canvas or its device, and
/// their memory cannot be reused before the snapshot is dropped.
#[derive(Clone)]
pub struct Snapshot(Contents);

#[derive(Clone)]
enum Contents {
    Frame(Arc<Frame>),
    /// Its rows are one, made when it is asked for: `size` is what a page wanted.
    Cleared {
        size: Size2D<u32>,
        alpha_mode: AlphaMode,
        row: OnceLock<Arc<[u8]>>,
    },
}

impl Snapshot {
    pub(crate) fn of_frame(frame: Arc<Frame>) -> Self {
        Self(Contents::Frame(frame))
    }

    /// `size` has passed `layout::check_size`.
    pub(crate) fn cleared(size: Size2D<u32>, alpha_mode: AlphaMode) -> Self {
        Self(Contents::Cleared { size, alpha_mode, row: OnceLock::new() })
    }

    /// Size in pixels. May be empty.
    pub fn size(&self) -> Size2D<u32> {
        match &self.0 {
            Contents::Frame(frame) => frame.layout().size(),
            Contents::Cleared { size, .. } => *size,
        }
    }

    /// The order of the bytes: `Bgra8Unorm` or `Rgba8Unorm`.
    ///
    /// It is that of the texture, unless the format of the context changed while it had an image key: WebRender needs one
    /// order per key, so later frames have that of the first.
    pub fn format(&self) -> TextureFormat {
        self.order().format()
    }

    /// With [`AlphaMode::Opaque`] every alpha is 255; otherwise colour is multiplied by alpha.
    pub fn alpha_mode(&self) -> AlphaMode {
        match &self.0 {
            Contents::Frame(frame) => frame.layout().alpha_mode(),
            Contents::Cleared { alpha_mode, .. } => *alpha_mode,
        }
    }

    /// The rows from top to bottom, each `4 * size().width` bytes, not copied. None if the size is empty.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        let (frame, cleared) = match &self.0 {
            Contents::Frame(frame) => (Some(rows(frame.layout(), frame.bytes())), None),
            Contents::Cleared { size, .. } if size.is_empty() => (None, None),
            Contents::Cleared { size, alpha_mode, row } => {
                let row = row.get_or_init(|| cleared_pixel(*alpha_mode).repeat(size.width as usize).into());
                (None, Some(std::iter::repeat_n(&**row, size.height as usize)))
            }
        };
        frame.into_iter().flatten().chain(cleared.into_iter().flatten())
    }

    /// All rows, one after the other: `4 * width * height` bytes as they are.
    pub fn to_vec(&self) -> Vec<u8> {
        let size = self.size();
        let mut bytes = Vec::with_capacity(4 * size.width as usize * size.height as usize);
        self.rows().for_each(|row| bytes.extend_from_slice(row));
        bytes
    }

    /// All rows as RGBA with straight alpha, what `ImageData` wants: each colour is `min(255, round(c * 255 / a))`, and 0 where
    /// alpha is 0.
    pub fn to_straight_rgba(&self) -> Vec<u8> {
        let mut bytes = self.to_vec();
        let swap = self.order() == ByteOrder::Bgra;
        let unpremultiply = self.alpha_mode() == AlphaMode::Premultiplied;
        for pixel in bytes.as_chunks_mut::<4>().0 {
            if swap {
                pixel.swap(0, 2);
            }
            if unpremultiply {
                *pixel = straight(*pixel);
            }
        }
        bytes
    }

    fn order(&self) -> ByteOrder {
        match &self.0 {
            Contents::Frame(frame) => frame.layout().order(),
            Contents::Cleared { alpha_mode, .. } => FrameLayout::cleared(*alpha_mode).order(),
        }
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("size", &self.size())
            .field("format", &self.format())
            .field("alpha_mode", &self.alpha_mode())
            .finish_non_exhaustive()
    }
}

/// Divides the colours of a pixel by its alpha, the last byte.
fn straight([red, green, blue, alpha]: [u8; 4]) -> [u8; 4] {
    let divide = |colour: u8| match u32::from(alpha) {
        0 => 0,
        // Rounds to nearest, halves up; the cast is of at most 255.
        a => ((u32::from(colour) * 510 + a) / (2 * a)).min(255) as u8,
    };
    [divide(red), divide(green), divide(blue), alpha]
}

#[cfg(test)]
mod tests {
    use super::*;

    // R3, against floating point, and the specification's extreme.
    #[test]
    fn straight_alpha_is_the_rounded_quotient() {
        for alpha in 0..=255u8 {
            for colour in 0..=255u8 {
                let expected = match alpha {
                    0 => 0,
                    _ => (f64::from(colour) * 255.0 / f64::from(alpha)).round().min(255.0) as u8,
                };
                assert_eq!(straight([colour, 0, 0, alpha]), [expected, 0, 0, alpha], "{colour} over {alpha}");
            }
        }
        assert_eq!(straight([255, 128, 64, 1]), [255, 255, 255, 1]);
    }

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
