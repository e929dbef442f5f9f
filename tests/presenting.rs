//! A presenter on real wgpu-core, with validation on, and a renderer that reads like WebRender. What real parts do not do on
//! command is forced in `src/tests`.

mod support;

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use euclid::default::Size2D;
use support::gpu::{Device, Gpu, assert_no_validation_errors};
use webgpu_presentation::*;
use webrender_api::{ExternalImageData, ExternalImageSource, IdNamespace, ImageDescriptor, ImageKey};
use wgpu_core::id::{BufferId, CommandBufferId, CommandEncoderId};
use wgpu_types::{TextureFormat, TextureUsages};

const CONTEXT: ContextId = ContextId(5);
const TIMEOUT: Duration = Duration::from_secs(30);

const RED: [u8; 4] = [0, 0, 255, 255];
const GREEN: [u8; 4] = [0, 255, 0, 255];
const CLEAR: [u8; 4] = [0; 4];

fn size(width: u32, height: u32) -> Size2D<u32> {
    Size2D::new(width, height)
}

#[derive(Default)]
struct Sink(Mutex<Vec<(ImageDescriptor, u8, Option<u64>)>>);

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

struct World {
    gpu: Gpu,
    device: Device,
    sink: Arc<Sink>,
    presenter: Presenter,
    images: ExternalImages,
    outcomes: Receiver<PresentOutcome>,
}

impl World {
    fn new() -> Option<Self> {
        let gpu = Gpu::for_test()?;
        let device = gpu.device();
        let map = ContextMap::default();
        let sink = Arc::new(Sink::default());
        let (on_outcome, outcomes) = channel();
        let options = PresenterOptions {
            on_outcome: Arc::new(move |outcome| drop(on_outcome.send(outcome))),
            ..PresenterOptions::default()
        };
        let mut presenter = Presenter::new(gpu.global.clone(), &map, sink.clone(), options);
        let images = ExternalImages::new(&map);
        let descriptor =
            ContextDescriptor { owner: OwnerId(0), size: size(4, 2), buffer_ids: BufferIds::Allocated };
        presenter.create_context(CONTEXT, descriptor).unwrap();
        presenter.set_image_key(CONTEXT, ImageKey::new(IdNamespace(1), 1)).unwrap();
        Some(Self { gpu, device, sink, presenter, images, outcomes })
    }

    fn configuration(&self, size: Size2D<u32>) -> ContextConfiguration {
        ContextConfiguration {
            device_id: self.device.id,
            queue_id: self.device.queue,
            format: TextureFormat::Bgra8Unorm,
            alpha_mode: AlphaMode::Premultiplied,
            size,
        }
    }

    /// A canvas of one colour.
    fn solid(&self, pixel: [u8; 4], size: Size2D<u32>) -> PendingTexture {
        let bytes = pixel.repeat((size.width * size.height) as usize);
        let configuration = self.configuration(size);
        let texture_id = self.gpu.texture_with(self.device, configuration.format, size, &bytes);
        PendingTexture { texture_id, encoder_ids: None, configuration }
    }

