//! Work that keeps a GPU busy for a fifth of a second.
//!
//! It is a compute shader, run in one workgroup at a time. Drawing would not do: llvmpipe draws for all devices in one queue, so that
//! every side would wait, even the floor. Several workgroups would take all cores of the CPU, which a real GPU leaves alone.

use std::borrow::Cow;

use wgpu_core::SubmissionIndex;
use wgpu_core::binding_model::{BindGroupDescriptor, BindGroupEntry, BindingResource, BufferBinding};
use wgpu_core::command::ComputePassDescriptor;
use wgpu_core::id::{BindGroupId, BindGroupLayoutId, BufferId, ComputePipelineId, ShaderModuleId};
use wgpu_core::pipeline::{
    ComputePipelineDescriptor, ProgrammableStageDescriptor, ShaderModuleDescriptor, ShaderModuleSource,
};
use wgpu_core::resource::BufferDescriptor;
use wgpu_types as wgt;

use crate::raw::{Core, Device};

/// The shader. One workgroup of it is a unit of work, and takes about a millisecond.
pub const SHADER: &str = "
@group(0) @binding(0) var<storage, read_write> results: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
    var value = f32(id.x);
    for (var i = 0u; i < 20000u; i++) {
        value = fract(value * 1.7 + 0.3);
    }
    results[id.x % arrayLength(&results)] = value;
}
";

pub fn buffer() -> BufferDescriptor<'static> {
    BufferDescriptor { label: None, size: 4096, usage: wgt::BufferUsages::STORAGE, mapped_at_creation: false }
}

pub fn pipeline(module: ShaderModuleId) -> ComputePipelineDescriptor<'static> {
    let stage = ProgrammableStageDescriptor {
        module,
        entry_point: Some("main".into()),
        constants: Default::default(),
        zero_initialize_workgroup_memory: true,
    };
    ComputePipelineDescriptor { label: None, layout: None, stage, cache: None }
}

pub fn bind_group(layout: BindGroupLayoutId, buffer: BufferId) -> BindGroupDescriptor<'static> {
    let resource = BindingResource::Buffer(BufferBinding { buffer, offset: 0, size: None });
    let entry = BindGroupEntry { binding: 0, resource };
    BindGroupDescriptor { label: None, layout, entries: Cow::Owned(vec![entry]) }
}

/// A second device of the same `Global`, which stands for another page.
#[derive(Clone)]
pub struct BusyDevice {
    pub device: Device,
    pipeline: ComputePipelineId,
    bind_group: BindGroupId,
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
        let (pipeline, error) = global.device_create_compute_pipeline(device.id, &pipeline(module), None);
        assert!(error.is_none(), "{error:?}");
        let (layout, error) = global.compute_pipeline_get_bind_group_layout(pipeline, 0, None);
        assert!(error.is_none(), "{error:?}");
        let (buffer, error) = global.device_create_buffer(device.id, &buffer(), None);
        assert!(error.is_none(), "{error:?}");
        let (bind_group, error) =
            global.device_create_bind_group(device.id, &bind_group(layout, buffer), None);
        assert!(error.is_none(), "{error:?}");
        Self { device, pipeline, bind_group }
    }

    pub fn submit(&self, units: u32) -> SubmissionIndex {
        let global = &self.device.global;
        let encoder = self.device.encoder();
        let descriptor = ComputePassDescriptor { label: None, timestamp_writes: None };
        let (mut pass, error) = global.command_encoder_begin_compute_pass(encoder, &descriptor);
        assert!(error.is_none(), "{error:?}");
        global.compute_pass_set_pipeline(&mut pass, self.pipeline).expect("it can be recorded");
        global
            .compute_pass_set_bind_group(&mut pass, 0, Some(self.bind_group), &[])
            .expect("it can be recorded");
        for _ in 0..units {
            global.compute_pass_dispatch_workgroups(&mut pass, 1, 1, 1).expect("it can be recorded");
        }
        global.compute_pass_end(&mut pass).expect("it can be recorded");
        self.device.submit(encoder)
    }
}
