//! The alpha channel of opaque canvases, which must be 255 (1.0 in half floats) whatever script wrote there.
//!
//! `frame` calls [`is_opaque`] and [`make_opaque`] on each row of a frame of an opaque canvas; `conversion`
//! copies with [`copy_opaque`]. All loops go over whole pixels and have no early exit, so that the compiler
//! vectorises them.

use super::PixelFormat;

/// The bits of 1.0 as a half float.
const HALF_ONE: u64 = 0x3C00;

/// Returns whether all pixels of a row are opaque, which is true of an empty row.
pub(crate) fn is_opaque(format: PixelFormat, row: &[u8]) -> bool {
    match format {
        PixelFormat::Bgra8 | PixelFormat::Rgba8 => {
            let (pixels, _) = row.as_chunks::<4>();
            pixels.iter().fold(u32::MAX, |all, pixel| all & u32::from_le_bytes(*pixel)) >> 24 == 255
        }
        PixelFormat::Rgba16Float => {
            let (pixels, _) = row.as_chunks::<8>();
            let differs = |pixel: &[u8; 8]| (u64::from_le_bytes(*pixel) >> 48) ^ HALF_ONE;
            pixels.iter().fold(0, |any, pixel| any | differs(pixel)) == 0
        }
    }
}

/// Sets the alpha of all pixels of a row. Colours are not changed.
pub(crate) fn make_opaque(format: PixelFormat, row: &mut [u8]) {
    match format {
        PixelFormat::Bgra8 | PixelFormat::Rgba8 => {
            row.as_chunks_mut::<4>().0.iter_mut().for_each(|pixel| *pixel = opaque_bytes(*pixel));
        }
        PixelFormat::Rgba16Float => {
            row.as_chunks_mut::<8>().0.iter_mut().for_each(|pixel| *pixel = opaque_halves(*pixel));
        }
    }
}

/// Copies as many pixels as both slices have room for, and sets the alpha of the copies, in one pass.
#[inline(always)]
pub(super) fn copy_opaque(format: PixelFormat, from: &[u8], to: &mut [u8]) {
    match format {
        PixelFormat::Bgra8 | PixelFormat::Rgba8 => {
            let pixels = from.as_chunks().0.iter().zip(to.as_chunks_mut().0);
            pixels.for_each(|(from, to)| *to = opaque_bytes(*from));
        }
        PixelFormat::Rgba16Float => {
            let pixels = from.as_chunks().0.iter().zip(to.as_chunks_mut().0);
            pixels.for_each(|(from, to)| *to = opaque_halves(*from));
        }
    }
}

/// Returns a pixel of four bytes with alpha 255.
#[inline(always)]
fn opaque_bytes(pixel: [u8; 4]) -> [u8; 4] {
    (u32::from_le_bytes(pixel) | 0xFF00_0000).to_le_bytes()
}

/// Returns a pixel of four half floats with alpha 1.0.
#[inline(always)]
fn opaque_halves(pixel: [u8; 8]) -> [u8; 8] {
    let colour = u64::from_le_bytes(pixel) & (u64::MAX >> 16);
    (colour | HALF_ONE << 48).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_alpha_changes() {
        for (format, size, opaque_alpha) in [
            (PixelFormat::Bgra8, 4, &[255][..]),
            (PixelFormat::Rgba8, 4, &[255]),
            (PixelFormat::Rgba16Float, 8, &[0, 0x3C]),
        ] {
            for width in [0, 1, 2, 37] {
                let row: Vec<u8> = (0..width * size).map(|i| (i * 89 % 251) as u8).collect();
                let mut expected = row.clone();
                for pixel in expected.chunks_mut(size) {
                    pixel[size - opaque_alpha.len()..].copy_from_slice(opaque_alpha);
                }
                let mut made = row.clone();
                make_opaque(format, &mut made);
                let mut copied = vec![7; row.len() + size];
                copy_opaque(format, &row, &mut copied);
                assert_eq!(made, expected);
                assert_eq!(copied, [expected, vec![7; size]].concat());
                assert_eq!((is_opaque(format, &row), is_opaque(format, &made)), (width == 0, true));
            }
        }
    }
}
