//! Owners: their contexts end together, from any thread, whatever the WebGPU thread is doing (I1, R19, R23, R27).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use webrender_api::ExternalImageSource;

use super::world::*;
use crate::gpu::{fake, fake::FakeGpu};
use crate::{
    AlphaMode, BufferIds, CanvasEpoch, Contents, ContextDescriptor, ContextId, ContextMap, ExternalImages,
    GetImageError, OwnerId, PresentEnd, PresentError, Presenter, PresenterOptions,
};

const RED: [u8; 4] = [0, 0, 255, 255];
const GREEN: [u8; 4] = [0, 255, 0, 255];
pub(super) const PAGE: OwnerId = OwnerId(3);
pub(super) const OTHER_PAGE: OwnerId = OwnerId(4);

pub(super) fn descriptor(owner: OwnerId) -> ContextDescriptor {
    ContextDescriptor { owner, size: size(4, 2), buffer_ids: BufferIds::Allocated }
}

fn provided(first: u32) -> BufferIds {
    BufferIds::Provided((first..first + 3).map(fake::buffer).collect())
}

/// A context with three buffer ids, from `100 * id` on, displayed under the key of its number.
pub(super) fn create(presenter: &mut Presenter, id: u32, owner: OwnerId) -> ContextId {
    let context = ContextId(id.into());
    let descriptor = ContextDescriptor { buffer_ids: provided(100 * id), ..descriptor(owner) };
    presenter.create_context(context, descriptor).unwrap();
    presenter.set_image_key(context, key(id)).unwrap();
    context
}

pub(super) fn present(
    gpu: &FakeGpu,
    presenter: &mut Presenter,
    id: ContextId,
    pixel: [u8; 4],
) -> Result<u64, PresentError> {
    let texture = pending(gpu.texture(device(0), pixel, None), 0, size(4, 2));
    presenter.present(id, Contents::Texture(texture), CanvasEpoch(1))
}

pub(super) fn is_destroyed(end: &PresentEnd) -> bool {
    matches!(end, PresentEnd::Failed(PresentError::ContextDestroyed))
}

/// The calls for one key.
pub(super) fn calls_of(recorder: &Recorder, id: u32) -> Vec<Call> {
    let of_key = |call: &&Call| match call {
        Call::Add(k, ..) | Call::Update(k, ..) | Call::Delete(k) => *k == key(id),
    };
    recorder.get(|record| record.calls.iter().filter(of_key).cloned().collect())
}

/// Another thread may be telling still.
pub(super) fn assert_deleted_last(recorder: &Recorder, id: u32) {
    recorder.until("it is deleted", |record| record.calls.contains(&Call::Delete(key(id))));
    let calls = calls_of(recorder, id);
    assert_eq!(calls.iter().position(|call| matches!(call, Call::Delete(_))), Some(calls.len() - 1));
}

/// Another thread may be telling still.
pub(super) fn assert_each_once(recorder: &Recorder, expected: usize) {
    recorder.until("ids come back", |record| record.ids.len() >= expected);
    let mut times = HashMap::<_, usize>::new();
    recorder.get(|record| record.ids.iter().for_each(|id| *times.entry(*id).or_default() += 1));
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    assert_eq!(times.len(), expected);
}

