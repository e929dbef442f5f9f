//! Every id that was handed in is handed back exactly once, and no hub entry outlives its use: R23, D7, D8.

use std::collections::HashMap;

use super::world::*;
use crate::gpu::{fake, fake::Fault};
use crate::{BufferIds, CanvasEpoch, Contents, ContextDescriptor, ContextId, OwnerId, ReturnedId};

fn provided(count: u32) -> BufferIds {
    BufferIds::Provided((1..=count).map(fake::buffer).collect())
}

fn times_returned(world: &World) -> HashMap<ReturnedId, usize> {
    let mut times = HashMap::new();
    world.recorder.get(|record| record.ids.iter().for_each(|id| *times.entry(*id).or_default() += 1));
    times
}

#[rstest]
fn encoder_ids_come_back_on_every_path(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    for index in 0..80 {
        let texture = match index % 8 {
            0 => world.texture([1; 4], size(4, 2)),
            1 => world.texture([1; 4], size(0, 2)),
            2 => world.texture([1; 4], size(70_000, 70_000)),
            3 => world.faulty(Fault::Invalid),
            4 => pending(world.gpu.texture(device(1), [1; 4], None), 0, size(4, 2)),
            5 => {
                world.gpu.fail_next_creations(1);
                world.texture([1; 4], size(400, 100 * (index + 1)))
            }
            6 => {
                world.gpu.fail_next_submit(crate::PresentError::OutOfMemory, false);
                world.texture([1; 4], size(4, 2))
            }
            _ => world.texture([1; 4], size(4, 2)),
        };
        let texture = with_ids(texture, fake::encoder_ids(index));
        let context = if index % 8 == 7 { ContextId(12345) } else { CONTEXT };
        if index % 16 < 8 {
            let _ =
                world.presenter.present(context, Contents::Texture(texture), CanvasEpoch(u64::from(index)));
        } else {
            world.presenter.get_image(context, Some(texture), |_| ());
        }
        world.gpu.finish(device(0));
    }
    world.sync();
    let times = times_returned(&world);
    assert_eq!(times.len(), 160);
    assert!(times.values().all(|times| *times == 1), "{times:?}");
}

#[rstest]
fn a_batch_returns_all_its_encoder_ids(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let others: Vec<_> = (100..110).map(ContextId).collect();
    for other in &others {
        let descriptor =
            ContextDescriptor { owner: OwnerId(0), size: size(4, 2), buffer_ids: BufferIds::Allocated };
        world.presenter.create_context(*other, descriptor).unwrap();
    }
    let textures = (0..).zip(&others).map(|(index, _)| {
        let texture =
            if index == 4 { world.faulty(Fault::Destroyed) } else { world.texture([5; 4], size(4, 2)) };
        with_ids(texture, fake::encoder_ids(index))
    });
    let textures: Vec<_> = textures.collect();
    let mut batch = world.presenter.batch();
    for (other, texture) in others.iter().zip(textures) {
        batch.present(*other, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
    }
    batch.submit();
    world.sync();
    let times = times_returned(&world);
    assert_eq!(times.len(), 20);
    assert!(times.values().all(|times| *times == 1));
}

// D8: ids of locked, presented and in-flight buffers were never returned.
#[rstest]
fn buffer_ids_come_back_when_the_context_is_destroyed(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::empty(memory);
    world.create(provided(6));
    world.presenter.set_image_key(CONTEXT, key(1)).unwrap();
    let first = world.present([1; 4], 1);
    world.finish(first);
    let offer = world.last_offer();
    world.images.lock(CONTEXT.into(), Some(offer.1));
    let second = world.present([2; 4], 2);
    world.finish(second);
    let snapshot = answer(&world.get_image(None)).unwrap();
    world.present([3; 4], 3);
    world.present([4; 4], 4);
    assert!(times_returned(&world).is_empty());
    world.presenter.destroy_context(CONTEXT).unwrap();
    world.sync();
    let times = times_returned(&world);
    let expected: HashMap<_, _> = (1..=6).map(|id| (ReturnedId::Buffer(fake::buffer(id)), 1)).collect();
    assert_eq!(times, expected);
    assert_eq!(world.gpu.buffers(), 0, "the hub is empty");
    assert_eq!(first_pixel(&snapshot), [2; 4]);
    // An id may be used again at once, while frames of its first life are still held.
    world.create(provided(6));
    let again = world.present([9; 4], 1);
    world.gpu.finish(device(0));
    world
        .recorder
        .until("the second life's present ends", |record| record.outcomes[&(CONTEXT, again)].len() == 2);
    assert_eq!(world.read_pixel(), [9; 4]);
    drop(snapshot);
}

#[rstest]
fn a_ring_of_one_buffer_shows_every_frame(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::empty(memory);
    world.create(provided(1));
    world.presenter.set_image_key(CONTEXT, key(1)).unwrap();
    let mut snapshots = Vec::new();
    for i in 1..=20u8 {
        let present = world.present([i; 4], u64::from(i));
        world.finish(present);
        assert_eq!(world.shown(), [i; 4]);
        snapshots.push((i, answer(&world.get_image(None)).unwrap()));
    }
    for (i, snapshot) in snapshots {
        assert_eq!(first_pixel(&snapshot), [i; 4], "a held frame is not overwritten");
    }
    assert_eq!(world.gpu.buffers(), 1);
}

#[rstest]
fn failed_buffer_creations_leave_no_id_behind(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::empty(memory);
    world.create(provided(2));
    world.gpu.fail_next_creations(5);
    for epoch in 1..=5 {
        let texture = world.texture([1; 4], size(4, 2));
        world.present_texture(texture, epoch).unwrap();
    }
    assert_eq!(world.gpu.buffers(), 0);
    let present = world.present([2; 4], 6);
    world.finish(present);
    assert_eq!(world.read_pixel(), [2; 4]);
}

#[rstest]
fn a_presenter_that_goes_returns_everything(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::empty(memory);
    world.create(provided(3));
    world.present([1; 4], 1);
    let World { presenter, recorder, gpu, .. } = world;
    drop(presenter);
    assert_eq!(recorder.get(|record| record.ids.len()), 3);
    assert_eq!(gpu.buffers(), 0);
}
