//! Each conversion against arithmetic that shares nothing with it: integers for what must be exact, another crate and, in
//! `reference`, `f64` for colors.

mod reference;

use color::ColorSpace as _;
use half::f16;

use crate::pixels::AlphaEncoding::{self, Premultiplied, Straight};
use crate::pixels::PixelFormat::{self, Bgra8, Rgba8, Rgba16Float};
use crate::pixels::PredefinedColorSpace::{self, DisplayP3, Srgb};
use crate::pixels::{AlphaMode, BLOCK, CanvasPixels, Conversion, PixelEncoding};

const FORMATS: [PixelFormat; 3] = [Bgra8, Rgba8, Rgba16Float];
const SPACES: [PredefinedColorSpace; 2] = [Srgb, DisplayP3];
const ALPHAS: [AlphaEncoding; 2] = [Premultiplied, Straight];
const MODES: [AlphaMode; 2] = [AlphaMode::Opaque, AlphaMode::Premultiplied];

fn canvas(format: PixelFormat, color_space: PredefinedColorSpace, alpha_mode: AlphaMode) -> CanvasPixels {
    CanvasPixels { format, color_space, alpha_mode }
}

fn encoding(format: PixelFormat, color_space: PredefinedColorSpace, alpha: AlphaEncoding) -> PixelEncoding {
    PixelEncoding { format, color_space, alpha }
}

/// Converts a row, and checks that the result does not depend on the instructions that the processor has.
fn converted(from: CanvasPixels, to: PixelEncoding, row: &[u8]) -> Vec<u8> {
    let pixels = row.len() / from.format.bytes_per_pixel();
    let mut bytes = vec![0xEE; pixels * to.format.bytes_per_pixel()];
    let mut portable = bytes.clone();
    let conversion = Conversion::new(from, to);
    conversion.row(row, &mut bytes);
    conversion.portable_row(row, &mut portable);
    assert!(bytes == portable, "{conversion:?}");
    bytes
}

fn halves(values: impl IntoIterator<Item = u16>) -> Vec<u8> {
    values.into_iter().flat_map(u16::to_le_bytes).collect()
}

/// Half float bits as a whole number of 2⁻²⁴. The error of infinity says whether it is negative; that of no number is `None`.
fn whole(bits: u16) -> Result<i64, Option<bool>> {
    let (exponent, mantissa) = (bits >> 10 & 31, i64::from(bits & 1023));
    let negative = bits >> 15 == 1;
    let size = match (exponent, mantissa) {
        (31, 0) => return Err(Some(negative)),
        (31, _) => return Err(None),
        (0, mantissa) => mantissa,
        (exponent, mantissa) => (1024 + mantissa) << (exponent - 1),
    };
    Ok(if negative { -size } else { size })
}

/// floor(clamp(color / alpha, 0, 1) · 255 + ½) in whole numbers. Precondition: `alpha` is finite and positive.
fn nearest_byte(colour: u16, alpha: u16) -> u8 {
    let alpha = whole(alpha).unwrap();
    match whole(colour) {
        Ok(colour) => (510 * colour.clamp(0, alpha) + alpha).div_euclid(2 * alpha) as u8,
        Err(Some(false)) => 255,
        Err(Some(true) | None) => 0,
    }
}

#[test]
fn every_half_float_becomes_the_nearest_byte() {
    let row = halves((0..=u16::MAX).flat_map(|half| [half, !half, half.rotate_left(5), half]));
    for alpha_mode in MODES {
        let from = canvas(Rgba16Float, Srgb, alpha_mode);
        let to = encoding(Bgra8, Srgb, Premultiplied);
        let bytes = converted(from, to, &row);
        for (half, pixel) in (0..=u16::MAX).zip(bytes.as_chunks::<4>().0) {
            let one = |half| nearest_byte(half, 0x3C00);
            let alpha = if alpha_mode == AlphaMode::Opaque { 255 } else { one(half) };
            let expected = [one(half.rotate_left(5)), one(!half), one(half), alpha];
            assert_eq!(*pixel, expected, "{half:04x}");
        }
    }
}

