//! Conversion of canvas pixels to the pixels that a caller wants, in one pass over memory.
//!
//! [`Conversion::new`] picks the cheapest [`Kernel`] once; [`Conversion::row`] then runs it on each row of an
//! image. Frames are converted here for WebRender, on the thread that completes their copy, and snapshots on
//! the thread that reads them.

use multiversion::multiversion;

use super::color_space;
use super::opacity::copy_opaque;
use super::packed::{self, HalfAlpha};
use super::planar::{BLOCK, Planes, full_scale};
use super::{AlphaEncoding, AlphaMode, CanvasPixels, PixelEncoding, PixelFormat};

/// Converts rows of canvas pixels to a [`PixelEncoding`].
///
/// Within one colour space an 8-bit result is the nearest byte in every case, and a half float is the exact
/// value rounded to `f32` and then to 16 bits. Between colour spaces the error is that of [`color_space`].
/// The alpha channel of an opaque canvas is not read: it counts as 1.0, at no cost.
///
/// Milliseconds for 1920×1080 pixels on one core (AMD Zen 5), with AVX2 and with the instructions that every
/// x86-64 processor has:
///
/// | conversion | AVX2 | every x86-64 |
/// |---|---|---|
/// | copy, also with red and blue swapped | 0.14 | 0.3 |
/// | 8 bits divided by alpha | 0.7 | 1.6 |
/// | half floats to 8 bits | 1.3 to 1.8 | 3.4 to 5 |
/// | anything to half floats | 3 to 4 | 4.5 to 7 |
/// | to another colour space | 12 to 13 | 23 to 28 |
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conversion {
    from: CanvasPixels,
    to: PixelEncoding,
    kernel: Kernel,
}

/// The loop that converts a row. The first four keep each pixel in registers; [`Planar`](Self::Planar) can do
/// everything.
#[derive(Clone, Copy, Debug)]
enum Kernel {
    /// Copies pixels; alpha is set if the canvas is opaque.
    Copy,
    /// 8 bits to 8 bits: swaps red and blue; alpha is set if the canvas is opaque.
    SwapRedBlue,
    /// 8 bits to 8 bits: divides colour by alpha, and swaps red and blue if the formats differ.
    Unpremultiply,
    /// Half floats to 8 bits in the same colour space.
    HalvesToBytes(HalfAlpha),
    /// Anything to anything, through [`Planes`] of `f32`.
    Planar(PlanarSteps),
}

/// The steps between reading and writing [`Planes`], in the order in which they run.
#[derive(Clone, Copy, Debug)]
struct PlanarSteps {
    /// Colour is divided by alpha.
    unpremultiply: bool,
    /// Colour is converted to the other colour space.
    change_space: bool,
    /// Colour is multiplied by alpha again.
    premultiply: bool,
}

impl Conversion {
    /// Prepares the conversion of `from` to `to`, for any number of rows.
    pub(crate) fn new(from: CanvasPixels, to: PixelEncoding) -> Self {
        use PixelFormat::{Bgra8, Rgba8, Rgba16Float};
        let premultiplied = from.alpha_mode == AlphaMode::Premultiplied;
        let change_space = from.color_space != to.color_space;
        let straighten = premultiplied && to.alpha == AlphaEncoding::Straight;
        let kernel = match (from.format, to.format) {
            (a, b) if a == b && !change_space && !straighten => Kernel::Copy,
            (Bgra8, Rgba8) | (Rgba8, Bgra8) if !change_space && !straighten => Kernel::SwapRedBlue,
            (Bgra8 | Rgba8, Bgra8 | Rgba8) if !change_space => Kernel::Unpremultiply,
            (Rgba16Float, Bgra8 | Rgba8) if !change_space => {
                Kernel::HalvesToBytes(match (premultiplied, straighten) {
                    (false, _) => HalfAlpha::Opaque,
                    (true, false) => HalfAlpha::Premultiplied,
                    (true, true) => HalfAlpha::Unpremultiply,
                })
            }
            _ => Kernel::Planar(PlanarSteps {
                unpremultiply: straighten || (premultiplied && change_space),
                change_space,
                premultiply: premultiplied && change_space && !straighten,
            }),
        };
        Self { from, to, kernel }
    }

    /// Converts a row: as many pixels as both slices have room for. Bytes of `to` behind them are not
    /// touched.
    pub(crate) fn row(&self, from: &[u8], to: &mut [u8]) {
        best_row(self, from, to);
    }

