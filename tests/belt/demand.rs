//! How many chunks there are, and of how many bytes, while the demand of the frames changes.

use std::collections::VecDeque;

use webgpu_presentation::belt::*;
use wgpu_types as wgt;

use crate::support::gpu::whole;
use crate::textures::layout;
use crate::world::*;
use crate::{KIB, MIB};

/// What one frame writes, and how.
#[derive(Clone, Copy, Debug)]
enum Demand {
    /// One write to a buffer.
    One,
    /// Writes of 4 KiB to a buffer.
    Many,
    /// A texture of one write.
    Texture,
}

const DEMANDS: [Demand; 3] = [Demand::One, Demand::Many, Demand::Texture];

/// Writes frames of `sizes` bytes, one after the other, and returns how many chunks were created.
///
/// In every frame the belt holds at most four times what the largest of the last `idle_frames` frames needed,
/// and a chunk: a chunk is at most twice as large as what it is made for, and those before it together are as
/// large again.
fn created_by(
    world: &World,
    descriptor: BeltDescriptor,
    demand: Demand,
    sizes: impl Iterator<Item = u64>,
) -> u64 {
    let mut belt = world.belt(descriptor);
    let largest = 16 * MIB;
    let buffer = world.buffer(largest);
    let texture = world.texture(wgt::TextureFormat::R8Unorm, wgt::TextureDimension::D2, [4096, 4096, 1]);
    let data = vec![1; largest as usize];
    let mut recent = VecDeque::new();
    for size in sizes {
        match demand {
            Demand::One => belt.write_buffer(buffer, 0, &data[..size as usize]).unwrap(),
            Demand::Many => {
                for offset in (0..size).step_by(4096) {
                    let size = (size - offset).min(4096);
                    belt.write_buffer(buffer, offset, &data[..size as usize]).unwrap();
                }
            }
            Demand::Texture => {
                let rows = size.div_ceil(4096) as u32;
                let layout = layout(0, 4096, rows);
                let extent = wgt::Extent3d { width: 4096, height: rows, depth_or_array_layers: 1 };
                belt.write_texture(&whole(texture.id), texture.format, &data, &layout, extent).unwrap();
            }
        }
        recent.push_back(size);
        if recent.len() > descriptor.idle_frames as usize + 1 {
            recent.pop_front();
        }
        let most = recent.iter().max().unwrap();
        let stats = belt.stats();
        assert!(stats.bytes <= 4 * most + descriptor.chunk_size, "{demand:?}, {size} of {most}: {stats:?}");
        world.frame(&mut belt);
        world.wait();
    }
    belt.stats().created
}

/// The number of usual sizes of chunks, from 256 KiB to 16 MiB.
const SIZES: u64 = 7;

// A chunk serves all demands up to twice the one that it was made for: each doubling needs another one, and no
// other frame does.
#[test]
fn a_demand_that_grows_or_shrinks_makes_few_chunks() {
    on_all(|world| {
        for demand in DEMANDS {
            // A single write has the numbers of a real page. The others grow and age four times as fast, which
            // makes the same chunks in a quarter of the time.
            let pace = if let Demand::One = demand { 1 } else { 4 };
            let descriptor = BeltDescriptor { idle_frames: 60 / pace as u32, ..Default::default() };
            let growing = || (1..=400 / pace).map(|frame| frame * pace * 40 * KIB);
            let created = created_by(world, descriptor, demand, growing());
            assert!(created <= SIZES + 1, "{demand:?}: {created}");
            let created = created_by(world, descriptor, demand, growing().rev());
            assert!(created <= 2 * SIZES, "{demand:?}: {created}");
        }
    });
}

// The chunk of the large frames waits for the next one, and that of the small frames too.
#[test]
fn large_and_small_frames_in_turn_keep_their_chunks() {
    on_all(|world| {
        for demand in DEMANDS {
            let turns = [16 * MIB, 4 * KIB, 3 * MIB, 64 * KIB].into_iter().cycle().take(80);
            let created = created_by(world, BeltDescriptor::default(), demand, turns);
            assert!(created <= 2 * SIZES, "{demand:?}: {created}");
        }
    });
}

#[test]
fn small_frames_do_not_keep_the_chunk_of_a_large_one() {
    on_all(|world| {
        for demand in DEMANDS {
            let sizes = std::iter::once(16 * MIB).chain(std::iter::repeat_n(4 * KIB, 100));
            let created = created_by(world, BeltDescriptor::default(), demand, sizes);
            assert!(created <= SIZES + 2, "{demand:?}: {created}");
        }
    });
}

// Without room in the budget for a chunk of a better size, a large one serves a small write too.
#[test]
fn a_chunk_that_is_too_large_is_better_than_none() {
    on_all(|world| {
        let size = 16 * KIB;
        let descriptor =
            BeltDescriptor { chunk_size: KIB, max_chunk_size: size, max_bytes: size, ..Default::default() };
        let mut belt = world.belt(descriptor);
        let buffer = world.buffer(size);
        belt.write_buffer(buffer, 0, &vec![1; size as usize]).unwrap();
        world.frame(&mut belt);
        world.wait();
        belt.write_buffer(buffer, 0, &[2; 4]).unwrap();
        world.frame(&mut belt);
        assert_eq!((belt.stats().created, belt.stats().bytes), (1, size));
        assert_eq!(world.read(buffer, 8), [2, 2, 2, 2, 1, 1, 1, 1]);
    });
}
