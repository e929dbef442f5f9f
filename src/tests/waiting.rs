//! Waiting for a present: each wait is answered once, in order, in time.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::world::*;
use crate::gpu::fake::Fault;
use crate::{AlphaMode, Awaited, BufferIds, CanvasEpoch, ContextId, PresentError};

const LONG: Duration = Duration::from_secs(3600);

fn wait(world: &World, epoch: u64) -> Receiver<Awaited> {
    wait_on(&world.map, CONTEXT, epoch, LONG)
}

/// The answer. It is the only one, because the callback is `FnOnce`.
#[track_caller]
fn told(receiver: &Receiver<Awaited>) -> Awaited {
    receiver.recv_timeout(TIMEOUT).expect("each wait is answered")
}

/// The wait must be answered by the present of this sequence and epoch.
#[track_caller]
fn assert_presented(receiver: &Receiver<Awaited>, expected: (u64, u64)) {
    match told(receiver) {
        Awaited::Presented { sequence, epoch } => assert_eq!((sequence, epoch.0), expected),
        awaited => panic!("{awaited:?}"),
    }
}

#[track_caller]
fn assert_timed_out(receiver: &Receiver<Awaited>) {
    let awaited = told(receiver);
    assert!(matches!(awaited, Awaited::TimedOut), "{awaited:?}");
}

#[rstest]
fn a_wait_ends_with_the_first_present_of_its_epoch_or_a_higher_one(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::empty(memory);
    // Waits may begin before there is a context, …
    let early = wait(&world, 2);
    world.create(BufferIds::Allocated);
    // … before anything is presented, while it is in flight, …
    let before = [wait(&world, 1), wait(&world, 3)];
    let first = world.present(RED, 1);
    let in_flight = wait(&world, 1);
    world.finish(first);
    assert_presented(&before[0], (1, 1));
    assert_presented(&in_flight, (1, 1));
    assert!(early.try_recv().is_err() && before[1].try_recv().is_err());
    // … and afterwards.
    assert_presented(&wait(&world, 0), (1, 1));
    world.show(RED, 7);
    assert_presented(&early, (2, 7));
    assert_presented(&before[1], (2, 7));
    world.present_cleared(size(1, 1), 8);
    assert_presented(&wait(&world, 8), (3, 8));
    assert_eq!(world.map.waiters().counts().0, 0);
}

#[rstest]
fn what_has_ended_answers_with_the_newest_that_is_remembered(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    for epoch in [5, 9, 3, 4] {
        world.present_cleared(size(1, 1), epoch);
    }
    assert_presented(&wait(&world, 4), (4, 4));
    assert_presented(&wait(&world, 5), (2, 9));
    assert_presented(&wait(&world, 9), (2, 9));
    assert!(wait(&world, 10).try_recv().is_err());
}

#[rstest]
fn a_wait_hears_that_its_present_was_superseded_or_failed(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    world.present(RED, 1);
    world.present(RED, 2);
    let superseded = wait(&world, 2);
    // Unlike a read, such a wait does not keep its present in flight.
    world.present(RED, 3);
    assert!(matches!(told(&superseded), Awaited::Superseded { by: 3 }));
    let failed = wait(&world, 4);
    let _ = world.present_texture(world.faulty(Fault::Destroyed), 4);
    assert!(matches!(told(&failed), Awaited::Failed(PresentError::TextureDestroyed)));
    // The older ones arrive late.
    world.finish(1);
    assert!(matches!(told(&wait(&world, 3)), Awaited::Superseded { by: 4 } | Awaited::Failed(_)));
}

#[rstest]
fn a_copy_that_arrives_late_was_superseded_by_what_is_shown(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    world.present(RED, 9);
    let late = wait(&world, 9);
    world.present_cleared(size(1, 1), 1);
    world.finish(1);
    assert!(matches!(told(&late), Awaited::Superseded { by: 2 }));
}

#[rstest]
fn a_destroyed_context_answers_everybody(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    world.present(RED, 1);
    let [in_flight, later] = [wait(&world, 1), wait(&world, 2)];
    world.presenter.destroy_context(CONTEXT).unwrap();
    assert!(matches!(told(&in_flight), Awaited::Failed(PresentError::ContextDestroyed)));
    assert!(matches!(told(&later), Awaited::ContextGone));
    // The next context of the id has waits of its own.
    let next = wait(&world, 1);
    assert!(next.try_recv().is_err());
    world.create(BufferIds::Allocated);
    world.show(RED, 1);
    assert_presented(&next, (1, 1));
}

// A present that was begun ends after its context. A wait for the next context of the id must not hear of it.
#[rstest]
fn the_end_of_a_dead_context_answers_nobody_of_the_next(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let context = world.map.find(CONTEXT).unwrap();
    let present = context.begin(CanvasEpoch(1), AlphaMode::Opaque).unwrap();
    world.map.destroy_owner(context.owner());
    let next = wait(&world, 1);
    context.clear(&present, size(1, 1));
    world.sync();
    assert!(next.try_recv().is_err());
    world.create(BufferIds::Allocated);
    world.present_cleared(size(1, 1), 1);
    assert_presented(&next, (1, 1));
}

