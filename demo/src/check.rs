//! The page as it has to be, pixel for pixel.
//!
//! Each canvas's texture is read back by raw wgpu-core before it is presented. Painted over the backdrop with the arithmetic of
//! WebRender's rasterizer, these pixels are what the composited page has to show.

use std::fmt;

use webgpu_presentation::{AlphaMode, Snapshot};
use webrender_api::units::{DeviceIntRect, DeviceIntSize};
use wgpu_types::TextureFormat;

use crate::support::page::PageGl;

/// The part of the page that belongs to one canvas.
#[derive(Clone, Copy)]
pub struct Region {
    pub name: &'static str,
    /// The canvas itself.
    pub area: DeviceIntRect,
    /// The canvas and what is around it, where remains of a larger canvas would show.
    pub card: DeviceIntRect,
}

/// What a texture held, read without this crate.
pub struct Truth {
    pub region: Region,
    pub format: TextureFormat,
    pub alpha_mode: AlphaMode,
    /// The texture's bytes, row after row without padding.
    pub bytes: Vec<u8>,
}

/// The first wrong pixel of a canvas.
#[derive(Debug)]
pub struct Mismatch {
    pub name: &'static str,
    pub frame: u32,
    /// In pixels, from the left edge of the canvas.
    pub x: i32,
    /// In pixels, from the top edge of the canvas.
    pub y: i32,
    pub expected: [u8; 3],
    pub got: [u8; 3],
    pub wrong_pixels: usize,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, frame, x, y, expected, got, wrong_pixels } = self;
        write!(
            f,
            "{name}, frame {frame}: {wrong_pixels} wrong pixels, the first at ({x}, {y}): \
             expected {expected:?}, got {got:?}"
        )
    }
}

impl Region {
    /// Compares this part of two pages, of which the second one is RGBA.
    pub fn compare(
        self,
        frame: u32,
        expected: &[[u8; 3]],
        got: &[u8],
        size: DeviceIntSize,
    ) -> Option<Mismatch> {
        let Self { name, area, card } = self;
        let mut first = None;
        for y in card.min.y..card.max.y {
            for x in card.min.x..card.max.x {
                let index = (y * size.width + x) as usize;
                let expected = expected[index];
                let got = [got[index * 4], got[index * 4 + 1], got[index * 4 + 2]];
                if expected != got {
                    let (x, y) = (x - area.min.x, y - area.min.y);
                    let mismatch = Mismatch { name, frame, x, y, expected, got, wrong_pixels: 0 };
                    first.get_or_insert(mismatch).wrong_pixels += 1;
                }
            }
        }
        first
    }
}

impl Truth {
    /// Returns the pixels as RGBA.
    fn pixels(&self) -> impl Iterator<Item = [u8; 4]> {
        let swap = self.format == TextureFormat::Bgra8Unorm;
        let order = move |&[a, g, b, alpha]: &[u8; 4]| if swap { [b, g, a, alpha] } else { [a, g, b, alpha] };
        self.bytes.as_chunks::<4>().0.iter().map(order)
    }

    /// Paints the canvas over a page.
    pub fn paint(&self, gl: PageGl, page: &mut [[u8; 3]], size: DeviceIntSize) {
        let width = self.region.area.width() as usize;
        let mut pixels = self.pixels();
        for row in page.chunks_exact_mut(size.width as usize).skip(self.region.area.min.y as usize) {
            let row = &mut row[self.region.area.min.x as usize..][..width];
            for (under, pixel) in row.iter_mut().zip(pixels.by_ref().take(width)) {
                *under = match self.alpha_mode {
                    AlphaMode::Opaque => [pixel[0], pixel[1], pixel[2]],
                    AlphaMode::Premultiplied => gl.blend(pixel, *under),
                };
            }
        }
    }

    /// Whether a snapshot has this size, format and alpha mode, and exactly these bytes.
    pub fn is(&self, snapshot: &Snapshot) -> bool {
        let mut bytes = self.bytes.clone();
        if self.alpha_mode == AlphaMode::Opaque {
            bytes.iter_mut().skip(3).step_by(4).for_each(|alpha| *alpha = 255);
        }
        TextureFormat::from(snapshot.format()) == self.format
            && snapshot.alpha_mode() == self.alpha_mode
            && snapshot.size().to_i32().to_tuple() == (self.region.area.width(), self.region.area.height())
            && snapshot.to_vec().is_ok_and(|read| read == bytes)
    }
}
