//! The canvases of the page.

use webgpu_presentation::AlphaMode;
use wgpu_types::{Color, TextureFormat};

use crate::mesh::torus_knot;
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

const PARTICLES: u16 = 1800;

macro_rules! wgsl {
    ($($file:literal),*) => { concat!(include_str!("wgsl/common.wgsl"), $(include_str!(concat!("wgsl/", $file))),*) };
}

macro_rules! screen {
    ($file:literal) => {
        Sketch { wgsl: wgsl!("screen.wgsl", $file), subject: Subject::Screen, clear: Color::TRANSPARENT }
    };
}

/// From left to right and from top to bottom.
pub fn exhibits() -> [Exhibit; 9] {
    use AlphaMode::{Opaque, Premultiplied};
    use TextureFormat::{Bgra8Unorm, Rgba8Unorm};
    let opaque = |name, sketch, format| Exhibit {
        name,
        sketch,
        format,
        alpha_mode: Opaque,
        second: false,
        life: Life::Steady,
        backdrop: Backdrop::Plain,
    };
    let knot = Sketch {
        wgsl: wgsl!("knot.wgsl"),
        subject: Subject::Mesh(torus_knot()),
        clear: Color { r: 0.035, g: 0.04, b: 0.075, a: 1.0 },
    };
    let particles = Sketch {
        wgsl: wgsl!("particles.wgsl"),
        subject: Subject::Particles { particles: cloud(), step: wgsl!("particles_step.wgsl") },
        clear: Color { r: 0.02, g: 0.02, b: 0.05, a: 1.0 },
    };
    let [glass, tunnel, elastic] = [screen!("glass.wgsl"), screen!("tunnel.wgsl"), screen!("elastic.wgsl")];
    let (phoenix, aurora) = (screen!("phoenix.wgsl"), screen!("aurora.wgsl"));
    [
        opaque("knot", knot, Bgra8Unorm),
        Exhibit { second: true, ..opaque("particles", particles, Rgba8Unorm) },
        opaque("plasma", screen!("plasma.wgsl"), Bgra8Unorm),
        Exhibit {
            alpha_mode: Premultiplied,
            backdrop: Backdrop::Checkerboard,
            ..opaque("glass", glass, Bgra8Unorm)
        },
        // Its alpha is below 1, and nothing of the checkerboard may be seen.
        Exhibit { second: true, backdrop: Backdrop::Checkerboard, ..opaque("tunnel", tunnel, Rgba8Unorm) },
        Exhibit { second: true, life: Life::Elastic, ..opaque("elastic", elastic, Bgra8Unorm) },
        Exhibit { second: true, life: Life::Phoenix, ..opaque("phoenix", phoenix, Bgra8Unorm) },
        opaque("julia", screen!("julia.wgsl"), Rgba8Unorm),
        Exhibit { alpha_mode: Premultiplied, ..opaque("aurora", aurora, Rgba8Unorm) },
    ]
}

/// Particles on a sunflower's spiral, turning.
fn cloud() -> Vec<[f32; 4]> {
    let at = |index: u16| {
        // The golden angle.
        let (sin, cos) = (2.399_963 * f32::from(index)).sin_cos();
        let radius = 0.95 * (f32::from(index) / f32::from(PARTICLES)).sqrt();
        let (x, y) = (radius * cos, radius * sin);
        [1.5 * x, 0.85 * y, -1.3 * y, 0.8 * x]
    };
    (0..PARTICLES).map(at).collect()
}
