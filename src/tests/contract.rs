//! What a compositor and an engine may rely on, whatever else happens.

use std::thread;
use std::time::Duration;

use webrender_api::ExternalImageSource;

use super::world::*;
use crate::gpu::fake::{self, Fault};
use crate::{
    AlphaMode, BufferIds, CanvasEpoch, Contents, ContextDescriptor, ContextId, CreateContextError, OwnerId,
    PresentError, UnknownContext,
};

// An engine renders its document once each canvas's epoch has come: one that never comes would freeze the page.
#[rstest]
fn every_present_is_acknowledged(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    for epoch in 1..200 {
        let texture = match epoch % 7 {
            0 => world.texture(RED, size(4, 2)),
            1 => world.texture(RED, size(70_000, 70_000)),
            2 => world.faulty(Fault::Invalid),
            3 => world.faulty(Fault::Destroyed),
            4 => world.foreign(),
            5 => {
                world.gpu.fail_next_creations(1);
                world.texture(RED, size(4, 3000 + epoch as u32))
            }
            _ => world.texture(RED, size(4, 0)),
        };
        let before = world.recorder.calls().len();
        let _ = world.present_texture(texture, epoch);
        world.finish(epoch);
        assert!(world.recorder.calls().len() > before, "{epoch}: an update of its own");
        assert!(world.acknowledged() >= Some(epoch), "{epoch}");
    }
}

// An engine may overwrite the epoch that it waits for: one that falls would never be reached again.
#[rstest]
fn acknowledged_epochs_never_fall_whatever_the_engine_counts(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    for epoch in [5, 3, 3, 0, 9, u64::MAX, 1] {
        world.show(RED, epoch);
        assert!(world.acknowledged() >= Some(epoch));
    }
}

// An update of a deleted key panics WebRender's backend thread.
#[rstest]
fn nothing_follows_the_deletion_of_an_image(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let presents = [world.present(RED, 1), world.present(GREEN, 2)];
    world.presenter.destroy_context(CONTEXT).unwrap();
    world.gpu.finish(device(0));
    world.sync();
    for present in presents {
        assert!(matches!(world.error_of(present), PresentError::ContextDestroyed));
    }
    let calls = world.recorder.calls();
    let [.., before, Call::Delete(last)] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!(*last, key(1));
    assert_eq!(before.epoch(), Some(2), "what was in flight is acknowledged before");
}

#[rstest]
fn a_new_key_replaces_the_old_one(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    let calls = world.recorder.calls().len();
    world.presenter.set_image_key(CONTEXT, key(1)).unwrap();
    assert_eq!(world.recorder.calls().len(), calls, "the same key again is no change");
    world.presenter.set_image_key(CONTEXT, key(2)).unwrap();
    world.sync();
    let new = world.recorder.calls().split_off(calls);
    assert!(matches!(new[..], [Call::Delete(old), Call::Add(new, ..)] if old == key(1) && new == key(2)));
    assert_eq!(world.shown(), RED);
    world.show(GREEN, 2);
    assert!(matches!(world.recorder.calls().last(), Some(Call::Update(k, ..)) if *k == key(2)));
}

#[rstest]
fn without_a_key_a_present_still_captures(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::empty(memory);
    world.create(BufferIds::Allocated);
    world.show(RED, 1);
    assert!(world.recorder.calls().is_empty());
    assert_eq!(world.read_pixel(), RED);
    world.presenter.set_image_key(CONTEXT, key(1)).unwrap();
    world.sync();
    let (descriptor, _) = world.last_offer();
    assert_eq!((descriptor.size.width, descriptor.size.height), (4, 2));
    assert_eq!(world.shown(), RED);
}

