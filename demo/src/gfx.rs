//! Drawing with wgpu-core, as short as a demo needs it.
//!
//! An engine calls wgpu-core with the ids that it keeps for script. [`Gfx`] does the same for the painters: it knows one device,
//! and turns wgpu-core's pairs of id and error into results.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use euclid::default::Size2D;
use webgpu_presentation::{ContextConfiguration, ContextId, Presenter};
use wgpu_core::SubmissionIndex;
use wgpu_core::binding_model::{BindGroupDescriptor, BindGroupEntry, BindingResource, BufferBinding};
use wgpu_core::command::{
    PassChannel, RenderPass, RenderPassColorAttachment, RenderPassDepthStencilAttachment,
    RenderPassDescriptor,
};
use wgpu_core::global::Global;
use wgpu_core::id::{
    BindGroupId, BindGroupLayoutId, BufferId, CommandEncoderId, ComputePipelineId, RenderPipelineId,
    ShaderModuleId, TextureId, TextureViewId,
};
use wgpu_core::pipeline::{
    ComputePipelineDescriptor, FragmentState, ProgrammableStageDescriptor, RenderPipelineDescriptor,
    ShaderModuleDescriptor, ShaderModuleSource, VertexBufferLayout, VertexState,
};
use wgpu_core::resource::{BufferDescriptor, TextureDescriptor, TextureViewDescriptor};
use wgpu_types as wgt;
use wgpu_types::{BufferUsages, TextureFormat, TextureUsages};

use crate::support::gpu::{Device, extent};

pub const DEPTH: TextureFormat = TextureFormat::Depth32Float;

/// Something that wgpu-core refused. The demo's shaders and descriptors are fixed, so it can only report it.
#[derive(Debug, thiserror::Error)]
#[error("wgpu-core refuses {what}: {reason}")]
pub struct GpuError {
    what: &'static str,
    reason: String,
}

/// Turns an error of wgpu-core into a [`GpuError`] that names what was tried.
pub trait Attempt<T> {
    fn attempt(self, what: &'static str) -> Result<T, GpuError>;
}

impl<T, E: Error> Attempt<T> for Result<T, E> {
    fn attempt(self, what: &'static str) -> Result<T, GpuError> {
        self.map_err(|error| {
            let mut reason = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                reason += &format!(": {cause}");
                source = cause.source();
            }
            GpuError { what, reason }
        })
    }
}

/// wgpu-core returns an id in any case, and an error beside it.
impl<T, E: Error> Attempt<T> for (T, Option<E>) {
    fn attempt(self, what: &'static str) -> Result<T, GpuError> {
        match self {
            (made, None) => Ok(made),
            (_, Some(error)) => Err(error).attempt(what),
        }
    }
}

/// A device, and the hub that its ids belong to.
#[derive(Clone)]
pub struct Gfx {
    pub global: Arc<Global>,
    pub device: Device,
}

/// What differs between the demo's render pipelines.
#[derive(Clone, Copy)]
pub struct Drawing<'a> {
    pub shader: ShaderModuleId,
    pub vertex: &'static str,
    pub fragment: &'static str,
    pub vertices: &'a [Option<VertexBufferLayout<'a>>],
    pub format: TextureFormat,
    pub topology: wgt::PrimitiveTopology,
    pub blend: Option<wgt::BlendState>,
    pub depth: Option<DepthTest>,
}

#[derive(Clone, Copy)]
pub enum DepthTest {
    /// What is drawn hides what is behind it.
    Nearest,
    /// What is drawn is behind everything else.
    Behind,
}

/// The views that a pass draws into.
pub struct Attachments {
    pub color: TextureViewId,
    pub depth: Option<TextureViewId>,
}

impl Gfx {
    pub fn shader(&self, wgsl: String) -> Result<ShaderModuleId, GpuError> {
        let descriptor = ShaderModuleDescriptor { label: None, runtime_checks: Default::default() };
        let source = ShaderModuleSource::Wgsl(wgsl.into());
        self.global.device_create_shader_module(self.device.id, &descriptor, source, None).attempt("a shader")
    }

