//! Compares the composited page with what was drawn, pixel for pixel.

use euclid::default::{Rect, Size2D};
use webgpu_presentation::AlphaMode;
use wgpu_types::TextureFormat;

use crate::Gl;
use crate::failure::Failure;
use crate::support::page::PageGl;

/// What was drawn into a canvas, read without this crate.
pub struct Drawn {
    pub canvas: &'static str,
    pub place: Rect<u32>,
    pub format: TextureFormat,
    pub alpha_mode: AlphaMode,
    /// Row after row, in the order of the format.
    pub bytes: Vec<u8>,
}

impl Drawn {
    /// What `get_image` must answer, in the order of the format.
    pub fn presented(&self) -> impl Iterator<Item = [u8; 4]> {
        self.bytes.as_chunks::<4>().0.iter().map(|&[a, b, c, alpha]| match self.alpha_mode {
            AlphaMode::Opaque => [a, b, c, 255],
            AlphaMode::Premultiplied => [a, b, c, alpha],
        })
    }

    fn rgba(&self) -> impl Iterator<Item = [u8; 4]> {
        self.presented().map(|[a, b, c, alpha]| match self.format {
            TextureFormat::Bgra8Unorm => [c, b, a, alpha],
            _ => [a, b, c, alpha],
        })
    }
}

/// The page as it must be, and as it is: RGBA.
pub struct Pages<'a> {
    pub gl: Gl,
    pub size: Size2D<u32>,
    pub backdrop: &'a [u8],
    pub composited: &'a [u8],
}

impl Pages<'_> {
    /// The region of a canvas is the canvas blended over the backdrop, exactly.
    pub fn compare(&self, frame: u32, drawn: &Drawn) -> Result<(), Failure> {
        let place = drawn.place;
        let mut first = None;
        let mut wrong = 0;
        let places = (0..place.height()).flat_map(|y| (0..place.width()).map(move |x| (x, y)));
        for (source, (x, y)) in drawn.rgba().zip(places) {
            let offset = ((place.min_y() + y) * self.size.width + place.min_x() + x) as usize * 4;
            let at = |pixels: &[u8]| std::array::from_fn(|channel| pixels[offset + channel]);
            let [r, g, b, _]: [u8; 4] = at(self.backdrop);
            let [r, g, b] = PageGl::from(self.gl).blend(source, [r, g, b]);
            let expected = [r, g, b, 255];
            let got = at(self.composited);
            if got != expected {
                wrong += 1;
                first.get_or_insert((x, y, expected, got));
            }
        }
        match first {
            None => Ok(()),
            Some((x, y, expected, got)) => {
                let canvas = drawn.canvas;
                Err(Failure::Mismatch { frame, canvas, x, y, expected, got, wrong })
            }
        }
    }
}
