//! What is shown when: R9 to R13, R17, R18, R20, R21.

use super::world::*;
use crate::{AlphaMode, BufferIds, CanvasEpoch, Contents, PresentEnd};

const RED: [u8; 4] = [0, 0, 255, 255];
const GREEN: [u8; 4] = [0, 255, 0, 255];
const CLEAR: [u8; 4] = [0; 4];

#[rstest]
fn a_presented_frame_is_shown_and_read_until_something_replaces_it(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    assert_eq!(world.shown(), CLEAR);
    let red = world.present(RED, 1);
    assert_eq!(world.shown(), CLEAR, "not before its copy is done");
    world.finish(red);
    for _ in 0..3 {
        assert_eq!((world.shown(), world.read_pixel()), (RED, RED));
    }
    let green = world.present(GREEN, 2);
    world.finish(green);
    assert_eq!((world.shown(), world.read_pixel()), (GREEN, GREEN));
    assert!(matches!(world.end_of(red), PresentEnd::Presented));
}

// R7.
#[rstest]
fn an_unpresented_context_reads_as_transparent_black_of_its_size(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::empty(memory);
    world.create(BufferIds::Allocated);
    let image = answer(&world.get_image(None)).unwrap();
    assert_eq!((image.size(), first_pixel(&image)), (size(4, 2), CLEAR));
}

// R10.
#[rstest]
fn a_read_waits_for_the_frame_in_flight(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let red = world.present(RED, 1);
    world.finish(red);
    world.present(GREEN, 2);
    let waiting = world.get_image(None);
    assert!(waiting.try_recv().is_err(), "not the frame before");
    world.gpu.finish(device(0));
    assert_eq!(first_pixel(&answer(&waiting).unwrap()), GREEN);
}

// R10 and R11 together: the read was asked for before the clear.
#[rstest]
fn a_read_gets_its_frame_though_the_canvas_is_cleared_meanwhile(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let red = world.present(RED, 1);
    let waiting = world.get_image(None);
    world.present_cleared(size(9, 9), 2);
    world.finish(red);
    assert_eq!(first_pixel(&answer(&waiting).unwrap()), RED);
    assert_eq!((world.shown(), world.read_pixel()), (CLEAR, CLEAR));
    assert!(matches!(world.end_of(red), PresentEnd::Superseded));
}

// R11 and D4: the late callback resurrected the old frame, at its old size.
#[rstest]
fn a_frame_in_flight_never_shows_after_a_clear(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let red = world.present(RED, 1);
    world.present_cleared(size(3, 5), 2);
    let calls = world.recorder.get(|record| record.calls.len());
    world.finish(red);
    assert_eq!(world.shown(), CLEAR);
    let image = answer(&world.get_image(None)).unwrap();
    assert_eq!((image.size(), first_pixel(&image)), (size(3, 5), CLEAR));
    assert_eq!(world.recorder.get(|record| record.calls.len()), calls, "a stale frame sends nothing");
    assert_eq!(world.acknowledged(), Some(2));
}

// R18 and D1: completion order must not win. Two devices, because one completes in order.
#[rstest]
fn frames_are_shown_in_the_order_of_their_presents(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let slow = world.present(RED, 1);
    let fast = pending(world.gpu.texture(device(1), GREEN, None), 1, size(4, 2));
    let fast = world.present_texture(fast, 2).unwrap();
    world.gpu.finish(device(1));
    world.until_ended(fast);
    assert_eq!(world.shown(), GREEN);
    world.finish(slow);
    assert_eq!((world.shown(), world.read_pixel()), (GREEN, GREEN));
    assert!(matches!(world.end_of(slow), PresentEnd::Superseded));
    assert_eq!(world.acknowledged(), Some(2));
}

