//! Servo's WebGPU thread, driven over its channels by the messages of Servo's script thread.
//!
//! Both variants are driven by the same code: only [`Variant::start`] names their crates.

mod connection;
mod drawing;
mod long_work;

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use euclid::default::Size2D;
use paint_api::{ExternalImageSource, WebRenderExternalImageApi};
use pixels::SharedSnapshot;
use servo_base::Epoch;
use servo_base::generic_channel::{self, GenericReceiver};
use webgpu_traits::id::{BufferId, DeviceId, QueueId, TextureId};
use webgpu_traits::{
    ContextConfiguration, PRESENTATION_BUFFER_COUNT, PendingTexture, WebGPUContextId, WebGPURequest,
};
use webrender_api::{IdNamespace, ImageFormat, ImageKey};
use wgpu_types::{Color, TextureFormat};

use crate::common::rest;
use crate::entrant::{
    AlphaMode, COLOR, Entrant, Locker, PATIENCE, Source, Then, Update, Updates, pixel, receive,
};

use self::connection::Connection;
pub use self::connection::{Channels, Variant, callback};
use self::long_work::BusyDevice;

pub struct Servo {
    variant: Variant,
    pub connection: Connection,
    pub device: Device,
    busy: Option<BusyDevice>,
    long_work: Option<Receiver<()>>,
    pub updates: Updates,
    canvases: Vec<Canvas>,
    epoch: u32,
}

#[derive(Clone, Copy)]
pub struct Device {
    pub id: DeviceId,
    pub queue: QueueId,
}

struct Canvas {
    context: WebGPUContextId,
    staging_buffers: Vec<BufferId>,
    alpha_mode: AlphaMode,
    format: ImageFormat,
    drawn: Option<(TextureId, Size2D<u32>)>,
}

impl Servo {
    pub fn new(variant: Variant) -> Self {
        let (sender, updates) = Updates::new();
        let connection = Connection::new(variant, sender);
        let device = connection.device();
        Self {
            variant,
            connection,
            device,
            busy: None,
            long_work: None,
            updates,
            canvases: Vec::new(),
            epoch: 0,
        }
    }

    /// Creates a canvas that is displayed, of a size, an alpha mode and a format.
    pub fn create(&mut self, size: Size2D<u32>, alpha_mode: AlphaMode, format: ImageFormat) -> usize {
        let canvas = self.canvases.len();
        let (sender, receiver) = generic_channel::channel().expect("a channel can be made");
        let staging_buffers: Vec<_> =
            (0..PRESENTATION_BUFFER_COUNT).map(|_| self.connection.ids.buffers.process()).collect();
        let buffer_ids = staging_buffers.iter().copied().collect();
        let size = size.cast().cast_unit();
        self.connection.send(WebGPURequest::CreateContext { buffer_ids, size, sender });
        let context_id = receiver.try_recv_timeout(PATIENCE).ok().expect("the context is made in time");
        let image_key = ImageKey(IdNamespace(1), canvas as u32);
        self.connection.send(WebGPURequest::SetImageKey { context_id, image_key });
        self.updates.add_canvas();
        let context = context_id;
        self.canvases.push(Canvas { context, staging_buffers, alpha_mode, format, drawn: None });
        canvas
    }

    /// Returns the configuration of a canvas whose texture is on a device.
    fn configuration(&self, canvas: usize, device: Device, size: Size2D<u32>) -> ContextConfiguration {
        let Canvas { alpha_mode, format, .. } = self.canvases[canvas];
        ContextConfiguration {
            device_id: device.id,
            queue_id: device.queue,
            format,
            is_opaque: alpha_mode == AlphaMode::Opaque,
            size,
        }
    }

    /// Returns a texture with fresh ids for its copy, as script does, which never frees them.
    pub fn pending(
        &self,
        canvas: usize,
        device: Device,
        texture_id: TextureId,
        size: Size2D<u32>,
    ) -> PendingTexture {
        PendingTexture {
            texture_id,
            encoder_id: self.connection.ids.encoders.process(),
            command_buffer_id: self.connection.ids.command_buffers.process(),
            configuration: self.configuration(canvas, device, size),
        }
    }

