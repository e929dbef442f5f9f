//! Presents of several canvases that are gathered and submitted together.

use std::mem;
use std::sync::mpsc;

use super::world::*;
use crate::gpu::fake::Fault;
use crate::{BufferIds, CanvasEpoch, Contents, ContextId, PresentEnd, PresentError};

const CANVASES: u32 = 100;

#[rstest]
fn a_bad_texture_fails_alone_in_its_batch(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let others = world.create_all(100..103, PAGE);
    let bad = world.faulty(Fault::Destroyed);
    let good = [(); 3].map(|()| world.texture(GREEN, size(4, 2)));
    let mut batch = world.presenter.batch();
    for (id, texture) in [(others[0], good[0]), (others[1], good[1]), (CONTEXT, bad), (others[2], good[2])] {
        batch.present(id, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
    }
    batch.submit();
    world.gpu.finish(device(0));
    for other in &others {
        assert!(matches!(world.recorder.end_of(*other, 1), PresentEnd::Presented));
    }
    assert!(matches!(world.error_of(1), PresentError::TextureDestroyed));
}

// A submission and a transaction for each canvas would take many times as long.
#[rstest]
fn all_canvases_of_a_batch_are_one_submission_and_hardly_more_than_one_transaction(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::empty(memory);
    let ids = world.create_displayed(CANVASES);
    let flushes = world.recorder.get(|record| record.flushes);
    world.present_all(&ids, 0);
    assert_eq!(world.gpu.submits(), 1);
    assert_eq!(world.gpu.textures(), 0, "destroyed after the submit");
    let recorder = &world.recorder;
    assert!(recorder.get(|record| record.updated_on.is_empty()));
    world.gpu.finish(device(0));
    // Outcomes come after the updates and their transaction. (`until` would wake this thread for each of them, which takes the
    // poller's time.)
    spin_until("all presents end", || recorder.get(|record| record.outcomes.len()) == ids.len());
    assert!(ids.iter().all(|id| matches!(recorder.end_of(*id, 1), PresentEnd::Presented)));
    assert_eq!(recorder.get(|record| record.updated_on.len()), ids.len());
    // A machine that is slow sends a transaction every 4 ms.
    let flushes = recorder.get(|record| record.flushes) - flushes;
    assert!(flushes <= ids.len() / 10, "{flushes} transactions");
}

// The documentation of `Batch` tells engines to do this.
#[rstest]
fn messages_of_a_channel_are_gathered_until_one_of_another_kind_comes(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    enum Request {
        Present(ContextId),
        DestroyAndDrop,
        Other,
    }
    let mut world = World::empty(memory);
    let ids = world.create_displayed(CANVASES);
    let World { gpu, recorder, mut presenter, .. } = world;
    let (sender, requests) = mpsc::channel();
    for (index, id) in ids.iter().enumerate() {
        sender.send(Request::Present(*id)).unwrap();
        sender.send(Request::DestroyAndDrop).unwrap();
        if index == 30 {
            sender.send(Request::Other).unwrap();
        }
    }
    let mut submits = Vec::new();
    loop {
        let before = gpu.submits();
        let mut batch = presenter.batch();
        let mut presented = None;
        let mut drained = true;
        for request in requests.try_iter() {
            match request {
                Request::Present(id) => {
                    let texture = gpu.texture(device(0), [1; 4], None);
                    let contents = Contents::Texture(pending(texture, 0, size(4, 2)));
                    batch.present(id, contents, CanvasEpoch(1)).unwrap();
                    presented = Some(texture);
                }
                Request::DestroyAndDrop => {
                    let texture = presented.take().unwrap();
                    batch.destroy_texture(texture);
                    batch.drop_texture(texture);
                }
                Request::Other => {
                    drained = false;
                    break;
                }
            }
        }
        batch.submit();
        submits.push(gpu.submits() - before);
        if drained {
            break;
        }
    }
    assert_eq!(submits, [1, 1]);
    assert_eq!(gpu.textures(), 0);
    gpu.finish(device(0));
    recorder.until("all are shown", |record| record.updated_on.len() == ids.len());
}

#[rstest]
fn a_forgotten_batch_is_submitted_with_the_next(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    forget_batch(&mut world);
    assert_eq!(world.gpu.submits(), 0);
    drop(world.presenter.batch());
    world.finish(1);
    assert_eq!(world.shown(), RED);
}

#[rstest]
fn a_forgotten_batch_does_not_reach_the_next_context_of_its_id(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    forget_batch(&mut world);
    world.presenter.destroy_context(CONTEXT).unwrap();
    assert!(matches!(world.error_of(1), PresentError::ContextDestroyed));
    world.create(BufferIds::Allocated);
    drop(world.presenter.batch());
    world.gpu.finish(device(0));
    assert_eq!(world.read_pixel(), CLEAR);
    assert_eq!(world.gpu.staging_buffers(), 0);
}

/// Begins a present in a batch that is never submitted.
fn forget_batch(world: &mut World) {
    let texture = world.texture(RED, size(4, 2));
    let mut batch = world.presenter.batch();
    batch.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
    mem::forget(batch);
}

#[rstest]
fn a_context_presented_twice_in_a_batch_shows_the_second(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let (red, green) = (world.texture(RED, size(4, 2)), world.texture(GREEN, size(4, 2)));
    let mut batch = world.presenter.batch();
    batch.present(CONTEXT, Contents::Texture(red), CanvasEpoch(1)).unwrap();
    let last = batch.present(CONTEXT, Contents::Texture(green), CanvasEpoch(2)).unwrap();
    batch.submit();
    world.finish(last);
    assert_eq!(world.shown(), GREEN);
}