    /// Presents, and destroys the texture at once, as engines do.
    fn present(&mut self, texture: PendingTexture, epoch: u64) -> Result<u64, PresentError> {
        let mut batch = self.presenter.batch();
        let sequence = batch.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(epoch));
        batch.destroy_texture(texture.texture_id);
        batch.drop_texture(texture.texture_id);
        batch.submit();
        sequence
    }

    fn end(&self) -> PresentEnd {
        self.outcomes.recv_timeout(TIMEOUT).expect("a present ends").end
    }

    fn present_and_wait(&mut self, texture: PendingTexture, epoch: u64) {
        self.present(texture, epoch).unwrap();
        let end = self.end();
        assert!(matches!(end, PresentEnd::Presented), "{end:?}");
    }

    fn offer(&self) -> (ImageDescriptor, u8) {
        let (descriptor, generation, _) = *self.sink.0.lock().unwrap().last().unwrap();
        (descriptor, generation)
    }

    fn shown(&mut self) -> [u8; 4] {
        let (descriptor, generation) = self.offer();
        let pixel = uniform(self.images.lock(CONTEXT.into(), Some(generation)), &descriptor);
        self.images.unlock(CONTEXT.into());
        pixel
    }

    fn get_image(&mut self, texture: Option<PendingTexture>) -> Result<Snapshot, GetImageError> {
        self.ask_image(texture).recv_timeout(TIMEOUT).expect("get_image is answered")
    }

    fn ask_image(&mut self, texture: Option<PendingTexture>) -> Receiver<Result<Snapshot, GetImageError>> {
        let (sender, receiver) = channel();
        self.presenter.get_image(CONTEXT, texture, move |answer| drop(sender.send(answer)));
        receiver
    }

    fn read(&mut self) -> [u8; 4] {
        let bytes = self.get_image(None).unwrap().to_vec();
        *bytes.first_chunk().unwrap()
    }

    /// Nothing of ours is left in wgpu-core: neither buffers nor encoders nor command buffers, and no complaint.
    fn finish(self) {
        let Self { gpu, presenter, .. } = self;
        drop(presenter);
        let report = gpu.global.generate_report();
        let hub = report.hub_report();
        assert!(hub.buffers.is_empty(), "{:?}", hub.buffers);
        assert!(hub.command_encoders.is_empty(), "{:?}", hub.command_encoders);
        assert!(hub.command_buffers.is_empty(), "{:?}", hub.command_buffers);
        assert!(hub.textures.is_empty(), "{:?}", hub.textures);
        assert_no_validation_errors();
    }
}

