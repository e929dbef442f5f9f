//! The canvases of the page.

use webgpu_presentation::AlphaMode;
use wgpu_types::{Color, TextureFormat};

use crate::painter::{Sketch, Subject};

/// A canvas before it is hung up.
pub struct Exhibit {
    pub name: &'static str,
    pub sketch: Sketch,
    pub format: TextureFormat,
    pub alpha_mode: AlphaMode,
    /// On the second device.
    pub second: bool,
    pub life: Life,
    pub backdrop: Backdrop,
}

/// What happens to a canvas beside being drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Steady,
    /// Changes its size every few frames.
    Elastic,
    /// Is destroyed now and then, and created again.
    Phoenix,
}

/// What the page shows under a canvas.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Backdrop {
    Plain,
    Checkerboard,
}

macro_rules! on_screen {
    ($file:literal) => {
        concat!(include_str!("wgsl/common.wgsl"), include_str!("wgsl/screen.wgsl"), include_str!($file))
    };
}

fn screen(wgsl: &'static str) -> Sketch {
    Sketch { wgsl, subject: Subject::Screen, clear: Color::TRANSPARENT }
}

/// From left to right and from top to bottom.
pub fn exhibits() -> Vec<Exhibit> {
    use AlphaMode::Opaque;
    use TextureFormat::Bgra8Unorm;
    let (second, life, backdrop) = (true, Life::Steady, Backdrop::Plain);
    let first = !second;
    vec![Exhibit {
        name: "plasma",
        sketch: screen(on_screen!("wgsl/plasma.wgsl")),
        format: Bgra8Unorm,
        alpha_mode: Opaque,
        second: first,
        life,
        backdrop,
    }]
}
