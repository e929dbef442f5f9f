//! wgpu-core panics in each of the calls that the presenter and its pollers make. Every present ends, every id comes back once, and
//! what comes afterwards is shown.

use super::hooked_gpu::{Call, Hooks};
use super::recorder;
use super::world::*;
use crate::gpu::fake;
use crate::{
    AlphaMode, CanvasEpoch, Contents, ContextId, GetImageError, PendingTexture, PresentEnd, PresentError,
    Presenter, ReturnedId,
};

/// Three canvases of a page, with three buffer ids each.
fn three(memory: FrameMemoryKind) -> (World, std::sync::Arc<Hooks>, [ContextId; 3]) {
    let (mut world, hooks) = World::hooked(memory);
    let ids = [10, 11, 12].map(|id| create(&mut world.presenter, id, PAGE));
    (world, hooks, ids)
}

/// Presents a texture to each canvas in one batch, which destroys and drops them. Returns the textures.
fn present_to(
    world: &mut World,
    ids: &[ContextId],
    pixel: [u8; 4],
    first_encoder: u32,
) -> Vec<PendingTexture> {
    let textures: Vec<_> = (first_encoder..)
        .zip(ids)
        .map(|(encoder, _)| with_ids(world.texture(pixel, size(4, 2)), fake::encoder_ids(encoder)))
        .collect();
    let mut batch = world.presenter.batch();
    for (id, texture) in ids.iter().zip(&textures) {
        batch.present(*id, Contents::Texture(*texture), CanvasEpoch(1)).unwrap();
        batch.destroy_texture(texture.texture_id);
        batch.drop_texture(texture.texture_id);
    }
    batch.submit();
    textures
}

/// Ends the presenter: the ids of three canvases and of so many encoders must have come back, each once.
#[track_caller]
fn assert_all_returned(recorder: &Recorder, presenter: Presenter, encoders: usize) {
    drop(presenter);
    recorder.assert_ids_returned_once(9 + 2 * encoders);
}

#[rstest]
fn a_panic_in_a_submission_fails_its_presents_and_nothing_else(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
    #[values(Call::Open, Call::CreateBuffer, Call::Submit, Call::Submitted)] call: Call,
) {
    let (mut world, hooks, ids) = three(memory);
    hooks.panic_in(call, 1);
    let textures = present_to(&mut world, &ids, RED, 0);
    world.gpu.finish(device(0));
    for (index, id) in ids.iter().enumerate() {
        match world.recorder.end_of(*id, 1) {
            // The buffers of the others are created without a panic.
            PresentEnd::Presented => assert!(call == Call::CreateBuffer && index > 0, "{call:?}"),
            PresentEnd::Failed(PresentError::Panicked) => {}
            end => panic!("{end:?}"),
        }
    }
    let back = world.recorder.get(|record| record.textures.clone());
    assert_eq!(back, textures.iter().map(|texture| texture.texture_id).collect::<Vec<_>>());
    assert_eq!(world.recorder.times_returned().len(), 6, "the encoder ids come back at once");
    present_to(&mut world, &ids, GREEN, 10);
    world.gpu.finish(device(0));
    for id in ids {
        let end = world.recorder.end_of(id, 2);
        assert!(matches!(end, PresentEnd::Presented), "{end:?}");
        assert_eq!(lock_newest(&mut world.images, id), Some(GREEN));
        let epochs: Vec<_> =
            world.recorder.calls_of(id.0 as u32).iter().filter_map(recorder::Call::epoch).collect();
        assert_eq!(epochs.len(), 2, "each is acknowledged");
    }
    assert_all_returned(&world.recorder, world.presenter, 6);
}

#[rstest]
fn a_read_whose_copy_panics_is_answered(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
    #[values(Call::Open, Call::CreateBuffer, Call::Submit, Call::Submitted, Call::Wait)] call: Call,
) {
    let (mut world, hooks, ids) = three(memory);
    hooks.panic_in(call, 1);
    let texture = world.texture(RED, size(3, 3));
    let captured = read(&mut world.presenter, ids[0], Some(texture));
    let answer = answer(&captured);
    assert!(matches!(answer, Err(GetImageError::Texture(PresentError::Panicked))), "{answer:?}");
    assert_all_returned(&world.recorder, world.presenter, 0);
}

