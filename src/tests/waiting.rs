//! Waiting for a present: each wait is answered once, in order, in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::world::*;
use crate::{
    AlphaMode, Awaited, BufferIds, CanvasEpoch, Contents, ContextId, ContextMap, PresentError, Presenter,
    PresenterOptions,
};

const RED: [u8; 4] = [0, 0, 255, 255];
const LONG: Duration = Duration::from_secs(3600);

fn wait_on(map: &ContextMap, context: ContextId, epoch: u64, timeout: Duration) -> Receiver<Awaited> {
    let (sender, receiver) = channel();
    map.when_presented(context, CanvasEpoch(epoch), timeout, move |awaited| {
        // Some tests look no more.
        let _ = sender.send(awaited);
    });
    receiver
}

fn wait(world: &World, epoch: u64) -> Receiver<Awaited> {
    wait_on(&world.map, CONTEXT, epoch, LONG)
}

/// The answer. That it is the only one is the sender's doing: the callback is `FnOnce`.
fn told(receiver: &Receiver<Awaited>) -> Awaited {
    receiver.recv_timeout(TIMEOUT).expect("each wait is answered")
}

#[track_caller]
fn assert_presented(awaited: &Awaited, expected: (u64, u64)) {
    let Awaited::Presented { sequence, epoch } = *awaited else { panic!("{awaited:?}") };
    assert_eq!((sequence, epoch.0), expected);
}

#[rstest]
fn a_wait_ends_with_the_first_present_of_its_epoch_or_a_higher_one(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::empty(memory);
    // Before there is a context.
    let early = wait(&world, 2);
    world.create(BufferIds::Allocated);
    // Before anything is presented, and while it is in flight.
    let before = [wait(&world, 1), wait(&world, 3)];
    let first = world.present(RED, 1);
    let in_flight = wait(&world, 1);
    world.finish(first);
    assert_presented(&told(&before[0]), (1, 1));
    assert_presented(&told(&in_flight), (1, 1));
    assert!(early.try_recv().is_err() && before[1].try_recv().is_err());
    // Afterwards.
    assert_presented(&told(&wait(&world, 0)), (1, 1));
    let second = world.present(RED, 7);
    world.finish(second);
    assert_presented(&told(&early), (2, 7));
    assert_presented(&told(&before[1]), (2, 7));
    world.present_cleared(size(1, 1), 8);
    assert_presented(&told(&wait(&world, 8)), (3, 8));
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
    assert_presented(&told(&wait(&world, 4)), (4, 4));
    assert_presented(&told(&wait(&world, 5)), (2, 9));
    assert_presented(&told(&wait(&world, 9)), (2, 9));
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
    // I5: nobody who waits here keeps it in flight.
    world.present(RED, 3);
    assert!(matches!(told(&superseded), Awaited::Superseded { by: 3 }));
    let texture = world.faulty(crate::gpu::fake::Fault::Destroyed);
    let failed = wait(&world, 4);
    let _ = world.present_texture(texture, 4);
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
    // The next life is another one.
    let next = wait(&world, 1);
    assert!(next.try_recv().is_err());
    world.create(BufferIds::Allocated);
    let present = world.present(RED, 1);
    world.finish(present);
    assert_presented(&told(&next), (1, 1));
}

// A present that was begun ends after its context: nobody who waits for the next life may hear of it.
#[rstest]
fn the_end_of_a_dead_context_answers_nobody_of_the_next(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let context = world.map.get(CONTEXT).unwrap();
    let present = context.begin(CanvasEpoch(1), AlphaMode::Opaque).unwrap();
    world.map.destroy_owner(context.owner());
    let next = wait(&world, 1);
    context.clear(&present, size(1, 1));
    world.sync();
    assert!(next.try_recv().is_err());
    world.create(BufferIds::Allocated);
    world.present_cleared(size(1, 1), 1);
    assert_presented(&told(&next), (1, 1));
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
    assert!(matches!(told(&waits[1]), Awaited::TimedOut));
    assert!(start.elapsed() >= Duration::from_millis(10), "not before its time");
    for index in [0, 2, 3] {
        assert!(matches!(told(&waits[index]), Awaited::TimedOut));
    }
    assert!(start.elapsed() >= Duration::from_millis(30), "not before its time");
    world.finish(present);
    assert!(matches!(world.end_of(present), crate::PresentEnd::Presented));
    assert_presented(&told(&patient), (1, 1));
}

#[rstest]
fn a_short_wait_does_not_wait_for_a_long_one(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let world = World::new(memory);
    let _long = wait(&world, 1);
    // The thread sleeps by now.
    std::thread::sleep(Duration::from_millis(20));
    let start = Instant::now();
    let short = wait_on(&world.map, CONTEXT, 1, Duration::from_millis(5));
    assert!(matches!(told(&short), Awaited::TimedOut));
    assert!(start.elapsed() < Duration::from_millis(300), "{:?}", start.elapsed());
}

#[rstest]
fn without_patience_the_answer_is_there_at_once(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    assert!(matches!(wait_on(&world.map, CONTEXT, 1, Duration::ZERO).try_recv(), Ok(Awaited::TimedOut)));
    assert!(!world.map.waiters().counts().2, "no thread for that");
    world.present_cleared(size(1, 1), 1);
    assert_presented(&told(&wait_on(&world.map, CONTEXT, 1, Duration::ZERO)), (1, 1));
}

