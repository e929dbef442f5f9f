//! Which frame is on screen, and which one script reads, after presents, clears and reads in any order.

use super::world::*;
use crate::{AlphaMode, BufferIds};

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
        world.assert_shows(RED);
    }
    world.show(GREEN, 2);
    world.assert_shows(GREEN);
    world.assert_presented(red);
}

// `toDataURL()` of a canvas that was never configured must give an image of its size, never an empty one.
#[rstest]
fn an_unpresented_context_reads_as_transparent_black_of_its_size(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::empty(memory);
    world.create(BufferIds::Allocated);
    let image = world.read_image();
    assert_eq!((image.size(), first_pixel(&image)), (size(4, 2), CLEAR));
}

// Script that reads right after a present must not get the frame before, whose copy happens to be done.
#[rstest]
fn a_read_waits_for_the_frame_in_flight(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    world.present(GREEN, 2);
    let waiting = world.get_image(None);
    assert!(waiting.try_recv().is_err(), "not the frame before");
    world.gpu.finish(device(0));
    assert_eq!(answered_pixel(&waiting), GREEN);
}

// The read came before the clear, so the clear must not answer it, though the frame itself is never shown.
#[rstest]
fn a_read_gets_its_frame_though_the_canvas_is_cleared_meanwhile(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let red = world.present(RED, 1);
    let waiting = world.get_image(None);
    world.present_cleared(size(9, 9), 2);
    world.finish(red);
    assert_eq!(answered_pixel(&waiting), RED);
    world.assert_shows(CLEAR);
    world.assert_superseded(red);
}

// If the callback of a late copy showed its frame, it would bring the old picture back, at its old size.
#[rstest]
fn a_frame_in_flight_never_shows_after_a_clear(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let red = world.present(RED, 1);
    world.present_cleared(size(3, 5), 2);
    let calls = world.recorder.calls().len();
    world.finish(red);
    assert_eq!(world.shown(), CLEAR);
    let image = world.read_image();
    assert_eq!((image.size(), first_pixel(&image)), (size(3, 5), CLEAR));
    assert_eq!(world.recorder.calls().len(), calls, "a stale frame sends nothing");
    assert_eq!(world.acknowledged(), Some(2));
}

// If the order of completion won, an animation would jump back. One device completes in order, so the test needs two.
#[rstest]
fn frames_are_shown_in_the_order_of_their_presents(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let slow = world.present(RED, 1);
    world.show_texture(world.texture_on(1, GREEN), 2);
    assert_eq!(world.shown(), GREEN);
    world.finish(slow);
    world.assert_shows(GREEN);
    world.assert_superseded(slow);
    assert_eq!(world.acknowledged(), Some(2));
}

// A page that presents faster than the GPU copies must not stand still, lose its last frame or use ever more memory.
#[rstest]
fn under_overload_the_newest_wins_and_the_oldest_arrives(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let presents: Vec<u64> = (1..=100u8).map(|i| world.present([i, i, i, 255], u64::from(i))).collect();
    assert_eq!(world.in_flight(), 2);
    assert_eq!(world.gpu.staging_buffers(), 2, "the newest is copied into the buffer of what it supersedes");
    world.finish(presents[99]);
    world.assert_presented(presents[0]);
    world.assert_presented(presents[99]);
    presents[1..99].iter().for_each(|superseded| world.assert_superseded(*superseded));
    world.assert_shows([100, 100, 100, 255]);
    assert_eq!(world.acknowledged(), Some(100));
}

// A device that hangs must not make the canvas stand still once another device presents to it.
#[rstest]
fn what_arrives_first_is_not_superseded_because_another_device_hangs(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let hangs = world.present_texture(world.texture_on(1, RED), 1).unwrap();
    let presents: Vec<u64> = (2..=9u8).map(|i| world.present([i; 4], u64::from(i))).collect();
    assert_eq!(world.in_flight(), 3);
    world.finish(presents[7]);
    world.assert_presented(presents[0]);
    world.assert_presented(presents[7]);
    assert_eq!(world.shown(), [9; 4]);
    world.gpu.finish(device(1));
    world.assert_superseded(hangs);
}

// The bound on presents in flight holds for each device. A page that alternates between devices must not fill the ring.
#[rstest]
fn under_overload_on_two_devices_the_newest_wins(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let mut newest = 0;
    for i in 1..=100u8 {
        let texture = world.texture_on(u32::from(i % 2), [i; 4]);
        newest = world.present_texture(texture, u64::from(i)).unwrap();
        assert!(world.in_flight() <= 4);
    }
    world.gpu.finish(device(1));
    world.finish(newest);
    assert_eq!((world.shown(), world.acknowledged()), ([100; 4], Some(100)));
}

