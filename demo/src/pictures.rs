//! The pictures that the demo writes: a contact sheet and an animation.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use crate::error::DemoError;

const RGB: usize = 3;
/// Pixels between the pictures of a contact sheet.
const MARGIN: usize = 16;
const PAPER: [u8; RGB] = [5, 6, 9];
/// How many small pictures the contact sheet has below the large one.
const SMALL: usize = 4;
/// Upper bound of the width of the animation's pictures, in pixels.
const ANIMATION_WIDTH: usize = 480;

/// A picture in RGB.
#[derive(Clone)]
pub struct Photo {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Photo {
    /// Takes a picture of a page in RGBA.
    pub fn new(size: (u32, u32), rgba: &[u8]) -> Self {
        let pixels = rgba.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
        Self { width: size.0 as usize, height: size.1 as usize, pixels }
    }

    /// Returns the picture as small as the animation needs it.
    pub fn for_animation(&self) -> Self {
        // Dividing by a whole number keeps edges sharp.
        self.shrunk(self.width / self.width.div_ceil(ANIMATION_WIDTH))
    }

    /// Returns the picture `width` pixels wide. Each pixel is the mean of those that it covers.
    fn shrunk(&self, width: usize) -> Self {
        let height = self.height * width / self.width;
        let covers = |from: usize, at: usize, of: usize| from * at / of..(from * (at + 1)).div_ceil(of);
        let mut pixels = Vec::with_capacity(width * height * RGB);
        for y in 0..height {
            for x in 0..width {
                let (mut sums, mut count) = ([0; RGB], 0);
                for row in covers(self.height, y, height) {
                    let columns = covers(self.width, x, width);
                    let start = (row * self.width + columns.start) * RGB;
                    for pixel in self.pixels[start..][..columns.len() * RGB].as_chunks::<RGB>().0 {
                        sums = std::array::from_fn(|channel| sums[channel] + usize::from(pixel[channel]));
                        count += 1;
                    }
                }
                pixels.extend(sums.map(|sum| ((sum + count / 2) / count) as u8));
            }
        }
        Self { width, height, pixels }
    }

    fn paste(&mut self, photo: &Photo, x: usize, y: usize) {
        let rows = self.pixels.chunks_exact_mut(self.width * RGB).skip(y);
        for (row, pasted) in rows.zip(photo.pixels.chunks_exact(photo.width * RGB)) {
            row[x * RGB..][..pasted.len()].copy_from_slice(pasted);
        }
    }
}

/// Lays out a contact sheet: the last moment large, and earlier ones small below it.
fn contact_sheet(moments: &[Photo]) -> Option<Photo> {
    let (last, earlier) = moments.split_last()?;
    let small_width = (last.width - (SMALL - 1) * MARGIN) / SMALL;
    let small: Vec<_> = earlier.iter().take(SMALL).map(|photo| photo.shrunk(small_width)).collect();
    let (width, small_height) =
        (last.width + 2 * MARGIN, small.first().map_or(0, |photo| photo.height + MARGIN));
    let height = last.height + 2 * MARGIN + small_height;
    let mut sheet = Photo { width, height, pixels: PAPER.repeat(width * height) };
    sheet.paste(last, MARGIN, MARGIN);
    for (index, photo) in small.iter().enumerate() {
        let x = MARGIN + index * (small_width + MARGIN);
        sheet.paste(photo, x, last.height + 2 * MARGIN);
    }
    Some(sheet)
}

pub fn write_contact_sheet(path: &Path, moments: &[Photo]) -> Result<(), DemoError> {
    match contact_sheet(moments) {
        Some(sheet) => write(path, &[sheet], (1, 1)),
        None => Ok(()),
    }
}

/// Writes an animation. `delay` is the time for which a picture stays, as a fraction of a second.
pub fn write_animation(path: &Path, photos: &[Photo], delay: (u16, u16)) -> Result<(), DemoError> {
    write(path, photos, delay)
}

fn write(path: &Path, photos: &[Photo], delay: (u16, u16)) -> Result<(), DemoError> {
    let Some(first) = photos.first() else { return Ok(()) };
    let file = File::create(path).map_err(|error| DemoError::File { path: path.into(), error })?;
    let encode = || -> Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(BufWriter::new(file), first.width as u32, first.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Balanced);
        if photos.len() > 1 {
            encoder.set_animated(photos.len() as u32, 0)?;
            encoder.set_frame_delay(delay.0, delay.1)?;
        }
        let mut writer = encoder.write_header()?;
        for photo in photos {
            writer.write_image_data(&photo.pixels)?;
        }
        writer.finish()
    };
    encode().map_err(|error| DemoError::Png { path: path.into(), error })
}
