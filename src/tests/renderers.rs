//! What a renderer gets when it locks an image.

use std::thread;
use std::time::Duration;

use webrender_api::{ExternalImageId, ExternalImageSource, ImageDescriptor};

use super::world::*;
use crate::{BufferIds, ContextMap, ExternalImages};

// WebRender reads a locked frame until its unlock, whatever the page does meanwhile.
#[rstest]
fn a_locked_frame_stays_until_its_last_unlock(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    let offer = world.last_offer();
    let id = ExternalImageId::from(CONTEXT);
    for _ in 0..2 {
        assert_eq!(lock(&mut world.images, offer), RED);
    }
    for i in 2..10 {
        world.show([i; 4], u64::from(i));
    }
    world.presenter.destroy_device(device(0));
    world.presenter.drop_device(device(0));
    world.presenter.destroy_context(CONTEXT).unwrap();
    world.images.unlock(id, Some(offer.1));
    assert_eq!(lock(&mut world.images, offer), RED, "still locked once");
    world.images.unlock(id, Some(offer.1));
    world.images.unlock(id, Some(offer.1));
    assert_eq!(lock(&mut world.images, offer), CLEAR, "the context has ended");
    world.images.unlock(id, Some(offer.1));
}

// A renderer may hold several generations of an image, and unlocks them in any order.
#[rstest]
fn each_generation_has_its_own_unlock(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let id = ExternalImageId::from(CONTEXT);
    let mut offers = Vec::new();
    for value in 1..=3 {
        world.show_texture(world.texture([value; 4], size(value.into(), 2)), value.into());
        offers.push(world.last_offer());
        assert_eq!(lock(&mut world.images, offers[offers.len() - 1]), [value; 4]);
    }
    let held = |world: &World| world.images.held(id).map(|(generation, ..)| generation).collect::<Vec<_>>();
    let [(_, first), (_, second), (_, third)] = offers[..] else { panic!("three generations") };
    let all = [first, second, third].map(Some);
    assert_eq!(held(&world), all);
    for never in [None, Some(third.wrapping_add(1))] {
        world.images.unlock(id, never);
        assert_eq!(held(&world), all, "{never:?} was not locked");
    }
    for _ in 0..2 {
        world.images.unlock(id, Some(second));
        assert_eq!(held(&world), [Some(first), Some(third)]);
    }
    world.images.unlock(id, Some(third));
    world.images.unlock(id, Some(first));
    assert_eq!(held(&world), []);
}

// If a second lock of an id replaced the first one, the buffer of the first would never come back to its ring.
#[rstest]
fn nested_locks_lose_no_buffer(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let id = ExternalImageId::from(CONTEXT);
    for epoch in 1..50 {
        world.show(RED, epoch);
        let (_, generation) = world.last_offer();
        for _ in 0..3 {
            world.images.lock(id, Some(generation));
        }
        for _ in 0..3 {
            world.images.unlock(id, Some(generation));
        }
    }
    assert!(world.gpu.staging_buffers() <= 3, "{}", world.gpu.staging_buffers());
}

#[rstest]
fn a_handler_that_loses_the_generation_gets_the_newest(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    let (descriptor, _) = world.last_offer();
    assert_eq!(uniform_pixel(world.images.lock(CONTEXT.into(), None), &descriptor), RED);
    world.images.unlock(CONTEXT.into(), None);
    world.show(GREEN, 2);
    assert_eq!(uniform_pixel(world.images.lock(CONTEXT.into(), None), &descriptor), GREEN);
}

// WebRender paints an invalid image opaque white, and aborts on one that is too short: whatever generation it asks for, a
// living context must answer with enough bytes.
#[rstest]
fn a_living_context_is_never_invalid(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    world.show_texture(world.texture(RED, size(400, 300)), 1);
    let (descriptor, _) = world.last_offer();
    let (_, first) = world.recorder.calls()[0].offer();
    // The cleared pixel, which came first, has a descriptor of its own.
    for generation in (0..=255).filter(|generation| *generation != first) {
        world.locked((descriptor, generation));
    }
}

// Several WebRender instances may show the same canvas.
#[rstest]
fn handlers_have_their_own_locks(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    let old = world.last_offer();
    let mut second = ExternalImages::new(&world.map);
    assert_eq!(lock(&mut second, old), RED);
    world.show(GREEN, 2);
    assert_eq!(world.shown(), GREEN);
    assert_eq!(lock(&mut second, old), RED, "locked before");
    drop(second);
    assert_eq!(world.shown(), GREEN);
}

