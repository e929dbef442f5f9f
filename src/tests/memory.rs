//! What contexts hold, as they tell it.

use std::collections::BTreeMap;

use super::world::*;
use crate::MemoryKind;

/// Bytes of a buffer for a 4×2 frame.
const BUFFER: usize = 4096;

/// Bytes of a 4×2 frame.
fn frame(memory: FrameMemoryKind) -> usize {
    match memory {
        Owned => BUFFER,
        // Two rows, and a quarter more, as the buffer has.
        Portable => 2 * 256 + 128,
    }
}

/// Bytes of a frame that is so wide, and 100 pixels high.
fn frame_of_width(width: u32) -> usize {
    (width as usize * 4).next_multiple_of(256) * 100
}

fn held(world: &World) -> BTreeMap<MemoryKind, usize> {
    let mut held = BTreeMap::new();
    for report in world.presenter.memory_report() {
        assert_eq!(report.context, CONTEXT);
        *held.entry(report.kind).or_default() += report.bytes;
    }
    held
}

fn total(world: &World) -> usize {
    held(world).values().sum()
}

fn of(world: &World, kind: MemoryKind) -> usize {
    held(world).get(&kind).copied().unwrap_or_default()
}

#[rstest]
fn a_context_tells_what_it_holds_and_what_for(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let (mut world, frame) = (World::new(memory), frame(memory));
    assert!(held(&world).is_empty());
    let first = world.present([1; 4], 1);
    assert_eq!(held(&world), BTreeMap::from([(MemoryKind::InFlight, BUFFER)]));
    world.finish(first);
    assert_eq!((of(&world, MemoryKind::InFlight), of(&world, MemoryKind::Frames)), (0, frame));
    world.shown();
    world.show([2; 4], 2);
    let shown = of(&world, MemoryKind::Frames);
    assert_eq!(shown, 2 * frame, "the one that is shown, and the one before: it was drawn last");
    world.shown();
    assert_eq!(of(&world, MemoryKind::Frames), frame);
    assert!(of(&world, MemoryKind::Recycled) >= frame);
    world.presenter.drop_device(device(0));
    assert_eq!(of(&world, MemoryKind::FramesOfLostDevices), frame);
    assert_eq!(of(&world, MemoryKind::Frames), 0);
}

#[rstest]
fn frames_that_outlive_their_context_are_told_of(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    world.show([1; 4], 1);
    let snapshot = world.read_image();
    world.presenter.destroy_context(CONTEXT).unwrap();
    assert_eq!(held(&world), BTreeMap::from([(MemoryKind::Frames, frame(memory))]));
    drop(snapshot);
    assert!(held(&world).is_empty());
}

// A canvas holds four frames while it is busy, whatever the page and the renderer do. With portable memory, what is in flight
// is not yet in a frame, which makes one more.
#[rstest]
fn a_busy_canvas_of_one_size_holds_four_frames(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let frame = frame_of_width(1000);
    for epoch in 1..=30 {
        let present = world.present_texture(world.texture([7; 4], size(1000, 100)), epoch).unwrap();
        if epoch % 3 == 0 {
            world.finish(present);
        }
        if epoch % 2 == 0 {
            world.shown();
        }
        let held = total(&world);
        let most = match memory {
            Owned => 4,
            Portable => 5,
        };
        assert!(held <= most * (frame + BUFFER), "{held} bytes: {:.1} frames", held as f64 / frame as f64);
    }
}

// A canvas that changes its size must not hold frames of every size that it had.
#[rstest]
fn what_is_held_is_bounded(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    for (epoch, width) in (1..).zip([300, 10, 300, 299, 301, 40, 1000, 5]) {
        world.show_texture(world.texture([7; 4], size(width, 100)), epoch);
        world.shown();
        let (held, frame) = (total(&world), frame_of_width(width));
        assert!(held <= 5 * frame.max(301 * 4 * 100) + 4 * BUFFER, "{held} bytes at a width of {width}");
    }
}

// A renderer that does not pass on generations gets as many bytes as the largest image had.
#[rstest]
fn a_copy_for_a_renderer_that_lags_is_told_of(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    world.show_texture(world.texture([1; 4], size(400, 300)), 1);
    world.show([2; 4], 2);
    let before = of(&world, MemoryKind::Frames);
    assert_eq!(lock_newest(&mut world.images, CONTEXT), Some([2; 4]));
    assert_eq!(of(&world, MemoryKind::Frames), before + 512, "two rows; the zeros behind them cost nothing");
    world.images.unlock(CONTEXT.into(), None);
    let snapshot = world.read_image();
    world.presenter.destroy_context(CONTEXT).unwrap();
    assert_eq!(of(&world, MemoryKind::Frames), frame(memory), "the copy is gone");
    drop(snapshot);
    assert!(held(&world).is_empty());
}
