//! A presenter on a fake GPU, a renderer, and records of everything that leaves.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Instant;

use euclid::default::Size2D;
use webrender_api::ImageDescriptor;
use wgpu_core::id::{DeviceId, TextureId};
use wgpu_types::TextureFormat;

pub(super) use rstest::rstest;

pub(super) use super::answers::*;
pub(super) use super::recorder::*;
pub(super) use crate::FrameMemoryKind::{self, Owned, Portable};
use crate::gpu::Gpu;
use crate::gpu::fake::{self, FakeGpu, Fault};
use crate::{
    AlphaMode, BufferIds, CanvasEpoch, Contents, ContextConfiguration, ContextDescriptor, ContextId,
    ContextMap, EncoderIds, ExternalImages, OwnerId, PendingTexture, PredefinedColorSpace, PresentEnd,
    PresentError, Presenter, PresenterOptions, Snapshot, UnknownContext,
};

pub(super) const CONTEXT: ContextId = ContextId(7);
pub(super) const PAGE: OwnerId = OwnerId(3);
pub(super) const OTHER_PAGE: OwnerId = OwnerId(4);

pub(super) const RED: [u8; 4] = [0, 0, 255, 255];
pub(super) const GREEN: [u8; 4] = [0, 255, 0, 255];
pub(super) const CLEAR: [u8; 4] = [0; 4];

pub(super) fn size(width: u32, height: u32) -> Size2D<u32> {
    Size2D::new(width, height)
}

pub(super) struct World {
    pub(super) gpu: FakeGpu,
    pub(super) map: ContextMap,
    pub(super) recorder: Recorder,
    pub(super) presenter: Presenter,
    pub(super) images: ExternalImages,
}

impl World {
    /// A presenter without contexts.
    pub(super) fn empty(memory: FrameMemoryKind) -> Self {
        Self::with_options(memory, PresenterOptions::default())
    }

    /// A context of 4×2 pixels with an image key.
    pub(super) fn new(memory: FrameMemoryKind) -> Self {
        let mut world = Self::empty(memory);
        world.create(BufferIds::Allocated);
        world.presenter.set_image_key(CONTEXT, key(1)).unwrap();
        world
    }

    /// A world that shows red, of epoch 1.
    pub(super) fn showing_red(memory: FrameMemoryKind) -> Self {
        let mut world = Self::new(memory);
        world.show(RED, 1);
        world
    }

    /// A presenter without contexts. Outcomes and ids are recorded, whatever the options say.
    pub(super) fn with_options(memory: FrameMemoryKind, options: PresenterOptions) -> Self {
        let gpu = FakeGpu::new(memory);
        Self::on(Arc::new(gpu.clone()), gpu, options)
    }

    /// A presenter that sees `gpu` through `seen`.
    pub(super) fn on(seen: Arc<dyn Gpu>, gpu: FakeGpu, options: PresenterOptions) -> Self {
        let (map, recorder) = (ContextMap::default(), Recorder::default());
        let presenter = presenter(seen, &map, &recorder, options);
        let images = ExternalImages::new(&map);
        Self { gpu, map, recorder, presenter, images }
    }

    pub(super) fn presenter(gpu: &FakeGpu, map: &ContextMap, recorder: &Recorder) -> Presenter {
        presenter(Arc::new(gpu.clone()), map, recorder, PresenterOptions::default())
    }

    pub(super) fn create(&mut self, buffer_ids: BufferIds) {
        let descriptor = ContextDescriptor { buffer_ids, ..descriptor(OwnerId(0)) };
        self.presenter.create_context(CONTEXT, descriptor).unwrap();
    }

    /// Contexts of a page, which are not displayed.
    pub(super) fn create_all(&mut self, ids: impl Iterator<Item = u64>, owner: OwnerId) -> Vec<ContextId> {
        let create = |id| {
            self.presenter.create_context(ContextId(id), descriptor(owner)).unwrap();
            ContextId(id)
        };
        ids.map(create).collect()
    }

    /// Contexts that are displayed under the keys of their numbers, which begin at 1.
    pub(super) fn create_displayed(&mut self, count: u32) -> Vec<ContextId> {
        let ids = self.create_all(1..=count.into(), PAGE);
        for (id, number) in ids.iter().zip(1..) {
            self.presenter.set_image_key(*id, key(number)).unwrap();
        }
        ids
    }

    /// Presents a texture of a device to each context, in one batch that destroys them.
    pub(super) fn present_all(&mut self, ids: &[ContextId], device: u32) {
        let textures: Vec<_> = ids.iter().map(|_| self.texture_on(device, [1; 4])).collect();
        let mut batch = self.presenter.batch();
        for (id, texture) in ids.iter().zip(textures) {
            batch.present(*id, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
            batch.destroy_texture(texture.texture_id);
            batch.drop_texture(texture.texture_id);
        }
    }

    /// A present of a 4×2 texture on device 0.
    pub(super) fn present(&mut self, pixel: [u8; 4], epoch: u64) -> u64 {
        self.present_texture(self.texture(pixel, size(4, 2)), epoch).unwrap()
    }

    pub(super) fn present_texture(
        &mut self,
        texture: PendingTexture,
        epoch: u64,
    ) -> Result<u64, UnknownContext> {
        self.presenter.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(epoch))
    }

