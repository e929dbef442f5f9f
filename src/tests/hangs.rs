//! A GPU that hangs without a reset: what was asked of it ends all the same, and nothing waits for it for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use wgpu_hal::DeviceError;

use super::hooked_gpu::Call;
use super::world::*;
use crate::gpu::fake;
use crate::{GetImageError, PresentError, PresenterOptions};

fn impatient(memory: FrameMemoryKind) -> World {
    let copy_timeout = Duration::from_millis(50);
    let options = PresenterOptions { copy_timeout, ..PresenterOptions::default() };
    let mut world = World::with_options(memory, options);
    world.create(crate::BufferIds::Allocated);
    world.presenter.set_image_key(CONTEXT, key(1)).unwrap();
    world
}

#[rstest]
fn copies_that_take_too_long_are_given_up(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = impatient(memory);
    let began = Instant::now();
    let red = world.present(RED, 1);
    let waiting = world.get_image(None);
    let capture = world.get_image(Some(world.texture(RED, size(3, 3))));
    assert!(matches!(world.error_of(red), PresentError::TimedOut));
    assert!(began.elapsed() >= Duration::from_millis(50));
    for read in [&waiting, &capture] {
        assert!(matches!(answer(read), Err(GetImageError::Texture(PresentError::TimedOut))));
    }
    assert_eq!((world.shown(), world.acknowledged()), (CLEAR, Some(1)));
    assert_eq!(world.in_flight(), 0);
    let in_flight = world.presenter.memory_report();
    let in_flight = in_flight.iter().filter(|report| report.kind == crate::MemoryKind::InFlight);
    assert_eq!(in_flight.count(), 0, "it counts no more");
    // The next one has its own time. When the GPU is back, it is shown and the first one is not.
    let green = world.present(GREEN, 2);
    world.finish(green);
    world.assert_presented(green);
    world.assert_shows(GREEN);
    assert_eq!(world.recorder.get(|record| record.order.len()), 2);
}

#[rstest]
fn by_default_a_copy_may_take_its_time(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let red = world.present(RED, 1);
    std::thread::sleep(Duration::from_millis(200));
    world.finish(red);
    world.assert_presented(red);
}

#[rstest]
fn the_copies_of_a_device_that_is_gone_end_in_time(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
    #[values(false, true)] is_dropped: bool,
) {
    let mut world = World::showing_red(memory);
    // As many copies as a context may have in flight.
    let reads: Vec<_> = (0..64).map(|_| world.get_image(Some(world.texture(GREEN, size(3, 3))))).collect();
    let green = world.present(GREEN, 2);
    let began = Instant::now();
    world.presenter.destroy_device(device(0));
    if is_dropped {
        world.presenter.drop_device(device(0));
    }
    assert!(began.elapsed() < Duration::from_secs(1), "the WebGPU thread does not wait");
    let first = world.get_image(Some(world.texture_on(1, GREEN)));
    let second = world.get_image(Some(world.texture_on(1, GREEN)));
    assert!(matches!(world.error_of(green), PresentError::DeviceLost));
    for read in &reads {
        assert!(matches!(answer(read), Err(GetImageError::Texture(PresentError::DeviceLost))));
    }
    // They make room for those of another device, which were waiting.
    world.presenter.maintain();
    world.gpu.finish(device(1));
    assert_eq!([&first, &second].map(answered_pixel), [GREEN; 2]);
    // The GPU is back.
    world.gpu.finish(device(0));
    world.assert_shows(RED);
}

