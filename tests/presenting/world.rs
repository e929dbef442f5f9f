//! A presenter, a renderer, and records of what leaves.

pub(super) use std::sync::mpsc::{Receiver, channel};
pub(super) use std::sync::{Arc, Mutex};
pub(super) use std::time::{Duration, Instant};

pub(super) use crate::support::gpu::{Device, Gpu, assert_no_validation_errors};
pub(super) use euclid::default::Size2D;
pub(super) use rstest::rstest;
pub(super) use webgpu_presentation::*;
pub(super) use webrender_api::{
    ExternalImageData, ExternalImageSource, IdNamespace, ImageDescriptor, ImageKey,
};
pub(super) use wgpu_core::id::{BufferId, CommandBufferId, CommandEncoderId};
pub(super) use wgpu_types::{TextureFormat, TextureUsages};

pub(super) const CONTEXT: ContextId = ContextId(5);
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) const RED: [u8; 4] = [0, 0, 255, 255];
pub(super) const GREEN: [u8; 4] = [0, 255, 0, 255];
pub(super) const CLEAR: [u8; 4] = [0; 4];

pub(super) fn size(width: u32, height: u32) -> Size2D<u32> {
    Size2D::new(width, height)
}

/// What a test runs on. Each has its own tests.
#[derive(Clone, Copy, Debug)]
pub(super) enum Setup {
    /// Owned frame memory on Vulkan, with validation.
    Owned,
    /// Portable frame memory on Vulkan, with validation.
    Portable,
    /// Portable frame memory on GL.
    Gl,
}
pub(super) use self::Setup::*;

impl Setup {
    /// `None` on a machine that has no such GPU: the test is skipped.
    pub(super) fn gpu(self) -> Option<Gpu> {
        match self {
            Owned | Portable => Gpu::for_test(),
            Gl => Gpu::gles_for_test(),
        }
    }

    pub(super) fn memory(self) -> FrameMemoryKind {
        match self {
            Owned => FrameMemoryKind::Owned,
            Portable | Gl => FrameMemoryKind::Portable,
        }
    }

    pub(super) fn options(self) -> PresenterOptions {
        PresenterOptions { frame_memory: self.memory(), ..PresenterOptions::default() }
    }
}

#[derive(Default)]
pub(super) struct Sink(pub(super) Mutex<Vec<(ImageDescriptor, u8, Option<u64>)>>);

impl ImageSink for Sink {
    fn add_image(&self, _: ImageKey, descriptor: ImageDescriptor, data: ExternalImageData) {
        self.0.lock().unwrap().push((descriptor, data.channel_index, None));
    }

    fn update_image(
        &self,
        _: ImageKey,
        descriptor: ImageDescriptor,
        data: ExternalImageData,
        epoch: Option<CanvasEpoch>,
    ) {
        self.0.lock().unwrap().push((descriptor, data.channel_index, epoch.map(|epoch| epoch.0)));
    }

    fn delete_image(&self, _: ImageKey) {}
}

pub(super) struct World {
    pub(super) device: Device,
    pub(super) sink: Arc<Sink>,
    pub(super) presenter: Presenter,
    pub(super) images: ExternalImages,
    pub(super) outcomes: Receiver<PresentOutcome>,
    pub(super) returned: Receiver<ReturnedId>,
    /// Last: it lets other tests begin.
    pub(super) gpu: Gpu,
}

impl World {
    pub(super) fn new(setup: Setup) -> Option<Self> {
        let gpu = setup.gpu()?;
        let device = gpu.device();
        let map = ContextMap::default();
        let sink = Arc::new(Sink::default());
        let (on_outcome, outcomes) = channel();
        let (on_id, returned) = channel();
        let options = PresenterOptions {
            on_outcome: Arc::new(move |outcome| drop(on_outcome.send(outcome))),
            on_id: Arc::new(move |id| {
                // A test that does not look at ids is none the worse.
                let _ = on_id.send(id);
            }),
            ..setup.options()
        };
        let mut presenter = Presenter::new(gpu.global.clone(), &map, sink.clone(), options);
        let images = ExternalImages::new(&map);
        let descriptor =
            ContextDescriptor { owner: OwnerId(0), size: size(4, 2), buffer_ids: BufferIds::Allocated };
        presenter.create_context(CONTEXT, descriptor).unwrap();
        presenter.set_image_key(CONTEXT, ImageKey::new(IdNamespace(1), 1)).unwrap();
        Some(Self { device, sink, presenter, images, outcomes, returned, gpu })
    }