// R17: the newest is shown, something always arrives, and memory is bounded (I5).
#[rstest]
fn under_overload_the_newest_wins_and_the_oldest_arrives(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let presents: Vec<u64> = (1..=100u8).map(|i| world.present([i, i, i, 255], u64::from(i))).collect();
    assert_eq!(world.presenter.statistics(CONTEXT).unwrap().in_flight, 2);
    assert_eq!(world.gpu.buffers(), 2, "the newest is copied into the buffer of what it supersedes");
    world.finish(presents[99]);
    world.until_ended(presents[0]);
    assert!(matches!(world.end_of(presents[0]), PresentEnd::Presented));
    assert!(matches!(world.end_of(presents[99]), PresentEnd::Presented));
    for superseded in &presents[1..99] {
        assert!(matches!(world.end_of(*superseded), PresentEnd::Superseded));
    }
    assert_eq!((world.shown(), world.read_pixel()), ([100, 100, 100, 255], [100, 100, 100, 255]));
    assert_eq!(world.acknowledged(), Some(100));
}

// R17: a device that hangs does not make the canvas stand still, once another one presents to it.
#[rstest]
fn what_arrives_first_is_not_superseded_because_another_device_hangs(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let hangs = pending(world.gpu.texture(device(1), RED, None), 1, size(4, 2));
    let hangs = world.present_texture(hangs, 1).unwrap();
    let presents: Vec<u64> = (2..=9u8).map(|i| world.present([i; 4], u64::from(i))).collect();
    assert_eq!(world.presenter.statistics(CONTEXT).unwrap().in_flight, 3);
    world.finish(presents[7]);
    assert!(matches!(world.end_of(presents[0]), PresentEnd::Presented));
    assert!(matches!(world.end_of(presents[7]), PresentEnd::Presented));
    assert_eq!(world.shown(), [9; 4]);
    world.gpu.finish(device(1));
    assert!(matches!(world.end_of(hangs), PresentEnd::Superseded));
}

// R17: a page that changes its device with each present cannot fill the ring either.
#[rstest]
fn under_overload_on_two_devices_the_newest_wins(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let mut newest = 0;
    for i in 1..=100u8 {
        let index = u32::from(i % 2);
        let texture = pending(world.gpu.texture(device(index), [i; 4], None), index, size(4, 2));
        newest = world.present_texture(texture, u64::from(i)).unwrap();
        assert!(world.presenter.statistics(CONTEXT).unwrap().in_flight <= 4);
    }
    world.gpu.finish(device(1));
    world.finish(newest);
    assert_eq!((world.shown(), world.acknowledged()), ([100; 4], Some(100)));
}

// R17: copies for script do not make the canvas stand still.
#[rstest]
fn under_overload_with_captures_the_oldest_arrives(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let mut captures = Vec::new();
    let mut presents = Vec::new();
    for i in 1..=6u8 {
        let texture = world.texture([200; 4], size(1, 1));
        captures.push(world.get_image(Some(texture)));
        presents.push(world.present([i; 4], u64::from(i)));
    }
    world.finish(presents[5]);
    assert!(matches!(world.end_of(presents[0]), PresentEnd::Presented));
    assert!(matches!(world.end_of(presents[5]), PresentEnd::Presented));
    assert!(captures.iter().all(|capture| first_pixel(&answer(capture).unwrap()) == [200; 4]));
}

#[rstest]
fn a_superseded_frame_that_does_not_fit_is_given_up(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let mut last = 0;
    for i in 1..=20u8 {
        let texture = world.texture([i, i, i, 255], size(4, 200 * u32::from(i)));
        last = world.present_texture(texture, u64::from(i)).unwrap();
    }
    assert_eq!(world.presenter.statistics(CONTEXT).unwrap().in_flight, 2);
    world.finish(last);
    assert_eq!(world.shown(), [20, 20, 20, 255]);
}

#[rstest]
fn a_frame_that_is_awaited_is_not_superseded(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let mut waiting = Vec::new();
    for i in 1..=4u8 {
        world.present([i; 4], u64::from(i));
        waiting.push((world.get_image(None), [i; 4]));
    }
    world.gpu.finish(device(0));
    for (receiver, pixel) in waiting {
        assert_eq!(first_pixel(&answer(&receiver).unwrap()), pixel);
    }
}

