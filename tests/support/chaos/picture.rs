//! What a texture holds: the number of the picture, spread over all pixels.
//!
//! A pixel is one of eight colours, by its place. The first one is the number itself, so that whoever finds a frame knows which
//! picture it must be, and then each byte of it.

use euclid::default::Size2D;
use webgpu_presentation::{AlphaMode, ContextId};
use wgpu_types::TextureFormat;

/// The life of a context: ids come back, lives do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Life(pub u64);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// 24 bits, not 0.
    pub number: u32,
    pub size: Size2D<u32>,
    pub alpha_mode: AlphaMode,
    pub context: ContextId,
    pub life: Life,
    /// Of its present, if it is not for a `get_image` alone.
    pub sequence: Option<u64>,
}

/// How many pixels there are until the colours repeat.
const PERIOD: usize = 8;

impl Picture {
    /// What a texture of this format holds, row after row.
    pub fn texels(&self, format: TextureFormat) -> Vec<u8> {
        let rows = self.rows(format, false);
        let mut texels = Vec::with_capacity(4 * self.size.area() as usize);
        (0..self.size.height as usize).for_each(|y| texels.extend_from_slice(&rows[y % PERIOD]));
        texels
    }

    /// Whether these are the rows of the picture as this crate hands them out.
    pub fn is<'a>(&self, format: TextureFormat, mut rows: impl Iterator<Item = &'a [u8]>) -> bool {
        let expected = self.rows(format, self.alpha_mode == AlphaMode::Opaque);
        (0..self.size.height as usize).all(|y| rows.next() == Some(&expected[y % PERIOD]))
            && rows.next().is_none()
    }

    /// The first rows; the others repeat them.
    fn rows(&self, format: TextureFormat, opaque: bool) -> Vec<Vec<u8>> {
        let width = self.size.width as usize;
        let strip: Vec<u8> =
            (0..width + PERIOD).flat_map(|x| self.pixel(x % PERIOD, format, opaque)).collect();
        let row = |y: usize| strip[4 * (3 * y % PERIOD)..][..4 * width].to_vec();
        (0..PERIOD).map(row).collect()
    }

    fn pixel(&self, place: usize, format: TextureFormat, opaque: bool) -> [u8; 4] {
        let [_, red, green, blue] = (self.number ^ ((place as u32 * 0x1f_3b5d) & 0xff_ffff)).to_be_bytes();
        let alpha = if opaque { 255 } else { blue ^ 0x5a };
        match format {
            TextureFormat::Bgra8Unorm => [blue, green, red, alpha],
            _ => [red, green, blue, alpha],
        }
    }
}

/// The number of the picture whose first pixel this is, 0 for one of a cleared canvas.
pub fn number_of(first: [u8; 4], format: TextureFormat) -> u32 {
    let [a, b, c, _] = first;
    match format {
        TextureFormat::Bgra8Unorm => u32::from_be_bytes([0, c, b, a]),
        _ => u32::from_be_bytes([0, a, b, c]),
    }
}