fn uniform(source: ExternalImageSource<'_>, descriptor: &ImageDescriptor) -> [u8; 4] {
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

macro_rules! world {
    () => {
        match World::new() {
            Some(world) => world,
            None => return,
        }
    };
}

#[test]
fn every_size_is_exact() {
    let mut world = world!();
    for (epoch, (width, height)) in (1..).zip([
        (1, 1),
        (3, 5),
        (300, 150),
        (301, 151),
        (1919, 1079),
        (8193, 1),
        (16384, 1),
        (1, 16384),
        (64, 64),
        (65, 1),
    ]) {
        let size = size(width, height);
        let bytes: Vec<u8> = (0..width * height * 4).map(|i| (i * 7 + i / 1021) as u8).collect();
        let configuration = world.configuration(size);
        let texture_id = world.gpu.texture_with(world.device, configuration.format, size, &bytes);
        assert_eq!(world.gpu.read(world.device, texture_id, size), bytes, "the oracle agrees");
        world.present_and_wait(PendingTexture { texture_id, encoder_ids: None, configuration }, epoch);
        let image = world.get_image(None).unwrap();
        assert_eq!((image.size(), image.format()), (size, TextureFormat::Bgra8Unorm));
        assert!(image.to_vec() == bytes, "{width}×{height}");
        let (descriptor, generation) = world.offer();
        assert_eq!((descriptor.size.width, descriptor.size.height), (width as i32, height as i32));
        let ExternalImageSource::RawData(shown) = world.images.lock(CONTEXT.into(), Some(generation)) else {
            panic!("it is shown")
        };
        let rows = shown.chunks(descriptor.compute_stride() as usize).take(height as usize);
        let shown: Vec<u8> = rows.flat_map(|row| &row[..width as usize * 4]).copied().collect();
        world.images.unlock(CONTEXT.into());
        assert!(shown == bytes, "{width}×{height} on screen");
    }
    world.finish();
}

// R1, R3, R4 and R26's texels.
#[test]
fn formats_and_alpha_modes_are_exact() {
    let mut world = world!();
    // TL (0,0,.4,.4) TR (0,.4,0,.4) BL (.4,0,0,.4) BR (.4,.4,0,.4), as RGBA.
    let rgba = [[0, 0, 102, 102], [0, 102, 0, 102], [102, 0, 0, 102], [102, 102, 0, 102]];
    let swap = |[r, g, b, a]: [u8; 4]| [b, g, r, a];
    let expected = |mode| match mode {
        AlphaMode::Opaque => [[0, 0, 102, 255], [0, 102, 0, 255], [102, 0, 0, 255], [102, 102, 0, 255]],
        AlphaMode::Premultiplied => {
            [[0, 0, 255, 102], [0, 255, 0, 102], [255, 0, 0, 102], [255, 255, 0, 102]]
        }
    };
    let mut epoch = 0;
    for format in [TextureFormat::Bgra8Unorm, TextureFormat::Rgba8Unorm] {
        for alpha_mode in [AlphaMode::Opaque, AlphaMode::Premultiplied] {
            let bytes = if format == TextureFormat::Bgra8Unorm { rgba.map(swap) } else { rgba }.concat();
            let size = size(2, 2);
            let texture_id = world.gpu.texture_with(world.device, format, size, &bytes);
            let configuration = ContextConfiguration { format, alpha_mode, ..world.configuration(size) };
            let texture = PendingTexture { texture_id, encoder_ids: None, configuration };
            let captured = world.get_image(Some(texture)).unwrap();
            assert_eq!((captured.format(), captured.alpha_mode()), (format, alpha_mode));
            assert_eq!(
                captured.to_straight_rgba(),
                expected(alpha_mode).concat(),
                "{format:?} {alpha_mode:?}"
            );
            epoch += 1;
            world.present_and_wait(texture, epoch);
            let presented = world.get_image(None).unwrap();
            assert_eq!(
                presented.to_straight_rgba(),
                expected(alpha_mode).concat(),
                "{format:?} {alpha_mode:?}"
            );
        }
    }
    world.finish();
}

// R8.
#[test]
fn a_texture_that_nobody_drew_is_cleared() {
    let mut world = world!();
    for (epoch, alpha_mode, expected) in
        [(1, AlphaMode::Premultiplied, CLEAR), (2, AlphaMode::Opaque, [0, 0, 0, 255])]
    {
        let size = size(5, 3);
        let configuration = ContextConfiguration { alpha_mode, ..world.configuration(size) };
        let texture_id = world.gpu.texture(world.device, configuration.format, size, TextureUsages::COPY_SRC);
        world.present_and_wait(PendingTexture { texture_id, encoder_ids: None, configuration }, epoch);
        assert_eq!((world.shown(), world.read()), (expected, expected));
    }
    world.finish();
}

#[test]
fn other_formats_are_typed_errors() {
    let mut world = world!();
    let texture = world.solid(RED, size(4, 4));
    let configuration = ContextConfiguration { format: TextureFormat::Rgba16Float, ..texture.configuration };
    let result = world.present(PendingTexture { configuration, ..texture }, 1);
    assert!(matches!(result, Err(PresentError::UnsupportedFormat(TextureFormat::Rgba16Float))));
    assert!(matches!(world.end(), PresentEnd::Failed(_)));
    world.finish();
}

// R10.
#[test]
fn a_read_right_after_a_present_returns_it() {
    let mut world = world!();
    for i in 1..100u8 {
        let texture = world.solid([i, i, i, 255], size(200, 200));
        world.present(texture, u64::from(i)).unwrap();
        assert_eq!(world.read(), [i, i, i, 255]);
    }
    world.finish();
}

// R11.
#[test]
fn a_clear_is_final() {
    let mut world = world!();
    for epoch in 1..50 {
        let texture = world.solid(RED, size(300, 300));
        world.present(texture, epoch).unwrap();
        let contents = Contents::Cleared { size: size(7, 7), alpha_mode: AlphaMode::Premultiplied };
        world.presenter.present(CONTEXT, contents, CanvasEpoch(epoch)).unwrap();
        world.end();
        world.end();
        assert_eq!((world.shown(), world.read()), (CLEAR, CLEAR));
        assert_eq!(world.get_image(None).unwrap().size(), size(7, 7));
    }
    world.finish();
}

// R17 and I5: many presents before the first is done.
#[test]
fn a_flood_of_presents_ends_with_the_newest() {
    let mut world = world!();
    // Fewer than there are generations, because nothing is locked meanwhile.
    let count = 200u32;
    let mut last = [0; 4];
    for i in 1..=count {
        last = [i as u8, (i >> 8) as u8, 77, 255];
        let texture = world.solid(last, size(500, 400));
        world.present(texture, u64::from(i)).unwrap();
        assert!(world.presenter.statistics(CONTEXT).unwrap().in_flight <= 2);
    }
    let ends: Vec<_> = (0..count).map(|_| world.end()).collect();
    assert!(ends.iter().all(|end| !matches!(end, PresentEnd::Failed(_))));
    assert_eq!((world.shown(), world.read()), (last, last));
    let statistics = world.presenter.statistics(CONTEXT).unwrap();
    assert!(statistics.buffers <= 4, "{statistics:?}");
    assert_eq!(statistics.presented + statistics.superseded, u64::from(count));
    world.finish();
}

// R14, R19 and D2: the peer's compositor reads freed memory here.
#[test]
fn what_is_shown_survives_its_device() {
    let mut world = world!();
    let texture = world.solid(GREEN, size(3840, 2160));
    world.present_and_wait(texture, 1);
    let (descriptor, generation) = world.offer();
    assert_eq!(uniform(world.images.lock(CONTEXT.into(), Some(generation)), &descriptor), GREEN);
    let device = world.device;
    world.presenter.destroy_device(device.id);
    world.presenter.maintain();
    assert_eq!(uniform(world.images.lock(CONTEXT.into(), Some(generation)), &descriptor), GREEN);
    world.images.unlock(CONTEXT.into());
    world.images.unlock(CONTEXT.into());
    assert_eq!((world.shown(), world.read()), (GREEN, GREEN));
    world.presenter.drop_device(device.id);
    world.gpu.global.queue_drop(device.queue);
    assert_eq!((world.shown(), world.read()), (GREEN, GREEN));
    // A new device takes over.
    world.device = world.gpu.device();
    let texture = world.solid(RED, size(4, 4));
    world.present_and_wait(texture, 2);
    assert_eq!((world.shown(), world.read()), (RED, RED));
    world.finish();
}

// R14, behind the presenter's back.
#[test]
fn a_device_destroyed_behind_our_back_frees_nothing_that_is_shown() {
    let mut world = world!();
    let texture = world.solid(GREEN, size(1024, 1024));
    world.present_and_wait(texture, 1);
    let (descriptor, generation) = world.offer();
    let late = world.solid(RED, size(1024, 1024));
    world.present(late, 2).unwrap();
    world.gpu.global.device_destroy(world.device.id);
    world.gpu.global.device_poll(world.device.id, wgpu_types::PollType::Poll).unwrap();
    uniform(world.images.lock(CONTEXT.into(), Some(generation)), &descriptor);
    world.images.unlock(CONTEXT.into());
    assert!(matches!(world.end(), PresentEnd::Presented), "it was submitted before");
    assert_eq!(world.shown(), RED);
    let texture_id = world.gpu.invalid_texture(world.device);
    let configuration = world.configuration(size(4, 4));
    let contents = Contents::Texture(PendingTexture { texture_id, encoder_ids: None, configuration });
    let _ = world.presenter.present(CONTEXT, contents, CanvasEpoch(3));
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::DeviceLost)));
    assert_eq!((world.shown(), world.read()), (RED, RED));
    assert_eq!(world.sink.0.lock().unwrap().last().unwrap().2, Some(3));
    assert_no_validation_errors();
}

