//! What is shown and read when something goes wrong: with a texture, with memory, with a submission or with a whole device.

use std::sync::mpsc;

use super::world::*;
use crate::gpu::fake::{self, Fault};
use crate::{
    AlphaMode, BufferIds, CanvasEpoch, Contents, ContextId, GetImageError, PendingTexture, PresentEnd,
    PresentError,
};

/// Why the present of a texture fails.
#[track_caller]
fn fail(world: &mut World, texture: PendingTexture) -> PresentError {
    let _ = world.present_texture(texture, 2);
    world.error_of(2)
}

// A canvas must not go blank because of a failure that is not script's.
#[rstest]
fn a_failed_present_keeps_the_last_good_frame(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    let foreign = world.foreign();
    assert!(matches!(fail(&mut world, foreign), PresentError::WrongDevice));
    world.assert_shows(RED);

    let mut world = World::showing_red(memory);
    // With headroom, because the canvas grows, and without.
    world.gpu.fail_next_creations(2);
    let texture = world.texture(GREEN, size(400, 200));
    assert!(matches!(fail(&mut world, texture), PresentError::OutOfMemory));
    world.assert_shows(RED);
    // A failed creation must leave no id behind on which the next one fails.
    world.show_texture(world.texture(GREEN, size(400, 200)), 3);
    assert_eq!(world.shown(), GREEN);

    let mut world = World::showing_red(memory);
    let mut texture = world.texture(GREEN, size(4, 2));
    texture.configuration.format = wgpu_types::TextureFormat::Rgba32Float;
    assert!(matches!(fail(&mut world, texture), PresentError::UnsupportedFormat(_)));
    world.assert_shows(RED);
}

// WebGPU says that an error texture presents blank.
#[rstest]
fn an_invalid_or_destroyed_texture_shows_the_cleared_frame(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    for (fault, opaque) in
        [(Fault::Invalid, false), (Fault::Destroyed, false), (Fault::Invalid, true), (Fault::Destroyed, true)]
    {
        let mut world = World::showing_red(memory);
        let mut texture = world.faulty(fault);
        if opaque {
            texture.configuration.alpha_mode = AlphaMode::Opaque;
        }
        let error = fail(&mut world, texture);
        assert!(
            matches!(error, PresentError::TextureInvalid if fault == Fault::Invalid)
                || matches!(error, PresentError::TextureDestroyed if fault == Fault::Destroyed)
        );
        world.assert_shows(if opaque { [0, 0, 0, 255] } else { CLEAR });
    }
}

#[rstest]
fn a_lost_device_fails_what_is_in_flight_and_keeps_what_is_shown(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::showing_red(memory);
    let lost = world.present(GREEN, 2);
    let waiting = world.get_image(None);
    let capture = world.get_image(Some(world.texture(GREEN, size(3, 3))));
    world.gpu.lose(device(0));
    assert!(matches!(world.error_of(lost), PresentError::DeviceLost));
    for read in [&waiting, &capture] {
        assert!(matches!(answer(read), Err(GetImageError::Texture(PresentError::DeviceLost))));
    }
    assert_eq!(world.read_pixel(), RED, "a later read gets the last good frame");
    world.assert_shows(RED);
    assert_eq!(world.acknowledged(), Some(2));
    // Another device goes on.
    world.show_texture(world.texture_on(1, GREEN), 3);
    assert_eq!(world.shown(), GREEN);
}

// Another frame must not be the answer of a read, though one before it arrives.
#[rstest]
fn a_read_of_a_failed_present_says_why(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    world.present(RED, 1);
    let lost = world.present_texture(world.texture_on(1, GREEN), 2).unwrap();
    let waiting = world.get_image(None);
    world.gpu.lose(device(1));
    world.until_ended(lost);
    assert!(matches!(answer(&waiting), Err(GetImageError::Texture(PresentError::DeviceLost))));
    world.gpu.finish(device(0));
    world.until_ended(1);
    assert_eq!(world.shown(), RED);
}

// wgpu-core frees portable memory with its device.
#[rstest]
fn work_in_flight_on_a_destroyed_or_dropped_device_is_shown_if_its_memory_is_owned(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::showing_red(memory);
    let green = world.present(GREEN, 2);
    world.presenter.destroy_device(device(0));
    world.presenter.maintain();
    world.presenter.drop_device(device(0));
    world.presenter.maintain();
    world.finish(green);
    match memory {
        Owned => world.assert_shows(GREEN),
        Portable => {
            assert!(matches!(world.error_of(green), PresentError::DeviceLost));
            world.assert_shows(RED);
        }
    }
    assert_eq!(world.acknowledged(), Some(2));
}