// Copies for script count towards what is in flight. They must not make every present supersede the one before.
#[rstest]
fn under_overload_with_captures_the_oldest_arrives(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let (mut captures, mut presents) = (Vec::new(), Vec::new());
    for i in 1..=6u8 {
        captures.push(world.get_image(Some(world.texture([200; 4], size(1, 1)))));
        presents.push(world.present([i; 4], u64::from(i)));
    }
    world.finish(presents[5]);
    world.assert_presented(presents[0]);
    world.assert_presented(presents[5]);
    assert!(captures.iter().all(|capture| answered_pixel(capture) == [200; 4]));
}

#[rstest]
fn a_superseded_frame_that_does_not_fit_is_given_up(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let mut last = 0;
    for i in 1..=20u8 {
        let texture = world.texture([i, i, i, 255], size(4, 200 * u32::from(i)));
        last = world.present_texture(texture, u64::from(i)).unwrap();
    }
    assert_eq!(world.in_flight(), 2);
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
        assert_eq!(answered_pixel(&receiver), pixel);
    }
}

#[rstest]
fn reading_a_texture_changes_nothing_on_screen(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    let calls = world.recorder.calls().len();
    let image = world.capture(world.texture(GREEN, size(3, 3)));
    assert_eq!((image.size(), first_pixel(&image)), (size(3, 3), GREEN));
    world.assert_shows(RED);
    assert_eq!(world.recorder.calls().len(), calls);
}

// WebRender's backend thread panics on an empty image: a cleared pixel stands for it.
#[rstest]
fn zero_sizes_read_as_empty_and_are_never_described_to_the_compositor(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    for (epoch, zero) in (1..).zip([size(0, 0), size(0, 5), size(5, 0), size(u32::MAX, 0)]) {
        world.present_cleared(zero, epoch);
        assert_eq!(world.shown(), CLEAR);
        let image = world.read_image();
        assert_eq!((image.size(), image.to_vec().unwrap().len()), (zero, 0));
        let texture = world.texture(RED, zero);
        let sequence = world.present_texture(texture, epoch).unwrap();
        world.assert_presented(sequence);
        assert_eq!(world.shown(), CLEAR);
        let image = answer(&world.get_image(Some(texture))).unwrap();
        assert_eq!(image.size(), zero);
    }
}

#[rstest]
fn an_opaque_cleared_canvas_is_opaque_black(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    world.present_blank(size(5, 5), AlphaMode::Opaque, 1);
    world.assert_shows([0, 0, 0, 255]);
}

// WebRender renders frames that it built earlier, with their descriptors, after newer updates. A smaller frame under an older,
// larger descriptor would panic its renderer.
#[rstest]
fn bytes_match_the_descriptor_of_every_queued_frame(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let mut queued = vec![world.last_offer()];
    for (i, height) in (1..=30u8).zip([40, 3, 500, 3, 40, 1].into_iter().cycle()) {
        world.show_texture(world.texture([i; 4], size(7, height)), u64::from(i));
        queued.push(world.last_offer());
    }
    let mut last = CLEAR;
    for offer in queued {
        last = world.locked(offer);
    }
    assert_eq!(last, [30; 4]);
}

// WebRender locks a large canvas once for each tile. A newer frame between two locks must not tear the picture.
#[rstest]
fn all_tiles_of_one_update_show_one_frame(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    let offer = world.last_offer();
    assert_eq!(world.locked(offer), RED);
    world.show(GREEN, 2);
    assert_eq!(world.locked(offer), RED);
    assert_eq!(world.shown(), GREEN);
}

#[rstest]
fn generations_may_wrap_while_nothing_is_locked(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    for i in 0..700u64 {
        let pixel = [(i % 251) as u8; 4];
        world.show(pixel, i);
        if i % 300 == 299 {
            assert_eq!(world.shown(), pixel);
        }
    }
}

// WebRender on GL keeps the swizzle of the first format that an image key had: another byte order would swap red and blue.
#[rstest]
fn all_frames_of_a_key_have_one_byte_order(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    let (before, _) = world.last_offer();
    let mut texture = world.texture([255, 0, 0, 255], size(4, 2));
    texture.configuration.format = wgpu_types::TextureFormat::Rgba8Unorm;
    world.show_texture(texture, 2);
    let (after, _) = world.last_offer();
    assert_eq!(before.format, after.format);
    assert_eq!(world.shown(), RED);
}