// R14: destroyed and dropped with copies in flight.
#[test]
fn copies_in_flight_survive_their_device() {
    for drop_device in [false, true] {
        let mut world = world!();
        let texture = world.solid(GREEN, size(2048, 2048));
        world.present(texture, 1).unwrap();
        let waiting = world.ask_image(None);
        world.presenter.destroy_device(world.device.id);
        if drop_device {
            world.presenter.drop_device(world.device.id);
            world.gpu.global.queue_drop(world.device.queue);
        }
        assert!(matches!(world.end(), PresentEnd::Presented));
        let image = waiting.recv_timeout(TIMEOUT).unwrap().unwrap();
        assert_eq!(image.to_vec(), GREEN.repeat(2048 * 2048));
        assert_eq!(world.shown(), GREEN);
        world.finish();
    }
}

// D3.
#[test]
fn contexts_are_destroyed_with_copies_in_flight() {
    let mut world = world!();
    for round in 0..50 {
        let texture = world.solid(GREEN, size(512, 512));
        world.present(texture, round).unwrap();
        let waiting = world.ask_image(None);
        world.presenter.destroy_context(CONTEXT).unwrap();
        assert!(waiting.recv_timeout(TIMEOUT).is_ok());
        world.end();
        let descriptor =
            ContextDescriptor { owner: OwnerId(0), size: size(4, 2), buffer_ids: BufferIds::Allocated };
        world.presenter.create_context(CONTEXT, descriptor).unwrap();
        assert_eq!(world.get_image(None).unwrap().to_vec(), [0; 32]);
    }
    world.finish();
}

