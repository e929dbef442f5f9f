//! What a renderer locks: R8, R19, R20, R27, I2.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use webrender_api::{ExternalImageHandler, ExternalImageId, ExternalImageSource, ImageDescriptor};

use super::world::*;
use crate::{BufferIds, ContextMap, ExternalImages};

const RED: [u8; 4] = [0, 0, 255, 255];
const GREEN: [u8; 4] = [0, 255, 0, 255];
const CLEAR: [u8; 4] = [0; 4];

// R19.
#[rstest]
fn a_locked_frame_stays_until_its_last_unlock(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let red = world.present(RED, 1);
    world.finish(red);
    let (descriptor, generation) = world.last_offer();
    let id = ExternalImageId::from(CONTEXT);
    for _ in 0..2 {
        assert_eq!(uniform_pixel(world.images.lock(id, Some(generation)), &descriptor), RED);
    }
    for i in 2..10 {
        let present = world.present([i; 4], u64::from(i));
        world.finish(present);
    }
    world.presenter.destroy_device(device(0));
    world.presenter.drop_device(device(0));
    world.presenter.destroy_context(CONTEXT).unwrap();
    world.images.unlock(id);
    assert_eq!(uniform_pixel(world.images.lock(id, Some(generation)), &descriptor), RED, "still locked once");
    world.images.unlock(id);
    world.images.unlock(id);
    assert!(matches!(world.images.lock(id, Some(generation)), ExternalImageSource::Invalid));
    world.images.unlock(id);
}

// D14: a second lock of one id overwrote the first, whose buffer left the ring.
#[rstest]
fn nested_locks_lose_no_buffer(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let id = ExternalImageId::from(CONTEXT);
    for epoch in 1..50 {
        let present = world.present(RED, epoch);
        world.finish(present);
        let (_, generation) = world.last_offer();
        for _ in 0..3 {
            world.images.lock(id, Some(generation));
        }
        for _ in 0..3 {
            ExternalImageHandler::unlock(&mut world.images, id, generation);
        }
    }
    assert!(world.gpu.buffers() <= 3, "{}", world.gpu.buffers());
}

#[rstest]
fn a_handler_that_loses_the_generation_gets_the_newest(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let red = world.present(RED, 1);
    world.finish(red);
    let (descriptor, _) = world.last_offer();
    assert_eq!(uniform_pixel(world.images.lock(CONTEXT.into(), None), &descriptor), RED);
    world.images.unlock(CONTEXT.into());
    let green = world.present(GREEN, 2);
    world.finish(green);
    assert_eq!(uniform_pixel(world.images.lock(CONTEXT.into(), None), &descriptor), GREEN);
}

// R8: whatever generation is asked for, a living context answers, with enough bytes.
#[rstest]
fn a_living_context_is_never_invalid(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let texture = world.texture(RED, size(400, 300));
    let red = world.present_texture(texture, 1).unwrap();
    world.finish(red);
    let (descriptor, _) = world.last_offer();
    let first = world.recorder.get(|record| match record.calls[0] {
        Call::Add(_, _, generation) => generation,
        ref call => panic!("{call:?}"),
    });
    // All but the cleared pixel's, whose descriptor is its own.
    for generation in (0..=255).filter(|generation| *generation != first) {
        uniform_pixel(world.images.lock(CONTEXT.into(), Some(generation)), &descriptor);
        world.images.unlock(CONTEXT.into());
    }
}

// R27.
#[rstest]
fn handlers_have_their_own_locks(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let red = world.present(RED, 1);
    world.finish(red);
    let old = world.last_offer();
    let mut second = ExternalImages::new(&world.map);
    assert_eq!(uniform_pixel(second.lock(CONTEXT.into(), Some(old.1)), &old.0), RED);
    let green = world.present(GREEN, 2);
    world.finish(green);
    assert_eq!(world.shown(), GREEN);
    assert_eq!(uniform_pixel(second.lock(CONTEXT.into(), Some(old.1)), &old.0), RED, "locked before");
    drop(second);
    assert_eq!(world.shown(), GREEN);
}