    fn drawn(&self, canvas: usize) -> (TextureId, Size2D<u32>) {
        self.canvases[canvas].drawn.expect("it was drawn")
    }

    /// Returns the buffer ids that a canvas was created with.
    pub fn staging_buffers(&self, canvas: usize) -> &[BufferId] {
        &self.canvases[canvas].staging_buffers
    }

    /// Returns the format of a canvas's textures.
    pub fn format(&self, canvas: usize) -> TextureFormat {
        match self.canvases[canvas].format {
            ImageFormat::RGBA8 => TextureFormat::Rgba8Unorm,
            _ => TextureFormat::Bgra8Unorm,
        }
    }

    /// Changes the format of a canvas's textures.
    pub fn set_format(&mut self, canvas: usize, format: ImageFormat) {
        self.canvases[canvas].format = format;
    }

    /// Sends the present of a texture, or of a canvas that was not drawn, and returns its epoch.
    pub fn send_present(
        &mut self,
        canvas: usize,
        pending_texture: Option<PendingTexture>,
        size: Size2D<u32>,
    ) -> u64 {
        self.epoch += 1;
        self.connection.send(WebGPURequest::Present {
            context_id: self.canvases[canvas].context,
            pending_texture,
            size,
            canvas_epoch: Epoch(self.epoch),
        });
        self.epoch.into()
    }

    pub fn send_destroy(&self, texture: TextureId) {
        self.connection.send(WebGPURequest::DestroyTexture(texture));
        self.connection.send(WebGPURequest::DropTexture(texture));
    }

    /// Makes a texture, draws it, presents it, destroys it and drops it, all without waiting. Returns the epoch.
    pub fn present_color(&mut self, canvas: usize, device: Device, size: Size2D<u32>, color: Color) -> u64 {
        let format = self.format(canvas);
        let texture = self.connection.submit_drawing(device, &[(size, format)], color)[0];
        let pending = self.pending(canvas, device, texture, size);
        let epoch = self.send_present(canvas, Some(pending), size);
        self.send_destroy(texture);
        epoch
    }

    /// Asks for the image of a texture, or for what was presented last.
    pub fn request_image(
        &self,
        canvas: usize,
        pending_texture: Option<PendingTexture>,
    ) -> GenericReceiver<SharedSnapshot> {
        let context_id = self.canvases[canvas].context;
        let (sender, receiver) = generic_channel::channel().expect("a channel can be made");
        self.connection.send(WebGPURequest::GetImage { context_id, pending_texture, sender });
        receiver
    }

    pub fn send_destroy_context(&mut self, canvas: usize) {
        let context_id = self.canvases[canvas].context;
        self.connection.send(WebGPURequest::DestroyContext { context_id });
    }

    /// Destroys what was drawn. A texture that a present destroyed is not drawn any more.
    fn drop_texture(&mut self, canvas: usize) {
        if let Some((texture, _)) = self.canvases[canvas].drawn.take() {
            self.send_destroy(texture);
        }
    }

    fn busy(&mut self) -> &mut BusyDevice {
        self.busy.get_or_insert_with(|| BusyDevice::new(&self.connection))
    }

    /// Returns the renderer's side.
    pub fn renderer(&self) -> Renderer {
        let ids = self.canvases.iter().map(|canvas| canvas.context.0).collect();
        Renderer { images: self.connection.images(), ids, channels: self.connection.channels.clone() }
    }
}

