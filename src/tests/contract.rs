//! The compositor's contract: R16, R19, R25, R27.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use webrender_api::{ExternalImageHandler, ExternalImageId, ExternalImageSource};

use super::world::*;
use crate::gpu::fake::Fault;
use crate::{
    AlphaMode, BufferIds, CanvasEpoch, Contents, ContextDescriptor, ContextId, ContextMap,
    CreateContextError, ExternalImages, PresentEnd, PresentError, UnknownContext,
};

const RED: [u8; 4] = [0, 0, 255, 255];
const GREEN: [u8; 4] = [0, 255, 0, 255];
const CLEAR: [u8; 4] = [0; 4];

// R16: on every path, success or not.
#[test]
fn every_present_is_acknowledged() {
    let mut world = World::new();
    for epoch in 1..200 {
        let size_of = |n| size(4, n);
        let texture = match epoch % 7 {
            0 => world.texture(RED, size_of(2)),
            1 => world.texture(RED, size(70_000, 70_000)),
            2 => world.faulty(Fault::Invalid),
            3 => world.faulty(Fault::Destroyed),
            4 => pending(world.gpu.texture(device(1), RED, None), 0, size_of(2)),
            5 => {
                world.gpu.fail_next_creations(1);
                world.texture(RED, size_of(3000 + epoch as u32))
            }
            _ => world.texture(RED, size_of(0)),
        };
        let before = world.recorder.get(|record| record.calls.len());
        let _ = world.present_texture(texture, epoch);
        world.finish(epoch);
        assert!(world.recorder.get(|record| record.calls.len()) > before, "{epoch}: an update of its own");
        assert!(world.acknowledged() >= Some(epoch), "{epoch}");
    }
}

#[test]
fn acknowledged_epochs_never_fall_whatever_the_engine_counts() {
    let mut world = World::new();
    for epoch in [5, 3, 3, 0, 9, u64::MAX, 1] {
        let present = world.present(RED, epoch);
        world.finish(present);
        assert!(world.acknowledged() >= Some(epoch));
    }
}

#[test]
fn nothing_follows_the_deletion_of_an_image() {
    let mut world = World::new();
    let presents = [world.present(RED, 1), world.present(GREEN, 2)];
    world.presenter.destroy_context(CONTEXT).unwrap();
    world.gpu.finish(device(0));
    world.sync();
    for present in presents {
        assert!(matches!(world.end_of(present), PresentEnd::Failed(PresentError::ContextDestroyed)));
    }
    assert_eq!(world.recorder.get(|record| record.calls.last().cloned()), Some(Call::Delete(key(1))));
    let last_epoch = world.recorder.get(|record| match record.calls[record.calls.len() - 2] {
        Call::Update(_, _, _, epoch) => epoch,
        _ => None,
    });
    assert_eq!(last_epoch, Some(2), "what was in flight is acknowledged before");
}

#[test]
fn a_new_key_replaces_the_old_one() {
    let mut world = World::new();
    let red = world.present(RED, 1);
    world.finish(red);
    let calls = world.recorder.get(|record| record.calls.len());
    world.presenter.set_image_key(CONTEXT, key(1)).unwrap();
    assert_eq!(world.recorder.get(|record| record.calls.len()), calls, "the same key again is no change");
    world.presenter.set_image_key(CONTEXT, key(2)).unwrap();
    world.sync();
    let new = world.recorder.get(|record| record.calls[calls..].to_vec());
    assert!(matches!(new[..], [Call::Delete(old), Call::Add(new, ..)] if old == key(1) && new == key(2)));
    assert_eq!(world.shown(), RED);
    let green = world.present(GREEN, 2);
    world.finish(green);
    assert!(world.recorder.get(|r| matches!(r.calls.last(), Some(Call::Update(k, ..)) if *k == key(2))));
}

// R25.
#[test]
fn without_a_key_a_present_still_captures() {
    let mut world = World::empty();
    world.create(BufferIds::Allocated);
    let red = world.present(RED, 1);
    world.finish(red);
    assert!(world.recorder.get(|record| record.calls.is_empty()));
    assert_eq!(world.read_pixel(), RED);
    world.presenter.set_image_key(CONTEXT, key(1)).unwrap();
    world.sync();
    let (descriptor, _) = world.last_offer();
    assert_eq!((descriptor.size.width, descriptor.size.height), (4, 2));
    assert_eq!(world.shown(), RED);
}

