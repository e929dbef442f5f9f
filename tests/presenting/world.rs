//! A presenter, a renderer, and records of what leaves.

pub use std::sync::Arc;
pub use std::sync::mpsc::{Receiver, channel};
pub use std::time::{Duration, Instant};

use std::sync::Mutex;

pub use euclid::default::Size2D;
pub use rstest::rstest;
pub use webgpu_presentation::*;
pub use webrender_api::{ExternalImageData, ExternalImageSource, IdNamespace, ImageDescriptor, ImageKey};
pub use wgpu_core::id::{BufferId, CommandBufferId, CommandEncoderId};
pub use wgpu_types::{TextureFormat, TextureUsages};

pub use self::Setup::*;
pub use crate::support::gpu::{Device, Gpu, assert_no_validation_errors};

pub const CONTEXT: ContextId = ContextId(5);
pub const TIMEOUT: Duration = Duration::from_secs(30);

pub const RED: [u8; 4] = [0, 0, 255, 255];
pub const GREEN: [u8; 4] = [0, 255, 0, 255];
pub const CLEAR: [u8; 4] = [0; 4];

pub fn size(width: u32, height: u32) -> Size2D<u32> {
    Size2D::new(width, height)
}

/// A kind of frame memory on a kind of GPU.
#[derive(Clone, Copy, Debug)]
pub enum Setup {
    /// Owned frame memory on Vulkan, with validation.
    Owned,
    /// Portable frame memory on Vulkan, with validation.
    Portable,
    /// Portable frame memory on GL.
    Gl,
}

impl Setup {
    /// `None` on a machine without such a GPU: the test is skipped.
    pub fn gpu(self) -> Option<Gpu> {
        match self {
            Owned | Portable => Gpu::for_test(),
            Gl if cfg!(feature = "gles") => Gpu::gles_for_test(),
            Gl => {
                eprintln!("SKIPPED: a test on GL, without the feature `gles`");
                None
            }
        }
    }

    pub fn memory(self) -> FrameMemoryKind {
        match self {
            Owned => FrameMemoryKind::Owned,
            Portable | Gl => FrameMemoryKind::Portable,
        }
    }

    pub fn options(self) -> PresenterOptions {
        PresenterOptions { frame_memory: self.memory(), ..PresenterOptions::default() }
    }
}

/// Offers, with the epochs that they acknowledge. Clones share them.
#[derive(Clone, Default)]
pub struct Sink(Arc<Mutex<Vec<Offer>>>);

type Offer = (ImageDescriptor, u8, Option<u64>);

impl ImageSink for Sink {
    fn add_image(&mut self, _: ImageKey, descriptor: ImageDescriptor, data: ExternalImageData) {
        self.0.lock().unwrap().push((descriptor, data.channel_index, None));
    }

    fn update_image(
        &mut self,
        _: ImageKey,
        descriptor: ImageDescriptor,
        data: ExternalImageData,
        epoch: CanvasEpoch,
    ) {
        self.0.lock().unwrap().push((descriptor, data.channel_index, Some(epoch.0)));
    }

    fn delete_image(&mut self, _: ImageKey) {}
}

pub struct World {
    pub device: Device,
    pub sink: Sink,
    pub presenter: Presenter,
    pub images: ExternalImages,
    pub outcomes: Receiver<PresentOutcome>,
    pub returned: Receiver<ReturnedId>,
    /// Requests for maintenance.
    wakes: Receiver<()>,
    /// Last field, because its drop lets other tests begin.
    pub gpu: Gpu,
}

impl World {
    /// A context of 4×2 pixels with an image key. `None` if the test must be skipped.
    pub fn new(setup: Setup) -> Option<Self> {
        Some(Self::on(setup.gpu()?, setup.options()))
    }

    pub fn on(gpu: Gpu, options: PresenterOptions) -> Self {
        let device = gpu.device();
        let map = ContextMap::default();
        let sink = Sink::default();
        let (on_outcome, outcomes) = channel();
        let (on_id, returned) = channel();
        let (sender, wakes) = channel();
        let wake = options.wake.clone();
        let options = PresenterOptions {
            on_outcome: Box::new(move |outcome| drop(on_outcome.send(outcome))),
            // A test may drop the receiver and look at no id.
            on_id: Box::new(move |id| _ = on_id.send(id)),
            wake: Arc::new(move || {
                // A test may have dropped the receiver, because it calls `maintain` itself.
                let _ = sender.send(());
                wake();
            }),
            ..options
        };
        // SAFETY: only the presenter names its staging buffers.
        let presenter = unsafe { Presenter::new(gpu.global.clone(), &map, sink.clone(), options) };
        let images = ExternalImages::new(&map);
        let mut world = Self { device, sink, presenter, images, outcomes, returned, wakes, gpu };
        world.create(BufferIds::Allocated);
        world
    }

    /// Creates the context, which is displayed.
    pub fn create(&mut self, buffer_ids: BufferIds) {
        let descriptor = ContextDescriptor { buffer_ids, ..descriptor() };
        self.presenter.create_context(CONTEXT, descriptor).unwrap();
        self.presenter.set_image_key(CONTEXT, ImageKey::new(IdNamespace(1), 1)).unwrap();
    }

    pub fn configuration(&self, size: Size2D<u32>) -> ContextConfiguration {
        self.device.configuration(size)
    }

    /// A canvas with these bytes, row after row.
    pub fn canvas(&self, configuration: ContextConfiguration, bytes: &[u8]) -> PendingTexture {
        self.gpu.canvas(self.device, configuration, bytes)
    }