#[test]
fn a_map_outlives_everything() {
    let map = ContextMap::default();
    let mut images = ExternalImages::new(&map);
    assert!(matches!(images.lock(ExternalImageId(1), Some(0)), ExternalImageSource::Invalid));
    images.unlock(ExternalImageId(1), Some(0));
}

// If a snapshot were copied under the lock of the map, WebRender's lock of every canvas would wait for script.
#[rstest]
fn a_lock_waits_for_nobody_who_reads(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    let (offer, map) = (world.last_offer(), world.map.clone());
    let (sender, locked) = std::sync::mpsc::channel();
    world.presenter.get_image(CONTEXT, None, move |image| {
        // While script reads here, another thread draws the canvas.
        let renderer = thread::spawn(move || lock(&mut ExternalImages::new(&map), offer));
        let bytes = image.map(|image| image.to_vec().unwrap());
        sender.send((renderer.join(), bytes.is_ok())).expect("it is awaited");
    });
    let (pixel, read) = locked.recv_timeout(TIMEOUT).expect("the lock does not wait for the reply");
    assert_eq!((pixel.unwrap(), read), (RED, true));
}

/// A lock must give at least the bytes that the compositor reads for this offer.
#[track_caller]
fn assert_enough(source: ExternalImageSource<'_>, (descriptor, _): &(ImageDescriptor, u8)) {
    let ExternalImageSource::RawData(bytes) = source else { panic!("no bytes") };
    assert!(bytes.len() >= usize::try_from(descriptor.compute_total_size()).unwrap());
}

// A context of the same id may be created while the compositor still holds a descriptor of the one before.
#[rstest]
fn a_context_that_takes_an_id_over_is_not_taken_for_the_one_before(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
    #[values(false, true)] with_key: bool,
) {
    let mut world = World::new(memory);
    world.show_texture(world.texture(RED, size(400, 300)), 1);
    let old = world.last_offer();
    world.presenter.destroy_context(CONTEXT).unwrap();
    world.create(BufferIds::Allocated);
    if with_key {
        world.presenter.set_image_key(CONTEXT, key(2)).unwrap();
        let green = world.present(GREEN, 1);
        world.gpu.finish(device(0));
        world.recorder.until_ended_again(CONTEXT, green);
        assert_eq!(world.shown(), GREEN);
    }
    assert_enough(world.images.lock(CONTEXT.into(), Some(old.1)), &old);
}

// A slow renderer may ask for a frame that a faster one has passed already.
#[rstest]
fn a_renderer_that_lags_shows_a_newer_frame_of_the_same_layout(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::showing_red(memory);
    let mut slow = ExternalImages::new(&world.map);
    let old = world.last_offer();
    world.show(GREEN, 2);
    assert_eq!(world.shown(), GREEN);
    assert_eq!(lock(&mut slow, old), GREEN);
}

// Without a generation the frame cannot match every descriptor, but it must not be shorter than one that WebRender may hold.
#[rstest]
fn without_a_generation_a_shrunken_canvas_has_enough_bytes(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    world.show_texture(world.texture(RED, size(400, 300)), 1);
    let old = world.last_offer();
    world.show(GREEN, 2);
    assert_enough(world.images.lock(CONTEXT.into(), None), &old);
}

// The limit of 255 generations holds over both lives of an id.
#[rstest]
fn generations_of_a_context_that_is_gone_stay_its_own(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    for epoch in 0..200 {
        world.show_texture(world.texture(RED, size(100, 100)), epoch);
    }
    // WebRender may still have this one queued.
    let old = world.recorder.calls()[10].offer();
    world.presenter.destroy_context(CONTEXT).unwrap();
    world.create(BufferIds::Allocated);
    world.presenter.set_image_key(CONTEXT, key(2)).unwrap();
    for epoch in 0..100 {
        world.present_cleared(size(4, 2), epoch);
    }
    assert_enough(world.images.lock(CONTEXT.into(), Some(old.1)), &old);
    world.images.unlock(CONTEXT.into(), Some(old.1));
    // The new life shows its newest frame in the end.
    let green = world.present(GREEN, 100);
    world.gpu.finish(device(0));
    world.recorder.until_ended_again(CONTEXT, green);
    for _ in 0..100 {
        if world.shown() == GREEN {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("the newest frame is not shown");
}
