//! What happens to the pixels of a frame, against `memcpy` of the same frame: 1920×1080, bytes each second are those of the canvas.
//!
//! The kernels are not public, so their files are compiled here too. "Portable" is what processors without AVX2 do.
//! `cargo bench --bench pixels`.
#![allow(dead_code, unused_imports, reason = "not all of each file is measured, and their tests are not run")]

#[path = "../src"]
mod library {
    pub mod pixels;
}

use std::hint::black_box;
use std::time::Duration;

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};

use self::library::pixels::{
    AlphaEncoding, AlphaMode, CanvasPixels, Conversion, PixelEncoding, PixelFormat, PredefinedColorSpace,
    is_opaque, make_opaque,
};

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

/// A group of things that are done to this frame, begun by copying it at once and row by row.
fn group<'a>(
    criterion: &'a mut Criterion,
    name: String,
    frame: &[u8],
    row: usize,
) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(frame.len() as u64));
    let mut copy = vec![0; frame.len()];
    group.bench_function("memcpy", |bencher| {
        bencher.iter(|| black_box(&mut copy).copy_from_slice(black_box(frame)));
    });
    group.bench_function("memcpy of rows", |bencher| {
        bencher.iter(|| {
            let rows = black_box(frame).chunks(row).zip(black_box(&mut copy).chunks_mut(row));
            rows.for_each(|(from, to)| to.copy_from_slice(from));
        });
    });
    group
}

/// R1 and R2: a frame of an opaque canvas is looked at, made opaque, or copied and made opaque.
fn opaque_canvases(criterion: &mut Criterion) {
    for format in [PixelFormat::Bgra8, PixelFormat::Rgba16Float] {
        let row = WIDTH * format.bytes_per_pixel();
        let (ready, mut other) = (frame(format, true), frame(format, false));
        let mut group = group(criterion, format!("opaque/{format:?}"), &ready, row);
        let mut copy = vec![0; ready.len()];
        group.bench_function("opaque already", |bencher| {
            bencher.iter(|| assert!(black_box(&ready).chunks(row).all(|row| is_opaque(format, row))));
        });
        let color_space = PredefinedColorSpace::Srgb;
        let conversion = Conversion::new(
            CanvasPixels { format, color_space, alpha_mode: AlphaMode::Opaque },
            PixelEncoding { format, color_space, alpha: AlphaEncoding::Premultiplied },
        );
        group.bench_function("copied opaque", |bencher| {
            bencher.iter(|| {
                let rows = black_box(&other).chunks(row).zip(black_box(&mut copy).chunks_mut(row));
                rows.for_each(|(from, to)| conversion.row(from, to));
            });
        });
        group.bench_function("to_vec", |bencher| bencher.iter(|| black_box(&other).to_vec()));
        group.bench_function("to_vec, made opaque", |bencher| {
            bencher.iter(|| {
                let mut bytes = Vec::with_capacity(other.len());
                black_box(&other).chunks(row).for_each(|row| conversion.append(row, &mut bytes));
                bytes
            });
        });
        group.bench_function("made opaque", |bencher| {
            bencher.iter(|| black_box(&mut other).chunks_mut(row).for_each(|row| make_opaque(format, row)));
        });
        group.finish();
    }
}

/// What is made for WebRender, and what is made for script. Alpha of opaque canvases is anything.
fn conversions(criterion: &mut Criterion) {
    let image_data = PixelEncoding::IMAGE_DATA;
    let shown =
        PixelEncoding { format: PixelFormat::Bgra8, alpha: AlphaEncoding::Premultiplied, ..image_data };
    let halves = PixelEncoding { format: PixelFormat::Rgba16Float, ..image_data };
    for format in [PixelFormat::Bgra8, PixelFormat::Rgba16Float] {
        let row = WIDTH * format.bytes_per_pixel();
        let source = frame(format, false);
        for color_space in [PredefinedColorSpace::Srgb, PredefinedColorSpace::DisplayP3] {
            for alpha_mode in [AlphaMode::Opaque, AlphaMode::Premultiplied] {
                let from = CanvasPixels { format, color_space, alpha_mode };
                let name = format!("convert/{format:?} {color_space:?} {alpha_mode:?}");
                let mut group = group(criterion, name, &source, row);
                let targets = [
                    ("for WebRender", shown),
                    ("ImageData", image_data),
                    ("ImageData of half floats", halves),
                ];
                for (name, to) in targets {
                    let conversion = Conversion::new(from, to);
                    let target = WIDTH * to.format.bytes_per_pixel();
                    let mut bytes = vec![0; target * HEIGHT];
                    let mut convert = |convert: fn(&Conversion, &[u8], &mut [u8])| {
                        let rows =
                            black_box(&source).chunks(row).zip(black_box(&mut bytes).chunks_mut(target));
                        rows.for_each(|(from, to)| convert(&conversion, from, to));
                    };
                    group.bench_function(name, |bencher| bencher.iter(|| convert(Conversion::row)));
                    group.bench_function(format!("{name}, portable"), |bencher| {
                        bencher.iter(|| convert(Conversion::portable_row));
                    });
                }
                group.finish();
            }
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = opaque_canvases, conversions
}
criterion_main!(benches);
