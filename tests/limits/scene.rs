//! Canvases on two devices behind the layer, and records of what leaves the presenter, for tests in which waits for the GPU fail, lie or
//! hang.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};

use webrender_api::{ExternalImageData, ExternalImageSource, IdNamespace, ImageDescriptor, ImageKey};
pub use wgpu_core::id::{BufferId, CommandBufferId, CommandEncoderId};
use wgpu_core::id::{DeviceId, QueueId, TextureId};

use super::world::*;
use crate::support::crowd::uniform;
use crate::support::gpu::descriptor;

pub const RED: [u8; 4] = [0, 0, 255, 255];
pub const GREEN: [u8; 4] = [0, 255, 0, 255];
pub const BLUE: [u8; 4] = [255, 0, 0, 255];
pub const CLEAR: [u8; 4] = [0; 4];

/// Longest time that a call on the WebGPU thread may take if it does not wait. It leaves room for a machine that is busy otherwise.
pub const AT_ONCE: Duration = Duration::from_millis(500);

/// Longest time for anything to arrive.
const TIMEOUT: Duration = Duration::from_secs(20);

const PRESENTER: &str = "the presenter lives";

pub type Answer = Receiver<Result<Snapshot, GetImageError>>;

/// What the compositor was told last of an image.
#[derive(Clone, Copy)]
struct Offer {
    descriptor: ImageDescriptor,
    generation: u8,
    epoch: Option<u64>,
}

/// Clones share what they record.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<HashMap<ImageKey, Offer>>>);

impl ImageSink for Sink {
    fn add_image(&mut self, key: ImageKey, descriptor: ImageDescriptor, data: ExternalImageData) {
        let offer = Offer { descriptor, generation: data.channel_index, epoch: None };
        self.0.lock().unwrap().insert(key, offer);
    }

    fn update_image(
        &mut self,
        key: ImageKey,
        descriptor: ImageDescriptor,
        data: ExternalImageData,
        epoch: CanvasEpoch,
    ) {
        let offer = Offer { descriptor, generation: data.channel_index, epoch: Some(epoch.0) };
        self.0.lock().unwrap().insert(key, offer);
    }

    fn delete_image(&mut self, _: ImageKey) {}
}

fn image_key(canvas: u64) -> ImageKey {
    ImageKey::new(IdNamespace(1), canvas as u32)
}

/// A device, its number in the layer, and a texture of each color.
struct Page {
    number: u64,
    device: Device,
    textures: Vec<([u8; 4], TextureId)>,
}

/// An engine that calls `maintain` when it is asked to, and measures every call of the presenter.
pub struct Scene {
    /// `None` once it was dropped.
    presenter: Option<Presenter>,
    images: ExternalImages,
    sink: Sink,
    size: Size2D<u32>,
    outcomes: Receiver<PresentOutcome>,
    ends: HashMap<(u64, u64), PresentEnd>,
    returned: Receiver<ReturnedId>,
    wakes: Receiver<()>,
    pages: Vec<Page>,
    pub gpu: Gpu,
    pub layer: Layer,
}

impl Scene {
    /// Two devices without canvases. `None` without an adapter: the test is skipped.
    pub fn new(memory: FrameMemoryKind, copy_timeout: Duration) -> Option<Self> {
        let options = PresenterOptions { frame_memory: memory, copy_timeout, ..Default::default() };
        Self::with(options, Size2D::new(64, 64))
    }

    /// As [`new`](Self::new). All textures are of this size.
    pub fn with(options: PresenterOptions, size: Size2D<u32>) -> Option<Self> {
        let layer = layer();
        let gpu = adapter(&layer)?;
        let (on_outcome, outcomes) = channel();
        let (on_id, returned) = channel();
        let (wake, wakes) = channel();
        let options = PresenterOptions {
            // The receivers may end before the presenter.
            on_outcome: Box::new(move |outcome| _ = on_outcome.send(outcome)),
            on_id: Box::new(move |id| _ = on_id.send(id)),
            wake: Arc::new(move || _ = wake.send(())),
            ..options
        };
        let (map, sink) = (ContextMap::default(), Sink::default());
        // SAFETY: only the presenter names its staging buffers.
        let presenter = unsafe { Presenter::new(gpu.global.clone(), &map, sink.clone(), options) };
        let page = || {
            let (number, device) = (layer.devices(), gpu.device());
            let format = wgpu_types::TextureFormat::Bgra8Unorm;
            let texture = |color: [u8; 4]| {
                (color, gpu.texture_with(device, format, size, &color.repeat(size.area() as usize)))
            };
            let textures = [RED, GREEN, BLUE].map(texture).into();
            // The textures are written before anything fails.
            gpu.global.queue_submit(device.queue, &[]).unwrap();
            gpu.global.device_poll(device.id, wgpu_types::PollType::wait_indefinitely()).unwrap();
            Page { number, device, textures }
        };
        let pages = vec![page(), page()];
        let images = ExternalImages::new(&map);
        Some(Self {
            presenter: Some(presenter),
            images,
            sink,
            size,
            outcomes,
            ends: HashMap::new(),
            returned,
            wakes,
            pages,
            gpu,
            layer,
        })
    }

