//! Alpha of opaque canvases: what script wrote there is nobody's business.

use crate::pixels::PixelFormat;

/// 1.0 as a half float.
const HALF_ONE: u64 = 0x3C00;

/// Whether all pixels of a row are opaque. Without an early exit, so that it is vectorised: a row is short.
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

/// Makes all pixels of a row opaque.
pub(crate) fn make_opaque(format: PixelFormat, row: &mut [u8]) {
    match format {
        PixelFormat::Bgra8 | PixelFormat::Rgba8 => {
            row.as_chunks_mut::<4>().0.iter_mut().for_each(|pixel| pixel[3] = 255);
        }
        PixelFormat::Rgba16Float => {
            for pixel in row.as_chunks_mut::<8>().0 {
                let colour = u64::from_le_bytes(*pixel) & (u64::MAX >> 16);
                *pixel = (colour | HALF_ONE << 48).to_le_bytes();
            }
        }
    }
}