#[test]
fn every_half_float_over_alpha_becomes_the_nearest_byte() {
    let from = canvas(Rgba16Float, Srgb, AlphaMode::Premultiplied);
    // Alphas of which many quotients lie in the middle between two bytes, powers of two, the smallest, the largest, and more
    // than 1.
    let ties = [51.0, 85.0, 102.0, 127.5, 170.0, 204.0, 254.0, 255.0]
        .map(|byte| f16::from_f32(byte / 256.0).to_bits());
    let others = [
        0x0001, 0x0002, 0x03FF, 0x0400, 0x1555, 0x2E66, 0x3666, 0x3800, 0x3BFF, 0x3C00, 0x3C01, 0x4400,
        0x7BFF,
    ];
    for alpha in ties.into_iter().chain(others) {
        let row = halves((0..=u16::MAX).flat_map(|half| [half, 0, 0, alpha]));
        let bytes = converted(from, PixelEncoding::IMAGE_DATA, &row);
        for (half, pixel) in (0..=u16::MAX).zip(bytes.as_chunks::<4>().0) {
            assert_eq!(
                *pixel,
                [nearest_byte(half, alpha), 0, 0, nearest_byte(alpha, 0x3C00)],
                "{half:04x} / {alpha:04x}"
            );
        }
    }
}

#[test]
fn alpha_that_divides_nothing_leaves_black() {
    let from = canvas(Rgba16Float, Srgb, AlphaMode::Premultiplied);
    for (pixel, expected) in [
        ([0x3C00, 0x7C00, 0x7E00, 0x0000], [0; 4]),
        ([0x3C00, 0xBC00, 0x0001, 0x8000], [0; 4]),
        // Infinity over infinity is no number; anything finite over it is nothing.
        ([0x7C00, 0x3C00, 0xFC00, 0x7C00], [0, 0, 0, 255]),
        ([0x3C00, 0x3C00, 0x3C00, 0x7E00], [0; 4]),
    ] {
        assert_eq!(converted(from, PixelEncoding::IMAGE_DATA, &halves(pixel)), expected, "{pixel:04x?}");
    }
}

// A premultiplied color may be larger than its alpha, which WebGPU allows: it is clamped. The extreme is 255 over 1.
#[test]
fn every_byte_over_every_alpha_is_the_rounded_quotient() {
    let from = canvas(Bgra8, Srgb, AlphaMode::Premultiplied);
    for alpha in 0..=255u8 {
        let row: Vec<u8> = (0..=255).flat_map(|colour| [colour, 255 - colour, 7, alpha]).collect();
        let bytes = converted(from, PixelEncoding::IMAGE_DATA, &row);
        let same_order = encoding(Bgra8, Srgb, Straight);
        let swapped =
            bytes.as_chunks::<4>().0.iter().map(|&[red, green, blue, alpha]| [blue, green, red, alpha]);
        assert_eq!(converted(from, same_order, &row), swapped.flatten().collect::<Vec<_>>());
        for (colour, pixel) in (0..=255u8).zip(bytes.as_chunks::<4>().0) {
            let straight = |colour: u8| match u32::from(alpha) {
                0 => 0,
                alpha => ((510 * u32::from(colour) + alpha) / (2 * alpha)).min(255) as u8,
            };
            assert_eq!(
                *pixel,
                [straight(7), straight(255 - colour), straight(colour), alpha],
                "{colour} / {alpha}"
            );
        }
    }
    assert_eq!(converted(from, PixelEncoding::IMAGE_DATA, &[64, 128, 255, 1]), [255, 255, 255, 1]);
}

#[test]
fn bytes_become_the_nearest_half_floats() {
    let from = canvas(Rgba8, Srgb, AlphaMode::Premultiplied);
    let row: Vec<u8> = (0..=255).collect();
    let bytes = converted(from, encoding(Rgba16Float, Srgb, Premultiplied), &row);
    assert_eq!(bytes, halves((0..=255).map(|byte| f16::from_f64(f64::from(byte) / 255.0).to_bits())));
}