    pub(super) fn present_cleared(&mut self, size: Size2D<u32>, epoch: u64) -> u64 {
        self.present_blank(size, AlphaMode::Premultiplied, epoch)
    }

    pub(super) fn present_blank(&mut self, size: Size2D<u32>, alpha_mode: AlphaMode, epoch: u64) -> u64 {
        let contents = Contents::Cleared { size, alpha_mode };
        let sequence = self.presenter.present(CONTEXT, contents, CanvasEpoch(epoch)).unwrap();
        self.sync();
        sequence
    }

    /// A present on device 0 that ends before this returns.
    pub(super) fn show(&mut self, pixel: [u8; 4], epoch: u64) -> u64 {
        self.show_texture(self.texture(pixel, size(4, 2)), epoch)
    }

    pub(super) fn show_texture(&mut self, texture: PendingTexture, epoch: u64) -> u64 {
        let sequence = self.present_texture(texture, epoch).unwrap();
        self.gpu.finish(texture.configuration.device_id);
        self.until_ended(sequence);
        sequence
    }

    pub(super) fn texture(&self, pixel: [u8; 4], size: Size2D<u32>) -> PendingTexture {
        pending(self.gpu.texture(device(0), pixel, None), 0, size)
    }

    /// A 4×2 texture of another device than device 0.
    pub(super) fn texture_on(&self, index: u32, pixel: [u8; 4]) -> PendingTexture {
        pending(self.gpu.texture(device(index), pixel, None), index, size(4, 2))
    }

    /// A texture of device 1 on a canvas of device 0.
    pub(super) fn foreign(&self) -> PendingTexture {
        pending(self.gpu.texture(device(1), GREEN, None), 0, size(4, 2))
    }

    pub(super) fn faulty(&self, fault: Fault) -> PendingTexture {
        pending(self.gpu.texture(device(0), [9; 4], Some(fault)), 0, size(4, 2))
    }

    /// Lets device 0 finish and waits until a present has ended.
    #[track_caller]
    pub(super) fn finish(&self, sequence: u64) {
        self.gpu.finish(device(0));
        self.until_ended(sequence);
    }

    /// Lets device 0 finish and waits until a present of another context than [`CONTEXT`] has ended.
    #[track_caller]
    pub(super) fn finish_of(&self, context: ContextId, sequence: u64) {
        self.gpu.finish(device(0));
        self.recorder.until_ended(context, sequence);
    }

    #[track_caller]
    pub(super) fn until_ended(&self, sequence: u64) {
        self.recorder.until_ended(CONTEXT, sequence);
    }

    /// How a present ended. It must have ended exactly once.
    #[track_caller]
    pub(super) fn end_of(&self, sequence: u64) -> PresentEnd {
        self.recorder.end_of(CONTEXT, sequence)
    }

    /// Why a present failed.
    #[track_caller]
    pub(super) fn error_of(&self, sequence: u64) -> PresentError {
        match self.end_of(sequence) {
            PresentEnd::Failed(error) => error,
            end => panic!("{end:?}"),
        }
    }

    #[track_caller]
    pub(super) fn assert_presented(&self, sequence: u64) {
        let end = self.end_of(sequence);
        assert!(matches!(end, PresentEnd::Presented), "{end:?}");
    }

    #[track_caller]
    pub(super) fn assert_superseded(&self, sequence: u64) {
        let end = self.end_of(sequence);
        assert!(matches!(end, PresentEnd::Superseded), "{end:?}");
    }

    /// The update or addition that the compositor saw last.
    #[track_caller]
    pub(super) fn last_offer(&self) -> (ImageDescriptor, u8) {
        self.recorder.get(|record| record.calls.last().expect("something was offered").offer())
    }

    /// The largest epoch that the compositor was told.
    #[track_caller]
    pub(super) fn acknowledged(&self) -> Option<u64> {
        let epochs: Vec<_> = self.recorder.calls().iter().filter_map(Call::epoch).collect();
        assert!(epochs.is_sorted(), "acknowledged epochs never fall: {epochs:?}");
        epochs.last().copied()
    }

    /// Waits until the sink has got everything that was decided so far: another thread may be telling it.
    pub(super) fn sync(&mut self) {
        // The answer for a context that does not exist comes after everything that is to be told already.
        let _ = answer(&read(&mut self.presenter, ContextId(u64::MAX), None));
    }

