//! A few pixels, a plane for each channel: loops over planes are vectorised. They stay in the first cache.
//!
//! All functions are inlined, so that [`Conversion`](crate::convert::Conversion) compiles them for several processors.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::PixelFormat;

/// So many pixels at most. Fewer leave loops too short.
pub(crate) const BLOCK: usize = 128;

/// Red, green, blue and alpha. Values mean what the format that they were read from says: 8 bits are 0 to 255, half floats
/// themselves; [`full`] is 1.0.
pub(crate) struct Planes {
    channels: [[f32; BLOCK]; 4],
    len: usize,
}

/// What 1.0 is in a format.
#[inline(always)]
pub(crate) fn full(format: PixelFormat) -> f32 {
    match format {
        PixelFormat::Bgra8 | PixelFormat::Rgba8 => 255.0,
        PixelFormat::Rgba16Float => 1.0,
    }
}

/// Where in the four bytes of a pixel its red, green, blue and alpha begin.
#[inline(always)]
pub(crate) fn shifts(format: PixelFormat) -> [u32; 4] {
    match format {
        PixelFormat::Bgra8 => [16, 8, 0, 24],
        PixelFormat::Rgba8 | PixelFormat::Rgba16Float => [0, 8, 16, 24],
    }
}

/// A [`BLOCK`] of pixels of half floats, or fewer, one after the other.
#[inline(always)]
pub(crate) fn to_floats(bytes: &[u8], floats: &mut [f32; 4 * BLOCK]) {
    let mut halves = [f16::ZERO; 4 * BLOCK];
    let (words, _) = bytes.as_chunks::<2>();
    halves.iter_mut().zip(words).for_each(|(half, word)| *half = f16::from_le_bytes(*word));
    halves.convert_to_f32_slice(floats);
}

impl Planes {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self { channels: [[0.0; BLOCK]; 4], len: 0 }
    }

    /// The three colours, and alpha.
    #[inline(always)]
    pub(crate) fn split(&mut self) -> ([&mut [f32]; 3], &mut [f32]) {
        let len = self.len;
        let [red, green, blue, alpha] = &mut self.channels;
        ([&mut red[..len], &mut green[..len], &mut blue[..len]], &mut alpha[..len])
    }

    /// Reads a [`BLOCK`] of pixels, or fewer.
    #[inline(always)]
    pub(crate) fn read(&mut self, format: PixelFormat, bytes: &[u8]) {
        self.len = (bytes.len() / format.bytes_per_pixel()).min(BLOCK);
        match format {
            PixelFormat::Bgra8 | PixelFormat::Rgba8 => self.read_bytes(shifts(format), bytes),
            PixelFormat::Rgba16Float => self.read_halves(bytes),
        }
    }

    /// Writes as many pixels as were read. To 8 bits: rounded to nearest, halves up, clamped; NaN is 0.
    #[inline(always)]
    pub(crate) fn write(&self, format: PixelFormat, bytes: &mut [u8]) {
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
                // Signed, because the first vector instructions know no other integers.
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
            *pixel = (nearest(*red) << shifts[0]
                | nearest(*green) << shifts[1]
                | nearest(*blue) << shifts[2]
                | nearest(*alpha) << shifts[3])
                .to_le_bytes();
        }
    }

    #[inline(always)]
    fn read_halves(&mut self, bytes: &[u8]) {
        let mut floats = [0.0; 4 * BLOCK];
        to_floats(bytes, &mut floats);
        let [red, green, blue, alpha] = &mut self.channels;
        let channels = red.iter_mut().zip(green).zip(blue).zip(alpha);
        for (pixel, (((red, green), blue), alpha)) in floats.as_chunks::<4>().0.iter().zip(channels) {
            [*red, *green, *blue, *alpha] = *pixel;
        }
    }

    /// What is no number has the same bits whatever computed it.
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

/// The nearest byte, halves up. Conversions between floats and integers of Rust saturate, which is not vectorised.
#[inline(always)]
fn nearest(value: f32) -> u32 {
    /// A number this large has no fraction, so adding it rounds (halves to even), and leaves the integer in the lowest bits.
    const ROUND: f32 = 8_388_608.0;
    // Not `clamp`, which keeps NaN.
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
            to_floats(&all.map(u16::to_le_bytes).concat(), &mut floats);
            for (bits, float) in all.iter().zip(floats) {
                assert_eq!(float.to_bits(), f16::from_bits(*bits).to_f32_const().to_bits(), "{bits:04x}");
            }
            // Between two neighbours, where it is rounded.
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
