//! What goes wrong: R14, R15.

use std::sync::mpsc;

use super::world::*;
use crate::gpu::{fake, fake::Fault};
use crate::{
    AlphaMode, BufferIds, CanvasEpoch, Contents, ContextDescriptor, ContextId, GetImageError, OwnerId,
    PendingTexture, PresentEnd, PresentError,
};

const RED: [u8; 4] = [0, 0, 255, 255];
const GREEN: [u8; 4] = [0, 255, 0, 255];
const CLEAR: [u8; 4] = [0; 4];

/// A world that shows red.
fn showing_red(memory: FrameMemoryKind) -> World {
    let mut world = World::new(memory);
    let red = world.present(RED, 1);
    world.finish(red);
    world
}

/// A present of a faulty texture, which must fail.
fn fail(world: &mut World, texture: PendingTexture) -> PresentError {
    let _ = world.present_texture(texture, 2);
    match world.end_of(2) {
        PresentEnd::Failed(error) => error,
        end => panic!("{end:?}"),
    }
}

// D6: a failed copy cleared the canvas.
#[rstest]
fn a_failed_present_keeps_the_last_good_frame(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let foreign = |world: &World| pending(world.gpu.texture(device(1), GREEN, None), 0, size(4, 2));
    let mut world = showing_red(memory);
    let texture = foreign(&world);
    assert!(matches!(fail(&mut world, texture), PresentError::WrongDevice));
    assert_eq!((world.shown(), world.read_pixel()), (RED, RED));

    let mut world = showing_red(memory);
    // With headroom, because the canvas grows, and without.
    world.gpu.fail_next_creations(2);
    let texture = world.texture(GREEN, size(400, 200));
    assert!(matches!(fail(&mut world, texture), PresentError::OutOfMemory));
    assert_eq!((world.shown(), world.read_pixel()), (RED, RED));
    // D7: after a failure the next one succeeds.
    let texture = world.texture(GREEN, size(400, 200));
    let green = world.present_texture(texture, 3).unwrap();
    world.finish(green);
    assert_eq!(world.shown(), GREEN);

    let mut world = showing_red(memory);
    let mut texture = world.texture(GREEN, size(4, 2));
    texture.configuration.format = wgpu_types::TextureFormat::Rgba32Float;
    assert!(matches!(fail(&mut world, texture), PresentError::UnsupportedFormat(_)));
    assert_eq!((world.shown(), world.read_pixel()), (RED, RED));
}

#[rstest]
fn an_invalid_or_destroyed_texture_shows_the_cleared_frame(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    for (fault, opaque) in
        [(Fault::Invalid, false), (Fault::Destroyed, false), (Fault::Invalid, true), (Fault::Destroyed, true)]
    {
        let mut world = showing_red(memory);
        let mut texture = world.faulty(fault);
        if opaque {
            texture.configuration.alpha_mode = AlphaMode::Opaque;
        }
        let error = fail(&mut world, texture);
        assert!(
            matches!(error, PresentError::TextureInvalid if fault == Fault::Invalid)
                || matches!(error, PresentError::TextureDestroyed if fault == Fault::Destroyed)
        );
        let expected = if opaque { [0, 0, 0, 255] } else { CLEAR };
        assert_eq!((world.shown(), world.read_pixel()), (expected, expected));
    }
}

