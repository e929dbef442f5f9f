//! Makes pipelines, bind groups and buffers, and says for which canvas when that fails.

use std::borrow::Cow;
use std::fmt::Display;

use wgpu_core::binding_model::{BindGroupDescriptor, BindGroupEntry, BindingResource, BufferBinding};
use wgpu_core::id::{
    BindGroupId, BindGroupLayoutId, BufferId, ComputePipelineId, RenderPipelineId, ShaderModuleId,
};
use wgpu_core::pipeline::{
    ComputePipelineDescriptor, FragmentState, ProgrammableStageDescriptor, RenderPipelineDescriptor,
    ShaderModuleDescriptor, ShaderModuleSource, VertexBufferLayout, VertexState,
};
use wgpu_core::resource::BufferDescriptor;
use wgpu_types as wgt;
use wgpu_types::{BufferUsages, TextureFormat};

use crate::failure::Failure;
use crate::mesh::VERTEX_SIZE;
use crate::support::gpu::{Device, Gpu};

/// What a pipeline does beside its shaders.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fixed {
    /// Writes every pixel.
    Screen,
    /// Reads vertices (position and normal) and tests depth in this format.
    Mesh(TextureFormat),
    /// Adds up.
    Glow,
}

pub struct Builder<'a> {
    pub gpu: &'a Gpu,
    pub device: Device,
    pub canvas: &'static str,
}

impl Builder<'_> {
    fn check<T>(&self, what: &'static str, (id, error): (T, Option<impl Display>)) -> Result<T, Failure> {
        match error {
            None => Ok(id),
            Some(error) => Err(Failure::Canvas { canvas: self.canvas, what, error: error.to_string() }),
        }
    }

    pub fn buffer(&self, size: u64, usage: BufferUsages) -> Result<BufferId, Failure> {
        let label = Some(Cow::Borrowed(self.canvas));
        let descriptor = BufferDescriptor { label, size, usage, mapped_at_creation: false };
        self.check("a buffer", self.gpu.global.device_create_buffer(self.device.id, &descriptor, None))
    }

    /// A buffer with these bytes.
    pub fn filled(&self, bytes: &[u8], usage: BufferUsages) -> Result<BufferId, Failure> {
        let buffer = self.buffer(bytes.len() as u64, usage | BufferUsages::COPY_DST)?;
        let written = self.gpu.global.queue_write_buffer(self.device.queue, buffer, 0, bytes);
        self.check("the data", (buffer, written.err()))
    }

    fn module(&self, wgsl: &'static str) -> Result<ShaderModuleId, Failure> {
        let descriptor = ShaderModuleDescriptor {
            label: Some(self.canvas.into()),
            runtime_checks: wgt::ShaderRuntimeChecks::checked(),
        };
        let source = ShaderModuleSource::Wgsl(wgsl.into());
        let global = &self.gpu.global;
        self.check("the WGSL", global.device_create_shader_module(self.device.id, &descriptor, source, None))
    }

    pub fn render_pipeline(
        &self,
        wgsl: &'static str,
        format: TextureFormat,
        fixed: Fixed,
    ) -> Result<RenderPipelineId, Failure> {
        let module = self.module(wgsl)?;
        let attribute = |shader_location, offset| wgt::VertexAttribute {
            format: wgt::VertexFormat::Float32x3,
            offset,
            shader_location,
        };
        let attributes = [attribute(0, 0), attribute(1, VERTEX_SIZE / 2)];
        let vertices = VertexBufferLayout {
            array_stride: VERTEX_SIZE,
            step_mode: wgt::VertexStepMode::Vertex,
            attributes: attributes.as_slice().into(),
        };
        let add = wgt::BlendComponent {
            src_factor: wgt::BlendFactor::One,
            dst_factor: wgt::BlendFactor::One,
            operation: wgt::BlendOperation::Add,
        };
        let target = wgt::ColorTargetState {
            format,
            blend: (fixed == Fixed::Glow).then_some(wgt::BlendState { color: add, alpha: add }),
            write_mask: wgt::ColorWrites::ALL,
        };
        let descriptor = RenderPipelineDescriptor {
            label: Some(self.canvas.into()),
            layout: None,
            vertex: VertexState {
                stage: stage(module, "vertex"),
                buffers: match fixed {
                    Fixed::Mesh(_) => vec![Some(vertices)].into(),
                    Fixed::Screen | Fixed::Glow => vec![].into(),
                },
            },
            primitive: wgt::PrimitiveState::default(),
            depth_stencil: match fixed {
                Fixed::Mesh(format) => Some(wgt::DepthStencilState {
                    format,
                    depth_write_enabled: Some(true),
                    depth_compare: Some(wgt::CompareFunction::Less),
                    stencil: wgt::StencilState::default(),
                    bias: wgt::DepthBiasState::default(),
                }),
                Fixed::Screen | Fixed::Glow => None,
            },
            multisample: wgt::MultisampleState::default(),
            fragment: Some(FragmentState {
                stage: stage(module, "fragment"),
                targets: vec![Some(target)].into(),
            }),
            multiview_mask: None,
            cache: None,
        };
        let global = &self.gpu.global;
        let made = global.device_create_render_pipeline(self.device.id, &descriptor, None);
        global.shader_module_drop(module);
        self.check("the render pipeline", made)
    }

    pub fn compute_pipeline(&self, wgsl: &'static str) -> Result<ComputePipelineId, Failure> {
        let module = self.module(wgsl)?;
        let descriptor = ComputePipelineDescriptor {
            label: Some(self.canvas.into()),
            layout: None,
            stage: stage(module, "step"),
            cache: None,
        };
        let global = &self.gpu.global;
        let made = global.device_create_compute_pipeline(self.device.id, &descriptor, None);
        global.shader_module_drop(module);
        self.check("the compute pipeline", made)
    }

    pub fn render_layout(&self, pipeline: RenderPipelineId) -> Result<BindGroupLayoutId, Failure> {
        let layout = self.gpu.global.render_pipeline_get_bind_group_layout(pipeline, 0, None);
        self.check("the bindings", layout)
    }

    pub fn compute_layout(&self, pipeline: ComputePipelineId) -> Result<BindGroupLayoutId, Failure> {
        let layout = self.gpu.global.compute_pipeline_get_bind_group_layout(pipeline, 0, None);
        self.check("the bindings", layout)
    }

    /// Binds buffers to 0, 1 and so on, and drops the layout.
    pub fn bind_group(
        &self,
        layout: BindGroupLayoutId,
        buffers: &[BufferId],
    ) -> Result<BindGroupId, Failure> {
        let bind = |(binding, buffer): (u32, &BufferId)| BindGroupEntry {
            binding,
            resource: BindingResource::Buffer(BufferBinding { buffer: *buffer, offset: 0, size: None }),
        };
        let entries = (0..).zip(buffers).map(bind).collect();
        let descriptor = BindGroupDescriptor { label: Some(self.canvas.into()), layout, entries };
        let global = &self.gpu.global;
        let made = global.device_create_bind_group(self.device.id, &descriptor, None);
        global.bind_group_layout_drop(layout);
        self.check("the bind group", made)
    }
}

fn stage(module: ShaderModuleId, entry_point: &'static str) -> ProgrammableStageDescriptor<'static> {
    ProgrammableStageDescriptor {
        module,
        entry_point: Some(entry_point.into()),
        constants: Default::default(),
        zero_initialize_workgroup_memory: true,
    }
}