// R15.
#[test]
fn bad_textures_fail_alone_with_their_reason() {
    let mut world = world!();
    let good = world.solid(GREEN, size(8, 8));
    world.present_and_wait(good, 1);

    // Smaller than configured.
    let small = world.solid(RED, size(4, 4));
    let configuration = ContextConfiguration { size: size(8, 8), ..small.configuration };
    let _ = world.present(PendingTexture { configuration, ..small }, 2);
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::Refused(_))));
    assert_eq!(world.shown(), GREEN);

    // Without COPY_SRC.
    let format = TextureFormat::Bgra8Unorm;
    let texture_id = world.gpu.texture(world.device, format, size(8, 8), TextureUsages::RENDER_ATTACHMENT);
    let configuration = world.configuration(size(8, 8));
    let _ = world.present(PendingTexture { texture_id, encoder_ids: None, configuration }, 3);
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::Refused(_))));
    assert_eq!(world.shown(), GREEN);

    // Of another device.
    let other = world.gpu.device();
    let bytes = RED.repeat(64);
    let texture_id = world.gpu.texture_with(other, format, size(8, 8), &bytes);
    let _ = world.present(PendingTexture { texture_id, encoder_ids: None, configuration }, 4);
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::WrongDevice)));
    assert_eq!(world.shown(), GREEN);

    // Destroyed before.
    let destroyed = world.solid(RED, size(8, 8));
    world.gpu.global.texture_destroy(destroyed.texture_id);
    let _ = world.present(destroyed, 5);
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::TextureDestroyed)));
    assert_eq!((world.shown(), world.read()), (CLEAR, CLEAR));

    let good = world.solid(GREEN, size(8, 8));
    world.present_and_wait(good, 6);

    // An error texture.
    let invalid = world.gpu.invalid_texture(world.device);
    let _ = world.present(PendingTexture { texture_id: invalid, encoder_ids: None, configuration }, 7);
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::TextureInvalid)));
    assert_eq!((world.shown(), world.read()), (CLEAR, CLEAR));
    let epochs: Vec<_> = world.sink.0.lock().unwrap().iter().filter_map(|offer| offer.2).collect();
    assert_eq!(epochs, [1, 2, 3, 4, 5, 6, 7], "each is acknowledged, in order");
    world.finish();
}

// R15 in a batch, on real parts.
#[test]
fn a_bad_texture_hurts_no_neighbour() {
    let mut world = world!();
    let contexts: Vec<_> = (100..110).map(ContextId).collect();
    for context in &contexts {
        let descriptor =
            ContextDescriptor { owner: OwnerId(0), size: size(1, 1), buffer_ids: BufferIds::Allocated };
        world.presenter.create_context(*context, descriptor).unwrap();
    }
    let textures: Vec<_> = contexts.iter().map(|_| world.solid(GREEN, size(16, 16))).collect();
    world.gpu.global.texture_destroy(textures[3].texture_id);
    let mut batch = world.presenter.batch();
    for (context, texture) in contexts.iter().zip(&textures) {
        batch.present(*context, Contents::Texture(*texture), CanvasEpoch(1)).unwrap();
        batch.destroy_texture(texture.texture_id);
        batch.drop_texture(texture.texture_id);
    }
    batch.submit();
    for _ in &contexts {
        let outcome = world.outcomes.recv_timeout(TIMEOUT).unwrap();
        let failed = matches!(outcome.end, PresentEnd::Failed(PresentError::TextureDestroyed));
        assert!(if outcome.context == contexts[3] {
            failed
        } else {
            matches!(outcome.end, PresentEnd::Presented)
        });
    }
    world.finish();
}