// R12.
#[rstest]
fn reading_a_texture_changes_nothing_on_screen(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let red = world.present(RED, 1);
    world.finish(red);
    let calls = world.recorder.get(|record| record.calls.len());
    let texture = world.texture(GREEN, size(3, 3));
    let image = world.get_image(Some(texture));
    world.gpu.finish(device(0));
    let image = answer(&image).unwrap();
    assert_eq!((image.size(), first_pixel(&image)), (size(3, 3), GREEN));
    assert_eq!((world.shown(), world.read_pixel()), (RED, RED));
    assert_eq!(world.recorder.get(|record| record.calls.len()), calls);
}

// R13.
#[rstest]
fn zero_sizes_read_as_empty_and_are_never_described_to_the_compositor(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    for (epoch, zero) in (1..).zip([size(0, 0), size(0, 5), size(5, 0), size(u32::MAX, 0)]) {
        world.present_cleared(zero, epoch);
        assert_eq!(world.shown(), CLEAR);
        let image = answer(&world.get_image(None)).unwrap();
        assert_eq!((image.size(), image.to_vec().len()), (zero, 0));
        let texture = world.texture(RED, zero);
        let sequence = world.present_texture(texture, epoch).unwrap();
        assert!(matches!(world.end_of(sequence), PresentEnd::Presented));
        assert_eq!(world.shown(), CLEAR);
        let image = answer(&world.get_image(Some(texture))).unwrap();
        assert_eq!(image.size(), zero);
    }
}

// R8, on screen too.
#[rstest]
fn an_opaque_cleared_canvas_is_opaque_black(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let contents = Contents::Cleared { size: size(5, 5), alpha_mode: AlphaMode::Opaque };
    world.presenter.present(CONTEXT, contents, CanvasEpoch(1)).unwrap();
    assert_eq!((world.shown(), world.read_pixel()), ([0, 0, 0, 255], [0, 0, 0, 255]));
}

// R20 and D5: the compositor renders old frames, with old descriptors, after newer updates.
#[rstest]
fn bytes_match_the_descriptor_of_every_queued_frame(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let mut queued = vec![world.last_offer()];
    for (i, height) in (1..=30u8).zip([40, 3, 500, 3, 40, 1].into_iter().cycle()) {
        let texture = world.texture([i; 4], size(7, height));
        let sequence = world.present_texture(texture, u64::from(i)).unwrap();
        world.finish(sequence);
        queued.push(world.last_offer());
    }
    let mut last = CLEAR;
    for offer in queued {
        last = world.locked(offer);
    }
    // What was held back is offered once the newest of the queued is locked.
    world.recorder.until("the newest is offered", |record| {
        matches!(record.calls.last(), Some(super::world::Call::Update(_, _, _, None)))
    });
    assert_ne!(last, [30; 4]);
    assert_eq!(world.shown(), [30; 4]);
}

// R21: between the locks of two tiles a newer frame arrives.
#[rstest]
fn all_tiles_of_one_update_show_one_frame(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let red = world.present(RED, 1);
    world.finish(red);
    let offer = world.last_offer();
    assert_eq!(world.locked(offer), RED);
    let green = world.present(GREEN, 2);
    world.finish(green);
    assert_eq!(world.locked(offer), RED);
    assert_eq!(world.shown(), GREEN);
}

#[rstest]
fn generations_may_wrap_while_nothing_is_locked(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    for i in 0..700u64 {
        let pixel = [(i % 251) as u8; 4];
        let sequence = world.present(pixel, i);
        world.finish(sequence);
        if i % 300 == 299 {
            // The first lock may answer with an older frame; then the newest is offered.
            world.shown();
            world.recorder.until("the newest is offered", |record| {
                matches!(record.calls.last(), Some(super::world::Call::Update(_, _, _, None)))
            });
            assert_eq!(world.shown(), pixel);
        }
    }
}

// R22: WebRender keeps the swizzle of a key's first format.
#[rstest]
fn all_frames_of_a_key_have_one_byte_order(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let red = world.present(RED, 1);
    world.finish(red);
    let (before, _) = world.last_offer();
    let mut texture = world.texture([255, 0, 0, 255], size(4, 2));
    texture.configuration.format = wgpu_types::TextureFormat::Rgba8Unorm;
    let rgba = world.present_texture(texture, 2).unwrap();
    world.finish(rgba);
    let (after, _) = world.last_offer();
    assert_eq!(before.format, after.format);
    assert_eq!(world.shown(), RED);
}