#[rstest]
fn what_was_answered_leaves_nothing_behind_and_the_thread_ends(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    for epoch in 1..=50 {
        let wait = wait(&world, epoch);
        world.present_cleared(size(1, 1), epoch);
        assert_presented(&told(&wait), (epoch, epoch));
    }
    let (waiters, deadlines, thread) = world.map.waiters().counts();
    assert_eq!((waiters, deadlines, thread), (0, 0, true), "the thread lingers");
    let start = Instant::now();
    while world.map.waiters().counts().2 {
        assert!(start.elapsed() < TIMEOUT, "the thread ends, though all deadlines were far");
        std::thread::sleep(Duration::from_millis(20));
    }
    // And another one is started.
    assert!(matches!(told(&wait_on(&world.map, CONTEXT, 99, Duration::from_millis(1))), Awaited::TimedOut));
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
    // The thread sleeps by now.
    std::thread::sleep(Duration::from_millis(20));
    drop((map, images));
    assert!(of_nobody.iter().all(|wait| matches!(told(wait), Awaited::ContextGone)));
    // The thread, which holds the list too, ends.
    let start = Instant::now();
    while Arc::strong_count(&waiters) > 1 {
        assert!(start.elapsed() < Duration::from_millis(400), "it does not linger");
        std::thread::yield_now();
    }
}

// After the image was updated and the update flushed, and after the outcome.
#[rstest]
fn waits_are_answered_in_the_order_of_the_presenter(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    #[derive(Default)]
    struct Sink(AtomicUsize);
    impl crate::ImageSink for Sink {
        fn add_image(
            &self,
            _: webrender_api::ImageKey,
            _: webrender_api::ImageDescriptor,
            _: webrender_api::ExternalImageData,
        ) {
        }
        fn update_image(
            &self,
            _: webrender_api::ImageKey,
            _: webrender_api::ImageDescriptor,
            _: webrender_api::ExternalImageData,
            _: Option<CanvasEpoch>,
        ) {
        }
        fn delete_image(&self, _: webrender_api::ImageKey) {}
        fn flush(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let World { gpu, map, .. } = World::empty(memory);
    let sink = Arc::new(Sink::default());
    let (sender, events) = channel();
    let outcomes = sender.clone();
    let options = PresenterOptions {
        on_outcome: Arc::new(move |_| outcomes.send("outcome").expect("it is awaited")),
        ..Default::default()
    };
    let mut presenter = Presenter::with_gpu(Arc::new(gpu), &map, sink.clone(), options);
    let descriptor = crate::ContextDescriptor {
        owner: crate::OwnerId(0),
        size: size(1, 1),
        buffer_ids: BufferIds::Allocated,
    };
    presenter.create_context(CONTEXT, descriptor).unwrap();
    presenter.set_image_key(CONTEXT, key(1)).unwrap();
    let flushed = sink.0.load(Ordering::Relaxed);
    map.when_presented(CONTEXT, CanvasEpoch(1), LONG, move |_| {
        let flushes = sink.0.load(Ordering::Relaxed);
        sender.send(if flushes > flushed { "flushed" } else { "not flushed" }).expect("it is awaited");
    });
    let contents = Contents::Cleared { size: size(1, 1), alpha_mode: AlphaMode::Opaque };
    presenter.present(CONTEXT, contents, CanvasEpoch(1)).unwrap();
    assert_eq!([(); 2].map(|()| events.recv_timeout(TIMEOUT).unwrap()), ["outcome", "flushed"]);
}

#[rstest]
fn a_panic_in_a_callback_stops_nothing(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    for timeout in [Duration::ZERO, Duration::from_millis(5), LONG] {
        world.map.when_presented(CONTEXT, CanvasEpoch(1), timeout, |_| panic!("on purpose"));
    }
    let timed_out = wait_on(&world.map, CONTEXT, 1, Duration::from_millis(10));
    assert!(matches!(told(&timed_out), Awaited::TimedOut));
    let wait = wait(&world, 1);
    world.present_cleared(size(1, 1), 1);
    assert_presented(&told(&wait), (1, 1));
    // It may wait again, and ask anything.
    let (again, (sender, receiver)) = (world.map.clone(), channel());
    world.map.when_presented(CONTEXT, CanvasEpoch(1), LONG, move |_| {
        again.when_presented(CONTEXT, CanvasEpoch(1), LONG, move |awaited| {
            sender.send(awaited).expect("it is awaited");
        });
    });
    assert_presented(&told(&receiver), (1, 1));
}

#[rstest]
fn a_wait_is_answered_once_though_its_time_is_up_while_it_is_presented(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let answered = Arc::new(AtomicUsize::new(0));
    let timed_out = Arc::new(AtomicUsize::new(0));
    let mut asked = 0;
    for epoch in 1..=4000u64 {
        for micros in [20, 60, 100, 200] {
            let (answered, timed_out) = (answered.clone(), timed_out.clone());
            asked += 1;
            let timeout = Duration::from_micros(micros);
            world.map.when_presented(CONTEXT, CanvasEpoch(epoch), timeout, move |awaited| {
                timed_out.fetch_add(usize::from(matches!(awaited, Awaited::TimedOut)), Ordering::Relaxed);
                answered.fetch_add(1, Ordering::Relaxed);
            });
        }
        let contents = Contents::Cleared { size: size(1, 1), alpha_mode: AlphaMode::Opaque };
        world.presenter.present(CONTEXT, contents, CanvasEpoch(epoch)).unwrap();
    }
    world.sync();
    let start = Instant::now();
    while answered.load(Ordering::Relaxed) < asked {
        assert!(start.elapsed() < TIMEOUT, "some were lost");
        std::thread::yield_now();
    }
    assert_eq!(answered.load(Ordering::Relaxed), asked);
    assert_eq!(world.map.waiters().counts().0, 0);
    assert!(timed_out.load(Ordering::Relaxed) > 0, "no race was tested");
}
