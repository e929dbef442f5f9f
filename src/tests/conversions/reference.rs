//! Every conversion against a naive one in `f64`, for random pixels, rows and images.

use std::ops::Range;
use std::sync::Arc;

use euclid::default::{Box2D, Size2D};
use euclid::point2;
use half::f16;
use proptest::prelude::*;

use super::*;
use crate::frame::{CopyLayout, Frame, Readback};
use crate::gpu::fake;
use crate::{ContextConfiguration, Snapshot};

/// A pixel in floating point, in its own color space.
fn naive_read(from: CanvasPixels, pixel: &[u8]) -> [f64; 4] {
    let byte = |i: usize| f64::from(pixel[i]) / 255.0;
    let half = |i: usize| f16::from_le_bytes([pixel[2 * i], pixel[2 * i + 1]]).to_f64();
    let [red, green, blue, alpha] = match from.format {
        Bgra8 => [byte(2), byte(1), byte(0), byte(3)],
        Rgba8 => [byte(0), byte(1), byte(2), byte(3)],
        Rgba16Float => [half(0), half(1), half(2), half(3)],
    };
    // The alpha bytes of an opaque canvas mean nothing.
    [red, green, blue, if from.alpha_mode == AlphaMode::Opaque { 1.0 } else { alpha }]
}

fn naive_colour(from: PredefinedColorSpace, to: PredefinedColorSpace, colour: [f64; 3]) -> [f64; 3] {
    let matrix = match (from, to) {
        (DisplayP3, Srgb) => [
            [1.224940176, -0.224940176, 0.0],
            [-0.042056955, 1.042056955, 0.0],
            [-0.019637555, -0.078636046, 1.0982736],
        ],
        (Srgb, DisplayP3) => [
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

/// Converts a pixel without a thought for speed or for rounding.
fn naive(from: CanvasPixels, to: PixelEncoding, pixel: &[u8]) -> [f64; 4] {
    let [red, green, blue, alpha] = naive_read(from, pixel);
    let premultiplied = from.alpha_mode == AlphaMode::Premultiplied;
    let mut colour = [red, green, blue];
    let same = from.color_space == to.color_space;
    if premultiplied && !(same && to.alpha == Premultiplied) {
        colour = colour.map(|value| if alpha == 0.0 { 0.0 } else { value / alpha });
        colour = naive_colour(from.color_space, to.color_space, colour);
        if to.alpha == Premultiplied {
            colour = colour.map(|value| value * alpha);
        }
    } else {
        colour = naive_colour(from.color_space, to.color_space, colour);
    }
    [colour[0], colour[1], colour[2], alpha]
}

/// A value must be written as it should be. Bytes must be exact, unless the value lies in the middle between two.
fn assert_written(to: PixelFormat, pixel: &[u8], expected: [f64; 4]) -> Result<(), TestCaseError> {
    for (channel, expected) in expected.into_iter().enumerate() {
        let place = if to == Bgra8 { [2, 1, 0, 3][channel] } else { channel };
        if to == Rgba16Float {
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

/// A pixel with colors between −½ and 2 (half floats) or 0 and 1 (bytes), times alpha, whether the canvas is opaque or not.
/// Colors far larger than their alpha have many digits, of which a matrix that subtracts them would leave few.
fn any_pixel(from: CanvasPixels) -> BoxedStrategy<Vec<u8>> {
    if from.format == Rgba16Float {
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

    // Any width, on both sides of a block.
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

/// A frame as it is copied from a texture, with padding between its rows.
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

    // Any size and stride of whole images: every pixel is in its place, and nothing is written between rows.
    #[test]
    fn every_pixel_of_an_image_is_what_a_naive_reference_says(
        ((from, size, pixels), to, slack) in (any_canvas().prop_flat_map(|from| {
            (1u32..80, 1u32..6).prop_flat_map(move |size| {
                let pixels = prop::collection::vec(any_pixel(from), (size.0 * size.1) as usize);
                (Just(from), Just(size), pixels)
            })
        }), any_encoding(), 0usize..40),
        cut in any::<[u32; 4]>(),
    ) {
        let original = original(from, size, &pixels);
        let width = size.0 as usize;
        if let Some(frame) = original.layout().shown_as_it_is().is_none().then(|| Frame::converted(&original)) {
            let frame = frame.unwrap();
            let shown = frame.layout().order().encoding();
            let rows = || frame.layout().row_layout().rows(frame.bytes());
            prop_assert_eq!(rows().count(), size.1 as usize);
            for (row, sources) in rows().zip(pixels.chunks(width)) {
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
        prop_assert_eq!(snapshot.convert(to).unwrap(), tight);

        // A part of the image has the same pixels.
        let sort = |a, b, side| (u32::min(a % (side + 1), b % (side + 1)), u32::max(a % (side + 1), b % (side + 1)));
        let ((left, right), (top, bottom)) = (sort(cut[0], cut[1], size.0), sort(cut[2], cut[3], size.1));
        let part = snapshot.region(Box2D::new(point2(left, top), point2(right, bottom))).unwrap();
        let columns = |bytes_per_pixel| bytes_per_pixel * left as usize..bytes_per_pixel * right as usize;
        let cut = |bytes: &[u8], stride: usize, columns: Range<usize>| {
            let rows = bytes.chunks(stride).take(bottom as usize).skip(top as usize);
            rows.flat_map(|row| &row[columns.clone()]).copied().collect::<Vec<_>>()
        };
        prop_assert_eq!(part.size().to_tuple(), (right - left, bottom - top));
        prop_assert_eq!(part.convert(to).unwrap(), cut(&image, stride, columns(to.format.bytes_per_pixel())));
        let from = from.format.bytes_per_pixel();
        let original = snapshot.to_vec().unwrap();
        let expected = cut(&original, from * width, columns(from));
        prop_assert_eq!(part.to_vec().unwrap(), &*expected);
        let mut rows = part.rows().unwrap();
        let rows: Vec<u8> = std::iter::from_fn(|| rows.next_row().map(<[u8]>::to_vec)).flatten().collect();
        prop_assert_eq!(rows, expected);
    }
}
