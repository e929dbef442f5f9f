//! Owners: their contexts end together, from any thread, whatever the WebGPU thread is doing.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use webrender_api::ExternalImageSource;

use super::world::*;
use crate::gpu::fake::{self, FakeGpu};
use crate::{
    AlphaMode, CanvasEpoch, Contents, ContextId, ContextMap, ExternalImages, Presenter, PresenterOptions,
    UnknownContext,
};

#[rstest]
fn an_owner_dies_on_another_thread_with_all_its_contexts(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let World { gpu, map, recorder, mut presenter, mut images, .. } = World::empty(memory);
    let mine = [10, 11, 12, 13].map(|id| create(&mut presenter, id, PAGE));
    let other = create(&mut presenter, 20, OTHER_PAGE);
    for id in mine.iter().chain([&other]) {
        present(&gpu, &mut presenter, *id, RED).unwrap();
    }
    gpu.finish(device(0));
    recorder.until("all are shown", |record| record.outcomes.len() == 5);
    // Some are locked, all are in flight twice, one is read and captured.
    for id in &mine[..2] {
        assert_eq!(lock_newest(&mut images, *id), Some(RED));
    }
    let locked = images.lock(mine[0].into(), None);
    let ExternalImageSource::RawData(bytes) = locked else { panic!("it lives") };
    let before = bytes.to_vec();
    images.unlock(mine[0].into(), None);
    for id in &mine {
        present(&gpu, &mut presenter, *id, GREEN).unwrap();
        present(&gpu, &mut presenter, *id, GREEN).unwrap();
    }
    let capture = pending(gpu.texture(device(0), GREEN, None), 0, size(4, 2));
    let answers = [None, Some(capture)].map(|texture| read(&mut presenter, mine[0], texture));

    let elsewhere = map.clone();
    let ended = thread::spawn(move || elsewhere.destroy_owner(PAGE)).join().unwrap();
    assert_eq!(ended, 4);
    for (id, number) in mine.iter().zip(10..) {
        recorder.assert_destroyed(*id, 2);
        recorder.assert_destroyed(*id, 3);
        // Images come before outcomes.
        recorder.assert_deleted_last(number);
    }
    answers.iter().for_each(assert_unknown);
    // What is locked stays; what is not is gone.
    let ExternalImageSource::RawData(bytes) = images.lock(mine[1].into(), None) else { panic!("locked") };
    assert_eq!(bytes, before);
    let ExternalImageSource::RawData(bytes) = images.lock(mine[2].into(), None) else { panic!("blank") };
    assert!(bytes.iter().all(|byte| *byte == 0));
    // The WebGPU thread does the rest.
    assert!(recorder.get(|record| record.ids.is_empty()));
    presenter.maintain();
    recorder.assert_ids_returned_once(4 * 3);
    gpu.finish(device(0));
    assert!(matches!(present(&gpu, &mut presenter, mine[0], RED), Err(UnknownContext(_))));
    // The other page noticed nothing.
    let second = present(&gpu, &mut presenter, other, GREEN).unwrap();
    gpu.finish(device(0));
    recorder.until_ended(other, second);
    assert!(!recorder.calls_of(20).contains(&Call::Delete(key(20))));
    assert_eq!(map.destroy_owner(PAGE), 0, "an owner without contexts is none");
}

#[rstest]
fn the_presenter_is_asked_to_maintain_by_others_than_itself(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let wakes = Arc::new(AtomicUsize::new(0));
    let woken = wakes.clone();
    let wake = Arc::new(move || _ = woken.fetch_add(1, Ordering::Relaxed));
    let World { map, mut presenter, .. } =
        World::with_options(memory, PresenterOptions { wake, ..Default::default() });
    for id in 1..=3 {
        create(&mut presenter, id, PAGE);
    }
    presenter.destroy_context(ContextId(3)).unwrap();
    assert_eq!(wakes.load(Ordering::Relaxed), 0, "the presenter is at it itself");
    map.destroy_owner(PAGE);
    assert_eq!(wakes.load(Ordering::Relaxed), 1, "once for all");
}

#[rstest]
fn a_presenter_that_destroys_an_owner_hands_back_at_once(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let World { gpu, recorder, mut presenter, .. } = World::empty(memory);
    let mine = create(&mut presenter, 10, PAGE);
    create(&mut presenter, 11, OTHER_PAGE);
    present(&gpu, &mut presenter, mine, RED).unwrap();
    assert_eq!(presenter.destroy_owner(PAGE), 1);
    recorder.assert_ids_returned_once(3);
    assert_eq!((recorder.get(|record| record.contexts.clone()), gpu.buffers()), (vec![mine], 0));
    assert_eq!(presenter.destroy_owner(PAGE), 0, "it is gone");
}

