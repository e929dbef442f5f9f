//! The canvases of the two pages, and what each of them shows in a frame.
//!
//! Script draws the pictures through WebGPU. The engine computes them again to check what was composited.

use crate::protocol::{CanvasName, DeviceName};

pub struct Canvas {
    /// The page that the canvas belongs to: the number of its owner.
    pub page: u32,
    pub name: CanvasName,
    /// The device that draws it.
    pub device: DeviceName,
    pub size: [u32; 2],
    pub is_opaque: bool,
    /// Where the canvas is in the window.
    pub corner: [i32; 2],
}

pub const WINDOW: [u32; 2] = [480, 320];
/// The color of the window behind the canvases.
pub const BACKDROP: [u8; 3] = [238, 232, 213];

pub static CANVASES: [Canvas; 4] = [
    canvas(0, 0, 0, [200, 120], true, [24, 24]),
    canvas(0, 1, 0, [199, 121], false, [256, 24]),
    canvas(0, 2, 1, [120, 120], true, [24, 176]),
    canvas(1, 0, 0, [257, 119], false, [176, 176]),
];

/// What a canvas shows: a square on a plain background. Colors are RGBA, multiplied by alpha.
pub struct Picture {
    pub background: [u8; 4],
    pub square: [u8; 4],
    pub corner: [u32; 2],
    pub side: u32,
}

impl Canvas {
    /// What the canvas shows in the frame of this epoch.
    pub fn picture(&self, epoch: u64) -> Picture {
        let hue = (epoch * 5 + u64::from(self.name.0) * 80 + u64::from(self.page) * 160) as u8;
        let alpha = if self.is_opaque { 255 } else { 160 };
        let premultiplied = |color: u8| (u32::from(color) * alpha / 255) as u8;
        let [r, g, b] = [hue, 255 - hue, hue.wrapping_mul(3)].map(premultiplied);
        let side = self.size[1] / 3;
        // The square wanders to the right and down, and begins again.
        let step = |length: u32, speed: u64| (epoch * speed % u64::from(length - side)) as u32;
        Picture {
            background: [r, g, b, alpha as u8],
            square: [b, r, g, 255],
            corner: [step(self.size[0], 4), step(self.size[1], 1)],
            side,
        }
    }
}

impl Picture {
    /// The pixels of a picture of `size`, row after row.
    pub fn pixels(&self, size: [u32; 2]) -> impl Iterator<Item = [u8; 4]> {
        let inside = |at: u32, corner: u32| (corner..corner + self.side).contains(&at);
        let [width, height] = size;
        (0..height).flat_map(move |y| {
            (0..width).map(move |x| match inside(x, self.corner[0]) && inside(y, self.corner[1]) {
                true => self.square,
                false => self.background,
            })
        })
    }
}

const fn canvas(
    page: u32,
    name: u32,
    device: u32,
    size: [u32; 2],
    is_opaque: bool,
    corner: [i32; 2],
) -> Canvas {
    Canvas { page, name: CanvasName(name), device: DeviceName(device), size, is_opaque, corner }
}
