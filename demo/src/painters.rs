//! What is drawn into the canvases.
//!
//! Each [`Picture`] has a [`Painter`], which knows one device and one texture format. Most are one fragment shader for the whole
//! canvas (`fullscreen`); `knot` draws a mesh, and `particles` computes on the GPU.

mod fullscreen;
mod knot;
mod particles;

use euclid::default::Size2D;
use wgpu_core::id::{CommandEncoderId, TextureViewId};
use wgpu_types::TextureFormat;

use crate::gfx::{Gfx, GpuError, bytes};
use crate::uploads::Uploads;

/// Draws one frame after the other. Each frame is one `upload`, then one `paint`.
pub trait Painter {
    /// Writes what the shaders read in this frame.
    fn upload(&mut self, uploads: &mut Uploads, at: Moment) -> Result<(), GpuError>;

    /// Records the drawing of the frame.
    fn paint(&self, encoder: CommandEncoderId, target: TextureViewId) -> Result<(), GpuError>;
}

/// What a shader knows of a frame: the struct `Frame` of common.wgsl.
#[derive(Clone, Copy)]
pub struct Moment {
    pub size: Size2D<u32>,
    /// In seconds.
    pub time: f32,
    /// How often the canvas was created before its present life.
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
    /// Draws a lit mesh with a depth test.
    Knot,
    /// Moves particles in a compute pass.
    Particles,
    Plasma,
    Fractal,
    /// Is translucent: its color is multiplied by alpha.
    Bubbles,
    /// Writes alpha below one everywhere.
    Sunset,
    /// Marks the edge of its canvas, and is translucent.
    Hexagons,
    Fire,
}

impl Picture {
    /// Creates a painter for canvases of one format. The knot can only paint canvases of this `size`, the others any size.
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

/// Returns a shader, preceded by what all shaders have in common.
fn wgsl(own: &str) -> String {
    [include_str!("painters/common.wgsl"), own].concat()
}
