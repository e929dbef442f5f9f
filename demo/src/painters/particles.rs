//! Particles that script throws in and that stay on the GPU: a compute pass moves them, a render pass adds their light up.

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
/// Position and velocity.
const PARTICLE_BYTES: u64 = 4 * 4;
/// In seconds, as in particles.wgsl.
const LIFE: f32 = 2.5;
/// `@workgroup_size` of particles.wgsl.
const WORKGROUP: u32 = 64;

pub struct Particles {
    gfx: Gfx,
    moving: ComputePipelineId,
    moving_group: BindGroupId,
    drawing: RenderPipelineId,
    drawing_group: BindGroupId,
    frame: BufferId,
    particles: BufferId,
    /// How many were born so far. The next one takes the place of the oldest.
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
        // All of them at first, then those whose lives are over: a write for each.
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

/// At rest, all over the canvas: an additive recurrence, more even than random numbers.
fn newborn(nth: u64, at: Moment) -> [f32; 4] {
    // Beyond the edges, as far as particles.wgsl lets them go.
    let reach = [at.size.width as f32 / at.size.height as f32 + 0.2, 1.2];
    let place = |step: f64, reach: f32| ((nth as f64 * step).fract() as f32 * 2.0 - 1.0) * reach;
    [place(0.754_877_666, reach[0]), place(0.569_840_291, reach[1]), 0.0, 0.0]
}