// wgpu-core may drop a mapping callback, or lose the device unnoticed. Script that waits for the frame must not wait for ever.
#[test]
fn a_mapping_that_never_comes_fails_the_present_and_answers_the_read() {
    let mut world = World::showing_red(Portable);
    let green = world.present(GREEN, 2);
    let waiting = world.get_image(None);
    world.gpu.fail_next_mappings(1);
    world.finish(green);
    assert!(matches!(world.error_of(green), PresentError::DeviceLost));
    assert!(matches!(answer(&waiting), Err(GetImageError::Texture(PresentError::DeviceLost))));
    assert_eq!((world.shown(), world.acknowledged()), (RED, Some(2)));
    world.show(GREEN, 3);
    assert_eq!(world.shown(), GREEN);
}

#[rstest]
fn a_present_on_a_destroyed_device_is_blank(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    world.presenter.destroy_device(device(0));
    for (opaque, size) in [(true, size(30, 20)), (false, size(7, 9)), (true, size(4, 2))] {
        let mut texture = world.texture(GREEN, size);
        if opaque {
            texture.configuration.alpha_mode = AlphaMode::Opaque;
        }
        assert!(matches!(fail(&mut world, texture), PresentError::DeviceLost));
        let blank = if opaque { [0, 0, 0, 255] } else { CLEAR };
        assert_eq!(world.shown(), blank);
        let image = world.read_image();
        assert_eq!((image.size(), first_pixel(&image)), (size, blank));
    }
}

// The copy completes after its context is gone. It must neither panic nor leave script waiting.
#[rstest]
fn destroying_a_context_answers_everybody(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    world.present(GREEN, 2);
    let texture = world.texture(GREEN, size(3, 3));
    let waiting = [world.get_image(None), world.get_image(Some(texture))];
    world.presenter.destroy_context(CONTEXT).unwrap();
    waiting.iter().for_each(assert_unknown);
    assert_unknown(&world.get_image(None));
    world.gpu.finish(device(0));
}

// `queue_submit` can fail after the GPU has accepted the work: a buffer that was used again would be overwritten while it is
// read.
#[rstest]
fn after_a_submit_that_may_be_running_its_buffer_is_not_reused(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::showing_red(memory);
    let red = world.last_offer();
    assert_eq!(lock(&mut world.images, red), RED);
    world.gpu.fail_next_submit(PresentError::DeviceLost, true);
    let texture = world.texture(GREEN, size(4, 2));
    assert!(matches!(fail(&mut world, texture), PresentError::DeviceLost));
    // Another device, and a copy of the failed submission that arrives after all.
    world.show_texture(world.texture_on(1, [1; 4]), 3);
    world.gpu.finish(device(0));
    assert_eq!(world.shown(), [1; 4]);
}

// A copy that was to be superseded must not be lost when the newer one is refused.
#[rstest]
fn a_refused_present_supersedes_nothing(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    world.present(RED, 1);
    let green = world.present(GREEN, 2);
    assert!(world.present_texture(world.foreign(), 3).is_ok());
    assert!(matches!(world.error_of(3), PresentError::WrongDevice));
    world.finish(green);
    world.assert_presented(green);
    world.assert_shows(GREEN);
}

// If the newer copy may be running, it may have overwritten the older one: that one fails too, or a torn frame would show.
#[rstest]
fn a_superseded_copy_whose_successor_may_be_running_fails(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let red = world.present(RED, 1);
    let green = world.present(GREEN, 2);
    world.gpu.fail_next_submit(PresentError::DeviceLost, true);
    let last = world.present([3; 4], 3);
    for present in [green, last, red] {
        assert!(matches!(world.error_of(present), PresentError::DeviceLost));
    }
    assert_eq!(world.shown(), CLEAR);
    assert_eq!(world.acknowledged(), Some(3));
}

// A refused copy unmaps the buffer that it was to go to. The poller that completes the frame in that buffer must poll again.
#[rstest]
fn a_refused_copy_harms_no_frame_that_is_just_being_completed(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::empty(memory);
    world.create(BufferIds::Provided(vec![fake::buffer(1000)]));
    let other = ContextId(1);
    world.presenter.create_context(other, descriptor(PAGE)).unwrap();
    let (red, green) = (world.texture(RED, size(4, 2)), world.texture(GREEN, size(4, 2)));
    let mut batch = world.presenter.batch();
    // The last of a submission is completed first.
    let red = batch.present(CONTEXT, Contents::Texture(red), CanvasEpoch(1)).unwrap();
    batch.present(other, Contents::Texture(green), CanvasEpoch(1)).unwrap();
    batch.submit();
    // The poller has polled for both, and is held up between them.
    let (completed, completes) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel();
    world.presenter.get_image(other, None, move |_| {
        completed.send(()).unwrap();
        goes_on.recv_timeout(TIMEOUT).unwrap();
    });
    world.gpu.finish(device(0));
    completes.recv_timeout(TIMEOUT).unwrap();
    let _ = world.present_texture(world.faulty(Fault::Invalid), 2);
    go_on.send(()).unwrap();
    let end = world.end_of(red);
    assert!(!matches!(end, PresentEnd::Failed(_)), "{end:?}");
}
