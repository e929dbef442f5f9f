//! To 8 bits without another colour space: what most canvases need, so everything stays in registers.

use super::PixelFormat;
use super::planar::{BLOCK, to_floats};

/// 255, and a 2²¹st more, which decides what lies in the middle between two bytes.
///
/// A byte or a half float has a significand of 11 bits at most. So 255 times one, or times a quotient of two, lies in the
/// middle or a 2²⁰th of itself away from it, or farther. With a 2²¹st more the middle lies above the middle, which two
/// roundings of `f32` (each by a 2²⁴th) do not undo, and nothing else has changed sides.
const FULL: f32 = 255.0 + 1.0 / 8192.0;

/// Red and blue change places.
#[inline(always)]
pub(crate) fn swap(from: &[u8], to: &mut [u8], opaque: bool) {
    let full = if opaque { 0xFF00_0000 } else { 0 };
    for (from, to) in from.as_chunks::<4>().0.iter().zip(to.as_chunks_mut::<4>().0) {
        *to = (swapped(*from) | full).to_le_bytes();
    }
}

/// The same, where they are.
pub(crate) fn swap_in_place(row: &mut [u8]) {
    row.as_chunks_mut::<4>().0.iter_mut().for_each(|pixel| *pixel = swapped(*pixel).to_le_bytes());
}

#[inline(always)]
fn swapped(pixel: [u8; 4]) -> u32 {
    let pixel = u32::from_le_bytes(pixel);
    pixel & 0xFF00_FF00 | (pixel & 255) << 16 | (pixel >> 16) & 255
}

/// Divides colours of 8 bits by their alpha.
#[inline(always)]
pub(crate) fn divide(from: &[u8], to: &mut [u8], swap: bool) {
    // Constants are faster.
    if swap { divide_to([16, 8, 0], from, to) } else { divide_to([0, 8, 16], from, to) }
}

/// `shifts`: where the first, second and third byte begin then.
#[inline(always)]
fn divide_to(shifts: [u32; 3], from: &[u8], to: &mut [u8]) {
    for (from, to) in from.as_chunks::<4>().0.iter().zip(to.as_chunks_mut::<4>().0) {
        let pixel = u32::from_le_bytes(*from);
        // Signed, because the first vector instructions know no other integers.
        let colour = [0, 8, 16].map(|shift| ((pixel >> shift) & 255) as i32 as f32);
        let factor = straight((pixel >> 24) as i32 as f32);
        *to = (pixel & 0xFF00_0000 | packed(colour, factor, shifts)).to_le_bytes();
    }
}

/// What becomes of half floats.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Halves {
    /// They stay multiplied by alpha.
    Premultiplied,
    /// They are divided by it.
    Straight,
    /// Alpha counts as 1.
    Opaque,
}

#[inline(always)]
pub(crate) fn round(halves: Halves, from: &[u8], to: (PixelFormat, &mut [u8])) {
    match halves {
        Halves::Premultiplied => round_by(|alpha| (FULL, nearest(alpha * FULL)), from, to),
        Halves::Straight => round_by(|alpha| (straight(alpha), nearest(alpha * FULL)), from, to),
        Halves::Opaque => round_by(|_| (FULL, 255), from, to),
    }
}

/// `of`: for an alpha, the factor of colours and the byte.
#[inline(always)]
fn round_by(of: impl Fn(f32) -> (f32, u32), from: &[u8], (format, to): (PixelFormat, &mut [u8])) {
    let written = if format == PixelFormat::Bgra8 { [16, 8, 0] } else { [0, 8, 16] };
    let mut floats = [0.0; 4 * BLOCK];
    for (from, to) in from.chunks(8 * BLOCK).zip(to.chunks_mut(4 * BLOCK)) {
        to_floats(from, &mut floats);
        let pixels = floats.as_chunks::<4>().0.iter().take(from.len() / 8);
        for (&[red, green, blue, alpha], to) in pixels.zip(to.as_chunks_mut().0) {
            let (factor, alpha) = of(alpha);
            *to = (alpha << 24 | packed([red, green, blue], factor, written)).to_le_bytes();
        }
    }
}

/// What makes bytes of colours that are multiplied by alpha.
#[inline(always)]
fn straight(alpha: f32) -> f32 {
    let factor = FULL / alpha;
    if alpha == 0.0 { 0.0 } else { factor }
}

#[inline(always)]
fn packed([red, green, blue]: [f32; 3], factor: f32, shifts: [u32; 3]) -> u32 {
    nearest(red * factor) << shifts[0]
        | nearest(green * factor) << shifts[1]
        | nearest(blue * factor) << shifts[2]
}

/// The nearest byte of what was multiplied by [`FULL`]. NaN is 0.
#[inline(always)]
fn nearest(value: f32) -> u32 {
    // Not `clamp`, which keeps NaN.
    let value = if value > 0.0 { value } else { 0.0 };
    let value = if value < 255.0 { value } else { 255.0 };
    // 2²³: a number this large has no fraction, so adding it rounds, and leaves the integer in the lowest bits. Conversions
    // between floats and integers of Rust saturate, which is slower.
    (value + 8_388_608.0).to_bits() & 255
}
