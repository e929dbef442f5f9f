//! A block of pixels as four planes of `f32`, one for each channel.
//!
//! `conversion` reads a block, changes the planes and writes them, for the conversions that have no kernel of
//! their own. Loops over a plane are vectorised, and a block stays in the first-level cache. Every function
//! is inlined into `conversion`, so that it is compiled for several kinds of processors.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::PixelFormat;

/// Most pixels of a block. With fewer the vectorised loops are too short.
pub(crate) const BLOCK: usize = 128;

/// A block of pixels. Values are in the unit of the format that they were read from: [`full_scale`] is full
/// intensity.
pub(super) struct Planes {
    /// Red, green, blue and alpha. Only the first `len` values of each are meaningful.
    channels: [[f32; BLOCK]; 4],
    len: usize,
}

/// Returns the value that full intensity, 1.0, has in a format: 255 for bytes, 1 for half floats.
#[inline(always)]
pub(super) fn full_scale(format: PixelFormat) -> f32 {
    match format {
        PixelFormat::Bgra8 | PixelFormat::Rgba8 => 255.0,
        PixelFormat::Rgba16Float => 1.0,
    }
}

/// Returns at which bit of an 8-bit pixel its red, green, blue and alpha begin.
#[inline(always)]
fn shifts(format: PixelFormat) -> [u32; 4] {
    match format {
        PixelFormat::Bgra8 => [16, 8, 0, 24],
        PixelFormat::Rgba8 | PixelFormat::Rgba16Float => [0, 8, 16, 24],
    }
}

/// Converts the half floats of at most [`BLOCK`] pixels, without separating their channels.
#[inline(always)]
pub(super) fn halves_to_floats(bytes: &[u8], floats: &mut [f32; 4 * BLOCK]) {
    let mut halves = [f16::ZERO; 4 * BLOCK];
    let (words, _) = bytes.as_chunks::<2>();
    halves.iter_mut().zip(words).for_each(|(half, word)| *half = f16::from_le_bytes(*word));
    halves.convert_to_f32_slice(floats);
}