// R13: device limits and above.
#[test]
fn impossible_sizes_are_errors() {
    let mut world = world!();
    let real = world.solid(RED, size(4, 4));
    for (width, height) in
        [(u32::MAX, u32::MAX), (u32::MAX, 1), (1, u32::MAX), (65536, 65536), (40000, 40000)]
    {
        let configuration = ContextConfiguration { size: size(width, height), ..real.configuration };
        let texture = PendingTexture { configuration, ..real };
        let result = world.presenter.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(1));
        assert!(
            matches!(result, Err(PresentError::TooLarge(_))) || matches!(world.end(), PresentEnd::Failed(_))
        );
        let contents = Contents::Cleared { size: size(width, height), alpha_mode: AlphaMode::Opaque };
        let _ = world.presenter.present(CONTEXT, contents, CanvasEpoch(1));
    }
    world.gpu.drop_texture(real.texture_id);
    world.finish();
}

// R23.
#[test]
fn an_engine_brings_its_own_ids() {
    let Some(gpu) = Gpu::for_test() else { return };
    let device = gpu.device();
    let map = ContextMap::default();
    let (on_id, ids) = channel();
    let options = PresenterOptions {
        on_id: Arc::new(move |id| on_id.send(id).expect("it is awaited")),
        ..PresenterOptions::default()
    };
    let mut presenter = Presenter::new(gpu.global.clone(), &map, Arc::new(Sink::default()), options);
    let buffers: Vec<_> = (0..3).map(|index| BufferId::zip(index, 1)).collect();
    let descriptor = ContextDescriptor {
        owner: OwnerId(0),
        size: size(4, 2),
        buffer_ids: BufferIds::Provided(buffers.clone()),
    };
    presenter.create_context(CONTEXT, descriptor).unwrap();
    let encoder_ids = EncoderIds {
        command_encoder: CommandEncoderId::zip(0, 1),
        command_buffer: CommandBufferId::zip(0, 1),
    };
    let size = size(20, 20);
    let usage = TextureUsages::COPY_SRC;
    let texture_id = gpu.texture(device, TextureFormat::Bgra8Unorm, size, usage);
    let configuration = ContextConfiguration {
        device_id: device.id,
        queue_id: device.queue,
        format: TextureFormat::Bgra8Unorm,
        alpha_mode: AlphaMode::Premultiplied,
        size,
    };
    let texture = PendingTexture { texture_id, encoder_ids: Some(encoder_ids), configuration };
    for epoch in 1..=1000 {
        presenter.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(epoch)).unwrap();
        // The one pair of ids serves for every frame.
        assert_eq!(ids.recv_timeout(TIMEOUT), Ok(ReturnedId::CommandEncoder(encoder_ids.command_encoder)));
        assert_eq!(ids.recv_timeout(TIMEOUT), Ok(ReturnedId::CommandBuffer(encoder_ids.command_buffer)));
    }
    let report = gpu.global.generate_report();
    let hub = report.hub_report();
    for entries in [&hub.command_encoders, &hub.command_buffers] {
        let entries = entries.num_kept_from_user + entries.num_released_from_user;
        assert!(entries <= 1, "D8: neither encoders nor command buffers pile up");
    }
    presenter.destroy_context(CONTEXT).unwrap();
    let mut returned: Vec<_> = ids.try_iter().collect();
    returned.sort_by_key(|id| format!("{id:?}"));
    assert_eq!(returned, buffers.into_iter().map(ReturnedId::Buffer).collect::<Vec<_>>());
    drop(presenter);
    gpu.drop_texture(texture_id);
    assert_no_validation_errors();
}