    /// A canvas of one color.
    pub fn solid(&self, pixel: [u8; 4], size: Size2D<u32>) -> PendingTexture {
        self.canvas(self.configuration(size), &pixel.repeat(size.area() as usize))
    }

    /// Presents, and destroys the texture at once, as engines do.
    pub fn present(&mut self, texture: PendingTexture, epoch: u64) -> Result<u64, UnknownContext> {
        let mut batch = self.presenter.batch();
        let sequence = batch.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(epoch));
        batch.destroy_texture(texture.texture_id);
        batch.drop_texture(texture.texture_id);
        batch.submit();
        sequence
    }

    pub fn present_solid(&mut self, pixel: [u8; 4], size: Size2D<u32>, epoch: u64) {
        self.present(self.solid(pixel, size), epoch).unwrap();
    }

    /// Presents, and leaves the texture as it is.
    pub fn present_kept(&mut self, texture: PendingTexture, epoch: u64) -> Result<u64, UnknownContext> {
        self.presenter.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(epoch))
    }

    pub fn present_cleared(&mut self, size: Size2D<u32>, alpha_mode: AlphaMode, epoch: u64) {
        let contents = Contents::Cleared { size, alpha_mode };
        self.presenter.present(CONTEXT, contents, CanvasEpoch(epoch)).unwrap();
    }

    #[track_caller]
    pub fn end(&self) -> PresentEnd {
        self.outcomes.recv_timeout(TIMEOUT).expect("a present ends").end
    }

    /// Waits as an engine does that calls `maintain` whenever it is asked to, and at no other time.
    #[track_caller]
    pub fn wait_for<T>(&mut self, receiver: &Receiver<T>) -> T {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Ok(value) = receiver.recv_timeout(Duration::from_millis(1)) {
                return value;
            }
            if self.wakes.try_iter().count() > 0 {
                self.presenter.maintain();
            }
            assert!(Instant::now() < deadline, "it comes");
        }
    }

    #[track_caller]
    pub fn present_and_wait(&mut self, texture: PendingTexture, epoch: u64) {
        self.present(texture, epoch).unwrap();
        let end = self.end();
        assert!(matches!(end, PresentEnd::Presented), "{end:?}");
    }

    #[track_caller]
    pub fn show(&mut self, pixel: [u8; 4], size: Size2D<u32>, epoch: u64) {
        self.present_and_wait(self.solid(pixel, size), epoch);
    }

    pub fn offer(&self) -> (ImageDescriptor, u8) {
        let (descriptor, generation, _) = *self.sink.0.lock().unwrap().last().unwrap();
        (descriptor, generation)
    }

    /// The epoch that the last call of the sink acknowledged.
    pub fn last_epoch(&self) -> Option<u64> {
        self.sink.0.lock().unwrap().last().unwrap().2
    }

    /// The epochs that were acknowledged, in order.
    pub fn epochs(&self) -> Vec<u64> {
        self.sink.0.lock().unwrap().iter().filter_map(|offer| offer.2).collect()
    }

    /// Locks the image and returns its pixel.
    #[track_caller]
    pub fn lock(&mut self, (descriptor, generation): (ImageDescriptor, u8)) -> [u8; 4] {
        uniform(self.images.lock(CONTEXT.into(), Some(generation)), &descriptor)
    }

    pub fn unlock(&mut self, (_, generation): (ImageDescriptor, u8)) {
        self.images.unlock(CONTEXT.into(), Some(generation));
    }

    #[track_caller]
    pub fn shown(&mut self) -> [u8; 4] {
        let offer = self.offer();
        let pixel = self.lock(offer);
        self.unlock(offer);
        pixel
    }

    #[track_caller]
    pub fn get_image(&mut self, texture: Option<PendingTexture>) -> Result<Snapshot, GetImageError> {
        self.ask_image(texture).recv_timeout(TIMEOUT).expect("get_image is answered")
    }

    pub fn ask_image(
        &mut self,
        texture: Option<PendingTexture>,
    ) -> Receiver<Result<Snapshot, GetImageError>> {
        ask_image(&mut self.presenter, CONTEXT, texture)
    }

    #[track_caller]
    pub fn read(&mut self) -> [u8; 4] {
        let bytes = self.get_image(None).unwrap().to_vec().unwrap();
        *bytes.first_chunk().unwrap()
    }

    /// The pixel must be on screen and be what script reads.
    #[track_caller]
    pub fn assert_shows(&mut self, pixel: [u8; 4]) {
        assert_eq!((self.shown(), self.read()), (pixel, pixel));
    }

    /// wgpu-core must have no buffer, encoder, command buffer or texture left, and no complaint.
    #[track_caller]
    pub fn finish(self) {
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

pub fn descriptor() -> ContextDescriptor {
    ContextDescriptor { owner: OwnerId(0), size: size(4, 2), buffer_ids: BufferIds::Allocated }
}

pub fn ask_image(
    presenter: &mut Presenter,
    context: ContextId,
    texture: Option<PendingTexture>,
) -> Receiver<Result<Snapshot, GetImageError>> {
    let (sender, receiver) = channel();
    // A test that drops the receiver looks at no answer.
    presenter.get_image(context, texture, move |answer| drop(sender.send(answer)));
    receiver
}

#[track_caller]
pub fn uniform(source: ExternalImageSource<'_>, descriptor: &ImageDescriptor) -> [u8; 4] {
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
