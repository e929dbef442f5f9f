//! What `wake` asks for, and that heeding it is enough.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::world::*;
use crate::gpu::fake::FakeGpu;
use crate::{
    BufferIds, CanvasEpoch, Contents, ContextDescriptor, ContextMap, OwnerId, Presenter, PresenterOptions,
};

const RED: [u8; 4] = [0, 0, 255, 255];

/// A presenter with a context, and a `wake` of the test's.
fn with_wake(memory: FrameMemoryKind, wake: Arc<dyn Fn() + Send + Sync>) -> (FakeGpu, Presenter, ContextMap) {
    let gpu = FakeGpu::new(memory);
    let map = ContextMap::default();
    let options = PresenterOptions { wake, ..Default::default() };
    let sink = Arc::new(Recorder::default());
    let mut presenter = Presenter::with_gpu(Arc::new(gpu.clone()), &map, sink, options);
    let descriptor =
        ContextDescriptor { owner: OwnerId(0), size: size(4, 2), buffer_ids: BufferIds::Allocated };
    presenter.create_context(CONTEXT, descriptor).unwrap();
    (gpu, presenter, map)
}

fn present(gpu: &FakeGpu, presenter: &mut Presenter, epoch: u64) {
    let texture = pending(gpu.texture(device(0), RED, None), 0, size(4, 2));
    presenter.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(epoch)).unwrap();
}

fn read(presenter: &mut Presenter) -> Receiver<Answer> {
    let (sender, receiver) = channel();
    presenter.get_image(CONTEXT, None, move |answer| sender.send(answer).expect("it is awaited"));
    receiver
}

#[rstest]
fn a_panicking_wake_stops_no_poller(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let (gpu, mut presenter, _map) = with_wake(memory, Arc::new(|| panic!("on purpose")));
    present(&gpu, &mut presenter, 1);
    // Closures of a destroyed device are for the maintenance: the poller asks for it, with a frame in flight.
    presenter.destroy_device(device(0));
    presenter.poller().wake(device(0));
    std::thread::sleep(Duration::from_millis(50));
    gpu.finish(device(0));
    let image = read(&mut presenter);
    let arrived = match memory {
        Owned => RED,
        Portable => [0; 4],
    };
    assert_eq!(first_pixel(&answer(&image).unwrap()), arrived);
}

// `wake` may take the engine's locks, under which the engine calls the presenter.
#[rstest]
fn no_lock_is_held_while_waking(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let engine = Arc::new(parking_lot::Mutex::new(()));
    let (entered, waking) = channel();
    let wake = {
        let engine = engine.clone();
        move || {
            // Only the first is waited for.
            let _ = entered.send(());
            drop(engine.lock());
        }
    };
    let (gpu, mut presenter, _map) = with_wake(memory, Arc::new(wake));
    present(&gpu, &mut presenter, 1);
    presenter.poller().wait_for(device(0), 1);
    let held = engine.lock();
    presenter.destroy_device(device(0));
    gpu.finish(device(0));
    waking.recv_timeout(TIMEOUT).expect("closures of a destroyed device are for the maintenance");
    presenter.drop_device(device(0));
    drop(held);
}

#[rstest]
fn maintenance_is_asked_for_until_a_destroyed_device_is_idle_and_delays_no_frame(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let (sender, wakes) = channel();
    let (gpu, mut presenter, _map) =
        with_wake(memory, Arc::new(move || sender.send(()).expect("it is awaited")));
    present(&gpu, &mut presenter, 1);
    presenter.destroy_device(device(0));
    for _ in 0..500 {
        presenter.maintain();
    }
    let start = Instant::now();
    gpu.finish(device(0));
    answer(&read(&mut presenter)).unwrap();
    assert!(start.elapsed() < Duration::from_millis(250), "{:?}", start.elapsed());
    wakes.recv_timeout(TIMEOUT).expect("maintenance is asked for");
}

// D13 and P7: what wake asks for is enough.
#[rstest]
fn an_idle_context_is_trimmed_when_wake_is_heeded(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let (sender, wakes) = channel();
    let (gpu, mut presenter, _map) =
        with_wake(memory, Arc::new(move || sender.send(()).expect("it is awaited")));
    for epoch in 1..=9 {
        present(&gpu, &mut presenter, epoch);
        if epoch % 3 == 0 {
            gpu.finish(device(0));
            answer(&read(&mut presenter)).unwrap();
        }
    }
    // What is shown was copied out of portable memory.
    let shown = usize::from(memory == Owned);
    assert!(gpu.buffers() > shown);
    while gpu.buffers() > shown {
        wakes.recv_timeout(TIMEOUT).expect("maintenance is asked for");
        presenter.maintain();
    }
    assert_eq!(gpu.buffers(), shown);
}

// P7: the headroom of a canvas that has grown and is presented in each frame.
#[rstest]
fn maintenance_frees_headroom(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let (frame, start) = (256 * 4 * 200, Instant::now());
    let mut roomy = false;
    for epoch in 1.. {
        let texture = world.texture([7; 4], size(256, if epoch < 3 { 100 } else { 200 }));
        let present = world.present_texture(texture, epoch).unwrap();
        world.finish(present);
        world.shown();
        world.presenter.maintain();
        roomy |= world.gpu.largest_buffer() > frame;
        if roomy && world.gpu.largest_buffer() == frame {
            break;
        }
        assert!(start.elapsed() < TIMEOUT, "{} bytes", world.gpu.largest_buffer());
        std::thread::sleep(Duration::from_millis(50));
    }
}

// D13 and P7, when the WebGPU thread waits itself, so that no thread of the device's need run.
#[rstest]
fn an_idle_context_of_a_presenter_that_spins_is_trimmed_when_wake_is_heeded(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let (sender, wakes) = channel();
    let gpu = FakeGpu::new(memory);
    let options = PresenterOptions {
        wake: Arc::new(move || sender.send(()).unwrap_or(())),
        spin: TIMEOUT,
        ..Default::default()
    };
    let (map, sink) = (ContextMap::default(), Arc::new(Recorder::default()));
    let mut presenter = Presenter::with_gpu(Arc::new(gpu.clone()), &map, sink, options);
    let buffer_ids = BufferIds::Allocated;
    let descriptor = ContextDescriptor { owner: OwnerId(0), size: size(4, 2), buffer_ids };
    presenter.create_context(CONTEXT, descriptor).unwrap();
    for epoch in 1..=3 {
        std::thread::scope(|scope| {
            let submits = gpu.submits();
            let gpu = &gpu;
            scope.spawn(move || {
                while gpu.submits() == submits {
                    std::thread::yield_now();
                }
                gpu.finish(device(0));
            });
            present(gpu, &mut presenter, epoch);
        });
    }
    // What is shown was copied out of portable memory.
    let shown = usize::from(memory == Owned);
    while gpu.buffers() > shown {
        wakes.recv_timeout(TIMEOUT / 2).expect("maintenance is asked for");
        presenter.maintain();
    }
}

#[rstest]
fn a_presenter_may_be_told_to_spin_without_end(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let gpu = FakeGpu::new(memory);
    let options = PresenterOptions { spin: Duration::MAX, ..Default::default() };
    let (map, sink) = (ContextMap::default(), Arc::new(Recorder::default()));
    let mut presenter = Presenter::with_gpu(Arc::new(gpu.clone()), &map, sink, options);
    presenter.maintain();
    presenter.batch().submit();
}