// R15: one bad texture never hurts its neighbours.
#[rstest]
fn a_bad_texture_fails_alone_in_its_batch(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let others: Vec<_> = (100..103).map(ContextId).collect();
    for other in &others {
        let descriptor =
            ContextDescriptor { owner: OwnerId(0), size: size(4, 2), buffer_ids: BufferIds::Allocated };
        world.presenter.create_context(*other, descriptor).unwrap();
    }
    let bad = world.faulty(Fault::Destroyed);
    let good: Vec<_> = others.iter().map(|_| world.texture(GREEN, size(4, 2))).collect();
    let mut batch = world.presenter.batch();
    for (other, texture) in others.iter().zip(&good).take(2) {
        batch.present(*other, Contents::Texture(*texture), CanvasEpoch(1)).unwrap();
    }
    batch.present(CONTEXT, Contents::Texture(bad), CanvasEpoch(1)).unwrap();
    batch.present(others[2], Contents::Texture(good[2]), CanvasEpoch(1)).unwrap();
    batch.submit();
    world.gpu.finish(device(0));
    for other in &others {
        world.recorder.until("it ends", |record| record.outcomes.contains_key(&(*other, 1)));
        let ends = world.recorder.get(|record| record.outcomes[&(*other, 1)].clone());
        assert!(matches!(ends[..], [PresentEnd::Presented]), "{ends:?}");
    }
    assert!(matches!(world.end_of(1), PresentEnd::Failed(PresentError::TextureDestroyed)));
}

#[rstest]
fn a_batch_is_one_submission_and_destroys_its_textures_afterwards(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let others: Vec<_> = (100..200).map(ContextId).collect();
    for other in &others {
        let descriptor =
            ContextDescriptor { owner: OwnerId(0), size: size(4, 2), buffer_ids: BufferIds::Allocated };
        world.presenter.create_context(*other, descriptor).unwrap();
    }
    let textures: Vec<_> = others.iter().map(|_| world.texture(GREEN, size(4, 2))).collect();
    let mut batch = world.presenter.batch();
    for (other, texture) in others.iter().zip(&textures) {
        batch.present(*other, Contents::Texture(*texture), CanvasEpoch(1)).unwrap();
        batch.destroy_texture(texture.texture_id);
        batch.drop_texture(texture.texture_id);
    }
    drop(batch);
    assert_eq!((world.gpu.submits(), world.gpu.textures()), (1, 0));
    world.gpu.finish(device(0));
    for other in &others {
        world.recorder.until("it ends", |record| record.outcomes.contains_key(&(*other, 1)));
    }
}