// R27: two hubs, one map.
#[test]
fn two_presenters_share_a_map() {
    let mut world = world!();
    let Some(second) = Gpu::for_test() else { return };
    let device = second.device();
    let map = ContextMap::default();
    let sink = Arc::new(Sink::default());
    let mut presenters = [
        Presenter::new(world.gpu.global.clone(), &map, sink.clone(), PresenterOptions::default()),
        Presenter::new(second.global.clone(), &map, sink, PresenterOptions::default()),
    ];
    let mut images = [ExternalImages::new(&map), ExternalImages::new(&map), ExternalImages::new(&map)];
    let descriptor =
        || ContextDescriptor { owner: OwnerId(0), size: size(1, 1), buffer_ids: BufferIds::Allocated };
    for (index, (gpu, device, pixel)) in
        [(&world.gpu, world.device, RED), (&second, device, GREEN)].into_iter().enumerate()
    {
        let context = ContextId(index as u64);
        presenters[index].create_context(context, descriptor()).unwrap();
        let size = size(30, 30);
        let texture_id = gpu.texture_with(device, TextureFormat::Bgra8Unorm, size, &pixel.repeat(900));
        let configuration = ContextConfiguration {
            device_id: device.id,
            queue_id: device.queue,
            ..world.configuration(size)
        };
        let texture = PendingTexture { texture_id, encoder_ids: None, configuration };
        presenters[index].present(context, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
        let (sender, receiver) = channel();
        presenters[index].get_image(context, None, move |answer| drop(sender.send(answer)));
        let image = receiver.recv_timeout(TIMEOUT).unwrap().unwrap();
        assert_eq!(image.to_vec(), pixel.repeat(900));
        for handler in &mut images {
            let ExternalImageSource::RawData(bytes) = handler.lock(context.into(), None) else { panic!() };
            assert_eq!(bytes[..4], pixel);
        }
        gpu.drop_texture(texture_id);
    }
    let [first, second] = presenters;
    drop(first);
    for handler in &mut images {
        assert!(
            matches!(handler.lock(ContextId(0).into(), None), ExternalImageSource::RawData(_)),
            "locked before"
        );
        handler.unlock(ContextId(0).into());
        handler.unlock(ContextId(0).into());
        assert!(matches!(handler.lock(ContextId(0).into(), None), ExternalImageSource::Invalid));
        assert!(
            matches!(handler.lock(ContextId(1).into(), None), ExternalImageSource::RawData(_)),
            "not concerned"
        );
    }
    drop(second);
    world.presenter.maintain();
    world.finish();
}

// The engine's own closures run on the poller, and one that panics ends nothing.
#[test]
fn the_poller_runs_the_engines_closures() {
    let mut world = world!();
    let poller = world.presenter.poller().clone();
    let texture = world.solid(RED, size(64, 64));
    let wait = |world: &World, panics: bool| {
        let (sender, receiver) = channel();
        let index = world.gpu.global.queue_on_submitted_work_done(
            world.device.queue,
            Box::new(move || {
                sender.send(std::thread::current().id()).unwrap();
                assert!(!panics, "on purpose");
            }),
        );
        poller.wait_for(world.device.id, index);
        receiver.recv_timeout(TIMEOUT).expect("the closure runs")
    };
    assert_ne!(wait(&world, true), std::thread::current().id());
    assert_ne!(wait(&world, false), std::thread::current().id());
    world.present_and_wait(texture, 1);
    assert_eq!(world.shown(), RED);
    world.finish();
}

// A backend that no frame memory works on: typed errors, acknowledged epochs, and the poller polls all the same.
#[test]
fn an_unsupported_backend_fails_and_polls() {
    let gpu = Gpu::noop();
    let device = gpu.device();
    let map = ContextMap::default();
    let sink = Arc::new(Sink::default());
    let mut presenter = Presenter::new(gpu.global.clone(), &map, sink.clone(), PresenterOptions::default());
    let descriptor =
        ContextDescriptor { owner: OwnerId(0), size: size(4, 2), buffer_ids: BufferIds::Allocated };
    presenter.create_context(CONTEXT, descriptor).unwrap();
    presenter.set_image_key(CONTEXT, ImageKey::new(IdNamespace(1), 1)).unwrap();
    let format = TextureFormat::Bgra8Unorm;
    let texture_id = gpu.texture(device, format, size(4, 2), TextureUsages::COPY_SRC);
    let configuration = ContextConfiguration {
        device_id: device.id,
        queue_id: device.queue,
        format,
        alpha_mode: AlphaMode::Premultiplied,
        size: size(4, 2),
    };
    let texture = PendingTexture { texture_id, encoder_ids: None, configuration };
    presenter.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(7)).unwrap();
    assert_eq!(sink.0.lock().unwrap().last().unwrap().2, Some(7));
    let (sender, receiver) = channel();
    presenter.get_image(CONTEXT, Some(texture), move |answer| sender.send(answer).expect("it is awaited"));
    let answer = receiver.recv_timeout(TIMEOUT).unwrap();
    assert!(matches!(answer, Err(GetImageError::Texture(PresentError::UnsupportedBackend))));
    let (sender, receiver) = channel();
    let closure = Box::new(move || sender.send(()).expect("it is awaited"));
    let index = gpu.global.queue_on_submitted_work_done(device.queue, closure);
    presenter.poller().wait_for(device.id, index);
    receiver.recv_timeout(TIMEOUT).expect("the closure runs");
    presenter.drop_device(device.id);
}

