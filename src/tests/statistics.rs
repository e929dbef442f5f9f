//! What a presenter counts of a context.

use std::thread;
use std::time::Duration;

use super::world::*;
use crate::{ContextConfiguration, Failures, Latency, Statistics};
use wgpu_types::TextureFormat;

fn statistics(world: &World) -> Statistics {
    world.presenter.statistics(CONTEXT).unwrap()
}

/// A texture of 4×2 pixels whose configuration has another format.
fn with_format(world: &World, format: TextureFormat) -> crate::PendingTexture {
    let texture = world.texture(GREEN, size(4, 2));
    let configuration = ContextConfiguration { format, ..texture.configuration };
    crate::PendingTexture { configuration, ..texture }
}

#[rstest]
fn failures_are_counted_by_reason(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    world.show(RED, 1);
    assert_eq!(statistics(&world).failures, Failures::default());
    for epoch in 2..4 {
        let texture = with_format(&world, TextureFormat::R8Unorm);
        let sequence = world.present_texture(texture, epoch).unwrap();
        world.until_ended(sequence);
    }
    let sequence = world.present_texture(world.texture(GREEN, size(1 << 20, 1 << 20)), 4).unwrap();
    world.until_ended(sequence);
    let sequence = world.present_texture(world.foreign(), 5).unwrap();
    world.until_ended(sequence);
    let sequence = world.present(GREEN, 6);
    world.gpu.lose(device(0));
    world.until_ended(sequence);
    let expected = Failures {
        unsupported_format: 2,
        too_large: 1,
        wrong_device: 1,
        device_lost: 1,
        ..Default::default()
    };
    let Statistics { failed, failures, .. } = statistics(&world);
    assert_eq!((failed, failures), (5, expected));
}

// 4×2 pixels of four bytes and of eight, and one pixel. Rows are padded in memory, which does not count.
#[rstest]
fn bytes_are_those_of_the_pixels(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    assert_eq!(statistics(&world).bytes, 32);
    let half_floats = with_format(&world, TextureFormat::Rgba16Float);
    world.show_texture(half_floats, 2);
    assert_eq!(statistics(&world).bytes, 96);
    world.show_texture(world.texture(GREEN, size(1, 1)), 3);
    assert_eq!(statistics(&world).bytes, 100);
    // Neither cleared contents nor reads are frames that were made.
    world.present_cleared(size(4, 2), 4);
    let texture = world.texture(GREEN, size(4, 2));
    world.capture(texture);
    assert_eq!(statistics(&world).bytes, 100);
}

#[rstest]
fn the_latency_is_that_of_the_frames_that_are_shown(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    const WAIT: Duration = Duration::from_millis(20);
    let mut world = World::new(memory);
    world.present_cleared(size(4, 2), 1);
    assert_eq!(statistics(&world).latency, None);
    let sequence = world.present(RED, 2);
    thread::sleep(WAIT);
    assert_eq!(statistics(&world).latency, None);
    world.finish(sequence);
    let first = statistics(&world).latency.unwrap();
    let Latency { frames, minimum, median, percentile_99 } = first;
    assert_eq!((frames, median, percentile_99), (1, minimum, minimum));
    assert!(minimum >= WAIT, "{minimum:?}");
    let failed = world.present_texture(world.foreign(), 3).unwrap();
    world.until_ended(failed);
    assert_eq!(statistics(&world).latency, Some(first));
    world.show(RED, 4);
    assert_eq!(statistics(&world).latency.map(|latency| latency.frames), Some(2));
}