    pub fn render_pipeline(&self, drawing: Drawing<'_>) -> Result<RenderPipelineId, GpuError> {
        let target = wgt::ColorTargetState {
            format: drawing.format,
            blend: drawing.blend,
            write_mask: wgt::ColorWrites::ALL,
        };
        let depth_stencil = drawing.depth.map(|test| {
            let (write, compare) = match test {
                DepthTest::Nearest => (true, wgt::CompareFunction::Less),
                DepthTest::Behind => (false, wgt::CompareFunction::Always),
            };
            wgt::DepthStencilState {
                format: DEPTH,
                depth_write_enabled: Some(write),
                depth_compare: Some(compare),
                stencil: Default::default(),
                bias: Default::default(),
            }
        });
        let descriptor = RenderPipelineDescriptor {
            label: Some(drawing.fragment.into()),
            layout: None,
            vertex: VertexState {
                stage: stage(drawing.shader, drawing.vertex),
                buffers: Cow::Borrowed(drawing.vertices),
            },
            primitive: wgt::PrimitiveState { topology: drawing.topology, ..Default::default() },
            depth_stencil,
            multisample: Default::default(),
            fragment: Some(FragmentState {
                stage: stage(drawing.shader, drawing.fragment),
                targets: vec![Some(target)].into(),
            }),
            multiview_mask: None,
            cache: None,
        };
        self.global
            .device_create_render_pipeline(self.device.id, &descriptor, None)
            .attempt("a render pipeline")
    }

    pub fn compute_pipeline(
        &self,
        shader: ShaderModuleId,
        entry: &'static str,
    ) -> Result<ComputePipelineId, GpuError> {
        let descriptor = ComputePipelineDescriptor {
            label: Some(entry.into()),
            layout: None,
            stage: stage(shader, entry),
            cache: None,
        };
        self.global
            .device_create_compute_pipeline(self.device.id, &descriptor, None)
            .attempt("a compute pipeline")
    }