// A script that waits for a destroyed device is answered, in the maintenance that the poller asks for.
#[test]
fn closures_of_a_destroyed_device_run() {
    let Some(gpu) = Gpu::for_test() else { return };
    let device = gpu.device();
    let (sender, wakes) = channel();
    let options = PresenterOptions {
        wake: Arc::new(move || sender.send(()).expect("it is awaited")),
        ..PresenterOptions::default()
    };
    let sink = Arc::new(Sink::default());
    let mut presenter = Presenter::new(gpu.global.clone(), &ContextMap::default(), sink, options);
    presenter.destroy_device(device.id);
    presenter.maintain();
    let (sender, receiver) = channel();
    let closure = Box::new(move || sender.send(()).expect("it is awaited"));
    let index = gpu.global.queue_on_submitted_work_done(device.queue, closure);
    presenter.poller().wait_for(device.id, index);
    while receiver.try_recv().is_err() {
        wakes.recv_timeout(TIMEOUT).expect("maintenance is asked for");
        presenter.maintain();
    }
    presenter.drop_device(device.id);
    assert_no_validation_errors();
}

// Dropping a presenter ends its threads within a bound, whatever is in flight.
#[test]
fn a_presenter_goes_in_bounded_time() {
    let mut world = world!();
    for epoch in 0..20 {
        let texture = world.solid(RED, size(2048, 1024));
        world.present(texture, epoch).unwrap();
    }
    let start = Instant::now();
    world.finish();
    assert!(start.elapsed() < Duration::from_secs(5));
}

// D16 and R14: devices come and go.
#[test]
fn a_flood_of_devices_leaves_nothing_behind() {
    let mut world = world!();
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    for round in 0..30 {
        let device = world.gpu.device();
        let previous = std::mem::replace(&mut world.device, device);
        let texture = world.solid([round, 0, 0, 255], size(64, 64));
        world.present(texture, u64::from(round)).unwrap();
        if round % 2 == 0 {
            world.presenter.destroy_device(previous.id);
        }
        world.presenter.drop_device(previous.id);
        world.gpu.global.queue_drop(previous.queue);
    }
    for _ in 0..30 {
        world.end();
    }
    assert_eq!((world.shown(), world.read()), ([29, 0, 0, 255], [29, 0, 0, 255]));
    let deadline = Instant::now() + TIMEOUT;
    while threads() > 40 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(threads() <= 40, "{} threads", threads());
    let hub = world.gpu.global.generate_report();
    assert_eq!(hub.hub_report().devices.num_kept_from_user, 1);
    world.finish();
}