#[rstest]
fn a_panic_in_a_wait_ends_that_wait(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let (mut world, hooks, ids) = three(memory);
    hooks.panic_in(Call::Wait, 1);
    present_to(&mut world, &ids, RED, 0);
    for id in ids {
        let end = world.recorder.end_of(id, 1);
        assert!(matches!(end, PresentEnd::Failed(PresentError::Panicked)), "{end:?}");
    }
    present_to(&mut world, &ids, GREEN, 10);
    world.gpu.finish(device(0));
    for id in ids {
        world.recorder.until_ended(id, 2);
        assert_eq!(lock_newest(&mut world.images, id), Some(GREEN));
    }
    assert_all_returned(&world.recorder, world.presenter, 6);
}

#[rstest]
fn a_panic_in_a_poll_loses_no_frame(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let (mut world, hooks, ids) = three(memory);
    hooks.panic_in(Call::Poll, 1);
    present_to(&mut world, &ids, RED, 0);
    world.gpu.finish(device(0));
    for id in ids {
        world.recorder.until_ended(id, 1);
        assert_eq!(lock_newest(&mut world.images, id), Some(RED));
    }
}

// Whatever panics while a frame is made of a copy, the poller goes on with the next one.
#[rstest]
fn a_panic_in_a_completion_fails_its_present_alone(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let (mut world, _, ids) = three(memory);
    match memory {
        Owned => world.gpu.panic_in_next_read(),
        // It is copied out.
        Portable => world.gpu.panic_in_next_completion(),
    }
    let mut batch = world.presenter.batch();
    for id in ids {
        let texture_id = world.gpu.texture(device(0), RED, None);
        let mut texture = pending(texture_id, 0, size(4, 2));
        // The alpha of an opaque canvas is looked at when the frame is made.
        texture.configuration.alpha_mode = AlphaMode::Opaque;
        batch.present(id, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
    }
    batch.submit();
    world.gpu.finish(device(0));
    let ends = ids.map(|id| world.recorder.end_of(id, 1));
    let failed = ends.iter().filter(|end| matches!(end, PresentEnd::Failed(PresentError::Panicked))).count();
    let presented = ends.iter().filter(|end| matches!(end, PresentEnd::Presented)).count();
    assert_eq!((failed, presented), (1, 2), "{ends:?}");
    // No ring misses a buffer: there are three, and none may be lost for ever.
    for round in 2..8 {
        for id in ids {
            let sequence = present(&world.gpu, &mut world.presenter, id, GREEN).unwrap();
            assert_eq!(sequence, round);
            world.gpu.finish(device(0));
            world.recorder.until_ended(id, sequence);
            assert_eq!(lock_newest(&mut world.images, id), Some(GREEN));
        }
    }
    assert_all_returned(&world.recorder, world.presenter, 0);
}

#[rstest]
fn a_panic_where_something_is_dropped_goes_no_further(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let (mut world, hooks, ids) = three(memory);
    for call in [Call::DestroyTexture, Call::DropTexture] {
        hooks.panic_in(call, 2);
    }
    let textures = present_to(&mut world, &ids, RED, 0);
    world.gpu.finish(device(0));
    ids.iter().for_each(|id| world.recorder.until_ended(*id, 1));
    assert_eq!(world.recorder.get(|record| record.textures.len()), textures.len(), "all ids come back");
    hooks.panic_in(Call::DropBuffer, 1);
    world.presenter.destroy_context(ids[0]).unwrap();
    hooks.panic_in(Call::Poll, 3);
    hooks.panic_in(Call::DestroyDevice, 1);
    hooks.panic_in(Call::DropDevice, 1);
    world.presenter.maintain();
    world.presenter.destroy_device(device(0));
    world.presenter.drop_device(device(0));
    let buffers = [1000, 1001, 1002].map(|id| ReturnedId::Buffer(fake::buffer(id)));
    // A poller that is telling something tells of them too, a moment later.
    spin_until("the ids come back", || {
        buffers.iter().all(|id| world.recorder.times_returned().get(id) == Some(&1))
    });
    // Other devices are not concerned.
    let texture = world.texture_on(1, GREEN);
    world.presenter.present(ids[1], Contents::Texture(texture), CanvasEpoch(2)).unwrap();
    world.gpu.finish(device(1));
    world.recorder.until_ended(ids[1], 2);
    assert_eq!(lock_newest(&mut world.images, ids[1]), Some(GREEN));
    assert_all_returned(&world.recorder, world.presenter, 3);
}
