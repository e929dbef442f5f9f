//! Draws a canvas with WGSL, through wgpu-core's ids.

use std::borrow::Cow;

use euclid::default::Size2D;
use wgpu_core::command::{
    ComputePass, ComputePassDescriptor, PassChannel, PassStateError, RenderPass, RenderPassColorAttachment,
    RenderPassDepthStencilAttachment, RenderPassDescriptor,
};
use wgpu_core::global::Global;
use wgpu_core::id::{
    BindGroupId, BufferId, CommandEncoderId, ComputePipelineId, RenderPipelineId, TextureId, TextureViewId,
};
use wgpu_types as wgt;
use wgpu_types::{BufferUsages, TextureFormat, TextureUsages};

use crate::failure::Failure;
use crate::mesh::Mesh;
use crate::program::{Builder, Fixed};
use crate::support::gpu::{Device, Gpu};

/// What a canvas shows: WGSL, and what it draws.
pub struct Sketch {
    pub wgsl: &'static str,
    pub subject: Subject,
    /// What the canvas is cleared to.
    pub clear: wgt::Color,
}

/// What the vertex shader draws.
pub enum Subject {
    /// One triangle over the canvas.
    Screen,
    /// Indexed triangles with depth.
    Mesh(Mesh),
    /// A quad each, moved by the compute shader `step`, added up.
    Particles { particles: Vec<[f32; 4]>, step: &'static str },
}

/// As `Uniforms` in common.wgsl.
pub struct Uniforms {
    pub clip_from_model: glam::Mat4,
    pub world_from_model: glam::Mat4,
    pub time: f32,
    pub frame: u32,
}

const UNIFORMS_SIZE: u64 = 36 * 4;
const DEPTH: TextureFormat = TextureFormat::Depth32Float;
/// As `step` says in its WGSL.
const WORKGROUP: u32 = 64;

/// A sketch on a device.
pub struct Painter {
    pipeline: RenderPipelineId,
    bind_group: BindGroupId,
    uniforms: BufferId,
    clear: wgt::Color,
    stage: Stage,
}

enum Stage {
    Screen,
    Mesh { vertices: BufferId, indices: BufferId, count: u32, depth: Option<Depth> },
    Particles { particles: BufferId, count: u32, step: ComputePipelineId, step_group: BindGroupId },
}

struct Depth {
    size: Size2D<u32>,
    texture: TextureId,
    view: TextureViewId,
}

impl Painter {
    pub fn new(
        gpu: &Gpu,
        device: Device,
        canvas: &'static str,
        format: TextureFormat,
        sketch: Sketch,
    ) -> Result<Self, Failure> {
        let build = Builder { gpu, device, canvas };
        let uniforms = build.buffer(UNIFORMS_SIZE, BufferUsages::UNIFORM | BufferUsages::COPY_DST)?;
        let fixed = match sketch.subject {
            Subject::Screen => Fixed::Screen,
            Subject::Mesh(_) => Fixed::Mesh(DEPTH),
            Subject::Particles { .. } => Fixed::Glow,
        };
        let pipeline = build.render_pipeline(sketch.wgsl, format, fixed)?;
        let layout = build.render_layout(pipeline)?;
        let mut buffers = vec![uniforms];
        let stage = match sketch.subject {
            Subject::Screen => Stage::Screen,
            Subject::Mesh(mesh) => Stage::Mesh {
                vertices: build.filled(&mesh.vertices, BufferUsages::VERTEX)?,
                indices: build.filled(&mesh.indices, BufferUsages::INDEX)?,
                count: mesh.count,
                depth: None,
            },
            Subject::Particles { particles: start, step } => {
                let count = start.len() as u32;
                let bytes: Vec<u8> = start.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
                let particles = build.filled(&bytes, BufferUsages::STORAGE)?;
                buffers.push(particles);
                let step = build.compute_pipeline(step)?;
                let step_group = build.bind_group(build.compute_layout(step)?, &buffers)?;
                Stage::Particles { particles, count, step, step_group }
            }
        };
        let bind_group = build.bind_group(layout, &buffers)?;
        Ok(Self { pipeline, bind_group, uniforms, clear: sketch.clear, stage })
    }

    /// Draws a frame into a texture and submits.
    pub fn paint(
        &mut self,
        gpu: &Gpu,
        device: Device,
        texture: TextureId,
        size: Size2D<u32>,
        uniforms: &Uniforms,
    ) {
        let global = &gpu.global;
        let bytes: Vec<u8> = uniforms.values(size).flat_map(f32::to_le_bytes).collect();
        global.queue_write_buffer(device.queue, self.uniforms, 0, &bytes).expect("the buffer fits");
        let view = create_view(global, texture);
        if let Stage::Mesh { depth, .. } = &mut self.stage
            && depth.as_ref().is_none_or(|depth| depth.size != size)
        {
            if let Some(depth) = depth.take() {
                depth.destroy(gpu);
            }
            let texture = gpu.texture(device, DEPTH, size, TextureUsages::RENDER_ATTACHMENT);
            *depth = Some(Depth { size, texture, view: create_view(global, texture) });
        }
        gpu.submit(device, |encoder| {
            self.step(global, encoder);
            let (mut pass, error) = global.command_encoder_begin_render_pass(encoder, &self.pass(view));
            assert!(error.is_none(), "{error:?}");
            self.draw(global, &mut pass).expect("the pass is open");
            global.render_pass_end(&mut pass).expect("the encoder is open");
        });
        global.texture_view_drop(view);
    }