    pub(super) fn configuration(&self, size: Size2D<u32>) -> ContextConfiguration {
        ContextConfiguration {
            device_id: self.device.id,
            queue_id: self.device.queue,
            format: TextureFormat::Bgra8Unorm,
            color_space: PredefinedColorSpace::Srgb,
            alpha_mode: AlphaMode::Premultiplied,
            size,
        }
    }

    /// A canvas of one colour.
    pub(super) fn solid(&self, pixel: [u8; 4], size: Size2D<u32>) -> PendingTexture {
        let bytes = pixel.repeat((size.width * size.height) as usize);
        let configuration = self.configuration(size);
        let texture_id = self.gpu.texture_with(self.device, configuration.format, size, &bytes);
        PendingTexture { texture_id, encoder_ids: None, configuration }
    }

    /// Presents, and destroys the texture at once, as engines do.
    pub(super) fn present(&mut self, texture: PendingTexture, epoch: u64) -> Result<u64, UnknownContext> {
        let mut batch = self.presenter.batch();
        let sequence = batch.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(epoch));
        batch.destroy_texture(texture.texture_id);
        batch.drop_texture(texture.texture_id);
        batch.submit();
        sequence
    }

    pub(super) fn end(&self) -> PresentEnd {
        self.outcomes.recv_timeout(TIMEOUT).expect("a present ends").end
    }

    pub(super) fn present_and_wait(&mut self, texture: PendingTexture, epoch: u64) {
        self.present(texture, epoch).unwrap();
        let end = self.end();
        assert!(matches!(end, PresentEnd::Presented), "{end:?}");
    }

    pub(super) fn offer(&self) -> (ImageDescriptor, u8) {
        let (descriptor, generation, _) = *self.sink.0.lock().unwrap().last().unwrap();
        (descriptor, generation)
    }

    pub(super) fn shown(&mut self) -> [u8; 4] {
        let (descriptor, generation) = self.offer();
        let pixel = uniform(self.images.lock(CONTEXT.into(), Some(generation)), &descriptor);
        self.images.unlock(CONTEXT.into());
        pixel
    }

    pub(super) fn get_image(&mut self, texture: Option<PendingTexture>) -> Result<Snapshot, GetImageError> {
        self.ask_image(texture).recv_timeout(TIMEOUT).expect("get_image is answered")
    }

    pub(super) fn ask_image(
        &mut self,
        texture: Option<PendingTexture>,
    ) -> Receiver<Result<Snapshot, GetImageError>> {
        let (sender, receiver) = channel();
        self.presenter.get_image(CONTEXT, texture, move |answer| drop(sender.send(answer)));
        receiver
    }

    pub(super) fn read(&mut self) -> [u8; 4] {
        let bytes = self.get_image(None).unwrap().to_vec();
        *bytes.first_chunk().unwrap()
    }

    /// Nothing of ours is left in wgpu-core: neither buffers nor encoders nor command buffers, and no complaint.
    pub(super) fn finish(self) {
        let Self { gpu, presenter, images, .. } = self;
        drop((presenter, images));
        let report = gpu.global.generate_report();
        let hub = report.hub_report();
        assert!(hub.buffers.is_empty(), "{:?}", hub.buffers);
        assert!(hub.command_encoders.is_empty(), "{:?}", hub.command_encoders);
        assert!(hub.command_buffers.is_empty(), "{:?}", hub.command_buffers);
        assert!(hub.textures.is_empty(), "{:?}", hub.textures);
        assert_no_validation_errors();
    }
}

pub(super) fn uniform(source: ExternalImageSource<'_>, descriptor: &ImageDescriptor) -> [u8; 4] {
    let ExternalImageSource::RawData(bytes) = source else { panic!("a living context is never invalid") };
    let (width, height) = (descriptor.size.width as usize, descriptor.size.height as usize);
    let stride = descriptor.compute_stride() as usize;
    assert!(bytes.len() >= stride * height);
    let first = *bytes.first_chunk::<4>().unwrap();
    for row in bytes.chunks(stride).take(height) {
        assert!(row[..width * 4].as_chunks::<4>().0.iter().all(|pixel| *pixel == first), "a torn frame");
    }
    first
}
