//! Each conversion against arithmetic that shares nothing with it: integers for what must be exact, `f64` and another crate for
//! colours.

use std::sync::Arc;

use color::{ColorSpace as _, DisplayP3, Srgb};
use euclid::default::Size2D;
use half::f16;
use proptest::prelude::*;

use crate::frame::CopyLayout;
use crate::frame::Frame;
use crate::frame::Readback;
use crate::gpu::fake;
use crate::pixels::BLOCK;
use crate::pixels::Conversion;
use crate::pixels::{
    AlphaEncoding, AlphaMode, CanvasPixels, PixelEncoding, PixelFormat, PredefinedColorSpace,
};
use crate::{ContextConfiguration, Snapshot};

const FORMATS: [PixelFormat; 3] = [PixelFormat::Bgra8, PixelFormat::Rgba8, PixelFormat::Rgba16Float];
const SPACES: [PredefinedColorSpace; 2] = [PredefinedColorSpace::Srgb, PredefinedColorSpace::DisplayP3];
const ALPHAS: [AlphaEncoding; 2] = [AlphaEncoding::Premultiplied, AlphaEncoding::Straight];
const MODES: [AlphaMode; 2] = [AlphaMode::Opaque, AlphaMode::Premultiplied];

fn canvas(format: PixelFormat, color_space: PredefinedColorSpace, alpha_mode: AlphaMode) -> CanvasPixels {
    CanvasPixels { format, color_space, alpha_mode }
}

fn encoding(format: PixelFormat, color_space: PredefinedColorSpace, alpha: AlphaEncoding) -> PixelEncoding {
    PixelEncoding { format, color_space, alpha }
}

/// The same whatever the processor can do.
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

/// Half float bits as a whole number of 2⁻²⁴; `None` if it is none, with its sign if it is infinite.
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

/// floor(clamp(colour / alpha, 0, 1) · 255 + ½) in whole numbers. `alpha` is finite and positive.
fn nearest_byte(colour: u16, alpha: u16) -> u8 {
    let alpha = whole(alpha).unwrap();
    match whole(colour) {
        Ok(colour) => (510 * colour.clamp(0, alpha) + alpha).div_euclid(2 * alpha) as u8,
        Err(Some(negative)) => {
            if negative {
                0
            } else {
                255
            }
        }
        Err(None) => 0,
    }
}

// R5.
#[test]
fn every_half_float_becomes_the_nearest_byte() {
    let row = halves((0..=u16::MAX).flat_map(|half| [half, !half, half.rotate_left(5), half]));
    for alpha_mode in MODES {
        let from = canvas(PixelFormat::Rgba16Float, PredefinedColorSpace::Srgb, alpha_mode);
        let to = encoding(PixelFormat::Bgra8, PredefinedColorSpace::Srgb, AlphaEncoding::Premultiplied);
        let bytes = converted(from, to, &row);
        for (half, pixel) in (0..=u16::MAX).zip(bytes.as_chunks::<4>().0) {
            let one = |half| nearest_byte(half, 0x3C00);
            let alpha = if alpha_mode == AlphaMode::Opaque { 255 } else { one(half) };
            let expected = [one(half.rotate_left(5)), one(!half), one(half), alpha];
            assert_eq!(*pixel, expected, "{half:04x}");
        }
    }
}

