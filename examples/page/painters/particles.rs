//! Particles that stay on the GPU: a compute pass moves them, a render pass adds their light up.

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
/// `@workgroup_size` of particles.wgsl.
const WORKGROUP: u32 = 64;

pub struct Particles {
    gfx: Gfx,
    moving: ComputePipelineId,
    moving_group: BindGroupId,
    drawing: RenderPipelineId,
    drawing_group: BindGroupId,
    frame: BufferId,
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
        let particles = gfx.filled_buffer(BufferUsages::STORAGE, &bytes(&scattered()))?;
        Ok(Self {
            moving,
            moving_group: gfx.bind_compute(moving, &[(0, frame), (1, particles)])?,
            drawing,
            drawing_group: gfx.bind(drawing, &[(0, frame), (2, particles)])?,
            frame,
            gfx: gfx.clone(),
        })
    }
}

impl Painter for Particles {
    fn upload(&mut self, uploads: &mut Uploads, at: Moment) -> Result<(), GpuError> {
        uploads.write(self.frame, 0, &at.bytes())
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

/// Positions all over the canvas, at rest: an additive recurrence, more even than random numbers.
fn scattered() -> Vec<f32> {
    let place = |n: u32, step: f32, reach: f32| ((n as f32 * step).fract() * 2.0 - 1.0) * reach;
    (0..COUNT).flat_map(|n| [place(n, 0.754_877_7, 4.0), place(n, 0.569_840_3, 1.2), 0.0, 0.0]).collect()
}