impl Planes {
    /// Returns an empty block.
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self { channels: [[0.0; BLOCK]; 4], len: 0 }
    }

    /// Returns red, green and blue, and apart from them alpha: one value for each pixel of the block.
    #[inline(always)]
    pub(super) fn split(&mut self) -> ([&mut [f32]; 3], &mut [f32]) {
        let len = self.len;
        let [red, green, blue, alpha] = &mut self.channels;
        ([&mut red[..len], &mut green[..len], &mut blue[..len]], &mut alpha[..len])
    }

    /// Replaces the block by the pixels of `bytes`, at most [`BLOCK`].
    #[inline(always)]
    pub(super) fn read(&mut self, format: PixelFormat, bytes: &[u8]) {
        self.len = (bytes.len() / format.bytes_per_pixel()).min(BLOCK);
        match format {
            PixelFormat::Bgra8 | PixelFormat::Rgba8 => self.read_bytes(shifts(format), bytes),
            PixelFormat::Rgba16Float => self.read_halves(bytes),
        }
    }

    /// Writes as many pixels as were read, or as `bytes` has room for.
    ///
    /// Bytes are rounded to nearest, middles up, and clamped; NaN becomes 0. Precondition: the values are in
    /// the unit of `format`.
    #[inline(always)]
    pub(super) fn write(&self, format: PixelFormat, bytes: &mut [u8]) {
        match format {
            PixelFormat::Bgra8 | PixelFormat::Rgba8 => self.write_bytes(shifts(format), bytes),
            PixelFormat::Rgba16Float => self.write_halves(bytes),
        }
    }

    #[inline(always)]
    fn read_bytes(&mut self, shifts: [u32; 4], bytes: &[u8]) {
        let (pixels, _) = bytes.as_chunks::<4>();
        for (channel, shift) in self.channels.iter_mut().zip(shifts) {
            for (value, pixel) in channel.iter_mut().zip(pixels) {
                // Through `i32`, because the oldest vector instructions convert signed integers only.
                *value = ((u32::from_le_bytes(*pixel) >> shift) & 255) as i32 as f32;
            }
        }
    }

    #[inline(always)]
    fn write_bytes(&self, shifts: [u32; 4], bytes: &mut [u8]) {
        let (pixels, _) = bytes.as_chunks_mut::<4>();
        let [red, green, blue, alpha] = &self.channels;
        let colours = red.iter().zip(green).zip(blue).zip(alpha).take(self.len);
        for (pixel, (((red, green), blue), alpha)) in pixels.iter_mut().zip(colours) {
            *pixel = (round_to_byte(*red) << shifts[0]
                | round_to_byte(*green) << shifts[1]
                | round_to_byte(*blue) << shifts[2]
                | round_to_byte(*alpha) << shifts[3])
                .to_le_bytes();
        }
    }

    #[inline(always)]
    fn read_halves(&mut self, bytes: &[u8]) {
        let mut floats = [0.0; 4 * BLOCK];
        halves_to_floats(bytes, &mut floats);
        let [red, green, blue, alpha] = &mut self.channels;
        let channels = red.iter_mut().zip(green).zip(blue).zip(alpha);
        for (pixel, (((red, green), blue), alpha)) in floats.as_chunks::<4>().0.iter().zip(channels) {
            [*red, *green, *blue, *alpha] = *pixel;
        }
    }

    /// Writes half floats. Every NaN gets the same bits: those that arithmetic left depend on the processor.
    #[inline(always)]
    fn write_halves(&self, bytes: &mut [u8]) {
        let mut floats = [0.0; 4 * BLOCK];
        let mut halves = [f16::ZERO; 4 * BLOCK];
        let [red, green, blue, alpha] = &self.channels;
        let channels = red.iter().zip(green).zip(blue).zip(alpha);
        for (pixel, (((red, green), blue), alpha)) in floats.as_chunks_mut::<4>().0.iter_mut().zip(channels) {
            *pixel = [*red, *green, *blue, *alpha];
        }
        for value in &mut floats {
            *value = if value.is_nan() { f32::NAN } else { *value };
        }
        halves.convert_from_f32_slice(&floats);
        let (words, _) = bytes.as_chunks_mut::<2>();
        let halves = halves.iter().take(4 * self.len);
        words.iter_mut().zip(halves).for_each(|(word, half)| *word = half.to_le_bytes());
    }
}

/// Returns the nearest byte, middles rounded up, clamped. NaN becomes 0.
#[inline(always)]
fn round_to_byte(value: f32) -> u32 {
    /// 2²³. An `f32` of this size has no fraction: adding it rounds to an integer (middles to even), which is
    /// left in the lowest bits. `as u32` would saturate, which is not vectorised.
    const ROUND: f32 = 8_388_608.0;
    // `f32::clamp` would keep NaN.
    let value = if value > 0.0 { value } else { 0.0 };
    let value = if value < 255.0 { value } else { 255.0 };
    let rounded = (value + ROUND) - ROUND;
    let rounded = if value - rounded == 0.5 { rounded + 1.0 } else { rounded };
    (rounded + ROUND).to_bits() & 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_floats_are_the_same_with_and_without_instructions_for_them() {
        let mut floats = [0.0; 4 * BLOCK];
        for all in (0..=u16::MAX).collect::<Vec<_>>().as_chunks::<{ 4 * BLOCK }>().0 {
            halves_to_floats(&all.map(u16::to_le_bytes).concat(), &mut floats);
            for (bits, float) in all.iter().zip(floats) {
                assert_eq!(float.to_bits(), f16::from_bits(*bits).to_f32_const().to_bits(), "{bits:04x}");
            }
            // Just below, at and just above the middle between two neighbouring half floats, where rounding
            // decides.
            for ulps in [0xFFF, 0x1000, 0x1001] {
                let between = floats.map(|float| f32::from_bits(float.to_bits().wrapping_add(ulps)));
                let mut halves = [f16::ZERO; 4 * BLOCK];
                halves.convert_from_f32_slice(&between);
                for (float, half) in between.iter().zip(halves).filter(|(float, _)| !float.is_nan()) {
                    assert_eq!(half.to_bits(), f16::from_f32_const(*float).to_bits(), "{float:e}");
                }
            }
        }
    }
}