// R5, unpremultiplied.
#[test]
fn every_half_float_over_alpha_becomes_the_nearest_byte() {
    let from = canvas(PixelFormat::Rgba16Float, PredefinedColorSpace::Srgb, AlphaMode::Premultiplied);
    // Powers of two, what has many ties between two bytes, the smallest, the largest, and above 1.
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
    let from = canvas(PixelFormat::Rgba16Float, PredefinedColorSpace::Srgb, AlphaMode::Premultiplied);
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

// R3, and the specification's extreme.
#[test]
fn every_byte_over_every_alpha_is_the_rounded_quotient() {
    let from = canvas(PixelFormat::Bgra8, PredefinedColorSpace::Srgb, AlphaMode::Premultiplied);
    for alpha in 0..=255u8 {
        let row: Vec<u8> = (0..=255).flat_map(|colour| [colour, 255 - colour, 7, alpha]).collect();
        let bytes = converted(from, PixelEncoding::IMAGE_DATA, &row);
        let same_order = encoding(PixelFormat::Bgra8, PredefinedColorSpace::Srgb, AlphaEncoding::Straight);
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
    let from = canvas(PixelFormat::Rgba8, PredefinedColorSpace::Srgb, AlphaMode::Premultiplied);
    let row: Vec<u8> = (0..=255).collect();
    let bytes = converted(
        from,
        encoding(PixelFormat::Rgba16Float, PredefinedColorSpace::Srgb, AlphaEncoding::Premultiplied),
        &row,
    );
    assert_eq!(bytes, halves((0..=255).map(|byte| f16::from_f64(f64::from(byte) / 255.0).to_bits())));
}

// R6: worked out by hand from the matrix and the curve of sRGB.
#[test]
fn p3_colours_are_those_worked_out_by_hand() {
    let opaque = canvas(PixelFormat::Rgba8, PredefinedColorSpace::DisplayP3, AlphaMode::Opaque);
    let to = encoding(PixelFormat::Rgba8, PredefinedColorSpace::Srgb, AlphaEncoding::Premultiplied);
    for (p3, srgb) in [
        ([0, 0, 0], [0, 0, 0]),
        ([255, 255, 255], [255, 255, 255]),
        ([128, 128, 128], [128, 128, 128]),
        // Out of sRGB's gamut: clamped.
        ([255, 0, 0], [255, 0, 0]),
        ([0, 255, 0], [0, 255, 0]),
        ([0, 0, 255], [0, 0, 255]),
        // 0.4: 0.1328683 of light; times 1.0982736 encodes to 106.62, times 1.0420570 to 104.01, times 1.2249402 to 112.24.
        ([0, 0, 102], [0, 0, 107]),
        ([0, 102, 0], [0, 104, 0]),
        ([102, 0, 0], [112, 0, 0]),
        ([102, 102, 0], [102, 102, 0]),
    ] {
        let [red, green, blue] = p3;
        let bytes = converted(opaque, to, &[red, green, blue, 255]);
        assert_eq!(bytes, [srgb[0], srgb[1], srgb[2], 255], "{p3:?}");
    }
    // Premultiplied: full P3 red is 1.0930664 of sRGB's, which is not clamped before it is multiplied by 102: 111.49.
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

// R6, against an independent crate.
#[test]
fn colours_are_within_a_step_of_another_crate() {
    let levels = [0u8, 1, 7, 10, 11, 40, 77, 102, 128, 150, 199, 230, 254, 255];
    for (from, to, oracle) in [
        (
            PredefinedColorSpace::DisplayP3,
            PredefinedColorSpace::Srgb,
            DisplayP3::convert::<Srgb> as fn([f32; 3]) -> [f32; 3],
        ),
        (PredefinedColorSpace::Srgb, PredefinedColorSpace::DisplayP3, Srgb::convert::<DisplayP3>),
    ] {
        let canvas = canvas(PixelFormat::Rgba8, from, AlphaMode::Opaque);
        for red in levels {
            for green in levels {
                for blue in levels {
                    let bytes = converted(
                        canvas,
                        encoding(PixelFormat::Bgra8, to, AlphaEncoding::Straight),
                        &[red, green, blue, 255],
                    );
                    let expected = oracle([red, green, blue].map(|byte| f32::from(byte) / 255.0));
                    for (byte, expected) in [bytes[2], bytes[1], bytes[0]].into_iter().zip(expected) {
                        let error = f32::from(byte) - (expected * 255.0).clamp(0.0, 255.0);
                        // Half a step of rounding.
                        assert!(error.abs() < 0.52, "{red} {green} {blue}: {bytes:?}, not {expected}");
                    }
                }
            }
        }
    }
}

/// What a pixel is, as floating point in its own colour space.
fn naive_read(from: CanvasPixels, pixel: &[u8]) -> [f64; 4] {
    let byte = |i: usize| f64::from(pixel[i]) / 255.0;
    let half = |i: usize| f16::from_le_bytes([pixel[2 * i], pixel[2 * i + 1]]).to_f64();
    let [red, green, blue, alpha] = match from.format {
        PixelFormat::Bgra8 => [byte(2), byte(1), byte(0), byte(3)],
        PixelFormat::Rgba8 => [byte(0), byte(1), byte(2), byte(3)],
        PixelFormat::Rgba16Float => [half(0), half(1), half(2), half(3)],
    };
    // What an opaque canvas has there is nobody's business.
    [red, green, blue, if from.alpha_mode == AlphaMode::Opaque { 1.0 } else { alpha }]
}

fn naive_colour(from: PredefinedColorSpace, to: PredefinedColorSpace, colour: [f64; 3]) -> [f64; 3] {
    let matrix = match (from, to) {
        (PredefinedColorSpace::DisplayP3, PredefinedColorSpace::Srgb) => [
            [1.224940176, -0.224940176, 0.0],
            [-0.042056955, 1.042056955, 0.0],
            [-0.019637555, -0.078636046, 1.0982736],
        ],
        (PredefinedColorSpace::Srgb, PredefinedColorSpace::DisplayP3) => [
            [0.822461969, 0.177538031, 0.0],
            [0.033194199, 0.966805801, 0.0],
            [0.017082631, 0.072397440, 0.910519929],
        ],
        _ => return colour,
    };
    let light = colour.map(|value| {
        let size = value.abs();
        value.signum() * if size <= 0.04045 { size / 12.92 } else { ((size + 0.055) / 1.055).powf(2.4) }
    });
    matrix.map(|row| {
        let value: f64 = row.iter().zip(light).map(|(factor, light)| factor * light).sum();
        let size = value.abs();
        value.signum() * if size <= 0.0031308 { size * 12.92 } else { 1.055 * size.powf(1.0 / 2.4) - 0.055 }
    })
}

/// Without a thought for speed or for roundings.
fn naive(from: CanvasPixels, to: PixelEncoding, pixel: &[u8]) -> [f64; 4] {
    let [red, green, blue, alpha] = naive_read(from, pixel);
    let premultiplied = from.alpha_mode == AlphaMode::Premultiplied;
    let mut colour = [red, green, blue];
    let same = from.color_space == to.color_space;
    if premultiplied && !(same && to.alpha == AlphaEncoding::Premultiplied) {
        colour = colour.map(|value| if alpha == 0.0 { 0.0 } else { value / alpha });
        colour = naive_colour(from.color_space, to.color_space, colour);
        if to.alpha == AlphaEncoding::Premultiplied {
            colour = colour.map(|value| value * alpha);
        }
    } else {
        colour = naive_colour(from.color_space, to.color_space, colour);
    }
    [colour[0], colour[1], colour[2], alpha]
}

/// Whether a value is written as it should be: bytes exactly, unless it lies in the middle between two.
fn assert_written(to: PixelFormat, pixel: &[u8], expected: [f64; 4]) -> Result<(), TestCaseError> {
    for (channel, expected) in expected.into_iter().enumerate() {
        let place = if to == PixelFormat::Bgra8 { [2, 1, 0, 3][channel] } else { channel };
        if to == PixelFormat::Rgba16Float {
            let value = f16::from_le_bytes([pixel[2 * place], pixel[2 * place + 1]]).to_f64();
            let exact = f16::from_f64(expected).to_f64();
            let close = (value - expected).abs() <= 0.0006 * expected.abs() + 5e-5;
            prop_assert!(value == exact || close, "channel {channel}: {value}, not {expected}");
        } else {
            let steps = expected.clamp(0.0, 1.0) * 255.0;
            let error = (f64::from(pixel[place]) - steps).abs();
            prop_assert!(error <= 0.5005, "channel {channel}: {}, not {steps}", pixel[place]);
        }
    }
    Ok(())
}

fn any_canvas() -> impl Strategy<Value = CanvasPixels> {
    let format = prop::sample::select(FORMATS.to_vec());
    let kinds = (format, prop::sample::select(SPACES.to_vec()), prop::sample::select(MODES.to_vec()));
    kinds.prop_map(|(format, color_space, alpha_mode)| canvas(format, color_space, alpha_mode))
}

fn any_encoding() -> impl Strategy<Value = PixelEncoding> {
    let format = prop::sample::select(FORMATS.to_vec());
    let kinds = (format, prop::sample::select(SPACES.to_vec()), prop::sample::select(ALPHAS.to_vec()));
    kinds.prop_map(|(format, color_space, alpha)| encoding(format, color_space, alpha))
}

/// A pixel with colours between −½ and 2 (half floats) or 0 and 1 (bytes), times alpha, whether the canvas is opaque or not.
/// (Colours far larger than their alpha have many digits, of which a matrix that subtracts them leaves few.)
fn any_pixel(from: CanvasPixels) -> BoxedStrategy<Vec<u8>> {
    if from.format == PixelFormat::Rgba16Float {
        let pixel = (prop::array::uniform3(-500i16..2000), 0u16..=1000).prop_map(|(colour, alpha)| {
            let alpha = f32::from(alpha) / 1000.0;
            let half = |value: f32| f16::from_f32(value).to_bits();
            let colour = colour.map(|value| half(f32::from(value) / 1000.0 * alpha));
            halves([colour[0], colour[1], colour[2], half(alpha)])
        });
        return pixel.boxed();
    }
    let pixel = any::<[u8; 4]>().prop_map(|pixel| {
        let times = |colour: u8| (u16::from(colour) * u16::from(pixel[3]) / 255) as u8;
        vec![times(pixel[0]), times(pixel[1]), times(pixel[2]), pixel[3]]
    });
    pixel.boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any width, on both sides of a block; each pixel by itself.
    #[test]
    fn every_pixel_of_a_row_is_what_a_naive_reference_says(
        ((from, row), to) in (any_canvas().prop_flat_map(|from| {
            let width = prop_oneof![1usize..200, Just(BLOCK), Just(BLOCK + 1), Just(2 * BLOCK - 1)];
            let row = width.prop_flat_map(move |width| prop::collection::vec(any_pixel(from), width));
            (Just(from), row)
        }), any_encoding())
    ) {
        let bytes = converted(from, to, &row.concat());
        let pixels = bytes.chunks(to.format.bytes_per_pixel());
        prop_assert_eq!(pixels.len(), row.len());
        for (pixel, source) in pixels.zip(&row) {
            assert_written(to.format, pixel, naive(from, to, source))?;
        }
    }
}

/// All 65,536 half floats, and random bits, wherever they can go, on both sides of a block.
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

/// A frame as a texture is copied: rows with padding between them.
fn original(from: CanvasPixels, (width, height): (u32, u32), pixels: &[Vec<u8>]) -> Readback {
    let configuration = ContextConfiguration {
        device_id: fake::device(0),
        queue_id: fake::queue(0),
        format: from.format.into(),
        color_space: from.color_space,
        alpha_mode: from.alpha_mode,
        size: Size2D::new(width, height),
    };
    let layout = CopyLayout::of(&configuration).unwrap();
    let mut bytes = vec![7; layout.byte_len()];
    for (row, pixels) in layout.row_layout().rows_mut(&mut bytes).zip(pixels.chunks(width as usize)) {
        row.copy_from_slice(&pixels.concat());
    }
    Readback::shown(layout, crate::staging::testing::mapped_buffer(&bytes))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any size and stride of whole images: every pixel is in its place, and nothing is written between rows.
    #[test]
    fn every_pixel_of_an_image_is_what_a_naive_reference_says(
        ((from, size, pixels), to, slack) in (any_canvas().prop_flat_map(|from| {
            (1u32..80, 1u32..6).prop_flat_map(move |size| {
                let pixels = prop::collection::vec(any_pixel(from), (size.0 * size.1) as usize);
                (Just(from), Just(size), pixels)
            })
        }), any_encoding(), 0usize..40)
    ) {
        let original = original(from, size, &pixels);
        let width = size.0 as usize;
        if let Some(frame) = original.layout().shown_as_it_is().is_none().then(|| Frame::converted(&original)) {
            let frame = frame.unwrap();
            let shown = frame.layout().order().encoding();
            prop_assert_eq!(frame.rows().count(), size.1 as usize);
            for (row, sources) in frame.rows().zip(pixels.chunks(width)) {
                prop_assert_eq!(row.len(), 4 * width);
                for (pixel, source) in row.chunks(4).zip(sources) {
                    assert_written(shown.format, pixel, naive(from, shown, source))?;
                }
            }
        }
        let snapshot = Snapshot::of_readback(Arc::new(original));
        let row = width * to.format.bytes_per_pixel();
        let stride = row + slack;
        let mut image = vec![0xEE; stride * size.1 as usize];
        snapshot.copy_into(&mut image, stride, to).unwrap();
        for (line, sources) in image.chunks(stride).zip(pixels.chunks(width)) {
            for (pixel, source) in line.chunks(to.format.bytes_per_pixel()).zip(sources) {
                assert_written(to.format, pixel, naive(from, to, source))?;
            }
            prop_assert!(line[row..].iter().all(|byte| *byte == 0xEE), "written between rows");
        }
        let tight: Vec<u8> = image.chunks(stride).flat_map(|line| &line[..row]).copied().collect();
        prop_assert_eq!(snapshot.convert(to), tight);
    }
}

#[test]
fn no_more_pixels_are_written_than_were_read() {
    for (from, to) in FORMATS.into_iter().flat_map(|from| FORMATS.map(|to| (from, to))) {
        for (alpha_mode, space) in MODES.into_iter().flat_map(|mode| SPACES.map(|space| (mode, space))) {
            let from = canvas(from, PredefinedColorSpace::Srgb, alpha_mode);
            let to = encoding(to, space, AlphaEncoding::Straight);
            let mut bytes = vec![0xEE; 5 * to.format.bytes_per_pixel()];
            let conversion = Conversion::new(from, to);
            conversion.row(&vec![0x3C; 3 * from.format.bytes_per_pixel()], &mut bytes);
            let untouched = &bytes[3 * to.format.bytes_per_pixel()..];
            assert!(untouched.iter().all(|byte| *byte == 0xEE), "{conversion:?}: {untouched:?}");
        }
    }
}
