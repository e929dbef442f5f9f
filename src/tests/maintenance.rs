//! What `wake` asks for, and that heeding it is enough.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::world::*;
use crate::{BufferIds, PresenterOptions};

/// A presenter with a context that is not displayed, and a `wake` of the test's.
fn with_wake(memory: FrameMemoryKind, spin: Duration, wake: impl Fn() + Send + Sync + 'static) -> World {
    let options = PresenterOptions { wake: Arc::new(wake), spin, ..Default::default() };
    let mut world = World::with_options(memory, options);
    world.create(BufferIds::Allocated);
    world
}

/// The same, and the calls of `wake`.
fn with_wakes(memory: FrameMemoryKind, spin: Duration) -> (World, Receiver<()>) {
    let (sender, wakes) = channel();
    // The presenter may ask when the test has ended.
    (with_wake(memory, spin, move || _ = sender.send(())), wakes)
}

/// Heeds `wake` until all buffers are freed but those that are shown.
fn maintain_until_trimmed(memory: FrameMemoryKind, world: &mut World, wakes: &Receiver<()>) {
    // What is shown was copied out of portable memory.
    let shown = usize::from(memory == Owned);
    while world.gpu.staging_buffers() > shown {
        wakes.recv_timeout(TIMEOUT / 2).expect("maintenance is asked for");
        world.presenter.maintain();
    }
    assert_eq!(world.gpu.staging_buffers(), shown);
}

// An engine that heeds the deadline and has no message for maintenance.
#[rstest]
fn an_engine_that_heeds_the_deadline_needs_no_wake(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    assert_eq!(world.presenter.maintenance_deadline(), None, "nothing is in flight");
    world.present(RED, 1);
    let deadline = world.presenter.maintenance_deadline().expect("a copy is in flight");
    assert!(deadline.saturating_duration_since(Instant::now()) < Duration::from_millis(100));
    world.gpu.finish(device(0));
    world.until_ended(1);
    // The loop of the engine, without messages. It sleeps for good only when the memory of the idle context is freed.
    let began = Instant::now();
    while let Some(deadline) = world.presenter.maintenance_deadline() {
        assert!(began.elapsed() < TIMEOUT, "it ends");
        thread::sleep(deadline.saturating_duration_since(Instant::now()));
    }
    let shown = usize::from(memory == Owned);
    assert_eq!(world.gpu.staging_buffers(), shown);
}

#[rstest]
fn copies_that_wait_for_room_are_looked_after_soon(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let reads: Vec<_> = (0..200)
        .map(|value| {
            let texture = world.texture([value; 4], size(4, 2));
            world.get_image(Some(texture))
        })
        .collect();
    let stop = Instant::now() + TIMEOUT;
    for (value, read) in (0..).zip(&reads) {
        let image = loop {
            assert!(Instant::now() < stop, "read {value} is answered");
            if let Ok(image) = read.try_recv() {
                break image;
            }
            let deadline = world.presenter.maintenance_deadline().expect("copies wait");
            assert!(deadline.saturating_duration_since(Instant::now()) <= Duration::from_millis(30));
            world.gpu.finish(device(0));
            thread::sleep(deadline.saturating_duration_since(Instant::now()));
        };
        assert_eq!(first_pixel(&image.unwrap()), [value; 4]);
    }
}

// The device is lost while copies wait for room, so that no copy ends as others do.
#[rstest]
fn nothing_is_due_for_ever_after_a_device_was_lost(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let reads: Vec<_> = (0..200)
        .map(|value| {
            let texture = world.texture([value; 4], size(4, 2));
            let read = world.get_image(Some(texture));
            world.presenter.batch().drop_texture(texture.texture_id);
            read
        })
        .collect();
    world.gpu.lose(device(0));
    let began = Instant::now();
    while let Some(deadline) = world.presenter.maintenance_deadline() {
        assert!(began.elapsed() < TIMEOUT, "it ends");
        thread::sleep(deadline.saturating_duration_since(Instant::now()));
    }
    assert!(reads.iter().all(|read| read.try_recv().is_ok_and(|image| image.is_err())));
    assert_eq!(world.recorder.get(|record| record.textures.len()), 200);
}