#[rstest]
fn an_owner_dies_on_another_thread_with_all_its_contexts(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let World { gpu, map, recorder, mut presenter, mut images, .. } = World::empty(memory);
    let mine: Vec<_> = (10..14).map(|id| create(&mut presenter, id, PAGE)).collect();
    let other = create(&mut presenter, 20, OTHER_PAGE);
    for id in mine.iter().chain([&other]) {
        present(&gpu, &mut presenter, *id, RED).unwrap();
    }
    gpu.finish(device(0));
    recorder.until("all are shown", |record| record.outcomes.len() == 5);
    // Some locked, all in flight once or twice, one read and one captured.
    for id in &mine[..2] {
        assert!(matches!(images.lock((*id).into(), None), ExternalImageSource::RawData(_)));
    }
    let locked = images.lock(mine[0].into(), None);
    let ExternalImageSource::RawData(bytes) = locked else { panic!("it lives") };
    let before = bytes.to_vec();
    images.unlock(mine[0].into());
    for id in &mine {
        present(&gpu, &mut presenter, *id, GREEN).unwrap();
        present(&gpu, &mut presenter, *id, GREEN).unwrap();
    }
    let (sender, answers) = std::sync::mpsc::channel();
    let capture = pending(gpu.texture(device(0), GREEN, None), 0, size(4, 2));
    for texture in [None, Some(capture)] {
        let sender = sender.clone();
        presenter.get_image(mine[0], texture, move |answer| sender.send(answer).expect("it is awaited"));
    }

    let elsewhere = map.clone();
    let ended = std::thread::spawn(move || elsewhere.destroy_owner(PAGE)).join().unwrap();
    assert_eq!(ended, 4);
    for (id, number) in mine.iter().zip(10..) {
        for sequence in [2, 3] {
            recorder.until("it ends", |record| record.outcomes.contains_key(&(*id, sequence)));
            let ends = recorder.get(|record| record.outcomes[&(*id, sequence)].clone());
            assert!(matches!(&ends[..], [end] if is_destroyed(end)), "{ends:?}");
        }
        // Images come before outcomes.
        assert_deleted_last(&recorder, number);
    }
    for _ in 0..2 {
        let answer = answers.recv_timeout(TIMEOUT).expect("it is answered");
        assert!(matches!(answer, Err(GetImageError::UnknownContext(_))), "{answer:?}");
    }
    // What is locked stays; what is not is gone.
    let ExternalImageSource::RawData(bytes) = images.lock(mine[1].into(), None) else { panic!("locked") };
    assert_eq!(bytes, before);
    assert!(matches!(images.lock(mine[2].into(), None), ExternalImageSource::Invalid));
    // The WebGPU thread does the rest.
    assert!(recorder.get(|record| record.ids.is_empty()));
    presenter.maintain();
    assert_each_once(&recorder, 4 * 3);
    gpu.finish(device(0));
    assert!(matches!(present(&gpu, &mut presenter, mine[0], RED), Err(PresentError::UnknownContext(_))));
    // The other page noticed nothing.
    let second = present(&gpu, &mut presenter, other, GREEN).unwrap();
    gpu.finish(device(0));
    recorder.until("it goes on", |record| record.outcomes.contains_key(&(other, second)));
    assert!(!calls_of(&recorder, 20).contains(&Call::Delete(key(20))));
    assert_eq!(map.destroy_owner(PAGE), 0, "an owner without contexts is none");
}

#[rstest]
fn the_presenter_is_asked_to_maintain_by_others_than_itself(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let (gpu, map, recorder) = (FakeGpu::new(memory), ContextMap::default(), Recorder::default());
    let wakes = Arc::new(AtomicUsize::new(0));
    let options = PresenterOptions {
        wake: {
            let wakes = wakes.clone();
            Arc::new(move || {
                wakes.fetch_add(1, Ordering::Relaxed);
            })
        },
        ..Default::default()
    };
    let mut presenter = Presenter::with_gpu(Arc::new(gpu), &map, Arc::new(recorder), options);
    for id in 1..=3 {
        create(&mut presenter, id, PAGE);
    }
    presenter.destroy_context(ContextId(3)).unwrap();
    assert_eq!(wakes.load(Ordering::Relaxed), 0, "it is at it itself");
    map.destroy_owner(PAGE);
    assert_eq!(wakes.load(Ordering::Relaxed), 1, "once for all");
}

#[rstest]
fn a_presenter_that_destroys_an_owner_hands_back_at_once(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let World { gpu, map, recorder, mut presenter, .. } = World::empty(memory);
    let mut second = World::presenter(&FakeGpu::new(memory), &map, &recorder);
    let mine = create(&mut presenter, 10, PAGE);
    create(&mut second, 11, PAGE);
    present(&gpu, &mut presenter, mine, RED).unwrap();
    assert_eq!(presenter.destroy_owner(PAGE), 2);
    assert_eq!((recorder.get(|record| record.ids.len()), gpu.buffers()), (3, 0));
    second.maintain();
    assert_each_once(&recorder, 6);
}

