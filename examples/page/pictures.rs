//! Writes what was seen: a contact sheet and an animation.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use euclid::default::Size2D;

use crate::failure::Failure;

/// RGB, row after row.
#[derive(Clone)]
pub struct Picture {
    pub size: Size2D<u32>,
    pub bytes: Vec<u8>,
}

impl Picture {
    /// Half as wide and half as high as RGBA pixels: each pixel is the mean of four.
    pub fn half(size: Size2D<u32>, rgba: &[u8]) -> Self {
        let half = size / 2;
        let stride = size.width as usize * 4;
        let mean = |x: usize, y: usize, channel: usize| {
            let corner = 2 * y * stride + 8 * x + channel;
            let sum: u16 =
                [0, 4, stride, stride + 4].iter().map(|offset| u16::from(rgba[corner + offset])).sum();
            ((sum + 2) / 4) as u8
        };
        let (width, height) = (half.width as usize, half.height as usize);
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let bytes = pixels.flat_map(|(x, y)| [0, 1, 2].map(|channel| mean(x, y, channel))).collect();
        Self { size: half, bytes }
    }

    /// Up to four pictures of one size, two by two.
    pub fn sheet(pictures: &[Self]) -> Option<Self> {
        let one = pictures.first()?.size;
        let size = Size2D::new(one.width * 2, one.height * pictures.len().div_ceil(2) as u32);
        let mut bytes = vec![0; (size.area() * 3) as usize];
        let row = one.width as usize * 3;
        for (index, picture) in pictures.iter().enumerate() {
            let start = (index / 2) * one.height as usize * 2 * row + (index % 2) * row;
            for (y, source) in picture.bytes.chunks_exact(row).enumerate() {
                bytes[start + 2 * y * row..][..row].copy_from_slice(source);
            }
        }
        Some(Self { size, bytes })
    }

    /// Fewer colours, which compress far better: an animation keeps six bits of each.
    fn coarse(&self) -> Vec<u8> {
        self.bytes.iter().map(|value| (value & 0xfc) | (value >> 6)).collect()
    }
}

pub fn write_png(path: &Path, picture: &Picture) -> Result<(), Failure> {
    attempt(path, |file| {
        let encoder = encoder(file, picture.size);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&picture.bytes)?;
        writer.finish()
    })
}

/// An animation that repeats, so many frames a second.
pub fn write_apng(path: &Path, pictures: &[Picture], fps: u16) -> Result<(), Failure> {
    let Some(first) = pictures.first() else { return Ok(()) };
    attempt(path, |file| {
        let mut encoder = encoder(file, first.size);
        encoder.set_animated(pictures.len() as u32, 0)?;
        encoder.set_frame_delay(1, fps)?;
        let mut writer = encoder.write_header()?;
        for picture in pictures {
            writer.write_image_data(&picture.coarse())?;
        }
        writer.finish()
    })
}

fn encoder<'a>(file: BufWriter<File>, size: Size2D<u32>) -> png::Encoder<'a, BufWriter<File>> {
    let mut encoder = png::Encoder::new(file, size.width, size.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::High);
    encoder
}

fn attempt(
    path: &Path,
    write: impl FnOnce(BufWriter<File>) -> Result<(), png::EncodingError>,
) -> Result<(), Failure> {
    let failed =
        |error: png::EncodingError| Failure::Write { path: PathBuf::from(path), error: error.to_string() };
    let file = File::create(path).map_err(|error| failed(error.into()))?;
    write(BufWriter::new(file)).map_err(failed)
}