#[test]
fn a_map_outlives_everything() {
    let map = ContextMap::default();
    let mut images = ExternalImages::new(&map);
    assert!(matches!(images.lock(ExternalImageId(1), Some(0)), ExternalImageSource::Invalid));
    images.unlock(ExternalImageId(1));
}

// D12: while a snapshot was copied, WebRender's lock of every canvas waited.
#[rstest]
fn a_lock_waits_for_nobody_who_reads(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let red = world.present(RED, 1);
    world.finish(red);
    let (offer, map) = (world.last_offer(), world.map.clone());
    let (sender, locked) = std::sync::mpsc::channel();
    world.presenter.get_image(CONTEXT, None, move |image| {
        // As long as script reads, on another thread the canvas is drawn.
        let renderer = std::thread::spawn(move || {
            let mut images = ExternalImages::new(&map);
            uniform_pixel(images.lock(CONTEXT.into(), Some(offer.1)), &offer.0)
        });
        let bytes = image.map(|image| image.to_vec());
        sender.send((renderer.join(), bytes.is_ok())).expect("it is awaited");
    });
    let (pixel, read) = locked.recv_timeout(TIMEOUT).expect("the lock does not wait for the reply");
    assert_eq!((pixel.unwrap(), read), (RED, true));
}

// I2: nobody reads what is being written. The fake GPU writes when it finishes, the reader reads all the time.
#[rstest]
fn a_frame_never_changes_while_it_is_locked(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let stop = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (map, recorder, stop) = (world.map.clone(), world.recorder.clone(), stop.clone());
        move || {
            let mut images = ExternalImages::new(&map);
            let mut locks = 0;
            while !stop.load(Ordering::Relaxed) || locks < 100 {
                let offer = recorder.get(|record| match record.calls.last() {
                    Some(
                        Call::Add(_, descriptor, generation) | Call::Update(_, descriptor, generation, _),
                    ) => (*descriptor, *generation),
                    call => panic!("{call:?}"),
                });
                let first = uniform_pixel(images.lock(CONTEXT.into(), Some(offer.1)), &offer.0);
                std::thread::yield_now();
                let second = uniform_pixel(images.lock(CONTEXT.into(), Some(offer.1)), &offer.0);
                assert_eq!(first, second, "while locked");
                images.unlock(CONTEXT.into());
                images.unlock(CONTEXT.into());
                locks += 1;
            }
        }
    });
    for i in 0..3000u32 {
        let texture = world.texture([(i % 250) as u8 + 1; 4], size(16, 1 + i / 100 % 3));
        world.present_texture(texture, u64::from(i)).unwrap();
        world.gpu.finish(device(0));
    }
    stop.store(true, Ordering::Relaxed);
    reader.join().unwrap();
    assert_ne!(world.read_pixel(), CLEAR);
}

/// Bytes of an external image, if it has any.
fn len(source: ExternalImageSource<'_>) -> Option<usize> {
    match source {
        ExternalImageSource::RawData(bytes) => Some(bytes.len()),
        ExternalImageSource::NativeTexture(_) | ExternalImageSource::Invalid => None,
    }
}

fn need(offer: &(ImageDescriptor, u8)) -> usize {
    usize::try_from(offer.0.compute_total_size()).unwrap()
}

// R20 and R23: an id comes back while the compositor holds a descriptor of its first life.
#[rstest]
fn a_context_that_takes_an_id_over_is_not_taken_for_the_one_before(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    for with_key in [false, true] {
        let mut world = World::new(memory);
        let texture = world.texture(RED, size(400, 300));
        let red = world.present_texture(texture, 1).unwrap();
        world.finish(red);
        let old = world.last_offer();
        world.presenter.destroy_context(CONTEXT).unwrap();
        world.create(BufferIds::Allocated);
        if with_key {
            world.presenter.set_image_key(CONTEXT, key(2)).unwrap();
            let green = world.present(GREEN, 1);
            world.gpu.finish(device(0));
            world.recorder.until("both lives' presents end", |r| r.outcomes[&(CONTEXT, green)].len() == 2);
            assert_eq!(world.shown(), GREEN);
        }
        assert!(len(world.images.lock(CONTEXT.into(), Some(old.1))) >= Some(need(&old)), "key: {with_key}");
    }
}

