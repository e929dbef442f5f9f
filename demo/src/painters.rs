//! What is drawn into the canvases.

mod fullscreen;
mod knot;
mod particles;

use euclid::default::Size2D;
use wgpu_core::id::{CommandEncoderId, TextureViewId};
use wgpu_types::TextureFormat;

use crate::gfx::{Gfx, GpuError, bytes};
use crate::uploads::Uploads;

/// Draws frames: for each one it is asked to upload, then to paint.
pub trait Painter {
    /// Writes what the shaders read.
    fn upload(&mut self, uploads: &mut Uploads, at: Moment) -> Result<(), GpuError>;

    /// Records the drawing.
    fn paint(&self, encoder: CommandEncoderId, target: TextureViewId) -> Result<(), GpuError>;
}

/// `Frame` of common.wgsl.
#[derive(Clone, Copy)]
pub struct Moment {
    pub size: Size2D<u32>,
    /// In seconds.
    pub time: f32,
    /// How often the canvas was created before.
    pub life: u32,
}

impl Moment {
    const BYTES: usize = 16;

    fn bytes(self) -> Vec<u8> {
        bytes(&[self.size.width as f32, self.size.height as f32, self.time, self.life as f32])
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Picture {
    /// A lit, depth-tested mesh.
    Knot,
    /// Moved by a compute pass.
    Particles,
    Plasma,
    Fractal,
    /// Translucent, its colour multiplied by alpha.
    Bubbles,
    /// Writes alpha below one everywhere.
    Sunset,
    /// Marks the edge of its canvas. Translucent.
    Hexagons,
    Fire,
}

impl Picture {
    /// A painter for canvases of one format, and for most pictures of any size: `size` is that of the canvas as it is laid
    /// out.
    pub fn painter(
        self,
        gfx: &Gfx,
        format: TextureFormat,
        size: Size2D<u32>,
    ) -> Result<Box<dyn Painter>, GpuError> {
        let fragment = match self {
            Self::Knot => return Ok(Box::new(knot::Knot::new(gfx, format, size)?)),
            Self::Particles => return Ok(Box::new(particles::Particles::new(gfx, format)?)),
            Self::Plasma => include_str!("painters/plasma.wgsl"),
            Self::Fractal => include_str!("painters/fractal.wgsl"),
            Self::Bubbles => include_str!("painters/bubbles.wgsl"),
            Self::Sunset => include_str!("painters/sunset.wgsl"),
            Self::Hexagons => include_str!("painters/hexagons.wgsl"),
            Self::Fire => include_str!("painters/fire.wgsl"),
        };
        Ok(Box::new(fullscreen::Fullscreen::new(gfx, format, fragment)?))
    }
}

/// A shader after what all have in common.
fn wgsl(own: &str) -> String {
    [include_str!("painters/common.wgsl"), own].concat()
}
