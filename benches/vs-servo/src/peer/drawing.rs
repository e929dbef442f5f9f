//! Drawing, in messages.

use euclid::default::Size2D;
use webgpu_traits::id::{CommandEncoderId, RenderPassEncoderId, RenderPipelineId, TextureId, TextureViewId};
use webgpu_traits::{RenderCommand, RenderPassEncoderCommand, WebGPURequest};
use wgpu_core::resource::TextureViewDescriptor;

use super::Device;
use super::connection::{Connection, callback};
use crate::entrant::receive;
use crate::long_work;
use crate::raw::{cleared, texture_descriptor};

/// A second device: another page.
#[derive(Clone)]
pub struct BusyDevice {
    pub device: Device,
    pipeline: RenderPipelineId,
    view: TextureViewId,
}

impl BusyDevice {
    pub fn new(connection: &Connection) -> Self {
        let device = connection.device();
        let (program_id, pipeline) =
            (connection.ids.shaders.process(), connection.ids.render_pipelines.process());
        let (sender, receiver) = callback();
        connection.send(WebGPURequest::CreateShaderModule {
            device_id: device.id,
            program_id,
            program: long_work::SHADER.into(),
            label: None,
            callback: sender,
        });
        let complaint = receive(&receiver, "the peer's shader");
        assert!(complaint.is_none(), "{complaint:?}");
        connection.send(WebGPURequest::CreateRenderPipeline {
            device_id: device.id,
            render_pipeline_id: pipeline,
            descriptor: long_work::pipeline(program_id),
            async_sender: None,
        });
        let texture = connection.create_texture(device, long_work::SIZE);
        let view = connection.create_view(device, texture);
        Self { device, pipeline, view }
    }
}

impl Connection {
    fn create_texture(&self, device: Device, size: Size2D<u32>) -> TextureId {
        let texture_id = self.ids.textures.process();
        let descriptor = texture_descriptor(size);
        self.send(WebGPURequest::CreateTexture { device_id: device.id, texture_id, descriptor });
        texture_id
    }

    fn create_view(&self, device: Device, texture_id: TextureId) -> TextureViewId {
        let texture_view_id = self.ids.views.process();
        self.send(WebGPURequest::CreateTextureView {
            texture_id,
            texture_view_id,
            device_id: device.id,
            descriptor: Some(TextureViewDescriptor::default()),
        });
        texture_view_id
    }

    /// Fresh textures, cleared in one submission that is waited for.
    pub fn draw(&self, device: Device, sizes: &[Size2D<u32>]) -> Vec<TextureId> {
        let textures: Vec<_> = sizes.iter().map(|size| self.create_texture(device, *size)).collect();
        let encoder = self.begin(device);
        let views: Vec<_> = textures.iter().map(|texture| self.create_view(device, *texture)).collect();
        for view in &views {
            self.pass(device, encoder, *view, |_| ());
        }
        self.submit(device, encoder);
        views.into_iter().for_each(|view| self.send(WebGPURequest::DropTextureView(view)));
        self.wait(device);
        self.catch_up(device);
        textures
    }

    pub fn submit_long_work(&self, busy: &BusyDevice, units: u32) {
        let device = busy.device;
        let encoder = self.begin(device);
        self.pass(device, encoder, busy.view, |pass| {
            let draw = RenderCommand::Draw {
                vertex_count: 3,
                instance_count: units,
                first_vertex: 0,
                first_instance: 0,
            };
            for command in [RenderCommand::SetPipeline(busy.pipeline), draw] {
                self.send(WebGPURequest::RenderPassCommand {
                    render_pass_id: pass,
                    render_command: RenderPassEncoderCommand::RenderCommand(command),
                    device_id: device.id,
                });
            }
        });
        self.submit(device, encoder);
        self.catch_up(device);
    }

    fn begin(&self, device: Device) -> CommandEncoderId {
        let command_encoder_id = self.ids.encoders.process();
        self.send(WebGPURequest::CreateCommandEncoder {
            device_id: device.id,
            command_encoder_id,
            desc: Default::default(),
        });
        command_encoder_id
    }

    fn pass(
        &self,
        device: Device,
        command_encoder_id: CommandEncoderId,
        view: TextureViewId,
        record: impl FnOnce(RenderPassEncoderId),
    ) {
        let render_pass_id = self.ids.render_passes.process();
        self.send(WebGPURequest::BeginRenderPass {
            command_encoder_id,
            render_pass_id,
            label: None,
            color_attachments: vec![Some(cleared(view))],
            depth_stencil_attachment: None,
            timestamp_writes: None,
            device_id: device.id,
        });
        record(render_pass_id);
        self.send(WebGPURequest::EndRenderPass { render_pass_id, device_id: device.id });
        self.send(WebGPURequest::DropRenderPass(render_pass_id));
    }

    fn submit(&self, device: Device, command_encoder_id: CommandEncoderId) {
        let command_buffer_id = self.ids.command_buffers.process();
        self.send(WebGPURequest::CommandEncoderFinish {
            command_encoder_id,
            device_id: device.id,
            desc: Default::default(),
            command_buffer_id,
        });
        self.send(WebGPURequest::Submit {
            device_id: device.id,
            queue_id: device.queue,
            command_buffers: vec![command_buffer_id],
        });
        self.send(WebGPURequest::DropCommandEncoder(command_encoder_id));
        self.send(WebGPURequest::DropCommandBuffer(command_buffer_id));
    }
}