    /// What a renderer shows that draws what it was told last: the first pixel, after a check of all of them.
    #[track_caller]
    pub(super) fn shown(&mut self) -> [u8; 4] {
        self.sync();
        let offer = self.last_offer();
        self.locked(offer)
    }

    #[track_caller]
    pub(super) fn locked(&mut self, offer: (ImageDescriptor, u8)) -> [u8; 4] {
        let pixel = lock(&mut self.images, offer);
        self.images.unlock(CONTEXT.into(), Some(offer.1));
        pixel
    }

    pub(super) fn get_image(&mut self, texture: Option<PendingTexture>) -> Receiver<Answer> {
        read(&mut self.presenter, CONTEXT, texture)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.presenter.statistics(CONTEXT).unwrap().in_flight
    }

    #[track_caller]
    pub(super) fn read_image(&mut self) -> Snapshot {
        answer(&self.get_image(None)).unwrap()
    }

    /// What script reads of a texture that was not presented, once device 0 has finished.
    #[track_caller]
    pub(super) fn capture(&mut self, texture: PendingTexture) -> Snapshot {
        let captured = self.get_image(Some(texture));
        self.gpu.finish(device(0));
        answer(&captured).unwrap()
    }

    #[track_caller]
    pub(super) fn read_pixel(&mut self) -> [u8; 4] {
        first_pixel(&self.read_image())
    }

    /// The pixel must be on screen and be what script reads.
    #[track_caller]
    pub(super) fn assert_shows(&mut self, pixel: [u8; 4]) {
        assert_eq!((self.shown(), self.read_pixel()), (pixel, pixel));
    }
}

/// A presenter whose outcomes and ids are recorded, whatever the options say.
fn presenter(
    gpu: Arc<dyn Gpu>,
    map: &ContextMap,
    recorder: &Recorder,
    options: PresenterOptions,
) -> Presenter {
    let (outcomes, ids) = (recorder.clone(), recorder.clone());
    let options = PresenterOptions {
        on_outcome: Box::new(move |outcome| outcomes.outcome(outcome)),
        on_id: Box::new(move |id| ids.id(id)),
        ..options
    };
    Presenter::with_gpu(gpu, map, recorder.clone(), options)
}

pub(super) fn descriptor(owner: OwnerId) -> ContextDescriptor {
    ContextDescriptor { owner, size: size(4, 2), buffer_ids: BufferIds::Allocated }
}

/// A context with three buffer ids, from `100 * id` on, displayed under the key of its number.
pub(super) fn create(presenter: &mut Presenter, id: u32, owner: OwnerId) -> ContextId {
    let context = ContextId(id.into());
    let buffer_ids = BufferIds::Provided((100 * id..100 * id + 3).map(fake::buffer).collect());
    presenter.create_context(context, ContextDescriptor { buffer_ids, ..descriptor(owner) }).unwrap();
    presenter.set_image_key(context, key(id)).unwrap();
    context
}

/// A present of a 4×2 texture on device 0, with epoch 1.
pub(super) fn present(
    gpu: &FakeGpu,
    presenter: &mut Presenter,
    id: ContextId,
    pixel: [u8; 4],
) -> Result<u64, UnknownContext> {
    let texture = pending(gpu.texture(device(0), pixel, None), 0, size(4, 2));
    presenter.present(id, Contents::Texture(texture), CanvasEpoch(1))
}

/// Waits, busily, until a condition holds that nothing tells of. A test that waits in vain fails.
#[track_caller]
pub(super) fn spin_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < TIMEOUT, "waited in vain until {what}");
        thread::yield_now();
    }
}

/// Acts on this thread and, as soon as that has submitted something, on another one.
pub(super) fn with_submission(gpu: &FakeGpu, then: impl FnOnce() + Send, submit: impl FnOnce()) {
    let submits = gpu.submits();
    thread::scope(|scope| {
        scope.spawn(move || {
            spin_until("something is submitted", || gpu.submits() > submits);
            then();
        });
        submit();
    });
}

/// A premultiplied BGRA texture of a device.
pub(super) fn pending(texture_id: TextureId, device: u32, size: Size2D<u32>) -> PendingTexture {
    PendingTexture { texture_id, encoder_ids: None, configuration: configuration(device, size) }
}

pub(super) fn configuration(device: u32, size: Size2D<u32>) -> ContextConfiguration {
    ContextConfiguration {
        device_id: fake::device(device),
        queue_id: fake::queue(device),
        format: TextureFormat::Bgra8Unorm,
        color_space: PredefinedColorSpace::Srgb,
        alpha_mode: AlphaMode::Premultiplied,
        size,
    }
}

pub(super) fn device(index: u32) -> DeviceId {
    fake::device(index)
}

pub(super) fn with_ids(texture: PendingTexture, ids: EncoderIds) -> PendingTexture {
    PendingTexture { encoder_ids: Some(ids), ..texture }
}