#[rstest]
fn time_outs_end_waits_and_nothing_else(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let present = world.present(RED, 1);
    let start = Instant::now();
    let waits: Vec<_> = [30, 10, 20]
        .map(|ms| wait_on(&world.map, CONTEXT, 1, Duration::from_millis(ms)))
        .into_iter()
        .chain([wait_on(&world.map, ContextId(99), 1, Duration::from_millis(20))])
        .collect();
    let patient = wait_on(&world.map, CONTEXT, 1, Duration::MAX);
    assert_timed_out(&waits[1]);
    assert!(start.elapsed() >= Duration::from_millis(10), "not before its time");
    for index in [0, 2, 3] {
        assert_timed_out(&waits[index]);
    }
    assert!(start.elapsed() >= Duration::from_millis(30), "not before its time");
    world.finish(present);
    world.assert_presented(present);
    assert_presented(&patient, (1, 1));
}

#[rstest]
fn a_short_wait_does_not_wait_for_a_long_one(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let world = World::new(memory);
    let _long = wait(&world, 1);
    // By now the thread sleeps until the longest deadline.
    thread::sleep(Duration::from_millis(20));
    let start = Instant::now();
    let short = wait_on(&world.map, CONTEXT, 1, Duration::from_millis(5));
    assert_timed_out(&short);
    assert!(start.elapsed() < Duration::from_millis(300), "{:?}", start.elapsed());
}

#[rstest]
fn without_patience_the_answer_is_there_at_once(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    assert!(matches!(wait_on(&world.map, CONTEXT, 1, Duration::ZERO).try_recv(), Ok(Awaited::TimedOut)));
    assert!(!world.map.waiters().counts().2, "no thread for that");
    world.present_cleared(size(1, 1), 1);
    assert_presented(&wait_on(&world.map, CONTEXT, 1, Duration::ZERO), (1, 1));
}

#[rstest]
fn what_was_answered_leaves_nothing_behind_and_the_thread_ends(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    for epoch in 1..=50 {
        let wait = wait(&world, epoch);
        world.present_cleared(size(1, 1), epoch);
        assert_presented(&wait, (epoch, epoch));
    }
    let (waiters, deadlines, thread) = world.map.waiters().counts();
    assert_eq!((waiters, deadlines, thread), (0, 0, true), "the thread lingers");
    // All deadlines were far, and yet the thread ends.
    spin_until("the thread ends", || !world.map.waiters().counts().2);
    // Another wait starts another thread.
    assert_timed_out(&wait_on(&world.map, CONTEXT, 99, Duration::from_millis(1)));
}

#[rstest]
fn whoever_goes_leaves_nobody_waiting(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let World { map, presenter, images, .. } = World::new(memory);
    let of_context = wait_on(&map, CONTEXT, 1, LONG);
    let of_nobody = [wait_on(&map, ContextId(99), 1, LONG), wait_on(&map, ContextId(99), 1, Duration::MAX)];
    drop(presenter);
    assert!(matches!(told(&of_context), Awaited::ContextGone));
    assert!(of_nobody[0].try_recv().is_err());
    let waiters = map.waiters();
    // By now the thread sleeps until the longest deadline.
    thread::sleep(Duration::from_millis(20));
    drop((map, images));
    assert!(of_nobody.iter().all(|wait| matches!(told(wait), Awaited::ContextGone)));
    // The thread, which holds the list too, ends.
    let start = Instant::now();
    while Arc::strong_count(&waiters) > 1 {
        assert!(start.elapsed() < Duration::from_millis(400), "it does not linger");
        thread::yield_now();
    }
}

// What waits may use the image at once: the update must have been flushed, and the outcome told.
#[rstest]
fn waits_are_answered_in_the_order_of_the_presenter(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let flushed = world.recorder.get(|record| record.flushes);
    let (recorder, (sender, told)) = (world.recorder.clone(), channel());
    world.map.when_presented(CONTEXT, CanvasEpoch(1), LONG, move |_| {
        let told = recorder.get(|r| (r.flushes > flushed, r.outcomes.contains_key(&(CONTEXT, 1))));
        sender.send(told).expect("it is awaited");
    });
    world.present_cleared(size(1, 1), 1);
    assert_eq!(told.recv_timeout(TIMEOUT), Ok((true, true)));
}

#[rstest]
fn a_panic_in_a_callback_stops_nothing(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    for timeout in [Duration::ZERO, Duration::from_millis(5), LONG] {
        world.map.when_presented(CONTEXT, CanvasEpoch(1), timeout, |_| panic!("on purpose"));
    }
    let timed_out = wait_on(&world.map, CONTEXT, 1, Duration::from_millis(10));
    assert_timed_out(&timed_out);
    let wait = wait(&world, 1);
    world.present_cleared(size(1, 1), 1);
    assert_presented(&wait, (1, 1));
    // It may wait again, and ask anything.
    let (again, (sender, receiver)) = (world.map.clone(), channel());
    world.map.when_presented(CONTEXT, CanvasEpoch(1), LONG, move |_| {
        again.when_presented(CONTEXT, CanvasEpoch(1), LONG, move |awaited| {
            sender.send(awaited).expect("it is awaited");
        });
    });
    assert_presented(&receiver, (1, 1));
}
