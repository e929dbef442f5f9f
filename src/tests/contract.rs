//! The compositor's contract, and the engine's: R16, R24, R25, R27.

use std::sync::Arc;

use webrender_api::ExternalImageSource;

use super::world::*;
use crate::gpu::fake::Fault;
use crate::{
    AlphaMode, BufferIds, CanvasEpoch, Contents, ContextDescriptor, ContextId, CreateContextError, OwnerId,
    PresentEnd, PresentError, UnknownContext,
};

const RED: [u8; 4] = [0, 0, 255, 255];
const GREEN: [u8; 4] = [0, 255, 0, 255];

// R16: on every path, success or not.
#[rstest]
fn every_present_is_acknowledged(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
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

#[rstest]
fn acknowledged_epochs_never_fall_whatever_the_engine_counts(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    for epoch in [5, 3, 3, 0, 9, u64::MAX, 1] {
        let present = world.present(RED, epoch);
        world.finish(present);
        assert!(world.acknowledged() >= Some(epoch));
    }
}

#[rstest]
fn nothing_follows_the_deletion_of_an_image(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
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

#[rstest]
fn a_new_key_replaces_the_old_one(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
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
#[rstest]
fn without_a_key_a_present_still_captures(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::empty(memory);
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
#[rstest]
fn unknown_and_duplicate_contexts_are_errors(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let other = ContextId(99);
    let unknown = UnknownContext(other);
    let contents = Contents::Texture(world.texture(RED, size(4, 2)));
    let present = world.presenter.present(other, contents, CanvasEpoch(1));
    assert!(matches!(present, Err(PresentError::UnknownContext(error)) if error == unknown));
    assert_eq!(world.presenter.set_image_key(other, key(9)), Err(unknown));
    assert_eq!(world.presenter.destroy_context(other), Err(unknown));
    assert!(world.presenter.statistics(other).is_err());
    let descriptor = |buffer_ids| ContextDescriptor { owner: OwnerId(0), size: size(1, 1), buffer_ids };
    let duplicate = world.presenter.create_context(CONTEXT, descriptor(BufferIds::Allocated));
    assert_eq!(duplicate, Err(CreateContextError::Duplicate(CONTEXT)));
    let empty = world.presenter.create_context(other, descriptor(BufferIds::Provided(vec![])));
    assert_eq!(empty, Err(CreateContextError::NoBufferIds));
    let id = crate::gpu::fake::buffer(1);
    let repeated = world.presenter.create_context(other, descriptor(BufferIds::Provided(vec![id, id])));
    assert_eq!(repeated, Err(CreateContextError::RepeatedBufferId));
    world.presenter.create_context(other, descriptor(BufferIds::Allocated)).unwrap();
}

// R27.
#[rstest]
fn a_presenter_takes_its_contexts_with_it_and_leaves_others_alone(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let other = ContextId(8);
    let recorder = Recorder::default();
    let mut second = World::presenter(&world.gpu, &world.map, &recorder);
    let descriptor =
        || ContextDescriptor { owner: OwnerId(0), size: size(1, 1), buffer_ids: BufferIds::Allocated };
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

// I7: a callback that panics, or that comes back, stops nothing.
#[rstest]
fn a_panic_in_a_reply_stops_nothing(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
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
#[rstest]
fn a_closed_reply_channel_is_no_error(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let red = world.present(RED, 1);
    drop(world.get_image(None));
    world.finish(red);
    assert_eq!(world.read_pixel(), RED);
}

#[rstest]
fn opaque_frames_are_opaque_on_screen_and_when_read(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let mut texture = world.texture([102, 0, 0, 102], size(5, 3));
    texture.configuration.alpha_mode = AlphaMode::Opaque;
    let present = world.present_texture(texture, 1).unwrap();
    world.finish(present);
    assert_eq!((world.shown(), world.read_pixel()), ([102, 0, 0, 255], [102, 0, 0, 255]));
    assert_eq!(answer(&world.get_image(None)).unwrap().alpha_mode(), AlphaMode::Opaque);
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

#[rstest]
fn nothing_is_told_after_the_presenter_is_dropped(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let World { gpu, map, recorder, mut images, .. } = World::empty(memory);
    let (sink, options) = (Arc::new(SlowSink(recorder.clone())), crate::PresenterOptions::default());
    let mut presenter = crate::Presenter::with_gpu(Arc::new(gpu.clone()), &map, sink, options);
    let descriptor =
        ContextDescriptor { owner: OwnerId(0), size: size(4, 2), buffer_ids: BufferIds::Allocated };
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
