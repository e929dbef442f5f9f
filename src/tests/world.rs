//! A presenter on a fake GPU, a renderer, and records of everything that leaves.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use euclid::default::Size2D;
use parking_lot::{Condvar, Mutex};
use webrender_api::{ExternalImageData, ExternalImageSource, IdNamespace, ImageDescriptor, ImageKey};
use wgpu_core::id::{DeviceId, TextureId};
use wgpu_types::TextureFormat;

use crate::gpu::{fake, fake::FakeGpu, fake::Fault};
use crate::{
    AlphaMode, BufferIds, CanvasEpoch, Contents, ContextConfiguration, ContextDescriptor, ContextId,
    ContextMap, EncoderIds, ExternalImages, GetImageError, ImageSink, OwnerId, PendingTexture,
    PredefinedColorSpace, PresentEnd, PresentError, PresentOutcome, Presenter, PresenterOptions, ReturnedId,
    Snapshot,
};

pub(super) use crate::FrameMemoryKind::{self, Owned, Portable};
pub(super) use rstest::rstest;

pub(super) const CONTEXT: ContextId = ContextId(7);
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn key(index: u32) -> ImageKey {
    ImageKey::new(IdNamespace(1), index)
}

pub(super) fn size(width: u32, height: u32) -> Size2D<u32> {
    Size2D::new(width, height)
}

/// A call of the sink.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Call {
    Add(ImageKey, ImageDescriptor, u8),
    Update(ImageKey, ImageDescriptor, u8, Option<u64>),
    Delete(ImageKey),
}

#[derive(Default)]
pub(super) struct Record {
    pub(super) calls: Vec<Call>,
    pub(super) outcomes: HashMap<(ContextId, u64), Vec<PresentEnd>>,
    /// Whose outcomes they were, in order.
    pub(super) order: Vec<(ContextId, u64)>,
    pub(super) ids: Vec<ReturnedId>,
}

#[derive(Clone, Default)]
pub(super) struct Recorder(Arc<(Mutex<Record>, Condvar)>);

impl Recorder {
    fn record(&self, change: impl FnOnce(&mut Record)) {
        change(&mut self.0.0.lock());
        self.0.1.notify_all();
    }

    pub(super) fn outcome(&self, outcome: PresentOutcome) {
        let PresentOutcome { context, sequence, end, .. } = outcome;
        self.record(|record| {
            record.outcomes.entry((context, sequence)).or_default().push(end);
            record.order.push((context, sequence));
        });
    }

    pub(super) fn id(&self, id: ReturnedId) {
        self.record(|record| record.ids.push(id));
    }

    pub(super) fn get<T>(&self, read: impl FnOnce(&Record) -> T) -> T {
        read(&self.0.0.lock())
    }

    /// Waits until a condition holds; a test that waits in vain fails.
    pub(super) fn until(&self, what: &str, condition: impl Fn(&Record) -> bool) {
        let mut record = self.0.0.lock();
        while !condition(&record) {
            let timed_out = self.0.1.wait_for(&mut record, TIMEOUT).timed_out();
            assert!(!timed_out, "waited in vain until {what}");
        }
    }
}

impl ImageSink for Recorder {
    fn add_image(&self, key: ImageKey, descriptor: ImageDescriptor, data: ExternalImageData) {
        // Other contexts are displayed under the key of their number.
        assert!([CONTEXT.0, key.1.into()].contains(&data.id.0), "{data:?} under {key:?}");
        self.record(|record| record.calls.push(Call::Add(key, descriptor, data.channel_index)));
    }

    fn update_image(
        &self,
        key: ImageKey,
        descriptor: ImageDescriptor,
        data: ExternalImageData,
        epoch: Option<CanvasEpoch>,
    ) {
        let epoch = epoch.map(|epoch| epoch.0);
        self.record(|record| record.calls.push(Call::Update(key, descriptor, data.channel_index, epoch)));
    }

