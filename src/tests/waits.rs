//! Waits for the GPU that do not end as they should: errors that pass, errors that do not, success without work done, and indices
//! that were never submitted.

use std::time::{Duration, Instant};

use wgpu_hal::DeviceError;

use super::world::*;
use crate::{GetImageError, PresentError};

// A driver is short of memory for a moment. That is not the end of the device.
#[rstest]
fn a_wait_that_fails_for_a_moment_is_tried_again(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
    #[values(DeviceError::OutOfMemory, DeviceError::Unexpected)] error: DeviceError,
) {
    let mut world = World::showing_red(memory);
    world.gpu.end_next_waits(Err(error), 5);
    let green = world.present(GREEN, 2);
    world.finish(green);
    world.assert_presented(green);
    world.assert_shows(GREEN);
}

#[rstest]
fn a_wait_that_fails_for_ever_is_given_up_without_haste(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
    #[values(DeviceError::OutOfMemory, DeviceError::Unexpected)] error: DeviceError,
) {
    let mut world = World::showing_red(memory);
    let before = world.gpu.waits();
    world.gpu.end_next_waits(Err(error.clone()), usize::MAX);
    let green = world.present(GREEN, 2);
    let waiting = world.get_image(None);
    let failure = world.error_of(green);
    let is_right = match error {
        DeviceError::OutOfMemory => matches!(failure, PresentError::OutOfMemory),
        _ => matches!(failure, PresentError::DeviceLost),
    };
    assert!(is_right, "{failure:?}");
    assert!(matches!(answer(&waiting), Err(GetImageError::Texture(_))));
    let waits = world.gpu.waits() - before;
    assert!(waits < 200, "{waits} waits in a second");
    assert_eq!((world.shown(), world.acknowledged()), (RED, Some(2)));
    // The device is there still.
    world.gpu.end_next_waits(Ok(true), 0);
    world.show(GREEN, 3);
    world.assert_shows(GREEN);
}

// Vulkan lets a wait succeed on a lost device: the copy never ran, and what the memory holds is of an earlier frame.
#[rstest]
fn a_wait_that_succeeds_on_a_lost_device_shows_nothing(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    world.gpu.lose(device(0));
    world.gpu.end_next_waits(Ok(true), usize::MAX);
    let texture = world.texture_on(1, GREEN);
    // This device lies too, for a moment, but it is not lost.
    let green = world.present_texture(texture, 2).unwrap();
    let waiting = world.get_image(None);
    std::thread::sleep(Duration::from_millis(50));
    assert!(waiting.try_recv().is_err(), "its copy has not run");
    world.gpu.end_next_waits(Ok(true), 0);
    world.gpu.finish(device(1));
    world.until_ended(green);
    assert_eq!((world.shown(), answered_pixel(&waiting)), (GREEN, GREEN));
}

#[rstest]
fn a_device_that_is_lost_while_a_wait_succeeds_fails_its_presents(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::showing_red(memory);
    let green = world.present(GREEN, 2);
    world.gpu.end_next_waits(Ok(true), usize::MAX);
    world.gpu.lose(device(0));
    assert!(matches!(world.error_of(green), PresentError::DeviceLost));
    world.assert_shows(RED);
    assert_eq!(world.acknowledged(), Some(2));
}

// The frame of a submission that is made while the poller waits for an unknown one must not end with it.
#[rstest]
fn an_unknown_index_ends_no_wait_that_is_added_meanwhile(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    world.gpu.have_fence_pool();
    for round in 2..200 {
        world.presenter.poller().wait_for(device(0), 1_000_000);
        let pixel = [round as u8; 4];
        let sequence = world.show(pixel, round);
        world.assert_presented(sequence);
        world.assert_shows(pixel);
    }
}

// A wrong index is a mistake of one caller, perhaps one page's. It must not fail the frames of the device.
#[rstest]
fn an_unknown_index_ends_its_own_wait_alone(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    world.gpu.have_fence_pool();
    let green = world.present(GREEN, 2);
    let polls = world.gpu.polls(device(0));
    world.presenter.poller().wait_for(device(0), 1000);
    world.finish(green);
    world.assert_presented(green);
    world.assert_shows(GREEN);
    spin_until("the wait is over", || world.gpu.polls(device(0)) > polls + 1);
    let began = Instant::now();
    world.show(RED, 3);
    world.assert_shows(RED);
    assert!(began.elapsed() < TIMEOUT);
}
