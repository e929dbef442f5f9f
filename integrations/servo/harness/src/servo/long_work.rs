//! The long work of another page, by messages.

use webgpu_traits::id::{BindGroupId, ComputePipelineId};
use webgpu_traits::{BindingCommand, ComputePassEncoderCommand, WebGPURequest};

use super::Device;
use super::connection::{Connection, callback};
use crate::entrant::receive;
use crate::long_work;

/// A second device, which stands for another page.
#[derive(Clone, Copy)]
pub struct BusyDevice {
    pub device: Device,
    pipeline: ComputePipelineId,
    bind_group: BindGroupId,
}

impl BusyDevice {
    pub fn new(connection: &Connection) -> Self {
        let (device, ids) = (connection.device(), &connection.ids);
        let device_id = device.id;
        let program_id = ids.shaders.process();
        let (sender, receiver) = callback();
        connection.send(WebGPURequest::CreateShaderModule {
            device_id,
            program_id,
            program: long_work::SHADER.into(),
            label: None,
            callback: sender,
        });
        let complaint = receive(&receiver, "the shader");
        assert!(complaint.is_none(), "{complaint:?}");
        let pipeline = ids.compute_pipelines.process();
        connection.send(WebGPURequest::CreateComputePipeline {
            device_id,
            compute_pipeline_id: pipeline,
            descriptor: long_work::pipeline(program_id),
            async_sender: None,
        });
        let layout = ids.bind_group_layouts.process();
        connection.send(WebGPURequest::ComputeGetBindGroupLayout {
            device_id,
            pipeline_id: pipeline,
            index: 0,
            id: layout,
        });
        let buffer_id = ids.buffers.process();
        connection.send(WebGPURequest::CreateBuffer {
            device_id,
            buffer_id,
            descriptor: long_work::buffer(),
        });
        let bind_group = ids.bind_groups.process();
        connection.send(WebGPURequest::CreateBindGroup {
            device_id,
            bind_group_id: bind_group,
            descriptor: long_work::bind_group(layout, buffer_id),
        });
        Self { device, pipeline, bind_group }
    }
}

impl Connection {
    pub fn submit_long_work(&self, busy: &BusyDevice, units: u32) {
        let device_id = busy.device.id;
        let command_encoder_id = self.create_encoder(busy.device);
        let compute_pass_id = self.ids.compute_passes.process();
        self.send(WebGPURequest::BeginComputePass {
            command_encoder_id,
            compute_pass_id,
            label: None,
            timestamp_writes: None,
            device_id,
        });
        let bind = BindingCommand::SetBindGroup {
            index: 0,
            bind_group: Some(busy.bind_group),
            dynamic_offsets: vec![],
        };
        let set = [
            ComputePassEncoderCommand::SetPipeline(busy.pipeline),
            ComputePassEncoderCommand::BindingCommand(bind),
        ];
        let dispatches = (0..units).map(|_| ComputePassEncoderCommand::DispatchWorkgroups {
            workgroup_count_x: 1,
            workgroup_count_y: 1,
            workgroup_count_z: 1,
        });
        for compute_command in set.into_iter().chain(dispatches) {
            self.send(WebGPURequest::ComputePassCommand { compute_pass_id, compute_command, device_id });
        }
        self.send(WebGPURequest::EndComputePass { compute_pass_id, device_id });
        self.send(WebGPURequest::DropComputePass(compute_pass_id));
        self.submit(busy.device, command_encoder_id);
    }
}