#[rstest]
fn a_destroyed_device_that_is_busy_asks_for_maintenance_ever_less_often(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let wakes = Arc::new(AtomicUsize::new(0));
    let (sender, asked) = channel();
    let count = wakes.clone();
    let wake = Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
        let _ = sender.send(());
    });
    let mut world = World::with_options(memory, PresenterOptions { wake, ..PresenterOptions::default() });
    world.create(crate::BufferIds::Allocated);
    world.present(RED, 1);
    world.presenter.destroy_device(device(0));
    let mut maintain_for = |duration| {
        let (before, end) = (wakes.load(Ordering::Relaxed), Instant::now() + duration);
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if asked.recv_timeout(left).is_ok() {
                world.presenter.maintain();
            }
        }
        wakes.load(Ordering::Relaxed) - before
    };
    let in_a_second = maintain_for(Duration::from_secs(1));
    assert!((5..40).contains(&in_a_second), "{in_a_second} requests");
    world.gpu.finish(device(0));
    maintain_for(Duration::from_millis(500));
    assert_eq!(maintain_for(Duration::from_millis(300)), 0, "it is idle");
}

#[rstest]
fn a_queue_is_dropped_once_its_device_is_idle(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
    #[values(false, true)] panics: bool,
) {
    let (mut world, hooks) = World::hooked(memory);
    let id = create(&mut world.presenter, 10, PAGE);
    let red = present(&world.gpu, &mut world.presenter, id, RED).unwrap();
    if panics {
        hooks.panic_in(Call::DropQueue, 1);
    }
    world.presenter.drop_queue(device(0), fake::queue(0));
    std::thread::sleep(Duration::from_millis(50));
    assert!(world.gpu.has_queue(device(0)), "it is busy");
    world.finish_of(id, red);
    if panics {
        // The thread goes on.
        world.presenter.drop_queue(device(0), fake::queue(0));
    }
    spin_until("the queue is dropped", || !world.gpu.has_queue(device(0)));
    assert_eq!(lock_newest(&mut world.images, id), Some(RED));
}

// wgpu-core waits for the queue itself when it is dropped. If that wait fails too it panics, and frees what the GPU is using.
#[rstest]
fn a_queue_is_not_dropped_because_waits_fail(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    let green = world.present(GREEN, 2);
    world.gpu.end_next_waits(Err(DeviceError::OutOfMemory), usize::MAX);
    world.presenter.drop_queue(device(0), fake::queue(0));
    assert!(matches!(world.error_of(green), PresentError::OutOfMemory));
    let before = world.gpu.waits();
    std::thread::sleep(Duration::from_millis(500));
    assert!(world.gpu.has_queue(device(0)), "it is busy");
    let waits = world.gpu.waits() - before;
    assert!(waits < 100, "{waits} waits in half a second");
    world.gpu.end_next_waits(Ok(true), 0);
    world.gpu.finish(device(0));
    spin_until("the queue is dropped", || !world.gpu.has_queue(device(0)));
}

#[rstest]
fn a_queue_whose_device_hangs_or_is_lost_holds_nothing_up(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
    #[values(false, true)] is_lost: bool,
) {
    let mut world = World::showing_red(memory);
    world.present(GREEN, 2);
    let began = Instant::now();
    world.presenter.drop_queue(device(0), fake::queue(0));
    world.presenter.destroy_device(device(0));
    world.presenter.drop_device(device(0));
    // Another device is not concerned.
    world.show_texture(world.texture_on(1, GREEN), 3);
    if is_lost {
        world.gpu.lose(device(0));
        spin_until("the queue is dropped", || !world.gpu.has_queue(device(0)));
    }
    let World { presenter, gpu, .. } = world;
    drop(presenter);
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(gpu.has_queue(device(0)), !is_lost, "the `Global` drops what hangs");
}

#[rstest]
fn a_thread_that_is_stuck_does_not_keep_the_presenter(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let (mut world, hooks) = World::hooked(memory);
    let id = create(&mut world.presenter, 10, PAGE);
    *hooks.waits_take.lock() = Duration::from_secs(20);
    let red = present(&world.gpu, &mut world.presenter, id, RED).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let World { presenter, recorder, .. } = world;
    let began = Instant::now();
    drop(presenter);
    assert!(began.elapsed() < Duration::from_secs(10));
    recorder.assert_destroyed(id, red);
    recorder.assert_ids_returned_once(3);
}
