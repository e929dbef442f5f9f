//! From the pixels of a canvas to those that somebody wants, in one pass over memory.

use crate::colour;
use crate::pixels::{Alpha, AlphaMode, CanvasPixels, PixelEncoding, PixelFormat};
use crate::planes::{BLOCK, Planes, full};

/// A way from one kind of pixels to another.
///
/// Everything is exact but what goes through another colour space: the quotient and the product that a channel needs are
/// single roundings of `f32`, and no quotient of two bytes or two half floats lies so close to the middle between two bytes that
/// this matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conversion {
    from: CanvasPixels,
    to: PixelEncoding,
    road: Road,
}

#[derive(Clone, Copy, Debug)]
enum Road {
    Copy,
    /// Red and blue change places.
    Swap,
    /// Through floating point.
    Planes {
        /// Colour is divided by alpha.
        divide: bool,
        /// Colour is converted.
        recolour: bool,
        /// Colour is multiplied by alpha again.
        multiply: bool,
    },
}

impl Conversion {
    pub(crate) fn new(from: CanvasPixels, to: PixelEncoding) -> Self {
        let premultiplied = from.alpha_mode == AlphaMode::Premultiplied;
        let recolour = from.color_space != to.color_space;
        let straighten = premultiplied && to.alpha == Alpha::Straight;
        let road = match (from.format, to.format) {
            (a, b) if a == b && !recolour && !straighten => Road::Copy,
            (PixelFormat::Bgra8, PixelFormat::Rgba8) | (PixelFormat::Rgba8, PixelFormat::Bgra8)
                if !recolour && !straighten =>
            {
                Road::Swap
            }
            _ => Road::Planes {
                divide: straighten || (premultiplied && recolour),
                recolour,
                multiply: premultiplied && recolour && !straighten,
            },
        };
        Self { from, to, road }
    }

    /// Converts a row: as many pixels as both have room for.
    pub(crate) fn row(&self, from: &[u8], to: &mut [u8]) {
        match self.road {
            Road::Copy => {
                let len = from.len().min(to.len());
                to[..len].copy_from_slice(&from[..len]);
            }
            Road::Swap => {
                for (from, to) in from.as_chunks::<4>().0.iter().zip(to.as_chunks_mut::<4>().0) {
                    *to = [from[2], from[1], from[0], from[3]];
                }
            }
            Road::Planes { divide, recolour, multiply } => {
                let mut planes = Planes::new();
                let from = from.chunks(BLOCK * self.from.format.bytes_per_pixel());
                let to = to.chunks_mut(BLOCK * self.to.format.bytes_per_pixel());
                for (from, to) in from.zip(to) {
                    planes.read(self.from.format, from);
                    self.change(&mut planes, divide, recolour, multiply);
                    planes.write(self.to.format, to);
                }
            }
        }
    }

    fn change(&self, planes: &mut Planes, divide: bool, recolour: bool, multiply: bool) {
        let (read, written) = (full(self.from.format), full(self.to.format));
        // What colours are between the steps.
        let between = if recolour { 1.0 } else { written };
        let (mut colours, alpha) = planes.split();
        for colour in &mut colours {
            if divide {
                for (colour, alpha) in colour.iter_mut().zip(&*alpha) {
                    // The product is exact, so the quotient is rounded once.
                    let quotient = *colour * between / *alpha;
                    *colour = if *alpha == 0.0 { 0.0 } else { quotient };
                }
            } else {
                scale(colour, read, between);
            }
        }
        scale(alpha, read, written);
        if recolour {
            let [red, green, blue] = &mut colours;
            colour::convert(self.from.color_space, self.to.color_space, [red, green, blue]);
            for colour in &mut colours {
                if multiply {
                    // Alpha is in the unit that is written already.
                    colour.iter_mut().zip(&*alpha).for_each(|(colour, alpha)| *colour *= *alpha);
                } else {
                    scale(colour, 1.0, written);
                }
            }
        }
    }
}

/// Changes the unit of values.
fn scale(values: &mut [f32], from: f32, to: f32) {
    if from != to {
        // One of them is 1: a single rounding.
        values.iter_mut().for_each(|value| *value = *value * to / from);
    }
}
