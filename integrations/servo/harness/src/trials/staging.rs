//! Requests that name the buffers that frames are copied to, whose ids script chose.

use euclid::default::Size2D;
use servo_base::generic_channel::GenericSharedMemory;
use webgpu_traits::id::BufferId;
use webgpu_traits::{CommandEncoderCommand, WebGPUMsg, WebGPURequest};
use webrender_api::ImageFormat;
use wgpu_core::command::{TexelCopyBufferInfo, TexelCopyTextureInfo};
use wgpu_core::device::HostMap;
use wgpu_core::resource::BufferDescriptor;
use wgpu_types::{BufferUsages, Color, Origin3d, TexelCopyBufferLayout, TextureAspect};

use super::{Trial, still_works};
use crate::common::{extent, stride};
use crate::entrant::{AlphaMode, COLOR, pixel};
use crate::servo::{Device, Servo, callback};

pub fn trials() -> Vec<Trial> {
    vec![Trial::check("check-staging", "a page's own commands name the buffers of its canvas", staging)]
}

const SIZE: Size2D<u32> = Size2D::new(256, 256);

fn staging(servo: &mut Servo) {
    let device = servo.device;
    let canvas = servo.create(SIZE, AlphaMode::Premultiplied, ImageFormat::BGRA8);
    let buffers = servo.staging_buffers(canvas).to_vec();
    let other = servo.connection.draw(device, &[(SIZE, servo.format(canvas))], Color::WHITE)[0];
    for _ in 0..3 {
        let epoch = servo.present_color(canvas, device, SIZE, COLOR);
        servo.updates.wait_for(canvas, epoch);
        for buffer_id in &buffers {
            name_in_copy(
                servo,
                TexelCopyTextureInfo {
                    texture: other,
                    mip_level: 0,
                    origin: Origin3d::ZERO,
                    aspect: TextureAspect::All,
                },
                *buffer_id,
            );
            name_alone(servo, *buffer_id);
        }
        servo.connection.catch_up(device);
        let shown = servo.renderer().read(canvas, |bytes| bytes.first_chunk().copied()).flatten();
        assert_eq!(shown, Some(pixel(AlphaMode::Premultiplied)), "what the canvas shows");
    }
    let came_back = |messages: Vec<WebGPUMsg>| {
        messages.iter().filter(|message| matches!(message, WebGPUMsg::FreeBuffer(_))).count()
    };
    let early = came_back(servo.connection.messages());
    servo.send_destroy_context(canvas);
    servo.connection.catch_up(device);
    let late = came_back(servo.connection.messages());
    assert_eq!((early, late), (0, buffers.len()), "the ids that come back before the canvas ends, and then");
    still_works(servo);
}

/// Records and submits copies from a texture to a buffer, and from the buffer to itself.
fn name_in_copy(servo: &Servo, source: TexelCopyTextureInfo, buffer: BufferId) {
    let device_id = servo.device.id;
    let layout = TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(stride(SIZE)), rows_per_image: None };
    let command_encoder_id = servo.connection.create_encoder(servo.device);
    let destination = TexelCopyBufferInfo { buffer, layout };
    let copy_size = extent(SIZE);
    let commands = [
        CommandEncoderCommand::CopyTextureToBuffer { source, destination, copy_size },
        CommandEncoderCommand::CopyBufferToBuffer {
            source: buffer,
            source_offset: 0,
            destination: buffer,
            destination_offset: 1024,
            size: Some(1024),
        },
        CommandEncoderCommand::ClearBuffer { buffer, offset: 0, size: None },
    ];
    for command in commands {
        servo.connection.send(WebGPURequest::CommandEncoderCommand {
            command_encoder_id,
            command,
            device_id,
        });
    }
    servo.connection.submit(servo.device, command_encoder_id);
}

/// Maps, unmaps, creates, writes, destroys and drops a buffer.
fn name_alone(servo: &Servo, buffer_id: BufferId) {
    let Device { id: device_id, queue: queue_id } = servo.device;
    let descriptor = BufferDescriptor {
        label: None,
        size: 1024,
        usage: BufferUsages::COPY_DST | BufferUsages::MAP_READ,
        mapped_at_creation: false,
    };
    // The answer of a map that is refused never comes.
    let (callback, _) = callback();
    let data = GenericSharedMemory::from_bytes(&[255; 1024]);
    let requests = [
        WebGPURequest::BufferMapAsync {
            callback,
            buffer_id,
            device_id,
            host_map: HostMap::Read,
            offset: 0,
            size: None,
        },
        WebGPURequest::UnmapBuffer { buffer_id, mapping: None },
        WebGPURequest::CreateBuffer { device_id, buffer_id, descriptor },
        WebGPURequest::WriteBuffer { device_id, queue_id, buffer_id, buffer_offset: 0, data },
        WebGPURequest::DestroyBuffer(buffer_id),
        WebGPURequest::DropBuffer(buffer_id),
    ];
    requests.into_iter().for_each(|request| servo.connection.send(request));
}
