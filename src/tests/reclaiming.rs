//! Memory that returns when nothing calls the presenter any more, and memory for copies that are refused.

use std::thread;
use std::time::{Duration, Instant};

use super::world::*;
use crate::gpu::fake::{self, Fault};
use crate::{
    BufferIds, CanvasEpoch, Contents, ContextDescriptor, ContextId, CreateContextError, MemoryKind, OwnerId,
};

/// Time within which idle memory is freed.
const RECLAIMED: Duration = Duration::from_secs(2);

fn recycled(world: &World) -> usize {
    let reports = world.presenter.memory_report();
    reports.iter().filter(|report| report.kind == MemoryKind::Recycled).map(|report| report.bytes).sum()
}

/// Waits until nothing rests, without a call that could free anything.
fn until_reclaimed(world: &World) {
    let began = Instant::now();
    while recycled(world) > 0 {
        assert!(began.elapsed() < RECLAIMED, "{} bytes rest", recycled(world));
        thread::sleep(Duration::from_millis(10));
    }
}

/// Shows two frames and waits until no poller runs, which would ask for maintenance. Then nothing rests.
fn settle(world: &mut World) {
    for epoch in 1..=2 {
        world.show([epoch as u8; 4], epoch);
        world.shown();
    }
    while let Some(deadline) = world.presenter.maintenance_deadline() {
        thread::sleep(deadline.saturating_duration_since(Instant::now()));
    }
    assert_eq!(recycled(world), 0);
}

// A page drops an image long after its canvas was drawn.
#[rstest]
fn the_memory_of_a_late_snapshot_is_freed_by_itself(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    world.show(RED, 1);
    let snapshot = world.read_image();
    settle(&mut world);
    drop(snapshot);
    assert!(recycled(&world) > 0, "it rests for a while");
    until_reclaimed(&world);
}

// A tab comes to the front again: the renderer lets go of the frame that it had drawn last.
#[rstest]
fn the_memory_of_a_frame_that_was_locked_for_long_is_freed_by_itself(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    world.show(RED, 1);
    let (_, generation) = world.last_offer();
    world.images.lock(CONTEXT.into(), Some(generation));
    settle(&mut world);
    world.images.unlock(CONTEXT.into(), Some(generation));
    assert!(recycled(&world) > 0, "it rests for a while");
    until_reclaimed(&world);
}

// The canvas lives on, and its memory is not needed any more: the burst is over.
#[rstest]
fn what_a_burst_has_left_behind_is_freed_though_the_canvas_is_drawn_on(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let mut snapshots = Vec::new();
    for epoch in 1..=20 {
        world.show([epoch as u8; 4], epoch);
        snapshots.push(world.read_image());
    }
    drop(snapshots);
    // One buffer rests between two frames, and two vectors of portable memory.
    let most = 2 * 4096;
    let began = Instant::now();
    for epoch in 21.. {
        world.show([epoch as u8; 4], epoch);
        world.shown();
        if recycled(&world) <= most {
            break;
        }
        assert!(began.elapsed() < RECLAIMED, "{} bytes rest", recycled(&world));
        thread::sleep(Duration::from_millis(10));
    }
}

// A page may name a texture that is not as large as its configuration says, or none at all.
#[rstest]
fn what_a_refused_copy_allocated_is_freed_at_once(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
    #[values(Fault::Invalid, Fault::Destroyed)] fault: Fault,
    #[values(BufferIds::Allocated, BufferIds::Provided(vec![fake::buffer(900)]))] ids: BufferIds,
) {
    let mut world = World::empty(memory);
    world.create(ids);
    for epoch in 1..=20 {
        let mut texture = world.texture(RED, size(2048, 1024));
        texture.texture_id = world.gpu.texture(device(0), RED, Some(fault));
        world.present_texture(texture, epoch).unwrap();
        assert_eq!(world.gpu.staging_buffers(), 0);
        assert!(world.get_image(Some(texture)).recv_timeout(TIMEOUT).unwrap().is_err());
        assert_eq!(world.gpu.staging_buffers(), 0);
    }
    assert!(world.presenter.memory_report().is_empty());
    world.show(GREEN, 30);
}

// Memory that was there before a copy was refused serves the next one.
#[rstest]
fn a_refused_copy_costs_a_canvas_no_memory_that_it_had(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    world.show(RED, 1);
    world.shown();
    world.show(RED, 2);
    world.shown();
    let made = world.gpu.created();
    for epoch in 3..=10 {
        let mut texture = world.texture(RED, size(4, 2));
        texture.texture_id = world.gpu.texture(device(0), RED, Some(Fault::Invalid));
        world.present_texture(texture, epoch).unwrap();
    }
    assert_eq!(world.gpu.created(), made);
}

#[rstest]
fn trim_all_frees_what_rests_of_all_owners(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::empty(memory);
    let ids = [world.create_all(10..12, PAGE), world.create_all(20..22, OTHER_PAGE)].concat();
    for id in ids.iter().flat_map(|id| [id, id]) {
        let contents = Contents::Texture(world.texture(RED, size(64, 64)));
        world.presenter.present(*id, contents, CanvasEpoch(1)).unwrap();
    }
    world.gpu.finish(device(0));
    for id in &ids {
        spin_until("all is shown", || world.presenter.statistics(*id).unwrap().in_flight == 0);
    }
    assert!(recycled(&world) > 0);
    world.presenter.trim_all();
    assert_eq!(recycled(&world), 0);
}

// Owned memory is in the hub only during a submission, so no command of a page can name it. With portable memory the engine asks.
#[rstest]
fn an_engine_can_ask_which_ids_are_those_of_staging_buffers(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::empty(memory);
    world.create(BufferIds::Provided(vec![fake::buffer(900), fake::buffer(901)]));
    world.show(RED, 1);
    assert_eq!(world.gpu.buffers(), usize::from(memory == Portable));
    for (id, is_ours) in [(899, false), (900, true), (901, true), (902, false)] {
        assert_eq!(world.presenter.is_staging_buffer(fake::buffer(id)), is_ours, "{id}");
    }
    let again = world.presenter.create_context(
        ContextId(99),
        ContextDescriptor {
            owner: OwnerId(1),
            size: size(1, 1),
            buffer_ids: BufferIds::Provided(vec![fake::buffer(902), fake::buffer(901)]),
        },
    );
    assert!(matches!(again, Err(CreateContextError::RepeatedBufferId)));
    world.presenter.destroy_context(CONTEXT).unwrap();
    assert!(!world.presenter.is_staging_buffer(fake::buffer(900)));
}
