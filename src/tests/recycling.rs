//! How much memory rests for the next frame, and when it is freed.

use std::time::Instant;

use super::owners::{OTHER_PAGE, PAGE, descriptor};
use super::world::*;
use crate::gpu::fake::FakeGpu;
use crate::{CanvasEpoch, Contents, ContextId, OwnerId, Presenter};

/// A frame of 16 KiB.
const LARGE: (u32, u32) = (64, 64);

fn create(presenter: &mut Presenter, ids: std::ops::Range<u64>, owner: OwnerId) -> Vec<ContextId> {
    let ids: Vec<_> = ids.map(ContextId).collect();
    ids.iter().for_each(|id| presenter.create_context(*id, descriptor(owner)).unwrap());
    ids
}

fn present(gpu: &FakeGpu, presenter: &mut Presenter, id: ContextId, (width, height): (u32, u32)) {
    let texture = pending(gpu.texture(device(0), [7; 4], None), 0, size(width, height));
    presenter.present(id, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
    presenter.batch().destroy_texture(texture.texture_id);
}

/// Presents twice to each context before anything is done, and waits until all is shown: then two buffers of each rest, if
/// there was a frame before.
fn busy_frame(world: &mut World, ids: &[ContextId], size: (u32, u32)) {
    for id in ids {
        present(&world.gpu, &mut world.presenter, *id, size);
        present(&world.gpu, &mut world.presenter, *id, size);
    }
    world.gpu.finish(device(0));
    for id in ids {
        while world.presenter.statistics(*id).unwrap().in_flight > 0 {
            std::thread::yield_now();
        }
    }
}

fn buffers(world: &World, ids: &[ContextId]) -> usize {
    ids.iter().map(|id| world.presenter.statistics(*id).unwrap().buffers).sum()
}

/// How many textures and buffers were made: the fake numbers them together.
fn made(world: &World) -> u32 {
    world.gpu.texture(device(0), [0; 4], None).unzip().0
}

#[test]
fn trim_frees_what_rests_of_one_owner() {
    let mut world = World::empty();
    let mine = create(&mut world.presenter, 10..13, PAGE);
    let other = create(&mut world.presenter, 20..21, OTHER_PAGE);
    let all: Vec<_> = mine.iter().chain(&other).copied().collect();
    for _ in 0..2 {
        busy_frame(&mut world, &all, (4, 2));
    }
    let before = buffers(&world, &other);
    assert!(buffers(&world, &mine) > 3 && before > 1);
    world.presenter.trim(PAGE);
    assert_eq!((buffers(&world, &mine), buffers(&world, &other)), (3, before), "what is shown stays");
    busy_frame(&mut world, &all, (4, 2));
    world.presenter.trim(OwnerId(99));
}

#[test]
fn what_rests_of_an_owner_is_bounded_by_what_it_uses() {
    let mut world = World::empty();
    let mine = create(&mut world.presenter, 10..16, PAGE);
    let small = create(&mut world.presenter, 20..22, PAGE);
    let other = create(&mut world.presenter, 30..32, OTHER_PAGE);
    for _ in 0..2 {
        busy_frame(&mut world, &mine, LARGE);
        busy_frame(&mut world, &small, (4, 2));
        busy_frame(&mut world, &other, LARGE);
    }
    let before = [&mine, &small, &other].map(|ids| buffers(&world, ids));
    assert_eq!(before, [18, 6, 6]);
    world.presenter.maintain();
    // In use are 6 × 16 + 2 × 4 KiB. 12 × 16 + 4 × 4 = 208 KiB rest, of which 104 + 64 may: three large ones go. The small ones
    // are not worth it, and the other owner has too little.
    assert_eq!(crate::recycling::MOST_RESTING, 64 << 10);
    assert_eq!([&mine, &small, &other].map(|ids| buffers(&world, ids)), [15, 6, 6]);
}

#[test]
fn a_page_that_is_presented_in_each_frame_keeps_its_buffers_though_maintained_in_each() {
    let mut world = World::empty();
    let mine = create(&mut world.presenter, 10..16, PAGE);
    for _ in 0..2 {
        busy_frame(&mut world, &mine, LARGE);
    }
    let (start, before) = (Instant::now(), made(&world));
    let frames = 100;
    for _ in 0..frames {
        busy_frame(&mut world, &mine, LARGE);
        world.presenter.maintain();
    }
    let buffers = made(&world) - before - 1 - frames * 12;
    let seconds = start.elapsed().as_secs() as u32 + 1;
    assert!(buffers <= 3 * seconds, "{buffers} buffers were made in {seconds} s");
}
