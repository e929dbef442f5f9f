//! How the work of many canvases is gathered, who waits for it, and who does not.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use webrender_api::{ExternalImageData, ImageDescriptor, ImageKey};

use super::owners::{PAGE, descriptor};
use super::world::*;
use crate::gpu::fake::FakeGpu;
use crate::{CanvasEpoch, Contents, ContextId, ContextMap, ImageSink, Presenter, PresenterOptions};

const CANVASES: u64 = 100;

/// Counts transactions, and remembers on which threads images were updated.
#[derive(Default)]
struct Transactions {
    updates: Mutex<Vec<ThreadId>>,
    flushes: Mutex<usize>,
}

impl ImageSink for Transactions {
    fn add_image(&self, _: ImageKey, _: ImageDescriptor, _: ExternalImageData) {}

    fn update_image(&self, _: ImageKey, _: ImageDescriptor, _: ExternalImageData, _: Option<CanvasEpoch>) {
        self.updates.lock().push(thread::current().id());
    }

    fn delete_image(&self, _: ImageKey) {}

    fn flush(&self) {
        *self.flushes.lock() += 1;
    }
}

impl Transactions {
    fn updates(&self) -> usize {
        self.updates.lock().len()
    }

    fn until(&self, updates: usize) {
        let start = Instant::now();
        while self.updates() < updates {
            assert!(start.elapsed() < TIMEOUT, "waited in vain for update {updates}");
            thread::yield_now();
        }
    }
}

/// A presenter that spins for so long, with so many canvases that are displayed.
fn presenter(gpu: &FakeGpu, sink: &Arc<Transactions>, spin: Duration, canvases: u64) -> Presenter {
    let options = PresenterOptions { spin, ..Default::default() };
    let map = ContextMap::default();
    let mut presenter = Presenter::with_gpu(Arc::new(gpu.clone()), &map, sink.clone(), options);
    for id in 0..canvases {
        presenter.create_context(ContextId(id), descriptor(PAGE)).unwrap();
        presenter.set_image_key(ContextId(id), key(id as u32)).unwrap();
    }
    presenter
}

/// Presents a texture of a device to each canvas, in one batch that destroys them.
fn present_all(gpu: &FakeGpu, presenter: &mut Presenter, canvases: u64, device: u32) {
    let mut batch = presenter.batch();
    for id in 0..canvases {
        let texture = pending(gpu.texture(super::world::device(device), [1; 4], None), device, size(4, 2));
        batch.present(ContextId(id), Contents::Texture(texture), CanvasEpoch(1)).unwrap();
        batch.destroy_texture(texture.texture_id);
        batch.drop_texture(texture.texture_id);
    }
}

// D10: and WebRender got a hundred transactions.
#[rstest]
fn all_canvases_of_a_batch_are_one_submission_and_hardly_more_than_one_transaction(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let (gpu, sink) = (FakeGpu::new(memory), Arc::default());
    let mut presenter = presenter(&gpu, &sink, Duration::ZERO, CANVASES);
    let (submits, flushes) = (gpu.submits(), *sink.flushes.lock());
    present_all(&gpu, &mut presenter, CANVASES, 0);
    assert_eq!(gpu.submits() - submits, 1);
    assert_eq!(gpu.textures(), 0, "destroyed after the submit");
    assert_eq!(sink.updates(), 0);
    gpu.finish(device(0));
    sink.until(CANVASES as usize);
    drop(presenter);
    // A machine that is slow gets one every 4 ms.
    let flushes = *sink.flushes.lock() - flushes;
    assert!(flushes <= CANVASES as usize / 10, "{flushes} transactions");
}

// What the documentation of `Batch` tells engines to do.
#[rstest]
fn messages_of_a_channel_are_gathered_until_one_of_another_kind_comes(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    enum Request {
        Present(u64),
        DestroyAndDrop,
        Other,
    }
    let (gpu, sink) = (FakeGpu::new(memory), Arc::default());
    let mut presenter = presenter(&gpu, &sink, Duration::ZERO, CANVASES);
    let (sender, requests) = channel();
    for id in 0..CANVASES {
        sender.send(Request::Present(id)).unwrap();
        sender.send(Request::DestroyAndDrop).unwrap();
        if id == 30 {
            sender.send(Request::Other).unwrap();
        }
    }
    let mut submits = Vec::new();
    loop {
        let before = gpu.submits();
        let mut batch = presenter.batch();
        let mut presented = None;
        let mut drained = true;
        for request in requests.try_iter() {
            match request {
                Request::Present(id) => {
                    let texture = gpu.texture(device(0), [1; 4], None);
                    let contents = Contents::Texture(pending(texture, 0, size(4, 2)));
                    batch.present(ContextId(id), contents, CanvasEpoch(1)).unwrap();
                    presented = Some(texture);
                }
                Request::DestroyAndDrop => {
                    let texture = presented.take().unwrap();
                    batch.destroy_texture(texture);
                    batch.drop_texture(texture);
                }
                Request::Other => {
                    drained = false;
                    break;
                }
            }
        }
        batch.submit();
        submits.push(gpu.submits() - before);
        if drained {
            break;
        }
    }
    assert_eq!(submits, [1, 1]);
    assert_eq!(gpu.textures(), 0);
    gpu.finish(device(0));
    sink.until(CANVASES as usize);
}