// R27: what the first renderer has passed the second may still ask for.
#[rstest]
fn a_renderer_that_lags_shows_a_newer_frame_of_the_same_layout(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let mut slow = ExternalImages::new(&world.map);
    let red = world.present(RED, 1);
    world.finish(red);
    let old = world.last_offer();
    let green = world.present(GREEN, 2);
    world.finish(green);
    assert_eq!(world.shown(), GREEN);
    assert_eq!(uniform_pixel(slow.lock(CONTEXT.into(), Some(old.1)), &old.0), GREEN);
}

// R27 and R20: a generation that a slow renderer locked is issued again, for a larger frame.
#[rstest]
fn a_generation_that_is_issued_again_is_not_taken_for_the_one_before(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let mut slow = ExternalImages::new(&world.map);
    let first = world.present([1; 4], 1);
    world.finish(first);
    let old = world.last_offer();
    uniform_pixel(slow.lock(CONTEXT.into(), Some(old.1)), &old.0);
    slow.unlock(CONTEXT.into());
    for epoch in 2..=255 {
        let present = world.present([2; 4], epoch);
        world.finish(present);
        world.shown();
    }
    // Two layouts are outstanding, so that the third is held back, until a lock offers it.
    let mut last = 0;
    for (epoch, height) in (256..).zip([3, 200]) {
        let texture = world.texture([height as u8; 4], size(200, height));
        last = world.present_texture(texture, epoch).unwrap();
        world.finish(last);
    }
    let held_back = world.last_offer();
    assert_eq!(held_back.0.size.height, 3);
    world.locked(held_back);
    world.recorder.until(
        "it is offered",
        |record| matches!(record.calls.last(), Some(Call::Update(_, d, _, None)) if d.size.height == 200),
    );
    let again = world.last_offer();
    assert_eq!(again.1, old.1, "the same generation");
    assert_eq!(uniform_pixel(slow.lock(CONTEXT.into(), Some(again.1)), &again.0), [200; 4]);
    assert_eq!(last, 257);
}

// R20, as far as it goes without a generation: never fewer bytes than the compositor may read.
#[rstest]
fn without_a_generation_a_shrunken_canvas_has_enough_bytes(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let texture = world.texture(RED, size(400, 300));
    let large = world.present_texture(texture, 1).unwrap();
    world.finish(large);
    let old = world.last_offer();
    let small = world.present(GREEN, 2);
    world.finish(small);
    assert!(len(world.images.lock(CONTEXT.into(), None)) >= Some(need(&old)));
}

// R20 and R23: the limit of 255 generations holds over both lives of an id.
#[rstest]
fn generations_of_a_context_that_is_gone_stay_its_own(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    for epoch in 0..200 {
        let texture = world.texture(RED, size(100, 100));
        let present = world.present_texture(texture, epoch).unwrap();
        world.finish(present);
    }
    // Still queued, say.
    let old = world.recorder.get(|record| match record.calls[10] {
        Call::Update(_, descriptor, generation, _) => (descriptor, generation),
        ref call => panic!("{call:?}"),
    });
    world.presenter.destroy_context(CONTEXT).unwrap();
    world.create(BufferIds::Allocated);
    world.presenter.set_image_key(CONTEXT, key(2)).unwrap();
    for epoch in 0..100 {
        world.present_cleared(size(4, 2), epoch);
    }
    assert!(len(world.images.lock(CONTEXT.into(), Some(old.1))) >= Some(need(&old)));
    world.images.unlock(CONTEXT.into());
    // And the new life shows what it has in the end.
    let green = world.present(GREEN, 100);
    world.gpu.finish(device(0));
    world.recorder.until("it ends", |record| record.outcomes[&(CONTEXT, green)].len() == 2);
    for _ in 0..100 {
        if world.shown() == GREEN {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the newest frame is not shown");
}
