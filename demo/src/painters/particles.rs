//! A painter of particles, which script creates and which stay on the GPU.
//!
//! A compute pass moves them, and a render pass adds up their light. New particles are many small writes through the belt.

use wgpu_core::command::ComputePassDescriptor;
use wgpu_core::id::{
    BindGroupId, BufferId, CommandEncoderId, ComputePipelineId, RenderPipelineId, TextureViewId,
};
use wgpu_types::{
    BlendComponent, BlendFactor, BlendOperation, BlendState, BufferUsages, PrimitiveTopology, TextureFormat,
};

use super::{Moment, Painter, wgsl};
use crate::gfx::{Attachments, Attempt, Drawing, Gfx, GpuError, bytes};
use crate::uploads::Uploads;

const COUNT: u32 = 7 * 1024;
/// Bytes of a position and a velocity.
const PARTICLE_BYTES: u64 = 4 * 4;
/// How long a particle lives, in seconds, as in particles.wgsl.
const LIFE: f32 = 2.5;
/// The `@workgroup_size` of particles.wgsl.
const WORKGROUP: u32 = 64;

pub struct Particles {
    gfx: Gfx,
    moving: ComputePipelineId,
    moving_group: BindGroupId,
    drawing: RenderPipelineId,
    drawing_group: BindGroupId,
    frame: BufferId,
    particles: BufferId,
    /// How many particles were created so far. The next one replaces the oldest.
    born: u64,
}

impl Particles {
    pub fn new(gfx: &Gfx, format: TextureFormat) -> Result<Self, GpuError> {
        let shader = gfx.shader(wgsl(include_str!("particles.wgsl")))?;
        let add = BlendComponent {
            src_factor: BlendFactor::One,
            dst_factor: BlendFactor::One,
            operation: BlendOperation::Add,
        };
        let moving = gfx.compute_pipeline(shader, "move_on")?;
        let drawing = gfx.render_pipeline(Drawing {
            shader,
            vertex: "place",
            fragment: "glow",
            vertices: &[],
            format,
            topology: PrimitiveTopology::TriangleStrip,
            blend: Some(BlendState { color: add, alpha: add }),
            depth: None,
        })?;
        let frame = gfx.buffer(BufferUsages::UNIFORM, Moment::BYTES)?;
        let particles = gfx.buffer(BufferUsages::STORAGE, COUNT as usize * PARTICLE_BYTES as usize)?;
        Ok(Self {
            moving,
            moving_group: gfx.bind_compute(moving, &[(0, frame), (1, particles)])?,
            drawing,
            drawing_group: gfx.bind(drawing, &[(0, frame), (2, particles)])?,
            frame,
            particles,
            born: 0,
            gfx: gfx.clone(),
        })
    }
}

impl Painter for Particles {
    fn upload(&mut self, uploads: &mut Uploads, at: Moment) -> Result<(), GpuError> {
        uploads.write(self.frame, 0, &at.bytes())?;
        // At first all particles are written, later those whose lives are over, each with a write of its own.
        let count = u64::from(COUNT);
        let due = count + (at.time / LIFE * COUNT as f32) as u64;
        for nth in self.born.max(due - count)..due {
            uploads.write(self.particles, nth % count * PARTICLE_BYTES, &bytes(&newborn(nth, at)))?;
        }
        self.born = due;
        Ok(())
    }

    fn paint(&self, encoder: CommandEncoderId, target: TextureViewId) -> Result<(), GpuError> {
        let gfx = &self.gfx;
        let global = &gfx.global;
        let descriptor = ComputePassDescriptor { label: None, timestamp_writes: None };
        let mut pass =
            global.command_encoder_begin_compute_pass(encoder, &descriptor).attempt("a compute pass")?;
        global.compute_pass_set_pipeline(&mut pass, self.moving).attempt("a compute pipeline")?;
        global
            .compute_pass_set_bind_group(&mut pass, 0, Some(self.moving_group), &[])
            .attempt("a bind group")?;
        global
            .compute_pass_dispatch_workgroups(&mut pass, COUNT.div_ceil(WORKGROUP), 1, 1)
            .attempt("a dispatch")?;
        global.compute_pass_end(&mut pass).attempt("the end of a compute pass")?;

        let mut pass = gfx.begin(encoder, Attachments { color: target, depth: None })?;
        gfx.set(&mut pass, self.drawing, self.drawing_group)?;
        gfx.draw(&mut pass, 4, COUNT)?;
        gfx.end(pass)
    }
}

/// Returns a particle at rest. An additive recurrence spreads particles over the canvas more evenly than random numbers.
fn newborn(nth: u64, at: Moment) -> [f32; 4] {
    // Particles may start as far beyond the edges as particles.wgsl lets them go.
    let reach = [at.size.width as f32 / at.size.height as f32 + 0.2, 1.2];
    let place = |step: f64, reach: f32| ((nth as f64 * step).fract() as f32 * 2.0 - 1.0) * reach;
    [place(0.754_877_666, reach[0]), place(0.569_840_291, reach[1]), 0.0, 0.0]
}