#[test]
fn a_presenter_that_spins_shows_what_is_done_in_time_on_its_own_thread() {
    // Portable memory must be polled for first, which may have to wait.
    let (gpu, sink) = (FakeGpu::new(Owned), Arc::<Transactions>::default());
    let mut presenter = presenter(&gpu, &sink, TIMEOUT, 3);
    thread::scope(|scope| {
        scope.spawn(|| {
            while gpu.submits() == 0 {
                thread::yield_now();
            }
            thread::sleep(Duration::from_millis(20));
            gpu.finish(device(0));
        });
        present_all(&gpu, &mut presenter, 3, 0);
        assert_eq!(*sink.updates.lock(), [thread::current().id(); 3]);
    });
}

#[rstest]
fn what_is_not_done_while_a_presenter_spins_is_left_to_the_poller(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let (gpu, sink) = (FakeGpu::new(memory), Arc::<Transactions>::default());
    let mut presenter = presenter(&gpu, &sink, Duration::from_millis(1), 2);
    present_all(&gpu, &mut presenter, 2, 0);
    assert_eq!((sink.updates(), gpu.textures()), (0, 0));
    gpu.finish(device(0));
    sink.until(2);
    assert!(!sink.updates.lock().contains(&thread::current().id()));
}

#[test]
fn a_presenter_spins_no_longer_than_its_device_lives() {
    let (gpu, sink) = (FakeGpu::new(Owned), Arc::<Transactions>::default());
    // A second, the longest there is.
    let mut presenter = presenter(&gpu, &sink, TIMEOUT, 1);
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            while gpu.submits() == 0 {
                thread::yield_now();
            }
            gpu.lose(device(0));
        });
        present_all(&gpu, &mut presenter, 1, 0);
    });
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
    // The failure is acknowledged.
    sink.until(1);
}

// Until then wgpu-core keeps canvas textures that were destroyed, and the next ones need memory of their own.
#[rstest]
fn a_device_is_polled_once_its_frames_are_told_of(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    for spin in [Duration::ZERO, TIMEOUT] {
        let (gpu, sink) = (FakeGpu::new(memory), Arc::<Transactions>::default());
        let mut presenter = presenter(&gpu, &sink, spin, 1);
        thread::scope(|scope| {
            scope.spawn(|| {
                while gpu.submits() == 0 {
                    thread::yield_now();
                }
                gpu.finish(device(0));
            });
            present_all(&gpu, &mut presenter, 1, 0);
        });
        let start = Instant::now();
        while gpu.polls(device(0)) == 0 {
            assert!(start.elapsed() < TIMEOUT, "it is polled");
            thread::yield_now();
        }
    }
}

// D9: the poller waited for all devices, with the lock that every submit needs.
#[rstest]
fn a_device_that_hangs_keeps_nobody_waiting_on_the_webgpu_thread(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    const HANGS: u32 = 9;
    let mut world = World::new(memory);
    let other = ContextId(8);
    world.presenter.create_context(other, descriptor(PAGE)).unwrap();
    let hung = |world: &mut World| {
        let texture = world.gpu.texture(device(HANGS), [2; 4], None);
        let contents = Contents::Texture(pending(texture, HANGS, size(4, 2)));
        world.presenter.present(other, contents, CanvasEpoch(1)).unwrap();
        texture
    };
    let texture = hung(&mut world);
    // Its own device too: textures come and go, presents are superseded, closures are waited for.
    for _ in 0..20 {
        hung(&mut world);
    }
    world.presenter.poller().wait_for(device(HANGS), 5);
    let mut batch = world.presenter.batch();
    batch.destroy_texture(texture);
    batch.drop_texture(texture);
    batch.submit();
    world.presenter.maintain();
    // And all that concerns others.
    for epoch in 1..=20 {
        let present = world.present([epoch as u8; 4], epoch);
        world.finish(present);
        assert_eq!((world.shown()[0], world.read_pixel()[0]), (epoch as u8, epoch as u8));
    }
    let (sender, receiver) = channel();
    world.presenter.get_image(other, None, move |answer| sender.send(answer).unwrap());
    world.presenter.destroy_device(device(HANGS));
    world.presenter.drop_device(device(HANGS));
    world.presenter.destroy_context(other).unwrap();
    assert!(answer(&receiver).is_err());
}

/// To convert a canvas of another colour space takes tens of milliseconds if it is large.
#[rstest]
fn a_frame_does_not_wait_for_the_conversion_of_another_one(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let (gpu, sink) = (FakeGpu::new(memory), Arc::<Transactions>::default());
    let mut presenter = presenter(&gpu, &sink, Duration::ZERO, 2);
    let flushes = *sink.flushes.lock();
    let mut batch = presenter.batch();
    for (id, side) in [(0, 4), (1, 512)] {
        let mut texture = pending(gpu.texture(device(0), [1; 4], None), 0, size(side, side));
        if side > 4 {
            texture.configuration.color_space = crate::PredefinedColorSpace::DisplayP3;
        }
        batch.present(ContextId(id), Contents::Texture(texture), CanvasEpoch(1)).unwrap();
    }
    batch.submit();
    gpu.finish(device(0));
    sink.until(2);
    // Until the second transaction ends too.
    thread::sleep(Duration::from_millis(50));
    assert_eq!(*sink.flushes.lock() - flushes, 2, "the first is told of before the second is converted");
}