// R25.
#[test]
fn unknown_and_duplicate_contexts_are_errors() {
    let mut world = World::new();
    let other = ContextId(99);
    let unknown = UnknownContext(other);
    let contents = Contents::Texture(world.texture(RED, size(4, 2)));
    let present = world.presenter.present(other, contents, CanvasEpoch(1));
    assert!(matches!(present, Err(PresentError::UnknownContext(error)) if error == unknown));
    assert_eq!(world.presenter.set_image_key(other, key(9)), Err(unknown));
    assert_eq!(world.presenter.destroy_context(other), Err(unknown));
    assert!(world.presenter.statistics(other).is_err());
    let descriptor = |buffer_ids| ContextDescriptor { size: size(1, 1), buffer_ids };
    let duplicate = world.presenter.create_context(CONTEXT, descriptor(BufferIds::Allocated));
    assert_eq!(duplicate, Err(CreateContextError::Duplicate(CONTEXT)));
    let empty = world.presenter.create_context(other, descriptor(BufferIds::Provided(vec![])));
    assert_eq!(empty, Err(CreateContextError::NoBufferIds));
    let id = crate::gpu::fake::buffer(1);
    let repeated = world.presenter.create_context(other, descriptor(BufferIds::Provided(vec![id, id])));
    assert_eq!(repeated, Err(CreateContextError::RepeatedBufferId));
    world.presenter.create_context(other, descriptor(BufferIds::Allocated)).unwrap();
}

