//! Drawing by messages to the peer.

use euclid::default::Size2D;
use webgpu_traits::WebGPURequest;
use webgpu_traits::id::{CommandEncoderId, TextureId, TextureViewId};
use wgpu_core::resource::TextureViewDescriptor;

use super::Device;
use super::connection::Connection;
use crate::common::{cleared, texture_descriptor};
use crate::entrant::receive;

impl Connection {
    /// Creates textures, draws them in one submission, and waits for its end.
    pub fn draw(&self, device: Device, sizes: &[Size2D<u32>]) -> Vec<TextureId> {
        let device_id = device.id;
        let create = |size: &Size2D<u32>| {
            let texture_id = self.ids.textures.process();
            let descriptor = texture_descriptor(*size);
            self.send(WebGPURequest::CreateTexture { device_id, texture_id, descriptor });
            texture_id
        };
        let textures: Vec<_> = sizes.iter().map(create).collect();
        let command_encoder_id = self.create_encoder(device);
        let clear = |texture: &TextureId| {
            let view = self.create_view(device, *texture);
            let render_pass_id = self.ids.render_passes.process();
            self.send(WebGPURequest::BeginRenderPass {
                command_encoder_id,
                render_pass_id,
                label: None,
                color_attachments: vec![Some(cleared(view))],
                depth_stencil_attachment: None,
                timestamp_writes: None,
                device_id,
            });
            self.send(WebGPURequest::EndRenderPass { render_pass_id, device_id });
            self.send(WebGPURequest::DropRenderPass(render_pass_id));
            view
        };
        let views: Vec<_> = textures.iter().map(clear).collect();
        self.submit(device, command_encoder_id);
        views.into_iter().for_each(|view| self.send(WebGPURequest::DropTextureView(view)));
        receive(&self.end_of_work(device), "the end of the peer's drawing");
        self.catch_up(device);
        textures
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

    pub fn create_encoder(&self, device: Device) -> CommandEncoderId {
        let command_encoder_id = self.ids.encoders.process();
        self.send(WebGPURequest::CreateCommandEncoder {
            device_id: device.id,
            command_encoder_id,
            desc: Default::default(),
        });
        command_encoder_id
    }

    /// Submits what the encoder holds.
    pub fn submit(&self, device: Device, command_encoder_id: CommandEncoderId) {
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