    /// Makes a canvas that is displayed.
    pub fn create(&mut self, canvas: u64, buffer_ids: BufferIds) {
        let descriptor = ContextDescriptor { owner: OwnerId(0), size: self.size, buffer_ids };
        let presenter = self.presenter();
        presenter.create_context(ContextId(canvas), descriptor).unwrap();
        presenter.set_image_key(ContextId(canvas), image_key(canvas)).unwrap();
    }

    pub fn presenter(&mut self) -> &mut Presenter {
        self.presenter.as_mut().expect(PRESENTER)
    }

    /// Calls the presenter, which must return within `limit`.
    #[track_caller]
    pub fn call<T>(&mut self, limit: Duration, call: impl FnOnce(&mut Presenter) -> T) -> T {
        let (value, time) = self.measure(|presenter| call(presenter.as_mut().expect(PRESENTER)));
        assert!(time < limit, "the call took {time:?}");
        value
    }

    /// Measures a call. One that waits for a GPU that hangs fails its test, and does not hang too.
    fn measure<T>(&mut self, call: impl FnOnce(&mut Option<Presenter>) -> T) -> (T, Duration) {
        let (presenter, layer) = (&mut self.presenter, &self.layer);
        let (over, is_over) = channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                if is_over.recv_timeout(TIMEOUT) == Err(RecvTimeoutError::Timeout) {
                    layer.pass_all();
                }
            });
            // It is dropped after the call, even after a panic.
            let _over = over;
            let start = Instant::now();
            (call(presenter), start.elapsed())
        })
    }

    /// The number that the layer gives to a device.
    pub fn number(&self, page: usize) -> u64 {
        self.pages[page].number
    }

    pub fn device(&self, page: usize) -> (DeviceId, QueueId) {
        let Device { id, queue } = self.pages[page].device;
        (id, queue)
    }

    /// The texture of a color on a device.
    pub fn texture(&self, page: usize, color: [u8; 4]) -> PendingTexture {
        let Page { device, textures, .. } = &self.pages[page];
        let (_, texture_id) = *textures.iter().find(|(known, _)| *known == color).unwrap();
        PendingTexture { texture_id, encoder_ids: None, configuration: device.configuration(self.size) }
    }

    /// A texture of a canvas that the presenter makes, with a color in it.
    #[track_caller]
    pub fn draw(&mut self, page: usize, canvas: u64, color: [u8; 4]) -> PendingTexture {
        let (device, size) = (self.pages[page].device, self.size);
        let configuration = device.configuration(size);
        let usage = wgpu_types::TextureUsages::COPY_SRC | wgpu_types::TextureUsages::COPY_DST;
        let descriptor = descriptor(configuration.format, size, usage);
        let context = ContextId(canvas);
        let (texture_id, error) = self.call(AT_ONCE, |presenter| {
            presenter.create_canvas_texture(context, &configuration, &descriptor, None)
        });
        assert!(error.is_none(), "{error:?}");
        self.gpu.write(device, texture_id, size, &color.repeat(size.area() as usize));
        PendingTexture { texture_id, encoder_ids: None, configuration }
    }

    /// Presents a color, and returns the sequence number.
    #[track_caller]
    pub fn present(&mut self, page: usize, canvas: u64, color: [u8; 4], epoch: u64) -> u64 {
        self.present_texture(canvas, self.texture(page, color), epoch)
    }

    /// Presents a texture, and returns the sequence number.
    #[track_caller]
    pub fn present_texture(&mut self, canvas: u64, texture: PendingTexture, epoch: u64) -> u64 {
        let (contents, epoch) = (Contents::Texture(texture), CanvasEpoch(epoch));
        self.call(AT_ONCE, |presenter| presenter.present(ContextId(canvas), contents, epoch)).unwrap()
    }

    /// Presents a color that must be shown then.
    #[track_caller]
    pub fn show(&mut self, page: usize, canvas: u64, color: [u8; 4], epoch: u64) {
        let sequence = self.present(page, canvas, color, epoch);
        let end = self.end(canvas, sequence);
        assert!(matches!(end, PresentEnd::Presented), "{end:?}");
        assert_eq!((self.shown(canvas), self.acknowledged(canvas)), (color, Some(epoch)));
    }

    /// Asks for what is presented, or for the texture of a color on a device.
    #[track_caller]
    pub fn read(&mut self, canvas: u64, texture: Option<(usize, [u8; 4])>) -> Answer {
        let texture = texture.map(|(page, color)| self.texture(page, color));
        let (sender, receiver) = channel();
        let reply = move |answer| _ = sender.send(answer);
        self.call(AT_ONCE, |presenter| presenter.get_image(ContextId(canvas), texture, reply));
        receiver
    }

    /// Waits until `ready` has something.
    #[track_caller]
    fn wait<T>(&mut self, mut ready: impl FnMut(&mut Self) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(value) = ready(self) {
                return value;
            }
            assert!(start.elapsed() < TIMEOUT, "it comes");
            self.maintain();
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// Calls `maintain` if it was asked for.
    #[track_caller]
    fn maintain(&mut self) {
        if self.wakes.try_iter().count() > 0 && self.presenter.is_some() {
            self.call(AT_ONCE, Presenter::maintain);
        }
    }

    /// Waits, and calls `maintain` meanwhile.
    #[track_caller]
    pub fn idle(&mut self, time: Duration) {
        let start = Instant::now();
        self.wait(|_| (start.elapsed() >= time).then_some(()));
    }

    /// Waits until a condition holds.
    #[track_caller]
    pub fn until(&mut self, condition: impl Fn(&Self) -> bool) {
        self.wait(|scene| condition(scene).then_some(()));
    }

    /// Receives the ends of presents, of which each has one.
    #[track_caller]
    fn receive(&mut self) {
        for PresentOutcome { context, sequence, end, .. } in self.outcomes.try_iter() {
            let other = self.ends.insert((context.0, sequence), end);
            assert!(other.is_none(), "present {sequence} of {context:?} ends twice");
        }
    }

    /// How a present ended.
    #[track_caller]
    pub fn end(&mut self, canvas: u64, sequence: u64) -> PresentEnd {
        self.wait(|scene| {
            scene.receive();
            scene.ends.get(&(canvas, sequence)).cloned()
        })
    }

    /// Why a present failed.
    #[track_caller]
    pub fn error(&mut self, canvas: u64, sequence: u64) -> PresentError {
        match self.end(canvas, sequence) {
            PresentEnd::Failed(error) => error,
            end => panic!("{end:?}"),
        }
    }

    #[track_caller]
    pub fn answer(&mut self, answer: &Answer) -> Result<[u8; 4], GetImageError> {
        let answer = self.wait(|_| answer.try_recv().ok());
        answer.map(|snapshot| color_of(&snapshot))
    }

    /// Why a texture was not read.
    #[track_caller]
    pub fn read_error(&mut self, answer: &Answer) -> PresentError {
        match self.answer(answer) {
            Err(GetImageError::Texture(error)) => error,
            answer => panic!("{answer:?}"),
        }
    }

    /// The color of the whole canvas, as a renderer sees it.
    #[track_caller]
    pub fn shown(&mut self, canvas: u64) -> [u8; 4] {
        let Offer { descriptor, generation, .. } = self.sink.0.lock().unwrap()[&image_key(canvas)];
        let id = ContextId(canvas).into();
        let ExternalImageSource::RawData(bytes) = self.images.lock(id, Some(generation)) else {
            panic!("a context that was displayed is never invalid")
        };
        let (stride, row) = (descriptor.compute_stride() as usize, descriptor.size.width as usize * 4);
        let rows = bytes.chunks(stride).take(descriptor.size.height as usize);
        let color = uniform(rows.map(|bytes| &bytes[..row]));
        self.images.unlock(id, Some(generation));
        color
    }

    /// The epoch that the image carries.
    pub fn acknowledged(&self, canvas: u64) -> Option<u64> {
        self.sink.0.lock().unwrap()[&image_key(canvas)].epoch
    }

    /// Bytes of copies in flight, by the presenter's report.
    pub fn in_flight(&self) -> usize {
        let reports = self.presenter.as_ref().expect(PRESENTER).memory_report();
        let in_flight = reports.iter().filter(|report| report.kind == MemoryKind::InFlight);
        in_flight.map(|report| report.bytes).sum()
    }

    /// The ids that came back since the last call.
    pub fn returned(&mut self) -> Vec<ReturnedId> {
        self.returned.try_iter().collect()
    }

    /// Drops the presenter, and returns how long that took.
    pub fn drop_presenter(&mut self) -> Duration {
        self.measure(|presenter| drop(presenter.take())).1
    }
}

impl Drop for Scene {
    /// Nothing hangs any more when devices are dropped, even after a test has failed.
    fn drop(&mut self) {
        self.layer.pass_all();
    }
}

/// Queues that wgpu-core has.
pub fn queues(gpu: &Gpu) -> usize {
    let entries = gpu.hub_entries();
    entries.iter().find(|(_, what)| *what == "queues").expect("they are counted").0
}
