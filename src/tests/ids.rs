//! Every id that was handed in is handed back exactly once, and no entry of the hub outlives its use.

use std::thread;
use std::time::{Duration, Instant};

use std::collections::HashMap;

use super::world::*;
use crate::gpu::fake::{self, Fault};
use crate::{
    BufferIds, CanvasEpoch, Contents, ContextId, CreateContextError, PresentError, ReturnedId, TransactionId,
};

fn provided(count: u32) -> BufferIds {
    BufferIds::Provided((1..=count).map(fake::buffer).collect())
}

/// A context with so many buffer ids of the engine's, which is displayed.
fn with_buffers(memory: FrameMemoryKind, count: u32) -> World {
    let mut world = World::empty(memory);
    world.create(provided(count));
    world.presenter.set_image_key(CONTEXT, key(1)).unwrap();
    world
}

#[rstest]
fn a_texture_comes_back_once_it_is_dropped(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let textures = [1, 2].map(|value| world.texture([value; 4], size(4, 2)));
    let dropped = || world.recorder.get(|record| record.textures.clone());
    let mut batch = world.presenter.batch();
    for texture in textures {
        batch.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
        batch.destroy_texture(texture.texture_id);
    }
    batch.drop_texture(textures[0].texture_id);
    assert!(dropped().is_empty(), "the batch still needs it");
    batch.submit();
    world.recorder.until("it is handed back", |record| !record.textures.is_empty());
    assert_eq!(dropped(), [textures[0].texture_id], "the other one was destroyed only");
    // A copy of this one waits for room, and so does the texture.
    let reads: Vec<_> = (0..200).map(|value| world.texture([value; 4], size(4, 2))).collect();
    for texture in &reads {
        world.presenter.get_image(CONTEXT, Some(*texture), |_| ());
        world.presenter.batch().drop_texture(texture.texture_id);
    }
    let last = reads.last().expect("there are some").texture_id;
    assert!(!dropped().contains(&last));
    let deadline = Instant::now() + TIMEOUT;
    while dropped().len() < 201 && Instant::now() < deadline {
        world.gpu.finish(device(0));
        world.presenter.maintain();
        thread::sleep(Duration::from_millis(1));
    }
    let mut back = dropped();
    back.sort();
    let mut all: Vec<_> =
        reads.iter().map(|texture| texture.texture_id).chain([textures[0].texture_id]).collect();
    all.sort();
    assert_eq!(back, all, "each comes back once");
}

#[rstest]
fn a_context_comes_back_once_it_has_ended_for_its_compositor_too(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let World { map, recorder, mut presenter, .. } = World::empty(memory);
    let back = || recorder.get(|record| record.contexts.iter().map(|id| id.0).collect::<Vec<_>>());
    for id in 1..=5 {
        create(&mut presenter, id, if id == 4 { OTHER_PAGE } else { PAGE });
    }
    presenter.destroy_context(ContextId(1)).unwrap();
    assert_eq!(back(), [1]);
    presenter.destroy_context_after(ContextId(2), TransactionId(7)).unwrap();
    presenter.destroy_context_after(ContextId(3), TransactionId(9)).unwrap();
    assert_eq!(back(), [1], "the compositor may still show them");
    let duplicate = CreateContextError::Duplicate(ContextId(2));
    assert_eq!(presenter.create_context(ContextId(2), descriptor(PAGE)), Err(duplicate));
    let namespace = key(2).0;
    map.transaction_done(namespace, TransactionId(8));
    assert_eq!(back(), [1, 2]);
    recorder.assert_deleted_last(2);
    map.destroy_owner(OTHER_PAGE);
    assert_eq!(back(), [1, 2, 4]);
    create(&mut presenter, 2, PAGE);
    drop(presenter);
    let mut rest = back().split_off(3);
    rest.sort();
    assert_eq!(rest, [2, 3, 5], "the presenter takes all contexts with it");
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
            4 => world.foreign(),
            5 => {
                world.gpu.fail_next_creations(1);
                world.texture([1; 4], size(400, 100 * (index + 1)))
            }
            6 => {
                world.gpu.fail_next_submit(PresentError::OutOfMemory, false);
                world.texture([1; 4], size(4, 2))
            }
            _ => world.texture([1; 4], size(4, 2)),
        };
        let texture = with_ids(texture, fake::encoder_ids(index));
        let context = if index % 8 == 7 { ContextId(12345) } else { CONTEXT };
        if index % 16 < 8 {
            let epoch = CanvasEpoch(index.into());
            let _ = world.presenter.present(context, Contents::Texture(texture), epoch);
        } else {
            world.presenter.get_image(context, Some(texture), |_| ());
        }
        world.gpu.finish(device(0));
    }
    // Copies that waited for room are submitted in the maintenance.
    let deadline = Instant::now() + TIMEOUT;
    while world.recorder.get(|record| record.ids.len() < 320) && Instant::now() < deadline {
        world.presenter.maintain();
        thread::sleep(Duration::from_millis(1));
    }
    world.recorder.assert_ids_returned_once(160);
}