// Two WebGPU threads may number their owners alike.
#[rstest]
fn a_presenter_destroys_its_own_contexts_of_an_owner_and_the_map_those_of_all(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let World { map, recorder, mut presenter, .. } = World::empty(memory);
    let mut second = World::presenter(&FakeGpu::new(memory), &map, &recorder);
    let ids = [10, 11].map(|id| create(&mut presenter, id, PAGE));
    let others = [20, 21].map(|id| create(&mut second, id, PAGE));
    assert_eq!(presenter.destroy_owner(PAGE), 2);
    assert!(ids.iter().all(|id| presenter.statistics(*id).is_err()));
    assert!(others.iter().all(|id| second.statistics(*id).is_ok()));
    assert!(recorder.calls_of(20).iter().all(|call| !matches!(call, Call::Delete(_))));
    let mine = create(&mut presenter, 12, PAGE);
    assert_eq!(map.destroy_owner(PAGE), 3);
    assert!(presenter.statistics(mine).is_err() && others.iter().all(|id| second.statistics(*id).is_err()));
}

// An engine whose messages have no place for maintenance makes another call sooner or later.
#[rstest]
fn the_next_call_hands_back_what_another_thread_has_ended(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
    #[values(0, 1, 2, 3, 4)] call: u32,
) {
    let World { gpu, map, recorder, mut presenter, .. } = World::empty(memory);
    let other = create(&mut presenter, 9, OTHER_PAGE);
    for id in [10, 11] {
        create(&mut presenter, id, PAGE);
    }
    map.destroy_owner(PAGE);
    assert!(recorder.get(|record| record.ids.is_empty()));
    match call {
        0 => _ = present(&gpu, &mut presenter, other, RED),
        1 => presenter.batch().submit(),
        2 => _ = read(&mut presenter, other, None),
        3 => _ = create(&mut presenter, 12, PAGE),
        _ => presenter.maintain(),
    }
    recorder.assert_ids_returned_once(6);
}

// The owner dies on another thread, unnoticed. The next call, whichever it is, must say so and take back what is left.
#[rstest]
fn every_call_meets_a_dead_context(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    type Call = fn(&mut Presenter, ContextId) -> bool;
    let calls: [Call; 6] = [
        |presenter, id| presenter.set_image_key(id, key(99)).is_err(),
        |presenter, id| presenter.destroy_context(id).is_err(),
        |presenter, id| {
            let contents = Contents::Cleared { size: size(1, 1), alpha_mode: AlphaMode::Opaque };
            let result = presenter.present(id, contents, CanvasEpoch(1));
            matches!(result, Err(UnknownContext(_)))
        },
        |presenter, id| {
            assert_unknown(&read(presenter, id, None));
            true
        },
        |presenter, id| presenter.create_context(id, descriptor(PAGE)).is_ok(),
        |presenter, id| {
            let unknown = presenter.statistics(id).is_err();
            presenter.maintain();
            unknown
        },
    ];
    for (number, call) in calls.into_iter().enumerate() {
        let World { map, recorder, mut presenter, .. } = World::empty(memory);
        let id = create(&mut presenter, 10, PAGE);
        map.destroy_owner(PAGE);
        assert!(call(&mut presenter, id), "{number}");
        recorder.assert_deleted_last(10);
        recorder.assert_ids_returned_once(3);
        drop(presenter);
        recorder.assert_ids_returned_once(3);
    }
}

// The first presenter that creates a context of the id gets it, whichever presenter the dead context belonged to.
#[rstest]
fn an_id_is_free_as_soon_as_its_owner_is_gone(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let World { gpu, map, recorder, mut presenter, mut images, .. } = World::empty(memory);
    let (other_gpu, other_recorder) = (FakeGpu::new(memory), Recorder::default());
    let mut other = World::presenter(&other_gpu, &map, &other_recorder);
    let id = create(&mut presenter, 10, PAGE);
    present(&gpu, &mut presenter, id, RED).unwrap();
    map.destroy_owner(PAGE);
    other.create_context(id, descriptor(OTHER_PAGE)).unwrap();
    present(&other_gpu, &mut other, id, GREEN).unwrap();
    // The first presenter still has what is left of its own context, and no hold on the other one.
    gpu.finish(device(0));
    assert!(presenter.destroy_context(id).is_err());
    drop(presenter);
    recorder.assert_ids_returned_once(3);
    other_gpu.finish(device(0));
    other_recorder.until_ended(id, 1);
    assert_eq!(lock_newest(&mut images, id), Some(GREEN));
    assert_eq!(map.destroy_owner(PAGE), 0, "the context has another owner now");
    assert_eq!(map.destroy_owner(OTHER_PAGE), 1);
}

