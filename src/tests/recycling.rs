//! How much memory rests for the next frame, and when it is freed.

use std::time::Instant;

use super::world::*;
use crate::presenter::MOST_RESTING;
use crate::{CanvasEpoch, Contents, ContextId, MemoryKind, MemoryReport, OwnerId};

/// A frame of 16 KiB.
const LARGE: (u32, u32) = (64, 64);
const LARGE_BYTES: usize = 16 << 10;

/// Presents twice to each context before a copy is done, and waits until all is shown. More memory than one frame needs
/// rests afterwards.
fn busy_frame(world: &mut World, ids: &[ContextId], (width, height): (u32, u32)) {
    for id in ids.iter().flat_map(|id| [id, id]) {
        let contents = Contents::Texture(world.texture([7; 4], size(width, height)));
        world.presenter.present(*id, contents, CanvasEpoch(1)).unwrap();
    }
    world.gpu.finish(device(0));
    for id in ids {
        spin_until("all is shown", || world.presenter.statistics(*id).unwrap().in_flight == 0);
    }
}

/// Bytes that some contexts hold.
fn bytes(world: &World, of: impl Fn(&MemoryReport) -> bool) -> usize {
    let reports = world.presenter.memory_report();
    reports.iter().filter(|report| of(report)).map(|report| report.bytes).sum()
}

/// Bytes of an owner that rest, and that are in use.
fn resting_and_used(world: &World, owner: OwnerId) -> (usize, usize) {
    let is_resting = |report: &MemoryReport| report.kind == MemoryKind::Recycled;
    let resting = bytes(world, |report| report.owner == owner && is_resting(report));
    (resting, bytes(world, |report| report.owner == owner && !is_resting(report)))
}

// A page in the background needs no memory for its next frame.
#[rstest]
fn trim_frees_what_rests_of_one_owner(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::empty(memory);
    let mine = world.create_all(10..13, PAGE);
    let other = world.create_all(20..21, OTHER_PAGE);
    let all = [mine, other].concat();
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

// A page with many canvases must not keep several times the memory that its frames need.
#[rstest]
fn what_rests_of_an_owner_is_bounded_by_what_it_uses(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::empty(memory);
    let large = world.create_all(10..16, PAGE);
    let small = world.create_all(20..22, PAGE);
    let other = world.create_all(30..31, OTHER_PAGE);
    for _ in 0..2 {
        busy_frame(&mut world, &large, LARGE);
        busy_frame(&mut world, &small, (4, 2));
        busy_frame(&mut world, &other, LARGE);
    }
    let of_other = resting_and_used(&world, OTHER_PAGE);
    let (resting, used) = resting_and_used(&world, PAGE);
    assert!(resting > used + MOST_RESTING, "{resting} bytes rest, {used} are in use");
    let resting_of = |world: &World, ids: &[ContextId]| {
        bytes(world, |report| report.kind == MemoryKind::Recycled && ids.contains(&report.context))
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

// If maintenance freed what the next frame needs, each frame would make buffers.
#[rstest]
fn a_page_that_is_presented_in_each_frame_keeps_its_buffers_though_maintained_in_each(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::empty(memory);
    let ids = world.create_all(10..16, PAGE);
    for _ in 0..2 {
        busy_frame(&mut world, &ids, LARGE);
    }
    let (start, before) = (Instant::now(), world.gpu.created());
    let frames = 100;
    for _ in 0..frames {
        busy_frame(&mut world, &ids, LARGE);
        world.presenter.maintain();
    }
    let buffers = world.gpu.created() - before;
    let seconds = start.elapsed().as_secs() as usize + 1;
    assert!(buffers <= 12 * seconds, "{buffers} buffers were made in {seconds} s");
}
