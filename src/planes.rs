//! A few pixels, a plane for each channel: loops over planes are vectorised. They stay in the first cache.

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::pixels::PixelFormat;

/// So many pixels at most.
pub(crate) const BLOCK: usize = 64;

/// Red, green, blue and alpha. Values mean what the format that they were read from says: 8 bits are 0 to 255, half floats
/// themselves; [`full`] is 1.0.
pub(crate) struct Planes {
    channels: [[f32; BLOCK]; 4],
    len: usize,
}

/// What 1.0 is in a format.
pub(crate) fn full(format: PixelFormat) -> f32 {
    match format {
        PixelFormat::Bgra8 | PixelFormat::Rgba8 => 255.0,
        PixelFormat::Rgba16Float => 1.0,
    }
}

impl Planes {
    pub(crate) fn new() -> Self {
        Self { channels: [[0.0; BLOCK]; 4], len: 0 }
    }

    /// The three colours, and alpha.
    pub(crate) fn split(&mut self) -> ([&mut [f32]; 3], &mut [f32]) {
        let len = self.len;
        let [red, green, blue, alpha] = &mut self.channels;
        ([&mut red[..len], &mut green[..len], &mut blue[..len]], &mut alpha[..len])
    }

    /// Reads a [`BLOCK`] of pixels, or fewer.
    pub(crate) fn read(&mut self, format: PixelFormat, bytes: &[u8]) {
        self.len = (bytes.len() / format.bytes_per_pixel()).min(BLOCK);
        match format {
            PixelFormat::Bgra8 => self.read_bytes([16, 8, 0, 24], bytes),
            PixelFormat::Rgba8 => self.read_bytes([0, 8, 16, 24], bytes),
            PixelFormat::Rgba16Float => self.read_halves(bytes),
        }
    }

    /// Writes as many pixels as were read. To 8 bits: rounded to nearest, halves up, clamped; NaN is 0.
    pub(crate) fn write(&self, format: PixelFormat, bytes: &mut [u8]) {
        match format {
            PixelFormat::Bgra8 => self.write_bytes([16, 8, 0, 24], bytes),
            PixelFormat::Rgba8 => self.write_bytes([0, 8, 16, 24], bytes),
            PixelFormat::Rgba16Float => self.write_halves(bytes),
        }
    }

    /// `shifts`: where in the four bytes each channel begins.
    fn read_bytes(&mut self, shifts: [u32; 4], bytes: &[u8]) {
        let (pixels, _) = bytes.as_chunks::<4>();
        for (channel, shift) in self.channels.iter_mut().zip(shifts) {
            for (value, pixel) in channel.iter_mut().zip(pixels) {
                // Signed, because the first vector instructions know no other integers.
                *value = ((u32::from_le_bytes(*pixel) >> shift) & 255) as i32 as f32;
            }
        }
    }

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

    fn read_halves(&mut self, bytes: &[u8]) {
        let mut halves = [f16::ZERO; 4 * BLOCK];
        let mut floats = [0.0; 4 * BLOCK];
        let (words, _) = bytes.as_chunks::<2>();
        halves.iter_mut().zip(words).for_each(|(half, word)| *half = f16::from_le_bytes(*word));
        halves.convert_to_f32_slice(&mut floats);
        let [red, green, blue, alpha] = &mut self.channels;
        let channels = red.iter_mut().zip(green).zip(blue).zip(alpha);
        for (pixel, (((red, green), blue), alpha)) in floats.as_chunks::<4>().0.iter().zip(channels) {
            [*red, *green, *blue, *alpha] = *pixel;
        }
    }

    fn write_halves(&self, bytes: &mut [u8]) {
        let mut floats = [0.0; 4 * BLOCK];
        let mut halves = [f16::ZERO; 4 * BLOCK];
        let [red, green, blue, alpha] = &self.channels;
        let channels = red.iter().zip(green).zip(blue).zip(alpha);
        for (pixel, (((red, green), blue), alpha)) in floats.as_chunks_mut::<4>().0.iter_mut().zip(channels) {
            *pixel = [*red, *green, *blue, *alpha];
        }
        halves.convert_from_f32_slice(&floats);
        let (words, _) = bytes.as_chunks_mut::<2>();
        let halves = halves.iter().take(4 * self.len);
        words.iter_mut().zip(halves).for_each(|(word, half)| *word = half.to_le_bytes());
    }
}

/// The nearest byte, halves up. Conversions between floats and integers of Rust saturate, which is not vectorised.
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