#[rstest]
fn unknown_and_duplicate_contexts_are_errors(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let other = ContextId(99);
    let unknown = UnknownContext(other);
    let contents = Contents::Texture(world.texture(RED, size(4, 2)));
    let present = world.presenter.present(other, contents, CanvasEpoch(1));
    assert!(matches!(present, Err(error) if error == unknown));
    assert_eq!(world.presenter.set_image_key(other, key(9)), Err(unknown.into()));
    assert_eq!(world.presenter.destroy_context(other), Err(unknown));
    assert!(world.presenter.statistics(other).is_err());
    let id = fake::buffer(1);
    let mut create = |context, buffer_ids| {
        let descriptor = ContextDescriptor { buffer_ids, ..descriptor(OwnerId(0)) };
        world.presenter.create_context(context, descriptor)
    };
    assert_eq!(create(CONTEXT, BufferIds::Allocated), Err(CreateContextError::Duplicate(CONTEXT)));
    assert_eq!(create(other, BufferIds::Provided(vec![])), Err(CreateContextError::NoBufferIds));
    assert_eq!(create(other, BufferIds::Provided(vec![id, id])), Err(CreateContextError::RepeatedBufferId));
    assert_eq!(create(other, BufferIds::Allocated), Ok(()));
}

#[rstest]
fn a_presenter_takes_its_contexts_with_it_and_leaves_others_alone(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let (other, recorder) = (ContextId(8), Recorder::default());
    let mut second = World::presenter(&world.gpu, &world.map, &recorder);
    let duplicate = second.create_context(CONTEXT, descriptor(PAGE));
    assert_eq!(duplicate, Err(CreateContextError::Duplicate(CONTEXT)), "ids are the map's");
    second.create_context(other, descriptor(PAGE)).unwrap();
    let foreign = present(&world.gpu, &mut second, CONTEXT, RED);
    assert!(matches!(foreign, Err(UnknownContext(_))));
    present(&world.gpu, &mut second, other, GREEN).unwrap();
    drop(second);
    assert!(matches!(world.images.lock(other.into(), None), ExternalImageSource::Invalid));
    assert!(recorder.get(|record| record.outcomes.contains_key(&(other, 1))));
    world.show(RED, 1);
    assert_eq!(world.shown(), RED);
    world.presenter.create_context(other, descriptor(PAGE)).unwrap();
}

#[rstest]
fn a_panic_in_a_reply_stops_nothing(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let red = world.present(RED, 1);
    world.presenter.get_image(CONTEXT, None, |_| panic!("on purpose"));
    let waiting = world.get_image(None);
    world.finish(red);
    assert_eq!(answered_pixel(&waiting), RED);
    world.show(GREEN, 2);
    assert_eq!(world.shown(), GREEN);
}

// Script may be gone before its image comes.
#[rstest]
fn a_closed_reply_channel_is_no_error(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let red = world.present(RED, 1);
    drop(world.get_image(None));
    world.finish(red);
    assert_eq!(world.read_pixel(), RED);
}

// WebRender blends an image that is marked as opaque all the same, when it is clipped or rotated: its alpha must be 255.
#[rstest]
fn opaque_frames_are_opaque_on_screen_and_when_read(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let mut texture = world.texture([102, 0, 0, 102], size(5, 3));
    texture.configuration.alpha_mode = AlphaMode::Opaque;
    world.show_texture(texture, 1);
    world.assert_shows([102, 0, 0, 255]);
    assert_eq!(world.read_image().alpha_mode(), AlphaMode::Opaque);
}

// A compositor may be gone by the time the drop returns. A thread may be telling it of a frame while the presenter is dropped.
#[rstest]
fn nothing_is_told_after_the_presenter_is_dropped(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    world.recorder.record(|record| record.update_takes = Duration::from_millis(100));
    world.present(RED, 1);
    world.gpu.finish(device(0));
    // The poller is in the sink by now, or the drop ends the present.
    thread::sleep(Duration::from_millis(30));
    let World { presenter, recorder, .. } = world;
    drop(presenter);
    let calls = recorder.calls();
    assert!(matches!(calls[..], [.., Call::Update(.., 1), Call::Delete(_)]), "{calls:?}");
    thread::sleep(Duration::from_millis(250));
    assert_eq!(recorder.calls(), calls);
}