#[rstest]
fn a_forgotten_batch_is_submitted_with_the_next(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let texture = world.texture(RED, size(4, 2));
    let mut batch = world.presenter.batch();
    batch.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
    std::mem::forget(batch);
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
    let texture = world.texture(RED, size(4, 2));
    let mut batch = world.presenter.batch();
    batch.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
    std::mem::forget(batch);
    world.presenter.destroy_context(CONTEXT).unwrap();
    assert!(matches!(world.end_of(1), PresentEnd::Failed(PresentError::ContextDestroyed)));
    world.create(BufferIds::Allocated);
    drop(world.presenter.batch());
    world.gpu.finish(device(0));
    assert_eq!(world.read_pixel(), CLEAR);
    assert_eq!(world.gpu.buffers(), 0);
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

// R14, and R15's last good frame.
#[rstest]
fn a_lost_device_fails_what_is_in_flight_and_keeps_what_is_shown(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = showing_red(memory);
    let lost = world.present(GREEN, 2);
    let waiting = world.get_image(None);
    let texture = world.texture(GREEN, size(3, 3));
    let capture = world.get_image(Some(texture));
    world.gpu.lose(device(0));
    assert!(matches!(world.end_of(lost), PresentEnd::Failed(PresentError::DeviceLost)));
    assert_eq!(first_pixel(&answer(&waiting).unwrap()), RED, "the last good frame");
    assert!(matches!(answer(&capture), Err(GetImageError::Texture(PresentError::DeviceLost))));
    assert_eq!((world.shown(), world.read_pixel()), (RED, RED));
    assert_eq!(world.acknowledged(), Some(2));
    // Another device goes on.
    let other = pending(world.gpu.texture(device(1), GREEN, None), 1, size(4, 2));
    let other = world.present_texture(other, 3).unwrap();
    world.gpu.finish(device(1));
    world.until_ended(other);
    assert_eq!(world.shown(), GREEN);
}

// R10: when the newest fails, a read waits for the one before, if that is in flight.
#[rstest]
fn a_read_of_a_failed_present_falls_back_to_the_newest_good_frame(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    world.present(RED, 1);
    let lost = pending(world.gpu.texture(device(1), GREEN, None), 1, size(4, 2));
    let lost = world.present_texture(lost, 2).unwrap();
    let waiting = world.get_image(None);
    world.gpu.lose(device(1));
    world.until_ended(lost);
    assert!(waiting.try_recv().is_err());
    world.gpu.finish(device(0));
    assert_eq!(first_pixel(&answer(&waiting).unwrap()), RED);
    world.until_ended(1);
    assert_eq!(world.shown(), RED);
}

// R14. Portable memory is freed by wgpu-core.
#[rstest]
fn work_in_flight_on_a_destroyed_or_dropped_device_is_shown_if_its_memory_is_owned(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = showing_red(memory);
    let green = world.present(GREEN, 2);
    world.presenter.destroy_device(device(0));
    world.presenter.maintain();
    world.presenter.drop_device(device(0));
    world.presenter.maintain();
    world.finish(green);
    match memory {
        Owned => assert_eq!((world.shown(), world.read_pixel()), (GREEN, GREEN)),
        Portable => {
            assert!(matches!(world.end_of(green), PresentEnd::Failed(PresentError::DeviceLost)));
            assert_eq!((world.shown(), world.read_pixel()), (RED, RED));
        }
    }
    assert_eq!(world.acknowledged(), Some(2));
}

// D16: wgpu-core lost the mapping, or the device behind its back.
#[test]
fn a_mapping_that_never_comes_fails_the_present_and_answers_the_read() {
    let mut world = showing_red(Portable);
    let green = world.present(GREEN, 2);
    let waiting = world.get_image(None);
    world.gpu.fail_next_mappings(1);
    world.finish(green);
    assert!(matches!(world.end_of(green), PresentEnd::Failed(PresentError::DeviceLost)));
    assert_eq!(first_pixel(&answer(&waiting).unwrap()), RED);
    assert_eq!((world.shown(), world.acknowledged()), (RED, Some(2)));
    let green = world.present(GREEN, 3);
    world.finish(green);
    assert_eq!(world.shown(), GREEN);
}

#[rstest]
fn a_present_on_a_destroyed_device_keeps_the_last_good_frame(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = showing_red(memory);
    world.presenter.destroy_device(device(0));
    let texture = world.texture(GREEN, size(4, 2));
    assert!(matches!(fail(&mut world, texture), PresentError::DeviceLost));
    assert_eq!(world.shown(), RED);
}

// D3: a destroyed context while a copy is in flight; D16: somebody waits for it.
#[rstest]
fn destroying_a_context_answers_everybody(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = showing_red(memory);
    world.present(GREEN, 2);
    let texture = world.texture(GREEN, size(3, 3));
    let waiting = [world.get_image(None), world.get_image(Some(texture))];
    world.presenter.destroy_context(CONTEXT).unwrap();
    for receiver in waiting {
        assert!(matches!(answer(&receiver), Err(GetImageError::UnknownContext(_))));
    }
    assert!(matches!(answer(&world.get_image(None)), Err(GetImageError::UnknownContext(_))));
    world.gpu.finish(device(0));
}

// I2: the GPU may have accepted the work, so its buffer is not used again.
#[rstest]
fn after_a_submit_that_may_be_running_its_buffer_is_not_reused(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = showing_red(memory);
    let red = world.last_offer();
    let id = CONTEXT.into();
    assert_eq!(uniform_pixel(world.images.lock(id, Some(red.1)), &red.0), RED);
    world.gpu.fail_next_submit(PresentError::DeviceLost, true);
    let texture = world.texture(GREEN, size(4, 2));
    assert!(matches!(fail(&mut world, texture), PresentError::DeviceLost));
    // Another device, and a copy of the failed submission that arrives after all.
    let other = pending(world.gpu.texture(device(1), [1; 4], None), 1, size(4, 2));
    let other = world.present_texture(other, 3).unwrap();
    world.gpu.finish(device(1));
    world.until_ended(other);
    world.gpu.finish(device(0));
    assert_eq!(world.shown(), [1; 4]);
}

// A copy that was to be superseded is not lost when the newer one is refused.
#[rstest]
fn a_refused_present_supersedes_nothing(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    world.present(RED, 1);
    let green = world.present(GREEN, 2);
    let foreign = pending(world.gpu.texture(device(1), RED, None), 0, size(4, 2));
    assert!(world.present_texture(foreign, 3).is_ok());
    assert!(matches!(world.end_of(3), PresentEnd::Failed(PresentError::WrongDevice)));
    world.finish(green);
    assert!(matches!(world.end_of(green), PresentEnd::Presented));
    assert_eq!((world.shown(), world.read_pixel()), (GREEN, GREEN));
}

// And when its bytes may have been overwritten it fails too: a torn frame is never shown.
#[rstest]
fn a_superseded_copy_whose_successor_may_be_running_fails(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    world.present(RED, 1);
    let green = world.present(GREEN, 2);
    world.gpu.fail_next_submit(PresentError::DeviceLost, true);
    let texture = world.texture([3; 4], size(4, 2));
    assert!(world.present_texture(texture, 3).is_ok());
    assert!(matches!(world.end_of(green), PresentEnd::Failed(PresentError::DeviceLost)));
    assert!(matches!(world.end_of(3), PresentEnd::Failed(PresentError::DeviceLost)));
    assert!(matches!(world.end_of(1), PresentEnd::Failed(PresentError::DeviceLost)));
    assert_eq!(world.shown(), CLEAR);
    assert_eq!(world.acknowledged(), Some(3));
}

#[rstest]
fn too_many_awaited_copies_are_an_error_and_the_canvas_goes_on(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let mut waiting = Vec::new();
    let mut refused = 0;
    for i in 1..=12u8 {
        if matches!(world.present([i; 4], u64::from(i)), n if world.recorder.get(|r| r.outcomes.contains_key(&(CONTEXT, n))))
        {
            refused += 1;
        }
        waiting.push(world.get_image(None));
    }
    assert_eq!(refused, 3, "eight, and one more");
    world.gpu.finish(device(0));
    for receiver in waiting {
        answer(&receiver).unwrap();
    }
    let green = world.present(GREEN, 20);
    world.finish(green);
    assert_eq!(world.shown(), GREEN);
}

// R17: what script reads does not keep the canvas from being presented.
#[rstest]
fn captures_in_flight_leave_room_for_presents(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let captures: Vec<_> = (0..9)
        .map(|_| {
            let texture = world.texture(RED, size(1, 2));
            world.get_image(Some(texture))
        })
        .collect();
    let green = world.present(GREEN, 1);
    world.finish(green);
    assert!(matches!(world.end_of(green), PresentEnd::Presented));
    let refused = captures.iter().filter(|capture| answer(capture).is_err()).count();
    assert_eq!(refused, 1);
}

// A refused copy takes the mapping of the buffer that it was to go to: who completes that one meanwhile must poll again.
#[rstest]
fn a_refused_copy_harms_no_frame_that_is_just_being_completed(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::empty(memory);
    world.create(BufferIds::Provided(vec![fake::buffer(1000)]));
    let other = ContextId(1);
    let descriptor =
        ContextDescriptor { owner: OwnerId(0), size: size(4, 2), buffer_ids: BufferIds::Allocated };
    world.presenter.create_context(other, descriptor).unwrap();
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
    let faulty = world.faulty(Fault::Invalid);
    let _ = world.present_texture(faulty, 2);
    go_on.send(()).unwrap();
    let end = world.end_of(red);
    assert!(!matches!(end, PresentEnd::Failed(_)), "{end:?}");
}