#[rstest]
fn a_batch_returns_all_its_encoder_ids(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let others = world.create_all(100..110, PAGE);
    let textures: Vec<_> = (0..10)
        .map(|index| {
            let is_bad = index == 4;
            let texture =
                if is_bad { world.faulty(Fault::Destroyed) } else { world.texture([5; 4], size(4, 2)) };
            with_ids(texture, fake::encoder_ids(index))
        })
        .collect();
    let mut batch = world.presenter.batch();
    for (other, texture) in others.iter().zip(textures) {
        batch.present(*other, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
    }
    batch.submit();
    world.sync();
    world.recorder.assert_ids_returned_once(20);
}

// The ids of buffers that are locked, shown, in flight or read must come back too, or an engine runs out of them.
#[rstest]
fn buffer_ids_come_back_when_the_context_is_destroyed(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = with_buffers(memory, 6);
    world.show([1; 4], 1);
    let offer = world.last_offer();
    world.images.lock(CONTEXT.into(), Some(offer.1));
    world.show([2; 4], 2);
    let snapshot = world.read_image();
    world.present([3; 4], 3);
    world.present([4; 4], 4);
    assert!(world.recorder.times_returned().is_empty());
    world.presenter.destroy_context(CONTEXT).unwrap();
    world.sync();
    let expected: HashMap<_, _> = (1..=6).map(|id| (ReturnedId::Buffer(fake::buffer(id)), 1)).collect();
    assert_eq!(world.recorder.times_returned(), expected);
    assert_eq!(world.gpu.buffers(), 0, "the hub is empty");
    assert_eq!(first_pixel(&snapshot), [2; 4]);
    // An id may be used again at once, while frames of its first life are still held.
    world.create(provided(6));
    let again = world.present([9; 4], 1);
    world.gpu.finish(device(0));
    world.recorder.until_ended_again(CONTEXT, again);
    assert_eq!(world.read_pixel(), [9; 4]);
    drop(snapshot);
}

#[rstest]
fn a_ring_of_one_buffer_shows_every_frame(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = with_buffers(memory, 1);
    let mut snapshots = Vec::new();
    for i in 1..=20u8 {
        world.show([i; 4], u64::from(i));
        assert_eq!(world.shown(), [i; 4]);
        snapshots.push((i, world.read_image()));
    }
    for (i, snapshot) in snapshots {
        assert_eq!(first_pixel(&snapshot), [i; 4], "a held frame is not overwritten");
    }
    assert_eq!(world.gpu.buffers(), usize::from(memory == Portable));
}

// wgpu-core panics when an id is used again that a failed creation left in its hub.
#[rstest]
fn failed_buffer_creations_leave_no_id_behind(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = with_buffers(memory, 2);
    world.gpu.fail_next_creations(5);
    for epoch in 1..=5 {
        world.present([1; 4], epoch);
    }
    assert_eq!(world.gpu.buffers(), 0);
    world.show([2; 4], 6);
    assert_eq!(world.read_pixel(), [2; 4]);
}

#[rstest]
fn a_presenter_that_goes_returns_everything(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = with_buffers(memory, 3);
    world.present([1; 4], 1);
    let World { presenter, recorder, gpu, .. } = world;
    drop(presenter);
    assert_eq!(recorder.get(|record| record.ids.len()), 3);
    assert_eq!(gpu.buffers(), 0);
}