impl Entrant for Servo {
    fn name(&self) -> &'static str {
        self.variant.name()
    }

    fn create_canvas(&mut self, size: Size2D<u32>, alpha_mode: AlphaMode) -> usize {
        self.create(size, alpha_mode, ImageFormat::BGRA8)
    }

    fn destroy_canvas(&mut self, canvas: usize) {
        self.drop_texture(canvas);
        self.send_destroy_context(canvas);
        self.connection.catch_up(self.device);
    }

    fn draw(&mut self, frame: &[(usize, Size2D<u32>)]) {
        frame.iter().for_each(|(canvas, _)| self.drop_texture(*canvas));
        let sizes: Vec<_> = frame.iter().map(|(canvas, size)| (*size, self.format(*canvas))).collect();
        let textures = self.connection.draw(self.device, &sizes, COLOR);
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
            let (id, size) = self.drawn(*canvas);
            let texture = self.pending(*canvas, self.device, id, size);
            self.send_present(*canvas, Some(texture), size);
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
        self.connection.hear();
        time
    }

    fn script_frame(&mut self, frame: &[(usize, Size2D<u32>)], drawn: bool) -> Duration {
        let device = self.device;
        let start = Instant::now();
        let make = |(canvas, size): &(usize, Size2D<u32>)| {
            let format = self.format(*canvas);
            if drawn {
                self.connection.submit_drawing(device, &[(*size, format)], COLOR)[0]
            } else {
                self.connection.create_texture(device, *size, format)
            }
        };
        let textures: Vec<_> = frame.iter().map(make).collect();
        let mut epochs = Vec::with_capacity(frame.len());
        for ((canvas, size), texture) in frame.iter().zip(textures) {
            let pending = self.pending(*canvas, device, texture, *size);
            epochs.push(self.send_present(*canvas, Some(pending), *size));
            self.send_destroy(texture);
        }
        for ((canvas, _), epoch) in frame.iter().zip(epochs) {
            self.updates.wait_for(*canvas, epoch);
        }
        let time = start.elapsed();
        self.connection.hear();
        time
    }

    fn get_image(&mut self, canvas: usize, source: Source) -> Duration {
        let pending_texture = (source == Source::Drawn).then(|| {
            let (id, size) = self.drawn(canvas);
            self.pending(canvas, self.device, id, size)
        });
        let start = Instant::now();
        let receiver = self.request_image(canvas, pending_texture);
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
        receive(&receiver, "the end of the long work");
    }

    fn locker(&self) -> Option<Box<dyn Locker>> {
        Some(Box::new(self.renderer()))
    }
}

/// A renderer that locks what image updates announced last.
pub struct Renderer {
    images: Box<dyn WebRenderExternalImageApi + Send>,
    /// The ids of the external images, by canvas.
    ids: Vec<u64>,
    channels: Channels,
}

impl Renderer {
    /// Locks a canvas as its last update says, and reads it. Returns `None` if it is not there.
    pub fn read<T>(&mut self, canvas: usize, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.read_update(canvas, self.channels.get(canvas), read)
    }

    /// Locks a canvas as an update said, and reads it. Returns `None` if it is not there.
    pub fn read_update<T>(
        &mut self,
        canvas: usize,
        channel_index: u8,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        let id = self.ids[canvas];
        let read = match self.images.lock_channel(id, channel_index) {
            (ExternalImageSource::RawData(bytes), _) => Some(read(bytes)),
            _ => None,
        };
        self.images.unlock_channel(id, channel_index);
        read
    }

    /// Returns the rows of the image that an update announced, without what pads them.
    pub fn rows(&mut self, update: &Update) -> Option<Vec<u8>> {
        let size = update.descriptor.size;
        let (width, height) = (size.width as usize * 4, size.height as usize);
        let stride = update.descriptor.stride.map_or(width, |stride| stride as usize);
        self.read_update(update.canvas, update.channel_index, |bytes| {
            assert!(height == 0 || bytes.len() >= (height - 1) * stride + width, "the image is too short");
            bytes.chunks(stride).take(height).flat_map(|row| &row[..width]).copied().collect()
        })
    }
}

impl Locker for Renderer {
    fn lock_and_unlock(&mut self, canvas: usize) {
        let len = self.read(canvas, <[u8]>::len);
        std::hint::black_box(len).expect("it can be locked");
    }

    fn first_pixel(&mut self, canvas: usize) -> Option<[u8; 4]> {
        self.read(canvas, |bytes| bytes.first_chunk().copied()).flatten()
    }
}
