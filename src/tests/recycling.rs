//! How much memory rests for the next frame, and when it is freed.

use std::time::Instant;

use super::owners::{OTHER_PAGE, PAGE, descriptor};
use super::world::*;
use crate::gpu::fake::FakeGpu;
use crate::presenter::MOST_RESTING;
use crate::{CanvasEpoch, Contents, ContextId, MemoryKind, OwnerId, Presenter};

/// A frame of 16 KiB.
const LARGE: (u32, u32) = (64, 64);
const LARGE_BYTES: usize = 16 << 10;

fn create(presenter: &mut Presenter, ids: std::ops::Range<u64>, owner: OwnerId) -> Vec<ContextId> {
    let ids: Vec<_> = ids.map(ContextId).collect();
    ids.iter().for_each(|id| presenter.create_context(*id, descriptor(owner)).unwrap());
    ids
}

fn present(gpu: &FakeGpu, presenter: &mut Presenter, id: ContextId, (width, height): (u32, u32)) {
    let texture = pending(gpu.texture(device(0), [7; 4], None), 0, size(width, height));
    presenter.present(id, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
}

/// Presents twice to each context before anything is done, and waits until all is shown: more than one frame needs rests then.
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

/// Bytes of an owner that rest, and that are in use.
fn resting_and_used(world: &World, owner: OwnerId) -> (usize, usize) {
    let reports = world.presenter.memory_report().into_iter().filter(|report| report.owner == owner);
    let (resting, used): (Vec<_>, Vec<_>) = reports.partition(|report| report.kind == MemoryKind::Recycled);
    let sum = |reports: Vec<crate::MemoryReport>| reports.iter().map(|report| report.bytes).sum();
    (sum(resting), sum(used))
}

/// How many textures and buffers were made: the fake numbers them together.
fn made(world: &World) -> u32 {
    world.gpu.texture(device(0), [0; 4], None).unzip().0
}

#[rstest]
fn trim_frees_what_rests_of_one_owner(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::empty(memory);
    let mine = create(&mut world.presenter, 10..13, PAGE);
    let other = create(&mut world.presenter, 20..21, OTHER_PAGE);
    let all: Vec<_> = mine.iter().chain(&other).copied().collect();
    for _ in 0..2 {
        busy_frame(&mut world, &all, LARGE);
    }
    let before = [PAGE, OTHER_PAGE].map(|owner| resting_and_used(&world, owner));
    assert!(before.iter().all(|(resting, _)| *resting > 0), "{before:?}");
    world.presenter.trim(PAGE);
    let after = [PAGE, OTHER_PAGE].map(|owner| resting_and_used(&world, owner));
    assert_eq!(after, [(0, before[0].1), before[1]], "what is shown stays, and the other's");
    busy_frame(&mut world, &all, LARGE);
    world.presenter.trim(OwnerId(99));
}

#[rstest]
fn what_rests_of_an_owner_is_bounded_by_what_it_uses(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::empty(memory);
    let large = create(&mut world.presenter, 10..16, PAGE);
    let small = create(&mut world.presenter, 20..22, PAGE);
    let other = create(&mut world.presenter, 30..31, OTHER_PAGE);
    for _ in 0..2 {
        busy_frame(&mut world, &large, LARGE);
        busy_frame(&mut world, &small, (4, 2));
        busy_frame(&mut world, &other, LARGE);
    }
    let of_other = resting_and_used(&world, OTHER_PAGE);
    let (resting, used) = resting_and_used(&world, PAGE);
    assert!(resting > used + MOST_RESTING, "{resting} bytes rest, {used} are in use");
    let resting_of = |world: &World, ids: &[ContextId]| {
        let reports = world.presenter.memory_report().into_iter();
        let resting =
            reports.filter(|report| report.kind == MemoryKind::Recycled && ids.contains(&report.context));
        resting.map(|report| report.bytes).sum::<usize>()
    };
    let of_small = resting_of(&world, &small);

    world.presenter.maintain();
    let (resting, still_used) = resting_and_used(&world, PAGE);
    assert_eq!(still_used, used);
    assert!(resting <= used + MOST_RESTING, "{resting} bytes rest, {used} are in use");
    assert!(resting + LARGE_BYTES > used + MOST_RESTING, "no more is freed than that: {resting}, {used}");
    assert_eq!(resting_of(&world, &small), of_small, "small ones are not worth it");
    assert_eq!(resting_and_used(&world, OTHER_PAGE), of_other, "another owner is not concerned");
}

#[rstest]
fn a_page_that_is_presented_in_each_frame_keeps_its_buffers_though_maintained_in_each(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::empty(memory);
    let ids = create(&mut world.presenter, 10..16, PAGE);
    for _ in 0..2 {
        busy_frame(&mut world, &ids, LARGE);
    }
    let (start, before) = (Instant::now(), made(&world));
    let frames = 100;
    for _ in 0..frames {
        busy_frame(&mut world, &ids, LARGE);
        world.presenter.maintain();
    }
    let buffers = made(&world) - before - 1 - frames * 12;
    let seconds = start.elapsed().as_secs() as u32 + 1;
    assert!(buffers <= 12 * seconds, "{buffers} buffers were made in {seconds} s");
}
