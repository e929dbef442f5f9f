//! Who waits for the GPU and for other canvases, and who does not.

use std::thread;
use std::time::{Duration, Instant};

use super::world::*;
use crate::{CanvasEpoch, Contents, ContextId, PredefinedColorSpace, PresenterOptions};

/// A world whose presenter spins for so long, with so many canvases that are displayed.
fn spinning(memory: FrameMemoryKind, spin: Duration, canvases: u32) -> (World, Vec<ContextId>) {
    let mut world = World::with_options(memory, PresenterOptions { spin, ..Default::default() });
    let ids = world.create_displayed(canvases);
    (world, ids)
}

fn until_updated(recorder: &Recorder, updates: usize) {
    recorder.until("the images are updated", |record| record.updated_on.len() >= updates);
}

// Portable memory must be polled for first, which may have to wait: such a presenter leaves all frames to the poller.
#[test]
fn a_presenter_that_spins_shows_what_is_done_in_time_on_its_own_thread() {
    let (mut world, ids) = spinning(Owned, TIMEOUT, 3);
    let (gpu, recorder) = (world.gpu.clone(), world.recorder.clone());
    let finish = || {
        thread::sleep(Duration::from_millis(20));
        gpu.finish(device(0));
    };
    with_submission(&gpu, finish, || {
        world.present_all(&ids, 0);
        assert_eq!(recorder.get(|record| record.updated_on.clone()), [thread::current().id(); 3]);
    });
}

#[rstest]
fn what_is_not_done_while_a_presenter_spins_is_left_to_the_poller(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let (mut world, ids) = spinning(memory, Duration::from_millis(1), 2);
    world.present_all(&ids, 0);
    assert_eq!(world.gpu.textures(), 0);
    assert!(world.recorder.get(|record| record.updated_on.is_empty()));
    world.gpu.finish(device(0));
    until_updated(&world.recorder, 2);
    assert!(!world.recorder.get(|record| record.updated_on.contains(&thread::current().id())));
}

#[test]
fn a_presenter_spins_no_longer_than_its_device_lives() {
    // A presenter spins for a second at most.
    let (mut world, ids) = spinning(Owned, TIMEOUT, 1);
    let (gpu, start) = (world.gpu.clone(), Instant::now());
    with_submission(&gpu, || gpu.lose(device(0)), || world.present_all(&ids, 0));
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
    // The failure is acknowledged.
    until_updated(&world.recorder, 1);
}

// wgpu-core keeps destroyed canvas textures until it is polled: the next ones would need memory of their own.
#[rstest]
fn a_device_is_polled_once_its_frames_are_told_of(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
    #[values(Duration::ZERO, TIMEOUT)] spin: Duration,
) {
    let (mut world, ids) = spinning(memory, spin, 1);
    let gpu = world.gpu.clone();
    with_submission(&gpu, || gpu.finish(device(0)), || world.present_all(&ids, 0));
    spin_until("the device is polled", || gpu.polls(device(0)) > 0);
}

// A poller that waited for all devices, under the lock that every submit needs, would stop every canvas.
#[rstest]
fn a_device_that_hangs_keeps_nobody_waiting_on_the_webgpu_thread(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    const HANGS: u32 = 9;
    let mut world = World::new(memory);
    let other = ContextId(8);
    world.presenter.create_context(other, descriptor(PAGE)).unwrap();
    let hung = |world: &mut World| {
        let texture = world.texture_on(HANGS, [2; 4]);
        world.presenter.present(other, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
        texture.texture_id
    };
    let texture = hung(&mut world);
    // The device itself goes on too: textures come and go, presents are superseded, closures are waited for.
    for _ in 0..20 {
        hung(&mut world);
    }
    world.presenter.poller().wait_for(device(HANGS), 5);
    let mut batch = world.presenter.batch();
    batch.destroy_texture(texture);
    batch.drop_texture(texture);
    batch.submit();
    world.presenter.maintain();
    // So does everything that concerns other devices.
    for epoch in 1..=20u8 {
        world.show([epoch; 4], epoch.into());
        world.assert_shows([epoch; 4]);
    }
    let read = read(&mut world.presenter, other, None);
    world.presenter.destroy_device(device(HANGS));
    world.presenter.drop_device(device(HANGS));
    world.presenter.destroy_context(other).unwrap();
    assert!(answer(&read).is_err());
}

// The conversion of a large canvas of another color space takes tens of milliseconds.
#[rstest]
fn a_frame_does_not_wait_for_the_conversion_of_another_one(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let (mut world, ids) = spinning(memory, Duration::ZERO, 2);
    let flushes = world.recorder.get(|record| record.flushes);
    let small = world.texture([1; 4], size(4, 4));
    let mut large = world.texture([1; 4], size(512, 512));
    large.configuration.color_space = PredefinedColorSpace::DisplayP3;
    let mut batch = world.presenter.batch();
    for (id, texture) in ids.iter().zip([small, large]) {
        batch.present(*id, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
    }
    batch.submit();
    world.gpu.finish(device(0));
    until_updated(&world.recorder, 2);
    // Until the second transaction ends too.
    thread::sleep(Duration::from_millis(50));
    let flushes = world.recorder.get(|record| record.flushes) - flushes;
    assert_eq!(flushes, 2, "the first is told of before the second is converted");
}