    fn pass(&self, view: TextureViewId) -> RenderPassDescriptor<'static> {
        let color = RenderPassColorAttachment {
            view,
            depth_slice: None,
            resolve_target: None,
            load_op: wgt::LoadOp::Clear(self.clear),
            store_op: wgt::StoreOp::Store,
        };
        let depth = match &self.stage {
            Stage::Mesh { depth, .. } => depth.as_ref().map(|depth| RenderPassDepthStencilAttachment {
                view: depth.view,
                depth: PassChannel {
                    load_op: Some(wgt::LoadOp::Clear(Some(1.0))),
                    store_op: Some(wgt::StoreOp::Discard),
                    read_only: false,
                },
                stencil: PassChannel { load_op: None, store_op: None, read_only: true },
            }),
            Stage::Screen | Stage::Particles { .. } => None,
        };
        RenderPassDescriptor {
            color_attachments: Cow::Owned(vec![Some(color)]),
            depth_stencil_attachment: depth,
            ..Default::default()
        }
    }

    /// Moves the particles, if there are any.
    fn step(&self, global: &Global, encoder: CommandEncoderId) {
        let Stage::Particles { count, step, step_group, .. } = &self.stage else { return };
        let descriptor = ComputePassDescriptor { label: None, timestamp_writes: None };
        let (mut pass, error) = global.command_encoder_begin_compute_pass(encoder, &descriptor);
        assert!(error.is_none(), "{error:?}");
        let record = |pass: &mut ComputePass| {
            global.compute_pass_set_pipeline(pass, *step)?;
            global.compute_pass_set_bind_group(pass, 0, Some(*step_group), &[])?;
            global.compute_pass_dispatch_workgroups(pass, count.div_ceil(WORKGROUP), 1, 1)
        };
        record(&mut pass).expect("the pass is open");
        global.compute_pass_end(&mut pass).expect("the encoder is open");
    }

    fn draw(&self, global: &Global, pass: &mut RenderPass) -> Result<(), PassStateError> {
        global.render_pass_set_pipeline(pass, self.pipeline)?;
        global.render_pass_set_bind_group(pass, 0, Some(self.bind_group), &[])?;
        match &self.stage {
            Stage::Screen => global.render_pass_draw(pass, 3, 1, 0, 0),
            Stage::Mesh { vertices, indices, count, .. } => {
                global.render_pass_set_vertex_buffer(pass, 0, Some(*vertices), 0, None)?;
                global.render_pass_set_index_buffer(pass, *indices, wgt::IndexFormat::Uint32, 0, None)?;
                global.render_pass_draw_indexed(pass, *count, 1, 0, 0, 0)
            }
            Stage::Particles { count, .. } => global.render_pass_draw(pass, 6, *count, 0, 0),
        }
    }

    pub fn destroy(self, gpu: &Gpu) {
        let global = &gpu.global;
        global.bind_group_drop(self.bind_group);
        global.render_pipeline_drop(self.pipeline);
        global.buffer_drop(self.uniforms);
        match self.stage {
            Stage::Screen => {}
            Stage::Mesh { vertices, indices, depth, .. } => {
                global.buffer_drop(vertices);
                global.buffer_drop(indices);
                if let Some(depth) = depth {
                    depth.destroy(gpu);
                }
            }
            Stage::Particles { particles, step, step_group, .. } => {
                global.bind_group_drop(step_group);
                global.compute_pipeline_drop(step);
                global.buffer_drop(particles);
            }
        }
    }
}

impl Depth {
    fn destroy(self, gpu: &Gpu) {
        gpu.global.texture_view_drop(self.view);
        gpu.drop_texture(self.texture);
    }
}

impl Uniforms {
    fn values(&self, size: Size2D<u32>) -> impl Iterator<Item = f32> {
        let rest = [size.width as f32, size.height as f32, self.time, self.frame as f32];
        let matrices = [self.clip_from_model.to_cols_array(), self.world_from_model.to_cols_array()];
        matrices.into_iter().flatten().chain(rest)
    }
}

fn create_view(global: &Global, texture: TextureId) -> TextureViewId {
    let (view, error) = global.texture_create_view(texture, &Default::default(), None);
    assert!(error.is_none(), "{error:?}");
    view
}
