//! From the pixels of a canvas to those that somebody wants, in one pass over memory.

use multiversion::multiversion;

use super::color_space;
use super::opacity::copy_opaque;
use super::packed::{self, Halves};
use super::planar::{BLOCK, Planes, full};
use super::{AlphaEncoding, AlphaMode, CanvasPixels, PixelEncoding, PixelFormat};

/// A way from one kind of pixels to another.
///
/// Everything is exact but what goes through another colour space. The alpha of an opaque canvas is not looked at: it counts as
/// full, at no cost.
///
/// 1920×1080 pixels on one core (AMD Zen 5) with AVX2, and with what every x86-64 processor has: a copy, also one whose red and
/// blue change places, takes 0.14 ms (0.3); 8 bits divided by alpha 0.7 ms (1.6); half floats to 8 bits 1.3 to 1.8 ms (3.4 to
/// 5); to half floats 3 to 4 ms (4.5 to 7); another colour space 12 to 13 ms (23 to 28).
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
    /// From 8 bits to 8 bits: colour is divided by alpha.
    Divide,
    /// From half floats to 8 bits.
    Round(Halves),
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
        use PixelFormat::{Bgra8, Rgba8, Rgba16Float};
        let premultiplied = from.alpha_mode == AlphaMode::Premultiplied;
        let recolour = from.color_space != to.color_space;
        let straighten = premultiplied && to.alpha == AlphaEncoding::Straight;
        let road = match (from.format, to.format) {
            (a, b) if a == b && !recolour && !straighten => Road::Copy,
            (Bgra8, Rgba8) | (Rgba8, Bgra8) if !recolour && !straighten => Road::Swap,
            (Bgra8 | Rgba8, Bgra8 | Rgba8) if !recolour => Road::Divide,
            (Rgba16Float, Bgra8 | Rgba8) if !recolour => Road::Round(match (premultiplied, straighten) {
                (false, _) => Halves::Opaque,
                (true, false) => Halves::Premultiplied,
                (true, true) => Halves::Straight,
            }),
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
        best_row(self, from, to);
    }

    /// Appends as many converted pixels as a row has.
    pub(crate) fn append(&self, from: &[u8], to: &mut Vec<u8>) {
        if matches!(self.road, Road::Copy) && self.from.alpha_mode != AlphaMode::Opaque {
            return to.extend_from_slice(from);
        }
        let pixels = from.len() / self.from.format.bytes_per_pixel();
        let start = to.len();
        // A row of zeros stays in the cache: memory is written once.
        to.resize(start + pixels * self.to.format.bytes_per_pixel(), 0);
        self.row(from, &mut to[start..]);
    }

    /// [`row`](Self::row) in instructions that every processor has; where it is inlined, in those that its caller may use.
    #[inline(always)]
    pub(crate) fn portable_row(&self, from: &[u8], to: &mut [u8]) {
        let opaque = self.from.alpha_mode == AlphaMode::Opaque;
        match self.road {
            Road::Copy if opaque => copy_opaque(self.from.format, from, to),
            Road::Copy => {
                let len = from.len().min(to.len());
                to[..len].copy_from_slice(&from[..len]);
            }
            Road::Swap => packed::swap(from, to, opaque),
            Road::Divide => packed::divide(from, to, self.from.format != self.to.format),
            Road::Round(halves) => packed::round(halves, from, (self.to.format, to)),
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

    #[inline(always)]
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
        if self.from.alpha_mode == AlphaMode::Opaque {
            alpha.fill(written);
        } else {
            scale(alpha, read, written);
        }
        if recolour {
            let [red, green, blue] = &mut colours;
            color_space::convert(self.from.color_space, self.to.color_space, [red, green, blue]);
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

/// Compiled for several kinds of processors, with all that it calls. None gets an instruction that rounds differently (as a
/// multiplication and addition in one does): pixels are the same everywhere.
#[multiversion(targets("x86_64+avx2+f16c"))]
fn best_row(conversion: &Conversion, from: &[u8], to: &mut [u8]) {
    conversion.portable_row(from, to);
}

/// Changes the unit of values.
#[inline(always)]
fn scale(values: &mut [f32], from: f32, to: f32) {
    if from != to {
        // One of them is 1: a single rounding.
        values.iter_mut().for_each(|value| *value = *value * to / from);
    }
}
