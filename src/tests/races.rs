//! Threads that really run at the same time: renderers, compositors and dying pages beside the WebGPU thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use webrender_api::{ExternalImageSource, IdNamespace};

use super::world::*;
use crate::gpu::fake;
use crate::{
    AlphaMode, Awaited, BufferIds, CanvasEpoch, Contents, ContextDescriptor, ContextId, ExternalImages,
    PresentError, TransactionId,
};

/// Threads that act again and again until they are stopped.
#[derive(Default)]
struct Loops {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Loops {
    fn run(&mut self, mut act: impl FnMut() + Send + 'static) {
        let stop = self.stop.clone();
        self.threads.push(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                act();
                thread::yield_now();
            }
        }));
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

// The fake GPU writes when it finishes, and the reader reads all the time: a frame that is read while it is written shows.
#[rstest]
fn a_frame_never_changes_while_it_is_locked(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let locks = Arc::new(AtomicUsize::new(0));
    let mut reader = Loops::default();
    reader.run({
        let (mut images, recorder) = (ExternalImages::new(&world.map), world.recorder.clone());
        let locks = locks.clone();
        move || {
            let offer = recorder.get(|record| record.calls.last().expect("something was offered").offer());
            let first = lock(&mut images, offer);
            thread::yield_now();
            assert_eq!(first, lock(&mut images, offer), "while locked");
            images.unlock(CONTEXT.into(), Some(offer.1));
            images.unlock(CONTEXT.into(), Some(offer.1));
            locks.fetch_add(1, Ordering::Relaxed);
        }
    });
    for i in 0..3000u32 {
        let texture = world.texture([(i % 250) as u8 + 1; 4], size(16, 1 + i / 100 % 3));
        world.present_texture(texture, u64::from(i)).unwrap();
        world.gpu.finish(device(0));
    }
    spin_until("the reader has locked often", || locks.load(Ordering::Relaxed) >= 100);
    reader.stop();
    assert_ne!(world.read_pixel(), CLEAR);
}

// Owners die while their contexts are presented, read, cleared, keyed and made anew.
#[rstest]
fn owners_die_while_the_webgpu_thread_is_at_it(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let World { gpu, map, recorder, mut presenter, mut images, .. } = World::empty(memory);
    let ended = Arc::new(AtomicUsize::new(0));
    let mut others = Loops::default();
    others.run({
        let (map, ended) = (map.clone(), ended.clone());
        move || _ = ended.fetch_add(map.destroy_owner(PAGE), Ordering::Relaxed)
    });
    others.run({
        let gpu = gpu.clone();
        move || gpu.finish(device(0))
    });
    others.run(move || {
        for id in 10..13u64 {
            let id = ContextId(id).into();
            if !matches!(images.lock(id, None), ExternalImageSource::Invalid) {
                images.unlock(id, None);
            }
        }
    });
    let answered = Arc::new(AtomicUsize::new(0));
    let count = || {
        let answered = answered.clone();
        move || _ = answered.fetch_add(1, Ordering::Relaxed)
    };
    let (mut handed_in, mut asked, mut begun) = (0, 0, 0);
    for round in 0.. {
        if ended.load(Ordering::Relaxed) >= 300 {
            break;
        }
        let number = 10 + round % 3;
        let (id, epoch) = (ContextId(number.into()), CanvasEpoch(round.into()));
        // The buffer id was never used before: that of an earlier life may not be back yet.
        let buffer_ids = BufferIds::Provided(vec![fake::buffer(1_000_000 + round)]);
        let new = ContextDescriptor { buffer_ids, ..descriptor(PAGE) };
        if presenter.create_context(id, new).is_ok() {
            handed_in += 1;
            let _ = presenter.set_image_key(id, key(number));
        }
        let texture = |handed_in: &mut u32| {
            *handed_in += 2;
            let texture = pending(gpu.texture(device(0), RED, None), 0, size(4 + *handed_in % 2, 2));
            with_ids(texture, fake::encoder_ids(*handed_in))
        };
        if round % 7 == 0 {
            gpu.fail_next_submit(PresentError::OutOfMemory, false);
        }
        asked += 2;
        let awaited = count();
        map.when_presented(id, epoch, Duration::from_secs(3600), move |_| awaited());
        let mut batch = presenter.batch();
        for _ in 0..2 {
            let contents = match round % 5 {
                0 => Contents::Cleared { size: size(3, 3), alpha_mode: AlphaMode::Opaque },
                _ => Contents::Texture(texture(&mut handed_in)),
            };
            begun += usize::from(batch.present(id, contents, epoch).is_ok());
        }
        drop(batch);
        let capture = (round % 3 == 0).then(|| texture(&mut handed_in));
        let read = count();
        presenter.get_image(id, capture, move |_| read());
        if round % 50 == 0 {
            presenter.maintain();
        }
    }
    others.stop();
    drop((presenter, map));
    assert_eq!(answered.load(Ordering::Relaxed), asked);
    assert_eq!(gpu.buffers(), 0, "the hub is empty");
    recorder.assert_ids_returned_once(handed_in as usize);
    // Sequence numbers begin anew in each life, so the ends of all lives are counted together.
    let ends: usize = recorder.get(|record| record.outcomes.values().map(Vec::len).sum());
    assert_eq!(ends, begun);
    for number in 10..13 {
        recorder.assert_lives(number);
    }
}

#[rstest]
fn a_presenter_that_goes_while_its_owner_dies_tells_everything_before(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    for _ in 0..300 {
        let World { gpu, map, recorder, mut presenter, .. } = World::empty(memory);
        for id in 10..18 {
            let id = create(&mut presenter, id, PAGE);
            present(&gpu, &mut presenter, id, RED).unwrap();
        }
        let killer = thread::spawn({
            let map = map.clone();
            move || map.destroy_owner(PAGE)
        });
        drop(presenter);
        let told = || recorder.get(|r| (r.calls.len(), r.outcomes.len(), r.ids.len()));
        let before = told();
        killer.join().unwrap();
        assert_eq!(before, told());
        assert_eq!((before.1, before.2, gpu.buffers()), (8, 24, 0));
    }
}

// The compositor reports a transaction at the moment in which the engine asks to wait for it.
#[rstest]
fn a_report_on_another_thread_loses_no_context(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    for transaction in 1..1500u64 {
        let World { map, recorder, mut presenter, .. } = World::empty(memory);
        let id = create(&mut presenter, 10, PAGE);
        let compositor = thread::spawn({
            let map = map.clone();
            move || map.transaction_done(IdNamespace(1), TransactionId(transaction))
        });
        presenter.destroy_context_after(id, TransactionId(transaction)).unwrap();
        compositor.join().unwrap();
        recorder.assert_deleted_last(10);
        presenter.create_context(id, descriptor(PAGE)).unwrap();
    }
}

#[rstest]
fn a_wait_is_answered_once_though_its_time_is_up_while_it_is_presented(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let (answered, timed_out) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
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
    spin_until("every wait is answered", || answered.load(Ordering::Relaxed) >= asked);
    assert_eq!(answered.load(Ordering::Relaxed), asked);
    assert_eq!(world.map.waiters().counts().0, 0);
    assert!(timed_out.load(Ordering::Relaxed) > 0, "no race was tested");
}
