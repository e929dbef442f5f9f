//! Drawing by messages.

use euclid::default::Size2D;
use servo_base::generic_channel::GenericSharedMemory;
use webgpu_traits::WebGPURequest;
use webgpu_traits::id::{CommandEncoderId, TextureId, TextureViewId};
use wgpu_core::command::TexelCopyTextureInfo;
use wgpu_core::resource::TextureViewDescriptor;
use wgpu_types::{Color, Origin3d, TexelCopyBufferLayout, TextureAspect, TextureFormat};

use super::Device;
use super::connection::Connection;
use crate::common::{cleared, extent, texture_descriptor};
use crate::entrant::receive;

impl Connection {
    /// Creates textures, draws them in one submission, and waits for its end.
    pub fn draw(
        &self,
        device: Device,
        textures: &[(Size2D<u32>, TextureFormat)],
        color: Color,
    ) -> Vec<TextureId> {
        let textures = self.submit_drawing(device, textures, color);
        receive(&self.end_of_work(device), "the end of drawing");
        self.catch_up(device);
        textures
    }

    /// Creates textures, and draws them in one submission, by clearing them.
    pub fn submit_drawing(
        &self,
        device: Device,
        textures: &[(Size2D<u32>, TextureFormat)],
        color: Color,
    ) -> Vec<TextureId> {
        let device_id = device.id;
        let create = |(size, format): &_| self.create_texture(device, *size, *format);
        let textures: Vec<_> = textures.iter().map(create).collect();
        let command_encoder_id = self.create_encoder(device);
        let clear = |texture: &TextureId| {
            let view = self.create_view(device, *texture);
            let render_pass_id = self.ids.render_passes.process();
            self.send(WebGPURequest::BeginRenderPass {
                command_encoder_id,
                render_pass_id,
                label: None,
                color_attachments: vec![Some(cleared(view, color))],
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
        textures
    }

    pub fn create_texture(&self, device: Device, size: Size2D<u32>, format: TextureFormat) -> TextureId {
        let texture_id = self.ids.textures.process();
        let descriptor = texture_descriptor(size, format);
        self.send(WebGPURequest::CreateTexture { device_id: device.id, texture_id, descriptor });
        texture_id
    }

    /// Writes rows of four bytes a pixel to a texture.
    pub fn write_texture(&self, device: Device, texture: TextureId, size: Size2D<u32>, rows: &[u8]) {
        self.send(WebGPURequest::WriteTexture {
            device_id: device.id,
            queue_id: device.queue,
            texture_cv: TexelCopyTextureInfo {
                texture,
                mip_level: 0,
                origin: Origin3d::ZERO,
                aspect: TextureAspect::All,
            },
            data_layout: TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(size.width * 4),
                rows_per_image: None,
            },
            size: extent(size),
            data: GenericSharedMemory::from_bytes(rows),
        });
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
