//! Kernels that produce 8-bit pixels without a change of color space.
//!
//! Most canvases need one of these. Each pixel is converted as a whole, in registers, and written as one
//! 32-bit word. `conversion` calls them for one row at a time; they are inlined into it, so that they are
//! compiled for several kinds of processors. `frame` calls [`swap_in_place`].

use super::PixelFormat;
use super::planar::{BLOCK, halves_to_floats};

/// 255, enlarged by one part in 2²¹, so that a value in the middle between two bytes is rounded up.
///
/// Bytes and half floats have significands of at most 11 bits. Therefore 255 times such a number, or times a
/// quotient of two, either lies exactly in the middle between two bytes, or differs from the middle by at
/// least one part in 2²⁰. Enlarging 255 by one part in 2²¹ moves the middle above the middle, and nothing
/// else across it. The two roundings to `f32` that follow, each of one part in 2²⁴, cannot undo that.
const BIASED_255: f32 = 255.0 + 1.0 / 8192.0;

/// Copies pixels with red and blue swapped, and sets alpha to 255 if the canvas is opaque.
#[inline(always)]
pub(super) fn swap_red_blue(from: &[u8], to: &mut [u8], opaque: bool) {
    let alpha = if opaque { 0xFF00_0000 } else { 0 };
    for (from, to) in from.as_chunks::<4>().0.iter().zip(to.as_chunks_mut::<4>().0) {
        *to = (swapped(*from) | alpha).to_le_bytes();
    }
}

/// Swaps red and blue of all 8-bit pixels of a row in place.
pub(crate) fn swap_in_place(row: &mut [u8]) {
    row.as_chunks_mut::<4>().0.iter_mut().for_each(|pixel| *pixel = swapped(*pixel).to_le_bytes());
}

/// Returns a pixel with its first and third byte swapped, as a little-endian word.
#[inline(always)]
fn swapped(pixel: [u8; 4]) -> u32 {
    let pixel = u32::from_le_bytes(pixel);
    pixel & 0xFF00_FF00 | (pixel & 255) << 16 | (pixel >> 16) & 255
}

/// Divides the colors of 8-bit pixels by their alpha, and swaps red and blue if `swap` is set.
#[inline(always)]
pub(super) fn unpremultiply(from: &[u8], to: &mut [u8], swap: bool) {
    // Each branch is compiled for constant shifts, which is faster.
    if swap { unpremultiply_to([16, 8, 0], from, to) } else { unpremultiply_to([0, 8, 16], from, to) }
}

/// Divides colors by alpha. `shifts` says at which bit of the result the first, second and third byte of a
/// pixel go.
#[inline(always)]
fn unpremultiply_to(shifts: [u32; 3], from: &[u8], to: &mut [u8]) {
    for (from, to) in from.as_chunks::<4>().0.iter().zip(to.as_chunks_mut::<4>().0) {
        let pixel = u32::from_le_bytes(*from);
        // Through `i32`, because the oldest vector instructions convert signed integers only.
        let color = [0, 8, 16].map(|shift| ((pixel >> shift) & 255) as i32 as f32);
        let factor = unpremultiply_factor((pixel >> 24) as i32 as f32);
        *to = (pixel & 0xFF00_0000 | pack_colors(color, factor, shifts)).to_le_bytes();
    }
}

/// How alpha is treated when half floats become bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum HalfAlpha {
    /// Colour stays multiplied by alpha.
    Premultiplied,
    /// Colour is divided by alpha.
    Unpremultiply,
    /// Alpha is not read and counts as 1.0.
    Opaque,
}

/// Converts half floats to bytes: rounded to nearest, middles up, and clamped. NaN becomes 0.
#[inline(always)]
pub(super) fn halves_to_bytes(alpha: HalfAlpha, from: &[u8], to: (PixelFormat, &mut [u8])) {
    match alpha {
        HalfAlpha::Premultiplied => {
            halves_to_bytes_with(|alpha| (BIASED_255, to_byte(alpha * BIASED_255)), from, to);
        }
        HalfAlpha::Unpremultiply => {
            halves_to_bytes_with(
                |alpha| (unpremultiply_factor(alpha), to_byte(alpha * BIASED_255)),
                from,
                to,
            );
        }
        HalfAlpha::Opaque => halves_to_bytes_with(|_| (BIASED_255, 255), from, to),
    }
}

/// Converts half floats to bytes. `scale` maps the alpha of a pixel to the factor of its colors and to its
/// byte of alpha.
#[inline(always)]
fn halves_to_bytes_with(
    scale: impl Fn(f32) -> (f32, u32),
    from: &[u8],
    (format, to): (PixelFormat, &mut [u8]),
) {
    let shifts = if format == PixelFormat::Bgra8 { [16, 8, 0] } else { [0, 8, 16] };
    let mut floats = [0.0; 4 * BLOCK];
    for (from, to) in from.chunks(8 * BLOCK).zip(to.chunks_mut(4 * BLOCK)) {
        halves_to_floats(from, &mut floats);
        let pixels = floats.as_chunks::<4>().0.iter().take(from.len() / 8);
        for (&[red, green, blue, alpha], to) in pixels.zip(to.as_chunks_mut().0) {
            let (factor, alpha) = scale(alpha);
            *to = (alpha << 24 | pack_colors([red, green, blue], factor, shifts)).to_le_bytes();
        }
    }
}

/// Returns the factor that turns premultiplied colors into straight bytes; 0 if alpha is 0.
#[inline(always)]
fn unpremultiply_factor(alpha: f32) -> f32 {
    let factor = BIASED_255 / alpha;
    if alpha == 0.0 { 0.0 } else { factor }
}

/// Scales three colors and returns their bytes at the given bits of a word. The bits of alpha are 0.
#[inline(always)]
fn pack_colors([red, green, blue]: [f32; 3], factor: f32, shifts: [u32; 3]) -> u32 {
    to_byte(red * factor) << shifts[0]
        | to_byte(green * factor) << shifts[1]
        | to_byte(blue * factor) << shifts[2]
}

/// Returns the nearest byte of a value that was scaled by [`BIASED_255`], clamped. NaN becomes 0.
#[inline(always)]
fn to_byte(value: f32) -> u32 {
    // `f32::clamp` would keep NaN.
    let value = if value > 0.0 { value } else { 0.0 };
    let value = if value < 255.0 { value } else { 255.0 };
    // An `f32` of 2²³ or more has no fraction: adding 2²³ rounds to an integer, which is left in the lowest
    // bits. `as u32` would saturate, which is slower.
    (value + 8_388_608.0).to_bits() & 255
}