// Each call that meets a dead context says so, and takes back what is left of it.
#[rstest]
fn every_call_meets_a_dead_context(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    type Call = fn(&mut Presenter, ContextId) -> bool;
    let calls: [Call; 6] = [
        |presenter, id| presenter.set_image_key(id, key(99)).is_err(),
        |presenter, id| presenter.destroy_context(id).is_err(),
        |presenter, id| {
            let contents = Contents::Cleared { size: size(1, 1), alpha_mode: AlphaMode::Opaque };
            let result = presenter.present(id, contents, CanvasEpoch(1));
            matches!(result, Err(PresentError::UnknownContext(_)))
        },
        |presenter, id| {
            let (sender, answers) = std::sync::mpsc::channel();
            presenter.get_image(id, None, move |answer| sender.send(answer).expect("it is awaited"));
            matches!(answers.recv_timeout(TIMEOUT), Ok(Err(GetImageError::UnknownContext(_))))
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
        assert_deleted_last(&recorder, 10);
        assert_each_once(&recorder, 3);
        drop(presenter);
        assert_each_once(&recorder, 3);
    }
}

// An id may be used again at once, by whoever is first.
#[rstest]
fn an_id_is_free_as_soon_as_its_owner_is_gone(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let World { gpu, map, recorder, mut presenter, mut images, .. } = World::empty(memory);
    let other_gpu = FakeGpu::new(memory);
    let other_recorder = Recorder::default();
    let mut other = World::presenter(&other_gpu, &map, &other_recorder);
    let id = create(&mut presenter, 10, PAGE);
    present(&gpu, &mut presenter, id, RED).unwrap();
    map.destroy_owner(PAGE);
    other.create_context(id, descriptor(OTHER_PAGE)).unwrap();
    present(&other_gpu, &mut other, id, GREEN).unwrap();
    // The first presenter still has what is left of its own, and no hold on what is not.
    gpu.finish(device(0));
    assert!(presenter.destroy_context(id).is_err());
    drop(presenter);
    assert_each_once(&recorder, 3);
    other_gpu.finish(device(0));
    other_recorder.until("it ends", |record| record.outcomes.contains_key(&(id, 1)));
    let ExternalImageSource::RawData(bytes) = images.lock(id.into(), None) else { panic!("it lives") };
    assert_eq!(bytes[..4], GREEN);
    assert_eq!(map.destroy_owner(PAGE), 0, "it has another owner now");
    assert_eq!(map.destroy_owner(OTHER_PAGE), 1);
}

#[rstest]
fn a_clear_that_was_begun_fails_with_its_owner(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let World { map, recorder, mut presenter, .. } = World::empty(memory);
    let id = create(&mut presenter, 10, PAGE);
    let context = map.get(id).unwrap();
    let present = context.begin(CanvasEpoch(1), AlphaMode::Opaque).unwrap();
    map.destroy_owner(PAGE);
    context.clear(&present, size(1, 1));
    presenter.maintain();
    let ends = recorder.get(|record| record.outcomes[&(id, 1)].clone());
    assert!(matches!(&ends[..], [end] if is_destroyed(end)), "{ends:?}");
    assert_deleted_last(&recorder, 10);
}

// R27: two presenters with GPUs of their own, three renderers; one of each goes in the middle.
#[rstest]
fn renderers_and_presenters_come_and_go(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let map = ContextMap::default();
    let (gpus, recorders) =
        ([FakeGpu::new(memory), FakeGpu::new(memory)], [(); 2].map(|_| Recorder::default()));
    let mut presenters = [0, 1].map(|index| Some(World::presenter(&gpus[index], &map, &recorders[index])));
    let mut renderers: Vec<_> = (0..3).map(|_| ExternalImages::new(&map)).collect();
    let contexts: [ContextId; 2] = [(0, 10), (1, 20)]
        .map(|(index, id)| create(presenters[index].as_mut().expect("it is there"), id, PAGE));
    let show = |presenters: &mut [Option<Presenter>; 2], index: usize, pixel| {
        let presenter = presenters[index].as_mut().expect("it is there");
        let sequence = present(&gpus[index], presenter, contexts[index], pixel).unwrap();
        gpus[index].finish(device(0));
        recorders[index]
            .until("it is shown", |record| record.outcomes.contains_key(&(contexts[index], sequence)));
    };
    let read = |renderer: &mut ExternalImages, id: ContextId| match renderer.lock(id.into(), None) {
        ExternalImageSource::RawData(bytes) => Some([bytes[0], bytes[1], bytes[2], bytes[3]]),
        _ => None,
    };
    show(&mut presenters, 0, RED);
    show(&mut presenters, 1, GREEN);
    for renderer in &mut renderers {
        assert_eq!(contexts.map(|id| read(renderer, id)), [Some(RED), Some(GREEN)]);
    }
    // All hold both frames. One renderer goes with its locks, one unlocks, one keeps them.
    renderers.remove(0);
    contexts.iter().for_each(|id| renderers[0].unlock((*id).into()));
    show(&mut presenters, 0, [1; 4]);
    assert_eq!(read(&mut renderers[0], contexts[0]), Some([1; 4]));
    assert_eq!(read(&mut renderers[1], contexts[0]), Some(RED), "locked already");
    // One presenter goes with a copy in flight: its own context alone.
    let sequence =
        present(&gpus[0], presenters[0].as_mut().expect("it is there"), contexts[0], [2; 4]).unwrap();
    presenters[0] = None;
    let ends = recorders[0].get(|record| record.outcomes[&(contexts[0], sequence)].clone());
    assert!(matches!(&ends[..], [end] if is_destroyed(end)), "{ends:?}");
    assert_eq!(read(&mut ExternalImages::new(&map), contexts[0]), None);
    assert_eq!(read(&mut renderers[1], contexts[0]), Some(RED), "still locked");
    show(&mut presenters, 1, [3; 4]);
    assert_eq!(read(&mut ExternalImages::new(&map), contexts[1]), Some([3; 4]));
    assert_eq!(map.destroy_owner(PAGE), 1);
    drop(presenters);
    for (gpu, recorder) in gpus.iter().zip(&recorders) {
        assert_eq!(gpu.buffers(), 0);
        assert_each_once(recorder, 3);
    }
}

// Begun in a batch, and dead before its submit.
#[rstest]
fn what_was_begun_in_a_batch_fails_with_its_owner(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    for reused in [false, true] {
        let World { gpu, map, recorder, mut presenter, .. } = World::empty(memory);
        let id = create(&mut presenter, 10, PAGE);
        let texture = pending(gpu.texture(device(0), RED, None), 0, size(4, 2));
        let texture = with_ids(texture, fake::encoder_ids(1));
        let mut batch = presenter.batch();
        batch.present(id, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
        assert_eq!(map.destroy_owner(PAGE), 1);
        let again = batch.present(id, Contents::Texture(texture), CanvasEpoch(2));
        assert!(matches!(again, Err(PresentError::UnknownContext(_))));
        std::mem::forget(batch);
        if reused {
            presenter.create_context(id, descriptor(PAGE)).unwrap();
        }
        drop(presenter.batch());
        let ends = recorder.get(|record| record.outcomes[&(id, 1)].clone());
        assert!(matches!(&ends[..], [end] if is_destroyed(end)), "{ends:?}");
        assert_deleted_last(&recorder, 10);
        gpu.finish(device(0));
        if reused {
            let (sender, answers) = std::sync::mpsc::channel();
            presenter.get_image(id, None, move |answer| sender.send(answer).expect("it is awaited"));
            let read = answers.recv_timeout(TIMEOUT).expect("it is answered").unwrap();
            assert_eq!(first_pixel(&read), [0; 4], "a new context is clear");
        }
        let ids = recorder.get(|record| record.ids.clone());
        assert_eq!(ids.len(), 3 + 2 * 2, "the encoder ids twice, once for each time they were handed in");
    }
}

// The real thing: owners die while their contexts are presented, read, cleared, keyed and made anew.
#[rstest]
fn owners_die_while_the_webgpu_thread_is_at_it(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let World { gpu, map, recorder, mut presenter, images, .. } = World::empty(memory);
    let stop = Arc::new(AtomicBool::new(false));
    let ended = Arc::new(AtomicUsize::new(0));
    let killer = std::thread::spawn({
        let (map, stop, ended) = (map.clone(), stop.clone(), ended.clone());
        move || {
            while !stop.load(Ordering::Relaxed) {
                ended.fetch_add(map.destroy_owner(PAGE), Ordering::Relaxed);
                std::thread::yield_now();
            }
        }
    });
    let finisher = std::thread::spawn({
        let (gpu, stop) = (gpu.clone(), stop.clone());
        move || {
            while !stop.load(Ordering::Relaxed) {
                gpu.finish(device(0));
                std::thread::yield_now();
            }
        }
    });
    let renderer = std::thread::spawn({
        let (mut images, stop) = (images, stop.clone());
        move || {
            while !stop.load(Ordering::Relaxed) {
                for id in 10..13u64 {
                    let id = ContextId(id).into();
                    if !matches!(images.lock(id, None), ExternalImageSource::Invalid) {
                        images.unlock(id);
                    }
                }
            }
        }
    });
    let answered = Arc::new(AtomicUsize::new(0));
    let (mut handed_in, mut asked, mut begun) = (0, 0, 0);
    for round in 0.. {
        if ended.load(Ordering::Relaxed) >= 300 {
            break;
        }
        let number = 10 + round % 3;
        let id = ContextId(number.into());
        // Buffer ids that were never used before: those of an earlier life may not be back yet.
        let buffer_ids = BufferIds::Provided(vec![fake::buffer(1_000_000 + round)]);
        let new = ContextDescriptor { buffer_ids, ..descriptor(PAGE) };
        if presenter.create_context(id, new).is_ok() {
            handed_in += 1;
            let _ = presenter.set_image_key(id, key(number));
        }
        let texture = |round: u32| {
            let texture = pending(gpu.texture(device(0), RED, None), 0, size(4 + round % 2, 2));
            with_ids(texture, fake::encoder_ids(round))
        };
        if round % 7 == 0 {
            gpu.fail_next_submit(PresentError::OutOfMemory, false);
        }
        asked += 1;
        let awaited = answered.clone();
        map.when_presented(id, CanvasEpoch(round.into()), Duration::from_secs(3600), move |_| {
            awaited.fetch_add(1, Ordering::Relaxed);
        });
        let mut batch = presenter.batch();
        for _ in 0..2 {
            let contents = match round % 5 {
                0 => Contents::Cleared { size: size(3, 3), alpha_mode: AlphaMode::Opaque },
                _ => {
                    handed_in += 2;
                    Contents::Texture(texture(2 * handed_in))
                }
            };
            if batch.present(id, contents, CanvasEpoch(round.into())).is_ok() {
                begun += 1;
            }
        }
        drop(batch);
        let capture = (round % 3 == 0).then(|| {
            handed_in += 2;
            texture(2 * handed_in)
        });
        asked += 1;
        let answered = answered.clone();
        presenter.get_image(id, capture, move |_| {
            answered.fetch_add(1, Ordering::Relaxed);
        });
        if round % 50 == 0 {
            presenter.maintain();
        }
    }
    stop.store(true, Ordering::Relaxed);
    killer.join().unwrap();
    finisher.join().unwrap();
    renderer.join().unwrap();
    drop(presenter);
    drop(map);
    assert_eq!(answered.load(Ordering::Relaxed), asked);
    assert_eq!(gpu.buffers(), 0, "the hub is empty");
    assert_each_once(&recorder, handed_in as usize);
    // Sequence numbers begin anew in each life: the ends of all lives together.
    let ends: usize = recorder.get(|record| record.outcomes.values().map(Vec::len).sum());
    assert_eq!(ends, begun);
    // Images are added, updated and deleted, and only then added again.
    for number in 10..13 {
        let mut there = false;
        for call in calls_of(&recorder, number) {
            assert_eq!(there, !matches!(call, Call::Add(..)), "{call:?}");
            there = !matches!(call, Call::Delete(_));
        }
        assert!(!there);
    }
}

#[rstest]
fn a_presenter_that_goes_while_its_owner_dies_tells_everything_before(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    for _ in 0..300 {
        let World { gpu, map, recorder, mut presenter, .. } = World::empty(memory);
        let ids: Vec<_> = (10..18).map(|id| create(&mut presenter, id, PAGE)).collect();
        for id in &ids {
            present(&gpu, &mut presenter, *id, RED).unwrap();
        }
        let killer = std::thread::spawn({
            let map = map.clone();
            move || map.destroy_owner(PAGE)
        });
        drop(presenter);
        let told = recorder.get(|r| (r.calls.len(), r.outcomes.len(), r.ids.len()));
        killer.join().unwrap();
        assert_eq!(told, recorder.get(|r| (r.calls.len(), r.outcomes.len(), r.ids.len())));
        assert_eq!((told.1, told.2, gpu.buffers()), (8, 24, 0));
    }
}