    /// Converts all pixels of a row and appends them to `to`.
    pub(crate) fn append(&self, from: &[u8], to: &mut Vec<u8>) {
        if matches!(self.kernel, Kernel::Copy) && self.from.alpha_mode != AlphaMode::Opaque {
            return to.extend_from_slice(from);
        }
        let pixels = from.len() / self.from.format.bytes_per_pixel();
        let start = to.len();
        // The zeros of one row are still in the cache when the row overwrites them: memory is written once.
        to.resize(start + pixels * self.to.format.bytes_per_pixel(), 0);
        self.row(from, &mut to[start..]);
    }

    /// Converts a row like [`row`](Self::row), without choosing instructions by the processor: on its own it
    /// uses those that every processor has, inlined those that its caller may use.
    #[inline(always)]
    pub(crate) fn portable_row(&self, from: &[u8], to: &mut [u8]) {
        let opaque = self.from.alpha_mode == AlphaMode::Opaque;
        match self.kernel {
            Kernel::Copy if opaque => copy_opaque(self.from.format, from, to),
            Kernel::Copy => {
                let len = from.len().min(to.len());
                to[..len].copy_from_slice(&from[..len]);
            }
            Kernel::SwapRedBlue => packed::swap_red_blue(from, to, opaque),
            Kernel::Unpremultiply => packed::unpremultiply(from, to, self.from.format != self.to.format),
            Kernel::HalvesToBytes(alpha) => packed::halves_to_bytes(alpha, from, (self.to.format, to)),
            Kernel::Planar(steps) => {
                let mut planes = Planes::new();
                let from = from.chunks(BLOCK * self.from.format.bytes_per_pixel());
                let to = to.chunks_mut(BLOCK * self.to.format.bytes_per_pixel());
                for (from, to) in from.zip(to) {
                    planes.read(self.from.format, from);
                    self.convert_planes(&mut planes, steps);
                    planes.write(self.to.format, to);
                }
            }
        }
    }

    /// Runs `steps` on the pixels of one block, and scales them from the unit that was read to the unit that
    /// is written.
    #[inline(always)]
    fn convert_planes(&self, planes: &mut Planes, steps: PlanarSteps) {
        let (read, written) = (full_scale(self.from.format), full_scale(self.to.format));
        // The unit of colours after the first step: a change of colour space needs 1.0 to be full intensity.
        let between = if steps.change_space { 1.0 } else { written };
        let (mut colours, alpha) = planes.split();
        for colour in &mut colours {
            if steps.unpremultiply {
                for (colour, alpha) in colour.iter_mut().zip(&*alpha) {
                    // The product is exact, so the quotient is rounded once.
                    let quotient = *colour * between / *alpha;
                    *colour = if *alpha == 0.0 { 0.0 } else { quotient };
                }
            } else {
                rescale(colour, read, between);
            }
        }
        if self.from.alpha_mode == AlphaMode::Opaque {
            alpha.fill(written);
        } else {
            rescale(alpha, read, written);
        }
        if steps.change_space {
            let [red, green, blue] = &mut colours;
            color_space::convert(self.from.color_space, self.to.color_space, [red, green, blue]);
            for colour in &mut colours {
                if steps.premultiply {
                    // Alpha is in the unit that is written already, so this product rescales the colour too.
                    colour.iter_mut().zip(&*alpha).for_each(|(colour, alpha)| *colour *= *alpha);
                } else {
                    rescale(colour, 1.0, written);
                }
            }
        }
    }
}

/// Runs [`Conversion::portable_row`], compiled once for AVX2 and once for every processor, and chosen when
/// the program runs.
///
/// Neither version has an instruction that rounds differently, such as a fused multiplication and addition:
/// the pixels are the same on every processor.
#[multiversion(targets("x86_64+avx2+f16c"))]
fn best_row(conversion: &Conversion, from: &[u8], to: &mut [u8]) {
    conversion.portable_row(from, to);
}

/// Changes the unit of values: what was `from` becomes `to`.
#[inline(always)]
fn rescale(values: &mut [f32], from: f32, to: f32) {
    if from != to {
        // One of the two units is 1.0, so each value is rounded once.
        values.iter_mut().for_each(|value| *value = *value * to / from);
    }
}
