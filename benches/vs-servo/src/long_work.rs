//! Work that keeps a GPU busy for a quarter of a second.

use std::borrow::Cow;

use euclid::default::Size2D;
use wgpu_core::command::{RenderPassColorAttachment, RenderPassDescriptor};
use wgpu_core::id::{RenderPipelineId, ShaderModuleId, TextureViewId};
use wgpu_core::pipeline::{
    FragmentState, ProgrammableStageDescriptor, RenderPipelineDescriptor, ShaderModuleDescriptor,
    ShaderModuleSource, VertexState,
};
use wgpu_core::resource::TextureViewDescriptor;
use wgpu_types as wgt;

use crate::entrant::FORMAT;
use crate::raw::{Core, Device, cleared};

pub const SIZE: Size2D<u32> = Size2D::new(256, 256);

/// Draws one triangle over everything. Its instances are the units of work.
pub const SHADER: &str = "
@vertex fn vertex(@builtin(vertex_index) index: u32) -> @builtin(position) vec4f {
    return vec4f(f32(index & 1u) * 4.0 - 1.0, f32(index >> 1u) * 4.0 - 1.0, 0.0, 1.0);
}
@fragment fn fragment(@builtin(position) position: vec4f) -> @location(0) vec4f {
    var value = position.x;
    for (var i = 0u; i < 200u; i++) {
        value = fract(value * 1.7 + position.y);
    }
    return vec4f(value * 0.001);
}
";

pub fn pipeline(module: ShaderModuleId) -> RenderPipelineDescriptor<'static> {
    let stage = |entry: &'static str| ProgrammableStageDescriptor {
        module,
        entry_point: Some(entry.into()),
        constants: Default::default(),
        zero_initialize_workgroup_memory: true,
    };
    let add = wgt::BlendComponent {
        src_factor: wgt::BlendFactor::One,
        dst_factor: wgt::BlendFactor::One,
        operation: wgt::BlendOperation::Add,
    };
    // Without blending a driver may draw the last instance only.
    let blend = Some(wgt::BlendState { color: add, alpha: add });
    let target = wgt::ColorTargetState { format: FORMAT, blend, write_mask: wgt::ColorWrites::ALL };
    RenderPipelineDescriptor {
        label: None,
        layout: None,
        vertex: VertexState { stage: stage("vertex"), buffers: Cow::Borrowed(&[]) },
        primitive: Default::default(),
        depth_stencil: None,
        multisample: Default::default(),
        fragment: Some(FragmentState { stage: stage("fragment"), targets: vec![Some(target)].into() }),
        multiview_mask: None,
        cache: None,
    }
}

pub fn attachment(view: TextureViewId) -> RenderPassColorAttachment {
    cleared(view)
}

/// A second device of the same `Global`: another page.
#[derive(Clone)]
pub struct BusyDevice {
    pub device: Device,
    pipeline: RenderPipelineId,
    view: TextureViewId,
}

impl BusyDevice {
    pub fn new(core: &Core) -> Self {
        let device = core.device();
        let global = &device.global;
        let descriptor =
            ShaderModuleDescriptor { label: None, runtime_checks: wgt::ShaderRuntimeChecks::checked() };
        let source = ShaderModuleSource::Wgsl(SHADER.into());
        let (module, error) = global.device_create_shader_module(device.id, &descriptor, source, None);
        assert!(error.is_none(), "{error:?}");
        let (pipeline, error) = global.device_create_render_pipeline(device.id, &pipeline(module), None);
        assert!(error.is_none(), "{error:?}");
        let (view, error) =
            global.texture_create_view(device.texture(SIZE), &TextureViewDescriptor::default(), None);
        assert!(error.is_none(), "{error:?}");
        Self { device, pipeline, view }
    }

    pub fn submit(&self, units: u32) -> wgpu_core::SubmissionIndex {
        let global = &self.device.global;
        let encoder = self.device.encoder();
        let descriptor = RenderPassDescriptor {
            color_attachments: vec![Some(attachment(self.view))].into(),
            ..Default::default()
        };
        let (mut pass, error) = global.command_encoder_begin_render_pass(encoder, &descriptor);
        assert!(error.is_none(), "{error:?}");
        global.render_pass_set_pipeline(&mut pass, self.pipeline).expect("it can be recorded");
        global.render_pass_draw(&mut pass, 3, units, 0, 0).expect("it can be recorded");
        global.render_pass_end(&mut pass).expect("it can be recorded");
        self.device.submit(encoder)
    }
}