    /// Creates a buffer of zeros, to be written in each frame.
    pub fn buffer(&self, usage: BufferUsages, size: usize) -> Result<BufferId, GpuError> {
        let descriptor = BufferDescriptor {
            label: None,
            size: size as u64,
            usage: usage | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        self.global.device_create_buffer(self.device.id, &descriptor, None).attempt("a buffer")
    }

    /// Creates a buffer whose contents stay as they are.
    pub fn filled_buffer(&self, usage: BufferUsages, bytes: &[u8]) -> Result<BufferId, GpuError> {
        let buffer = self.buffer(usage, bytes.len())?;
        self.global.queue_write_buffer(self.device.queue, buffer, 0, bytes).attempt("a write")?;
        Ok(buffer)
    }

    /// Creates the bind group 0 of a render pipeline, with these buffers at these bindings.
    pub fn bind(
        &self,
        pipeline: RenderPipelineId,
        buffers: &[(u32, BufferId)],
    ) -> Result<BindGroupId, GpuError> {
        let layout =
            self.global.render_pipeline_get_bind_group_layout(pipeline, 0, None).attempt("a layout")?;
        self.bind_group(layout, buffers)
    }

    /// Creates the bind group 0 of a compute pipeline, with these buffers at these bindings.
    pub fn bind_compute(
        &self,
        pipeline: ComputePipelineId,
        buffers: &[(u32, BufferId)],
    ) -> Result<BindGroupId, GpuError> {
        let layout =
            self.global.compute_pipeline_get_bind_group_layout(pipeline, 0, None).attempt("a layout")?;
        self.bind_group(layout, buffers)
    }

    fn bind_group(
        &self,
        layout: BindGroupLayoutId,
        buffers: &[(u32, BufferId)],
    ) -> Result<BindGroupId, GpuError> {
        let entry = |&(binding, buffer): &(u32, BufferId)| BindGroupEntry {
            binding,
            resource: BindingResource::Buffer(BufferBinding { buffer, offset: 0, size: None }),
        };
        let entries: Vec<_> = buffers.iter().map(entry).collect();
        let descriptor = BindGroupDescriptor { label: None, layout, entries: entries.into() };
        let group = self.global.device_create_bind_group(self.device.id, &descriptor, None);
        self.global.bind_group_layout_drop(layout);
        group.attempt("a bind group")
    }

    /// Creates a texture, for a canvas through a presenter.
    pub fn texture(
        &self,
        format: TextureFormat,
        size: Size2D<u32>,
        usage: TextureUsages,
        canvas: Option<(&mut Presenter, ContextId, &ContextConfiguration)>,
    ) -> Result<TextureId, GpuError> {
        let descriptor = TextureDescriptor {
            label: None,
            size: extent(size),
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgt::TextureDimension::D2,
            format,
            usage,
            view_formats: vec![],
        };
        let created = match canvas {
            Some((presenter, context, configuration)) => {
                presenter.create_canvas_texture(context, configuration, &descriptor, None)
            }
            None => self.global.device_create_texture(self.device.id, &descriptor, None),
        };
        created.attempt("a texture")
    }

    pub fn view(&self, texture: TextureId) -> Result<TextureViewId, GpuError> {
        let descriptor = TextureViewDescriptor {
            label: None,
            format: None,
            dimension: None,
            usage: None,
            range: Default::default(),
        };
        self.global.texture_create_view(texture, &descriptor, None).attempt("a view")
    }

    pub fn encoder(&self) -> Result<CommandEncoderId, GpuError> {
        self.global
            .device_create_command_encoder(self.device.id, &Default::default(), None)
            .attempt("an encoder")
    }

    /// Ends an encoder and submits what it recorded.
    pub fn submit(&self, encoder: CommandEncoderId) -> Result<SubmissionIndex, GpuError> {
        let global = &self.global;
        let (commands, error) = global.command_encoder_finish(encoder, &Default::default(), None);
        let finished = match error {
            None => Ok(()),
            Some((_, error)) => Err(error).attempt("commands"),
        };
        let submitted = finished.and_then(|()| {
            let submitted = global.queue_submit(self.device.queue, &[commands]);
            submitted.map_err(|(_, error)| error).attempt("a submission")
        });
        global.command_buffer_drop(commands);
        global.command_encoder_drop(encoder);
        submitted
    }

    /// Begins a pass that clears its attachments, and that ends with [`end`](Self::end).
    pub fn begin(&self, encoder: CommandEncoderId, to: Attachments) -> Result<RenderPass, GpuError> {
        let color = RenderPassColorAttachment {
            view: to.color,
            depth_slice: None,
            resolve_target: None,
            load_op: wgt::LoadOp::Clear(wgt::Color::TRANSPARENT),
            store_op: wgt::StoreOp::Store,
        };
        let depth = to.depth.map(|view| RenderPassDepthStencilAttachment {
            view,
            depth: PassChannel {
                load_op: Some(wgt::LoadOp::Clear(Some(1.0))),
                store_op: Some(wgt::StoreOp::Discard),
                read_only: false,
            },
            stencil: PassChannel { load_op: None, store_op: None, read_only: false },
        });
        let descriptor = RenderPassDescriptor {
            color_attachments: vec![Some(color)].into(),
            depth_stencil_attachment: depth,
            ..Default::default()
        };
        self.global.command_encoder_begin_render_pass(encoder, &descriptor).attempt("a pass")
    }

    pub fn end(&self, mut pass: RenderPass) -> Result<(), GpuError> {
        self.global.render_pass_end(&mut pass).attempt("the end of a pass")
    }

    /// Sets a pipeline and its bind group.
    pub fn set(
        &self,
        pass: &mut RenderPass,
        pipeline: RenderPipelineId,
        group: BindGroupId,
    ) -> Result<(), GpuError> {
        self.global.render_pass_set_pipeline(pass, pipeline).attempt("a pipeline")?;
        self.global.render_pass_set_bind_group(pass, 0, Some(group), &[]).attempt("a bind group")
    }

    pub fn draw(&self, pass: &mut RenderPass, vertices: u32, instances: u32) -> Result<(), GpuError> {
        self.global.render_pass_draw(pass, vertices, instances, 0, 0).attempt("a draw")
    }
}

fn stage(module: ShaderModuleId, entry: &'static str) -> ProgrammableStageDescriptor<'static> {
    ProgrammableStageDescriptor {
        module,
        entry_point: Some(entry.into()),
        constants: Default::default(),
        zero_initialize_workgroup_memory: true,
    }
}

/// Returns numbers in the layout in which shaders read them.
pub fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
}