    fn delete_image(&self, key: ImageKey) {
        self.record(|record| record.calls.push(Call::Delete(key)));
    }
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
        let gpu = FakeGpu::new(memory);
        let map = ContextMap::default();
        let recorder = Recorder::default();
        let presenter = Self::presenter(&gpu, &map, &recorder);
        let images = ExternalImages::new(&map);
        Self { gpu, map, recorder, presenter, images }
    }

    /// A context of 4×2 pixels with an image key.
    pub(super) fn new(memory: FrameMemoryKind) -> Self {
        let mut world = Self::empty(memory);
        world.create(BufferIds::Allocated);
        world.presenter.set_image_key(CONTEXT, key(1)).unwrap();
        world
    }

    pub(super) fn presenter(gpu: &FakeGpu, map: &ContextMap, recorder: &Recorder) -> Presenter {
        let (outcomes, ids) = (recorder.clone(), recorder.clone());
        let options = PresenterOptions {
            on_outcome: Arc::new(move |outcome| outcomes.outcome(outcome)),
            on_id: Arc::new(move |id| ids.id(id)),
            wake: Arc::new(|| ()),
            ..PresenterOptions::default()
        };
        Presenter::with_gpu(Arc::new(gpu.clone()), map, Arc::new(recorder.clone()), options)
    }

    pub(super) fn create(&mut self, buffer_ids: BufferIds) {
        self.presenter
            .create_context(CONTEXT, ContextDescriptor { owner: OwnerId(0), size: size(4, 2), buffer_ids })
            .unwrap();
    }

    /// A present of a 4×2 texture on device 0.
    pub(super) fn present(&mut self, pixel: [u8; 4], epoch: u64) -> u64 {
        let texture = self.texture(pixel, size(4, 2));
        self.present_texture(texture, epoch).unwrap()
    }

    pub(super) fn present_texture(
        &mut self,
        texture: PendingTexture,
        epoch: u64,
    ) -> Result<u64, PresentError> {
        self.presenter.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(epoch))
    }

    pub(super) fn present_cleared(&mut self, size: Size2D<u32>, epoch: u64) -> u64 {
        let contents = Contents::Cleared { size, alpha_mode: AlphaMode::Premultiplied };
        let sequence = self.presenter.present(CONTEXT, contents, CanvasEpoch(epoch)).unwrap();
        self.sync();
        sequence
    }

    pub(super) fn texture(&self, pixel: [u8; 4], size: Size2D<u32>) -> PendingTexture {
        pending(self.gpu.texture(fake::device(0), pixel, None), 0, size)
    }

    pub(super) fn faulty(&self, fault: Fault) -> PendingTexture {
        pending(self.gpu.texture(fake::device(0), [9; 4], Some(fault)), 0, size(4, 2))
    }

    /// Lets device 0 finish and waits until a present has ended.
    pub(super) fn finish(&self, sequence: u64) {
        self.gpu.finish(fake::device(0));
        self.until_ended(sequence);
    }

    pub(super) fn until_ended(&self, sequence: u64) {
        self.recorder.until("the present ends", |record| record.outcomes.contains_key(&(CONTEXT, sequence)));
    }

    /// How a present ended: exactly once.
    pub(super) fn end_of(&self, sequence: u64) -> PresentEnd {
        self.until_ended(sequence);
        let ends = self.recorder.get(|record| record.outcomes[&(CONTEXT, sequence)].clone());
        assert_eq!(ends.len(), 1, "a present ends once: {ends:?}");
        ends[0].clone()
    }

    /// The update or addition that the compositor saw last.
    pub(super) fn last_offer(&self) -> (ImageDescriptor, u8) {
        self.recorder.get(|record| match record.calls.last() {
            Some(Call::Add(_, descriptor, generation) | Call::Update(_, descriptor, generation, _)) => {
                (*descriptor, *generation)
            }
            call => panic!("no image: {call:?}"),
        })
    }

    /// The largest epoch that the compositor was told.
    pub(super) fn acknowledged(&self) -> Option<u64> {
        let epochs = |record: &Record| {
            let epoch = |call: &Call| match call {
                Call::Update(_, _, _, epoch) => *epoch,
                _ => None,
            };
            record.calls.iter().filter_map(epoch).collect::<Vec<_>>()
        };
        let epochs = self.recorder.get(epochs);
        assert!(epochs.is_sorted(), "acknowledged epochs never fall: {epochs:?}");
        epochs.last().copied()
    }

    /// Waits until the sink has got everything that was decided so far: another thread may be telling it.
    pub(super) fn sync(&mut self) {
        let (sender, receiver) = mpsc::channel();
        let nobody = ContextId(u64::MAX);
        self.presenter.get_image(nobody, None, move |_| sender.send(()).expect("it is awaited"));
        receiver.recv_timeout(TIMEOUT).expect("the outbox is drained");
    }

    /// What a renderer shows that draws what it was told last: the first pixel, after a check of all of them.
    pub(super) fn shown(&mut self) -> [u8; 4] {
        self.sync();
        let offer = self.last_offer();
        self.locked(offer)
    }

    pub(super) fn locked(&mut self, offer: (ImageDescriptor, u8)) -> [u8; 4] {
        let pixel = uniform_pixel(self.images.lock(CONTEXT.into(), Some(offer.1)), &offer.0);
        self.images.unlock(CONTEXT.into());
        pixel
    }

    pub(super) fn get_image(&mut self, texture: Option<PendingTexture>) -> Receiver<Answer> {
        let (sender, receiver) = mpsc::channel();
        self.presenter.get_image(CONTEXT, texture, move |answer| {
            // The receiver may be gone: that is no error.
            let _ = sender.send(answer);
        });
        receiver
    }

    pub(super) fn read_pixel(&mut self) -> [u8; 4] {
        first_pixel(&answer(&self.get_image(None)).unwrap())
    }
}

pub(super) type Answer = Result<Snapshot, GetImageError>;

pub(super) fn answer(receiver: &Receiver<Answer>) -> Answer {
    receiver.recv_timeout(TIMEOUT).expect("get_image is answered")
}

pub(super) fn first_pixel(snapshot: &Snapshot) -> [u8; 4] {
    let bytes = snapshot.to_vec();
    let (pixels, _) = bytes.as_chunks::<4>();
    assert!(pixels.iter().all(|pixel| *pixel == pixels[0]), "one frame: {pixels:?}");
    pixels[0]
}

/// Reads what WebRender would: all rows that the descriptor tells of.
pub(super) fn uniform_pixel(source: ExternalImageSource<'_>, descriptor: &ImageDescriptor) -> [u8; 4] {
    let ExternalImageSource::RawData(bytes) = source else { panic!("a living context is never invalid") };
    let (width, height) = (descriptor.size.width as usize, descriptor.size.height as usize);
    assert!(width > 0 && height > 0, "WebRender's backend panics on an empty image");
    let stride = descriptor.compute_stride() as usize;
    assert!(bytes.len() >= stride * height, "WebRender asserts on short data");
    let rows = bytes.chunks(stride).take(height).map(|row| &row[..width * 4]);
    let pixels: Vec<[u8; 4]> = rows.flat_map(|row| row.as_chunks::<4>().0.to_vec()).collect();
    assert!(pixels.iter().all(|pixel| *pixel == pixels[0]), "a torn frame: {pixels:?}");
    pixels[0]
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