#[rstest]
fn a_panicking_wake_stops_no_poller(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = with_wake(memory, Duration::ZERO, || panic!("on purpose"));
    world.present(RED, 1);
    // Closures of a destroyed device run in the maintenance: the poller asks for it, with a frame in flight.
    world.presenter.destroy_device(device(0));
    world.presenter.poller().wake(device(0));
    thread::sleep(Duration::from_millis(50));
    world.gpu.finish(device(0));
    let arrived = match memory {
        Owned => RED,
        Portable => CLEAR,
    };
    world.recorder.until_ended(CONTEXT, 1);
    assert_eq!(world.read_pixel(), arrived);
}

// `wake` may take locks under which the engine calls the presenter.
#[rstest]
fn no_lock_is_held_while_waking(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let engine = Arc::new(Mutex::new(()));
    let (entered, waking) = channel();
    let mut world = with_wake(memory, Duration::ZERO, {
        let engine = engine.clone();
        move || {
            // The test waits only for the first of these messages.
            let _ = entered.send(());
            drop(engine.lock());
        }
    });
    world.present(RED, 1);
    world.presenter.poller().wait_for(device(0), 1);
    let held = engine.lock();
    world.presenter.destroy_device(device(0));
    world.gpu.finish(device(0));
    waking.recv_timeout(TIMEOUT).expect("closures of a destroyed device run in the maintenance");
    world.presenter.drop_device(device(0));
    drop(held);
}

#[rstest]
fn maintenance_is_asked_for_until_a_destroyed_device_is_idle_and_delays_no_frame(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let (mut world, wakes) = with_wakes(memory, Duration::ZERO);
    world.present(RED, 1);
    world.presenter.destroy_device(device(0));
    for _ in 0..500 {
        world.presenter.maintain();
    }
    let start = Instant::now();
    world.gpu.finish(device(0));
    world.until_ended(1);
    assert!(start.elapsed() < Duration::from_millis(250), "{:?}", start.elapsed());
    wakes.recv_timeout(TIMEOUT).expect("maintenance is asked for");
}

// An idle canvas must not keep the buffers of its busiest time.
#[rstest]
fn an_idle_context_is_trimmed_when_wake_is_heeded(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let (mut world, wakes) = with_wakes(memory, Duration::ZERO);
    for epoch in 1..=9 {
        world.present(RED, epoch);
        if epoch % 3 == 0 {
            world.gpu.finish(device(0));
            world.read_image();
        }
    }
    assert!(world.gpu.staging_buffers() > usize::from(memory == Owned));
    maintain_until_trimmed(memory, &mut world, &wakes);
}

// When the WebGPU thread waits itself, no thread of the device runs that would notice when it is idle.
#[rstest]
fn an_idle_context_of_a_presenter_that_spins_is_trimmed_when_wake_is_heeded(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let (mut world, wakes) = with_wakes(memory, TIMEOUT);
    for epoch in 1..=3 {
        let gpu = world.gpu.clone();
        with_submission(&gpu, || gpu.finish(device(0)), || _ = world.present(RED, epoch));
    }
    maintain_until_trimmed(memory, &mut world, &wakes);
}

// A canvas that has grown has headroom, which it must lose again although it is presented in each frame.
#[rstest]
fn maintenance_frees_headroom(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let (frame, start) = (256 * 4 * 200, Instant::now());
    let mut roomy = false;
    for epoch in 1.. {
        world.show_texture(world.texture([7; 4], size(256, if epoch < 3 { 100 } else { 200 })), epoch);
        world.shown();
        world.presenter.maintain();
        roomy |= world.gpu.largest_buffer() > frame;
        if roomy && world.gpu.largest_buffer() == frame {
            break;
        }
        assert!(start.elapsed() < TIMEOUT, "{} bytes", world.gpu.largest_buffer());
        thread::sleep(Duration::from_millis(50));
    }
}

#[rstest]
fn a_presenter_may_be_told_to_spin_without_end(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let options = PresenterOptions { spin: Duration::MAX, ..Default::default() };
    let World { mut presenter, .. } = World::with_options(memory, options);
    presenter.maintain();
    presenter.batch().submit();
}
