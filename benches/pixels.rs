//! What happens to the pixels of a frame, against `memcpy` of the same frame: 1920×1080, bytes each second are those of the canvas.
//!
//! The kernels are not public, so their files are compiled here too. `cargo bench --bench pixels`.
#![allow(dead_code, unused_imports, reason = "not all of each file is measured, and their tests are not run")]

#[path = "../src/bytes.rs"]
mod bytes;
#[path = "../src/colour.rs"]
mod colour;
#[path = "../src/convert.rs"]
mod convert;
#[path = "../src/opaque.rs"]
mod opaque;
#[path = "../src/pixels.rs"]
mod pixels;
#[path = "../src/planes.rs"]
mod planes;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

use self::convert::Conversion;
use self::opaque::{is_opaque, make_opaque};
use self::pixels::{Alpha, AlphaMode, CanvasPixels, ColorSpace, PixelEncoding, PixelFormat};

const WIDTH: usize = 1920;
/// The test that it runs is not optimised.
const HEIGHT: usize = if cfg!(debug_assertions) { 16 } else { 1080 };

/// Premultiplied pixels, all different.
fn frame(format: PixelFormat, opaque: bool) -> Vec<u8> {
    let pixels = (0..WIDTH * HEIGHT).map(|i| {
        let noise = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
        let alpha = if opaque { 255 } else { noise[7] };
        let colour = |byte: u8| (u16::from(byte) * u16::from(alpha) / 255) as u8;
        [colour(noise[4]), colour(noise[5]), colour(noise[6]), alpha]
    });
    match format {
        PixelFormat::Bgra8 | PixelFormat::Rgba8 => pixels.flatten().collect(),
        PixelFormat::Rgba16Float => {
            let half = |byte: u8| half::f16::from_f32(f32::from(byte) / 255.0).to_le_bytes();
            pixels.flatten().flat_map(half).collect()
        }
    }
}

/// R2: a frame of an opaque canvas is looked at, and written only if that is needed.
fn opaque_canvases(criterion: &mut Criterion) {
    for format in [PixelFormat::Bgra8, PixelFormat::Rgba16Float] {
        let mut group = criterion.benchmark_group(format!("opaque/{format:?}"));
        let row = WIDTH * format.bytes_per_pixel();
        group.throughput(Throughput::Bytes((row * HEIGHT) as u64));
        let (ready, other) = (frame(format, true), frame(format, false));
        let mut copy = vec![0; ready.len()];
        group.bench_function("memcpy", |bencher| {
            bencher.iter(|| copy.copy_from_slice(black_box(&ready)));
        });
        group.bench_function("opaque already", |bencher| {
            bencher.iter(|| assert!(black_box(&ready).chunks(row).all(|row| is_opaque(format, row))));
        });
        group.bench_function("made opaque", |bencher| {
            let make = |mut frame: Vec<u8>| {
                assert!(!frame.chunks(row).all(|row| is_opaque(format, row)));
                frame.chunks_mut(row).for_each(|row| make_opaque(format, row));
                frame
            };
            bencher.iter_batched(|| other.clone(), make, BatchSize::LargeInput);
        });
        group.finish();
    }
}

/// What is made for WebRender, and what is made for script.
fn conversions(criterion: &mut Criterion) {
    let shown = PixelEncoding {
        format: PixelFormat::Bgra8,
        color_space: ColorSpace::Srgb,
        alpha: Alpha::Premultiplied,
    };
    for format in [PixelFormat::Bgra8, PixelFormat::Rgba16Float] {
        for color_space in [ColorSpace::Srgb, ColorSpace::DisplayP3] {
            for alpha_mode in [AlphaMode::Opaque, AlphaMode::Premultiplied] {
                let from = CanvasPixels { format, color_space, alpha_mode };
                let mut group =
                    criterion.benchmark_group(format!("convert/{format:?} {color_space:?} {alpha_mode:?}"));
                let (row, target) = (WIDTH * format.bytes_per_pixel(), WIDTH * 4);
                group.throughput(Throughput::Bytes((row * HEIGHT) as u64));
                let source = frame(format, alpha_mode == AlphaMode::Opaque);
                let mut bytes = vec![0; target * HEIGHT];
                for (name, to) in [("for WebRender", shown), ("ImageData", PixelEncoding::IMAGE_DATA)] {
                    let conversion = Conversion::new(from, to);
                    group.bench_function(name, |bencher| {
                        bencher.iter(|| {
                            let rows = black_box(&source).chunks(row).zip(bytes.chunks_mut(target));
                            rows.for_each(|(from, to)| conversion.row(from, to));
                        });
                    });
                }
                group.finish();
            }
        }
    }
}

criterion_group!(benches, opaque_canvases, conversions);
criterion_main!(benches);