// Worked out by hand from the matrix and the curve of sRGB.
#[test]
fn p3_colours_are_those_worked_out_by_hand() {
    let opaque = canvas(Rgba8, DisplayP3, AlphaMode::Opaque);
    let to = encoding(Rgba8, Srgb, Premultiplied);
    for (p3, srgb) in [
        ([0, 0, 0], [0, 0, 0]),
        ([255, 255, 255], [255, 255, 255]),
        ([128, 128, 128], [128, 128, 128]),
        // These are out of the gamut of sRGB, and clamped.
        ([255, 0, 0], [255, 0, 0]),
        ([0, 255, 0], [0, 255, 0]),
        ([0, 0, 255], [0, 0, 255]),
        // 0.4 is 0.1328683 of light, which encodes to 106.62 if multiplied by 1.0982736, to 104.01 by 1.0420570 and to 112.24
        // by 1.2249402.
        ([0, 0, 102], [0, 0, 107]),
        ([0, 102, 0], [0, 104, 0]),
        ([102, 0, 0], [112, 0, 0]),
        ([102, 102, 0], [102, 102, 0]),
    ] {
        let [red, green, blue] = p3;
        let bytes = converted(opaque, to, &[red, green, blue, 255]);
        assert_eq!(bytes, [srgb[0], srgb[1], srgb[2], 255], "{p3:?}");
    }
    // Full P3 red is 1.0930664 of that of sRGB. It must not be clamped before it is multiplied by an alpha of 102, to 111.49.
    let premultiplied = CanvasPixels { alpha_mode: AlphaMode::Premultiplied, ..opaque };
    for (p3, srgb) in [
        ([102, 0, 0, 102], [111, 0, 0, 102]),
        ([0, 102, 0, 102], [0, 104, 0, 102]),
        ([0, 0, 102, 102], [0, 0, 106, 102]),
        ([102, 102, 0, 102], [102, 102, 0, 102]),
        ([9, 9, 9, 0], [0, 0, 0, 0]),
    ] {
        assert_eq!(converted(premultiplied, to, &p3), srgb, "{p3:?}");
    }
}

#[test]
fn colours_are_within_a_step_of_another_crate() {
    let levels = [0u8, 1, 7, 10, 11, 40, 77, 102, 128, 150, 199, 230, 254, 255];
    for (from, to, oracle) in [
        (DisplayP3, Srgb, color::DisplayP3::convert::<color::Srgb> as fn([f32; 3]) -> [f32; 3]),
        (Srgb, DisplayP3, color::Srgb::convert::<color::DisplayP3>),
    ] {
        let canvas = canvas(Rgba8, from, AlphaMode::Opaque);
        for red in levels {
            for green in levels {
                for blue in levels {
                    let bytes = converted(canvas, encoding(Bgra8, to, Straight), &[red, green, blue, 255]);
                    let expected = oracle([red, green, blue].map(|byte| f32::from(byte) / 255.0));
                    for (byte, expected) in [bytes[2], bytes[1], bytes[0]].into_iter().zip(expected) {
                        let error = f32::from(byte) - (expected * 255.0).clamp(0.0, 255.0);
                        // Rounding alone is half a step.
                        assert!(error.abs() < 0.52, "{red} {green} {blue}: {bytes:?}, not {expected}");
                    }
                }
            }
        }
    }
}

// A row is converted in blocks, with the widest instructions that there are. All half floats, and random bits, must give the
// same pixels in every place of a block.
#[test]
fn whatever_bits_there_are_they_become_the_same_on_every_processor() {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        (state >> 48) as u16
    };
    let row = halves((0..=u16::MAX).flat_map(|half| [half, random(), random(), random()]));
    for format in FORMATS {
        for (from, to) in SPACES.into_iter().flat_map(|from| SPACES.map(|to| (from, to))) {
            for (mode, alpha) in MODES.into_iter().flat_map(|mode| ALPHAS.map(|alpha| (mode, alpha))) {
                for target in FORMATS {
                    let (from, to) = (canvas(format, from, mode), encoding(target, to, alpha));
                    for width in [BLOCK - 1, BLOCK + 1, row.len() / format.bytes_per_pixel()] {
                        converted(from, to, &row[..width * format.bytes_per_pixel()]);
                    }
                }
            }
        }
    }
}

#[test]
fn no_more_pixels_are_written_than_were_read() {
    for (from, to) in FORMATS.into_iter().flat_map(|from| FORMATS.map(|to| (from, to))) {
        for (alpha_mode, space) in MODES.into_iter().flat_map(|mode| SPACES.map(|space| (mode, space))) {
            let from = canvas(from, Srgb, alpha_mode);
            let to = encoding(to, space, Straight);
            let mut bytes = vec![0xEE; 5 * to.format.bytes_per_pixel()];
            let conversion = Conversion::new(from, to);
            conversion.row(&vec![0x3C; 3 * from.format.bytes_per_pixel()], &mut bytes);
            let untouched = &bytes[3 * to.format.bytes_per_pixel()..];
            assert!(untouched.iter().all(|byte| *byte == 0xEE), "{conversion:?}: {untouched:?}");
        }
    }
}
