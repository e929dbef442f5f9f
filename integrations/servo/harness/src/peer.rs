//! `servo-webgpu`, driven over its channels by the messages of Servo's script thread.

mod connection;
mod drawing;
mod long_work;

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use euclid::default::Size2D;
use paint_api::{ExternalImageSource, WebRenderExternalImageApi};
use servo_base::Epoch;
use servo_base::generic_channel;
use webgpu::WebGpuExternalImages;
use webgpu_presentation::AlphaMode;
use webgpu_traits::id::{DeviceId, QueueId, TextureId};
use webgpu_traits::{
    ContextConfiguration, PRESENTATION_BUFFER_COUNT, PendingTexture, WebGPUContextId, WebGPURequest,
};
use webrender_api::{IdNamespace, ImageFormat, ImageKey};

use crate::common::rest;
use crate::entrant::{Entrant, Locker, Source, Then, Updates, pixel, receive};
use crate::raw::PATIENCE;

use self::connection::Connection;
use self::long_work::BusyDevice;

pub struct Peer {
    connection: Connection,
    device: Device,
    busy: Option<BusyDevice>,
    long_work: Option<Receiver<()>>,
    updates: Updates,
    canvases: Vec<Canvas>,
    epoch: u32,
}

#[derive(Clone, Copy)]
struct Device {
    id: DeviceId,
    queue: QueueId,
}

struct Canvas {
    context: WebGPUContextId,
    alpha_mode: AlphaMode,
    drawn: Option<(TextureId, Size2D<u32>)>,
}

impl Peer {
    pub fn new() -> Self {
        let (sender, updates) = Updates::new();
        let connection = Connection::new(sender);
        let device = connection.device();
        Self { connection, device, busy: None, long_work: None, updates, canvases: Vec::new(), epoch: 0 }
    }

    /// Returns what the peer says about its adapter.
    pub fn adapter(&self) -> &wgpu_types::AdapterInfo {
        &self.connection.adapter_info
    }

    /// Returns the texture with fresh ids for its copy, as script does, which never frees them.
    fn pending(&self, canvas: usize) -> PendingTexture {
        let canvas = &self.canvases[canvas];
        let (texture_id, size) = canvas.drawn.expect("it was drawn");
        PendingTexture {
            texture_id,
            encoder_id: self.connection.ids.encoders.process(),
            command_buffer_id: self.connection.ids.command_buffers.process(),
            configuration: ContextConfiguration {
                device_id: self.device.id,
                queue_id: self.device.queue,
                format: ImageFormat::BGRA8,
                is_opaque: canvas.alpha_mode == AlphaMode::Opaque,
                size,
            },
        }
    }

    /// Destroys what was drawn. A texture that a present destroyed is not drawn any more.
    fn drop_texture(&mut self, canvas: usize) {
        if let Some((texture, _)) = self.canvases[canvas].drawn.take() {
            self.connection.send(WebGPURequest::DestroyTexture(texture));
            self.connection.send(WebGPURequest::DropTexture(texture));
        }
    }

    fn busy(&mut self) -> &mut BusyDevice {
        self.busy.get_or_insert_with(|| BusyDevice::new(&self.connection))
    }
}