#[rstest]
fn a_clear_that_was_begun_fails_with_its_owner(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let World { map, recorder, mut presenter, .. } = World::empty(memory);
    let id = create(&mut presenter, 10, PAGE);
    let context = map.find(id).unwrap();
    let present = context.begin(CanvasEpoch(1), AlphaMode::Opaque).unwrap();
    map.destroy_owner(PAGE);
    context.clear(&present, size(1, 1));
    presenter.maintain();
    recorder.assert_destroyed(id, 1);
    recorder.assert_deleted_last(10);
}

// A page's process dies between a present in a batch and the batch's submit.
#[rstest]
fn what_was_begun_in_a_batch_fails_with_its_owner(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
    #[values(false, true)] reused: bool,
) {
    let World { gpu, map, recorder, mut presenter, .. } = World::empty(memory);
    let id = create(&mut presenter, 10, PAGE);
    let texture = pending(gpu.texture(device(0), RED, None), 0, size(4, 2));
    let texture = with_ids(texture, fake::encoder_ids(1));
    let mut batch = presenter.batch();
    batch.present(id, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
    assert_eq!(map.destroy_owner(PAGE), 1);
    let again = batch.present(id, Contents::Texture(texture), CanvasEpoch(2));
    assert!(matches!(again, Err(UnknownContext(_))));
    mem::forget(batch);
    if reused {
        presenter.create_context(id, descriptor(PAGE)).unwrap();
    }
    drop(presenter.batch());
    recorder.assert_destroyed(id, 1);
    recorder.assert_deleted_last(10);
    gpu.finish(device(0));
    if reused {
        let read = read(&mut presenter, id, None);
        assert_eq!(answered_pixel(&read), CLEAR, "a new context is clear");
    }
    let ids = recorder.get(|record| record.ids.len());
    assert_eq!(ids, 3 + 2 * 2, "the encoder ids twice, once for each time they were handed in");
}

// Two presenters with GPUs of their own share a map with three renderers. One of each goes in the middle.
#[rstest]
fn renderers_and_presenters_come_and_go(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let map = ContextMap::default();
    let gpus = [(); 2].map(|()| FakeGpu::new(memory));
    let recorders = [(); 2].map(|()| Recorder::default());
    let mut presenters = [0, 1].map(|index| Some(World::presenter(&gpus[index], &map, &recorders[index])));
    let mut renderers: Vec<_> = (0..3).map(|_| ExternalImages::new(&map)).collect();
    let contexts: [ContextId; 2] = [(0, 10), (1, 20)]
        .map(|(index, id)| create(presenters[index].as_mut().expect("it is there"), id, PAGE));
    let begin = |presenters: &mut [Option<Presenter>; 2], index: usize, pixel| {
        let presenter = presenters[index].as_mut().expect("it is there");
        present(&gpus[index], presenter, contexts[index], pixel).unwrap()
    };
    let show = |presenters: &mut [Option<Presenter>; 2], index: usize, pixel| {
        let sequence = begin(presenters, index, pixel);
        gpus[index].finish(device(0));
        recorders[index].until_ended(contexts[index], sequence);
    };
    show(&mut presenters, 0, RED);
    show(&mut presenters, 1, GREEN);
    for renderer in &mut renderers {
        assert_eq!(contexts.map(|id| lock_newest(renderer, id)), [Some(RED), Some(GREEN)]);
    }
    // All hold both frames. One renderer goes with its locks, one unlocks, one keeps them.
    renderers.remove(0);
    contexts.iter().for_each(|id| renderers[0].unlock((*id).into(), None));
    show(&mut presenters, 0, [1; 4]);
    assert_eq!(lock_newest(&mut renderers[0], contexts[0]), Some([1; 4]));
    assert_eq!(lock_newest(&mut renderers[1], contexts[0]), Some([1; 4]), "the newest");
    // A presenter that goes with a copy in flight takes its own context alone.
    let sequence = begin(&mut presenters, 0, [2; 4]);
    presenters[0] = None;
    recorders[0].assert_destroyed(contexts[0], sequence);
    assert_eq!(lock_newest(&mut ExternalImages::new(&map), contexts[0]), Some(CLEAR));
    assert_eq!(lock_newest(&mut renderers[1], contexts[0]), Some([1; 4]), "still locked");
    show(&mut presenters, 1, [3; 4]);
    assert_eq!(lock_newest(&mut ExternalImages::new(&map), contexts[1]), Some([3; 4]));
    assert_eq!(map.destroy_owner(PAGE), 1);
    drop(presenters);
    for (gpu, recorder) in gpus.iter().zip(&recorders) {
        assert_eq!(gpu.buffers(), 0);
        recorder.assert_ids_returned_once(3);
    }
}