// R19.
#[test]
fn a_locked_frame_stays_until_its_last_unlock() {
    let mut world = World::new();
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
#[test]
fn nested_locks_lose_no_buffer() {
    let mut world = World::new();
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

#[test]
fn a_handler_that_loses_the_generation_gets_the_newest() {
    let mut world = World::new();
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
#[test]
fn a_living_context_is_never_invalid() {
    let mut world = World::new();
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
#[test]
fn handlers_have_their_own_locks() {
    let mut world = World::new();
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

// R27.
#[test]
fn a_presenter_takes_its_contexts_with_it_and_leaves_others_alone() {
    let mut world = World::new();
    let other = ContextId(8);
    let recorder = Recorder::default();
    let mut second = World::presenter(&world.gpu, &world.map, &recorder);
    let descriptor = || ContextDescriptor { size: size(1, 1), buffer_ids: BufferIds::Allocated };
    assert_eq!(
        second.create_context(CONTEXT, descriptor()),
        Err(CreateContextError::Duplicate(CONTEXT)),
        "ids are the map's"
    );
    second.create_context(other, descriptor()).unwrap();
    let foreign = second.present(CONTEXT, Contents::Texture(world.texture(RED, size(1, 1))), CanvasEpoch(1));
    assert!(matches!(foreign, Err(PresentError::UnknownContext(_))));
    let texture = world.texture(GREEN, size(4, 2));
    second.present(other, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
    drop(second);
    assert!(matches!(world.images.lock(other.into(), None), ExternalImageSource::Invalid));
    assert!(recorder.get(|record| record.outcomes.contains_key(&(other, 1))));
    let red = world.present(RED, 1);
    world.finish(red);
    assert_eq!(world.shown(), RED);
    world.presenter.create_context(other, descriptor()).unwrap();
}

#[test]
fn a_map_outlives_everything() {
    let map = ContextMap::default();
    let mut images = ExternalImages::new(&map);
    assert!(matches!(images.lock(ExternalImageId(1), Some(0)), ExternalImageSource::Invalid));
    images.unlock(ExternalImageId(1));
}

// I7: a callback that panics, or that comes back, stops nothing.
#[test]
fn a_panic_in_a_reply_stops_nothing() {
    let mut world = World::new();
    let red = world.present(RED, 1);
    world.presenter.get_image(CONTEXT, None, |_| panic!("on purpose"));
    let waiting = world.get_image(None);
    world.finish(red);
    assert_eq!(first_pixel(&answer(&waiting).unwrap()), RED);
    let green = world.present(GREEN, 2);
    world.finish(green);
    assert_eq!(world.shown(), GREEN);
}

// R24.
#[test]
fn a_closed_reply_channel_is_no_error() {
    let mut world = World::new();
    let red = world.present(RED, 1);
    drop(world.get_image(None));
    world.finish(red);
    assert_eq!(world.read_pixel(), RED);
}

// D12: while a snapshot was copied, WebRender's lock of every canvas waited.
#[test]
fn a_lock_waits_for_nobody_who_reads() {
    let mut world = World::new();
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
#[test]
fn a_frame_never_changes_while_it_is_locked() {
    let mut world = World::new();
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

#[test]
fn opaque_frames_are_opaque_on_screen_and_when_read() {
    let mut world = World::new();
    let mut texture = world.texture([102, 0, 0, 102], size(5, 3));
    texture.configuration.alpha_mode = AlphaMode::Opaque;
    let present = world.present_texture(texture, 1).unwrap();
    world.finish(present);
    assert_eq!((world.shown(), world.read_pixel()), ([102, 0, 0, 255], [102, 0, 0, 255]));
    assert_eq!(answer(&world.get_image(None)).unwrap().alpha_mode(), AlphaMode::Opaque);
}

/// Bytes of an external image, if it has any.
fn len(source: ExternalImageSource<'_>) -> Option<usize> {
    match source {
        ExternalImageSource::RawData(bytes) => Some(bytes.len()),
        ExternalImageSource::NativeTexture(_) | ExternalImageSource::Invalid => None,
    }
}

fn need(offer: &(webrender_api::ImageDescriptor, u8)) -> usize {
    usize::try_from(offer.0.compute_total_size()).unwrap()
}

// R20 and R23: an id comes back while the compositor holds a descriptor of its first life.
#[test]
fn a_context_that_takes_an_id_over_is_not_taken_for_the_one_before() {
    for with_key in [false, true] {
        let mut world = World::new();
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
#[test]
fn a_renderer_that_lags_shows_a_newer_frame_of_the_same_layout() {
    let mut world = World::new();
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
#[test]
fn a_generation_that_is_issued_again_is_not_taken_for_the_one_before() {
    let mut world = World::new();
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
#[test]
fn without_a_generation_a_shrunken_canvas_has_enough_bytes() {
    let mut world = World::new();
    let texture = world.texture(RED, size(400, 300));
    let large = world.present_texture(texture, 1).unwrap();
    world.finish(large);
    let old = world.last_offer();
    let small = world.present(GREEN, 2);
    world.finish(small);
    assert!(len(world.images.lock(CONTEXT.into(), None)) >= Some(need(&old)));
}

// R20 and R23: the limit of 255 generations holds over both lives of an id.
#[test]
fn generations_of_a_context_that_is_gone_stay_its_own() {
    let mut world = World::new();
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

/// Takes its time for what is offered after a lock.
struct SlowSink(Recorder);

impl crate::ImageSink for SlowSink {
    fn add_image(
        &self,
        key: webrender_api::ImageKey,
        descriptor: webrender_api::ImageDescriptor,
        data: webrender_api::ExternalImageData,
    ) {
        self.0.add_image(key, descriptor, data);
    }

    fn update_image(
        &self,
        key: webrender_api::ImageKey,
        descriptor: webrender_api::ImageDescriptor,
        data: webrender_api::ExternalImageData,
        epoch: Option<CanvasEpoch>,
    ) {
        if epoch.is_none() {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        self.0.update_image(key, descriptor, data, epoch);
    }

    fn delete_image(&self, key: webrender_api::ImageKey) {
        self.0.delete_image(key);
    }
}

#[test]
fn nothing_is_told_after_the_presenter_is_dropped() {
    let World { gpu, map, recorder, mut images, .. } = World::empty();
    let (sink, options) = (Arc::new(SlowSink(recorder.clone())), crate::PresenterOptions::default());
    let mut presenter = crate::Presenter::with_gpu(Arc::new(gpu.clone()), &map, sink, options);
    let descriptor = ContextDescriptor { size: size(4, 2), buffer_ids: BufferIds::Allocated };
    presenter.create_context(CONTEXT, descriptor).unwrap();
    presenter.set_image_key(CONTEXT, key(1)).unwrap();
    for width in 2..6 {
        let texture = pending(gpu.texture(device(0), [1; 4], None), 0, size(width, 2));
        presenter.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(width.into())).unwrap();
        gpu.finish(device(0));
        recorder.until("it is told", |record| record.calls.len() as u32 == width);
    }
    // The first two widths were offered, the others are held back until this.
    let last = recorder.get(|record| match record.calls.last() {
        Some(Call::Update(_, _, generation, _)) => *generation,
        call => panic!("{call:?}"),
    });
    images.lock(CONTEXT.into(), Some(last));
    images.unlock(CONTEXT.into());
    // The thread that tells of it is at it by now, or the drop tells itself.
    std::thread::sleep(std::time::Duration::from_millis(30));
    drop(presenter);
    let calls = recorder.get(|record| record.calls.len());
    assert!(recorder.get(|record| matches!(record.calls.last(), Some(Call::Delete(_)))));
    std::thread::sleep(std::time::Duration::from_millis(250));
    assert_eq!(recorder.get(|record| record.calls.len()), calls);
}