impl Entrant for Peer {
    fn name(&self) -> &'static str {
        "peer"
    }

    fn create_canvas(&mut self, size: Size2D<u32>, alpha_mode: AlphaMode) -> usize {
        let canvas = self.canvases.len();
        let (sender, receiver) = generic_channel::channel().expect("a channel can be made");
        let buffer_ids =
            (0..PRESENTATION_BUFFER_COUNT).map(|_| self.connection.ids.buffers.process()).collect();
        let size = size.cast().cast_unit();
        self.connection.send(WebGPURequest::CreateContext { buffer_ids, size, sender });
        let context_id = receiver.try_recv_timeout(PATIENCE).ok().expect("the context is made in time");
        let image_key = ImageKey(IdNamespace(1), canvas as u32);
        self.connection.send(WebGPURequest::SetImageKey { context_id, image_key });
        self.updates.add_canvas();
        self.canvases.push(Canvas { context: context_id, alpha_mode, drawn: None });
        canvas
    }

    fn destroy_canvas(&mut self, canvas: usize) {
        self.drop_texture(canvas);
        let context_id = self.canvases[canvas].context;
        self.connection.send(WebGPURequest::DestroyContext { context_id });
        self.connection.catch_up(self.device);
    }

    fn draw(&mut self, frame: &[(usize, Size2D<u32>)]) {
        frame.iter().for_each(|(canvas, _)| self.drop_texture(*canvas));
        let sizes: Vec<_> = frame.iter().map(|(_, size)| *size).collect();
        let textures = self.connection.draw(self.device, &sizes);
        for ((canvas, size), texture) in frame.iter().zip(textures) {
            self.canvases[*canvas].drawn = Some((texture, *size));
        }
        self.connection.hear();
        rest();
    }

    fn present(&mut self, canvases: &[usize], then: Then) -> Duration {
        let first = u64::from(self.epoch) + 1;
        let start = Instant::now();
        for canvas in canvases {
            self.epoch += 1;
            let texture = self.pending(*canvas);
            let (id, size) = (texture.texture_id, texture.configuration.size);
            self.connection.send(WebGPURequest::Present {
                context_id: self.canvases[*canvas].context,
                pending_texture: Some(texture),
                size,
                canvas_epoch: Epoch(self.epoch),
            });
            if then == Then::Destroy {
                self.connection.send(WebGPURequest::DestroyTexture(id));
            }
        }
        for (canvas, epoch) in canvases.iter().zip(first..) {
            self.updates.wait_for(*canvas, epoch);
        }
        let time = start.elapsed();
        if then == Then::Destroy {
            for canvas in canvases {
                if let Some((texture, _)) = self.canvases[*canvas].drawn.take() {
                    self.connection.send(WebGPURequest::DropTexture(texture));
                }
            }
        }
        time
    }

    fn get_image(&mut self, canvas: usize, source: Source) -> Duration {
        let pending_texture = (source == Source::Drawn).then(|| self.pending(canvas));
        let context_id = self.canvases[canvas].context;
        let (sender, receiver) = generic_channel::channel().expect("a channel can be made");
        let start = Instant::now();
        self.connection.send(WebGPURequest::GetImage { context_id, pending_texture, sender });
        let image = receiver.try_recv_timeout(PATIENCE).ok().expect("the image comes in time");
        let time = start.elapsed();
        let pixel = pixel(self.canvases[canvas].alpha_mode);
        assert_eq!(image.data().first_chunk(), Some(&pixel), "it is what was drawn");
        time
    }

    fn start_long_work(&mut self, units: u32) {
        let busy = *self.busy();
        self.connection.submit_long_work(&busy, units);
        self.long_work = Some(self.connection.end_of_work(busy.device));
        self.connection.catch_up(busy.device);
    }

    fn finish_long_work(&mut self) {
        let receiver = self.long_work.take().expect("it was started");
        receive(&receiver, "the end of the peer's long work");
    }

    fn locker(&self) -> Option<Box<dyn Locker>> {
        let images = WebGpuExternalImages::new(self.connection.images.clone());
        let ids = self.canvases.iter().map(|canvas| canvas.context.0).collect();
        Some(Box::new(Renderer { images, ids }))
    }
}

struct Renderer {
    images: WebGpuExternalImages,
    /// The ids of the external images, by canvas.
    ids: Vec<u64>,
}

impl Renderer {
    fn with<T>(&mut self, canvas: usize, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let id = self.ids[canvas];
        let read = match self.images.lock(id) {
            (ExternalImageSource::RawData(bytes), _) => Some(read(bytes)),
            _ => None,
        };
        self.images.unlock(id);
        read
    }
}

impl Locker for Renderer {
    fn lock_and_unlock(&mut self, canvas: usize) {
        let len = self.with(canvas, <[u8]>::len);
        std::hint::black_box(len).expect("it can be locked");
    }

    fn first_pixel(&mut self, canvas: usize) -> Option<[u8; 4]> {
        self.with(canvas, |bytes| bytes.first_chunk().copied()).flatten()
    }
}
