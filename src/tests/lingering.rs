//! Contexts that are destroyed after a transaction of the compositor.

use std::sync::mpsc::{Receiver, channel};

use proptest::prelude::*;
use webrender_api::{ExternalImageSource, IdNamespace};

use super::owners::{
    OTHER_PAGE, PAGE, assert_deleted_last, assert_each_once, calls_of, create, descriptor, is_destroyed,
    present,
};
use super::world::*;
use crate::delivery::Locked;
use crate::{
    AlphaMode, Awaited, CanvasEpoch, ContextId, ContextMap, CreateContextError, ExternalImages,
    GetImageError, MemoryKind, PresentError, Presenter, TransactionId, UnknownContext,
};

const RED: [u8; 4] = [0, 0, 255, 255];
const GREEN: [u8; 4] = [0, 255, 0, 255];
const ID: ContextId = ContextId(10);

/// Of the keys that [`key`] makes.
const COMPOSITOR: IdNamespace = IdNamespace(1);

/// A context that shows red.
fn showing_red(memory: FrameMemoryKind) -> World {
    let mut world = World::empty(memory);
    create(&mut world.presenter, 10, PAGE);
    present(&world.gpu, &mut world.presenter, ID, RED).unwrap();
    world.gpu.finish(device(0));
    world.recorder.until("it is shown", |record| record.outcomes.contains_key(&(ID, 1)));
    world
}

fn read(presenter: &mut Presenter) -> Receiver<Answer> {
    let (sender, receiver) = channel();
    presenter.get_image(ID, None, move |answer| {
        // Some tests look no more.
        let _ = sender.send(answer);
    });
    receiver
}

/// What a renderer shows of the context.
fn shown(images: &mut ExternalImages) -> Option<[u8; 4]> {
    let pixel = match images.lock(ID.into(), None) {
        ExternalImageSource::RawData(bytes) => [bytes[0], bytes[1], bytes[2], bytes[3]],
        _ => return None,
    };
    images.unlock(ID.into());
    Some(pixel)
}

fn is_deleted(recorder: &Recorder) -> bool {
    calls_of(recorder, 10).contains(&Call::Delete(key(10)))
}

#[rstest]
fn a_context_lingers_for_the_compositor_alone(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let World { gpu, map, recorder, mut presenter, mut images, .. } = showing_red(memory);
    present(&gpu, &mut presenter, ID, GREEN).unwrap();
    let waiting = read(&mut presenter);
    let (sender, awaited) = channel();
    map.when_presented(ID, CanvasEpoch(9), TIMEOUT, move |end| sender.send(end).expect("it is awaited"));
    presenter.destroy_context_after(ID, TransactionId(5)).unwrap();

    // For the engine it is gone.
    assert_each_once(&recorder, 3);
    assert_eq!(gpu.buffers(), 0);
    let ends = recorder.get(|record| record.outcomes[&(ID, 2)].clone());
    assert!(matches!(&ends[..], [end] if is_destroyed(end)), "{ends:?}");
    assert!(matches!(answer(&waiting), Err(GetImageError::UnknownContext(_))));
    assert!(matches!(answer(&read(&mut presenter)), Err(GetImageError::UnknownContext(_))));
    assert!(matches!(awaited.recv_timeout(TIMEOUT), Ok(Awaited::ContextGone)));
    assert!(matches!(present(&gpu, &mut presenter, ID, GREEN), Err(PresentError::UnknownContext(_))));
    let unknown = Err(UnknownContext(ID));
    assert_eq!(presenter.destroy_context(ID), unknown);
    assert_eq!(presenter.destroy_context_after(ID, TransactionId(1)), unknown);
    assert_eq!(presenter.set_image_key(ID, key(11)), unknown);
    assert!(presenter.statistics(ID).is_err());
    assert_eq!(presenter.create_context(ID, descriptor(PAGE)), Err(CreateContextError::Duplicate(ID)));

    // For the compositor it is not.
    gpu.finish(device(0));
    for (namespace, transaction) in [(COMPOSITOR, 4), (IdNamespace(2), 5), (COMPOSITOR, 3)] {
        map.transaction_done(namespace, TransactionId(transaction));
        assert_eq!(shown(&mut images), Some(RED), "what is in flight is never shown");
        assert!(!is_deleted(&recorder));
    }
    map.transaction_done(COMPOSITOR, TransactionId(6));
    assert_eq!(shown(&mut images), None);
    assert_deleted_last(&recorder, 10);
    presenter.create_context(ID, descriptor(PAGE)).unwrap();
}

#[rstest]
fn what_was_begun_is_not_shown_by_what_lingers(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let World { map, recorder, mut presenter, mut images, .. } = showing_red(memory);
    let context = map.get(ID).unwrap();
    let begun = context.begin(CanvasEpoch(7), AlphaMode::Opaque).unwrap();
    presenter.destroy_context_after(ID, TransactionId(5)).unwrap();
    context.clear(&begun, size(1, 1));
    presenter.maintain();
    recorder.until("it ends", |record| record.outcomes.contains_key(&(ID, 2)));
    assert_eq!(shown(&mut images), Some(RED));
    let last = calls_of(&recorder, 10).pop();
    assert!(matches!(last, Some(Call::Update(.., Some(7)))), "but it is acknowledged: {last:?}");
}

// R19: a renderer's thread frees nothing.
#[rstest]
fn what_a_renderer_lets_go_is_freed_when_the_context_ends(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let World { map, mut presenter, .. } = showing_red(memory);
    let context = map.get(ID).unwrap();
    presenter.destroy_context_after(ID, TransactionId(5)).unwrap();
    let Some(Locked::Frame(frame)) = context.lock(map.new_handler(), None) else { panic!("it lingers") };
    assert!(!frame.is_orphan(), "whoever lets it go frees it");
    map.transaction_done(COMPOSITOR, TransactionId(5));
    assert!(frame.is_orphan());
    assert!(!presenter.memory_report().is_empty());
    drop(frame);
    assert!(presenter.memory_report().is_empty());
}

#[rstest]
fn what_lingers_keeps_what_it_shows_alone(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let World { gpu, recorder, mut presenter, .. } = showing_red(memory);
    present(&gpu, &mut presenter, ID, GREEN).unwrap();
    gpu.finish(device(0));
    // The frame before is in the recycler now, and nobody takes it from there.
    recorder.until("it is shown", |record| record.outcomes.contains_key(&(ID, 2)));
    let kinds = |presenter: &Presenter| -> Vec<_> {
        presenter.memory_report().iter().map(|report| report.kind).collect()
    };
    assert!(kinds(&presenter).contains(&MemoryKind::Recycled));
    presenter.destroy_context_after(ID, TransactionId(5)).unwrap();
    assert_eq!(kinds(&presenter), [MemoryKind::Frames]);
}

#[rstest]
fn there_is_nothing_to_linger_for(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let done = |map: &ContextMap| map.transaction_done(COMPOSITOR, TransactionId(5));
    let gone = |map: &ContextMap| map.compositor_gone(COMPOSITOR);
    let reports: [&dyn Fn(&ContextMap); 2] = [&done, &gone];
    for report in reports {
        let World { map, recorder, mut presenter, mut images, .. } = showing_red(memory);
        report(&map);
        assert_eq!(shown(&mut images), Some(RED), "a living context is none of its business");
        presenter.destroy_context_after(ID, TransactionId(5)).unwrap();
        assert_eq!(shown(&mut images), None);
        assert_deleted_last(&recorder, 10);
    }
    // Without a key nobody displays it.
    let mut world = World::empty(memory);
    world.presenter.create_context(ID, descriptor(PAGE)).unwrap();
    world.presenter.destroy_context_after(ID, TransactionId(5)).unwrap();
    assert_eq!(shown(&mut world.images), None);
    world.presenter.create_context(ID, descriptor(PAGE)).unwrap();
}

#[rstest]
fn a_compositor_that_goes_ends_what_lingers(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let World { map, recorder, mut presenter, mut images, .. } = showing_red(memory);
    presenter.destroy_context_after(ID, TransactionId(5)).unwrap();
    map.compositor_gone(IdNamespace(2));
    assert_eq!(shown(&mut images), Some(RED));
    map.compositor_gone(COMPOSITOR);
    assert_eq!(shown(&mut images), None);
    assert_deleted_last(&recorder, 10);
}

#[rstest]
fn a_late_report_does_not_reach_the_next_context_of_the_id(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let World { gpu, map, recorder, mut presenter, mut images, .. } = showing_red(memory);
    // A renderer may be at it.
    let _held = map.get(ID);
    presenter.destroy_context_after(ID, TransactionId(5)).unwrap();
    assert_eq!(map.destroy_owner(PAGE), 1, "one that lingers is its owner's still");
    assert_deleted_last(&recorder, 10);
    create(&mut presenter, 10, OTHER_PAGE);
    let second = present(&gpu, &mut presenter, ID, GREEN).unwrap();
    gpu.finish(device(0));
    recorder.until("it is shown", |record| record.outcomes[&(ID, second)].len() == 2);
    map.transaction_done(COMPOSITOR, TransactionId(5));
    assert_eq!(shown(&mut images), Some(GREEN));
}

#[rstest]
fn who_waits_for_an_id_that_lingers_waits_for_its_next_context(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let World { map, mut presenter, recorder, .. } = showing_red(memory);
    presenter.destroy_context_after(ID, TransactionId(5)).unwrap();
    let (sender, awaited) = channel();
    map.when_presented(ID, CanvasEpoch(1), TIMEOUT, move |end| sender.send(end).expect("it is awaited"));
    map.transaction_done(COMPOSITOR, TransactionId(5));
    assert!(awaited.try_recv().is_err());
    presenter.create_context(ID, descriptor(PAGE)).unwrap();
    presenter
        .present(
            ID,
            crate::Contents::Cleared { size: size(1, 1), alpha_mode: AlphaMode::Opaque },
            CanvasEpoch(1),
        )
        .unwrap();
    assert!(matches!(awaited.recv_timeout(TIMEOUT), Ok(Awaited::Presented { sequence: 1, .. })));
    assert_deleted_last(&recorder, 10);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Present,
    Finish,
    DestroyAfter(u64),
    Destroy,
    DestroyOwner,
    Report(u64),
    Lock,
    Unlock,
    Create,
    Maintain,
    DropPresenter,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Present),
        2 => Just(Step::Finish),
        3 => (0..6u64).prop_map(Step::DestroyAfter),
        1 => Just(Step::Destroy),
        1 => Just(Step::DestroyOwner),
        2 => (0..6u64).prop_map(Step::Report),
        2 => Just(Step::Lock),
        1 => Just(Step::Unlock),
        3 => Just(Step::Create),
        1 => Just(Step::Maintain),
        1 => Just(Step::DropPresenter),
    ]
}

// Whatever the order: a model of one context, which is there, lingers until a transaction, or is not there.
#[rstest]
fn every_order_of_destruction_ends_well(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) };
    proptest!(config, |(steps in prop::collection::vec(step(), 1..40))| {
        let World { gpu, map, recorder, presenter, mut images, .. } = World::empty(memory);
        let mut presenter = Some(presenter);
        #[derive(Clone, Copy, PartialEq, Debug)]
        enum Model { None, Alive, Lingering(u64) }
        let (mut model, mut done, mut lives, mut locks, mut presents) = (Model::None, None, 0, 0, 0);
        for step in steps {
            match (step, &mut presenter) {
                (Step::Report(transaction), _) => {
                    map.transaction_done(COMPOSITOR, TransactionId(transaction));
                    done = done.max(Some(transaction));
                    if matches!(model, Model::Lingering(until) if until <= transaction) {
                        model = Model::None;
                    }
                }
                (Step::DestroyOwner, _) => {
                    prop_assert_eq!(map.destroy_owner(PAGE), usize::from(model != Model::None));
                    model = Model::None;
                }
                (Step::Lock, _) => {
                    let locked = matches!(images.lock(ID.into(), None), ExternalImageSource::RawData(_));
                    prop_assert!(locked || model == Model::None);
                    locks += usize::from(locked);
                }
                (Step::Unlock, _) if locks > 0 => {
                    images.unlock(ID.into());
                    locks -= 1;
                }
                (Step::Finish, _) => gpu.finish(device(0)),
                (Step::DropPresenter, presenter) => {
                    *presenter = None;
                    model = Model::None;
                }
                (Step::Present, Some(presenter)) => {
                    let result = present(&gpu, presenter, ID, RED);
                    prop_assert_eq!(result.is_ok(), model == Model::Alive);
                    presents += usize::from(result.is_ok());
                }
                (Step::DestroyAfter(transaction), Some(presenter)) => {
                    let result = presenter.destroy_context_after(ID, TransactionId(transaction));
                    prop_assert_eq!(result.is_ok(), model == Model::Alive);
                    if model == Model::Alive {
                        let over = done >= Some(transaction);
                        model = if over { Model::None } else { Model::Lingering(transaction) };
                    }
                }
                (Step::Destroy, Some(presenter)) => {
                    prop_assert_eq!(presenter.destroy_context(ID).is_ok(), model == Model::Alive);
                    if model == Model::Alive {
                        model = Model::None;
                    }
                }
                (Step::Create, Some(presenter)) => {
                    let buffer_ids = crate::BufferIds::Provided(vec![crate::gpu::fake::buffer(500_000 + lives)]);
                    let new = crate::ContextDescriptor { buffer_ids, ..descriptor(PAGE) };
                    let created = presenter.create_context(ID, new).is_ok();
                    prop_assert_eq!(created, model == Model::None);
                    if created {
                        presenter.set_image_key(ID, key(10)).unwrap();
                        lives += 1;
                        model = Model::Alive;
                    }
                }
                (Step::Maintain, Some(presenter)) => presenter.maintain(),
                _ => {}
            }
            let there = matches!(images.lock(ID.into(), Some(0)), ExternalImageSource::RawData(_));
            prop_assert!(there || model == Model::None, "{:?}", model);
            if there {
                images.unlock(ID.into());
            }
        }
        drop(presenter);
        assert_each_once(&recorder, lives as usize);
        prop_assert_eq!(recorder.get(|record| record.outcomes.values().map(Vec::len).sum::<usize>()), presents);
        prop_assert_eq!(gpu.buffers(), 0);
        let mut displayed = false;
        let mut deleted = 0;
        for call in calls_of(&recorder, 10) {
            prop_assert_eq!(displayed, !matches!(call, Call::Add(..)), "{:?}", call);
            displayed = !matches!(call, Call::Delete(_));
            deleted += u32::from(!displayed);
        }
        prop_assert_eq!(deleted, lives);
    });
}

#[rstest]
fn a_report_on_another_thread_loses_no_context(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    for transaction in 1..1500u64 {
        let World { map, recorder, mut presenter, .. } = World::empty(memory);
        create(&mut presenter, 10, PAGE);
        let compositor = std::thread::spawn({
            let map = map.clone();
            move || map.transaction_done(COMPOSITOR, TransactionId(transaction))
        });
        presenter.destroy_context_after(ID, TransactionId(transaction)).unwrap();
        compositor.join().unwrap();
        recorder.until("it is deleted", |record| record.calls.contains(&Call::Delete(key(10))));
        presenter.create_context(ID, descriptor(PAGE)).unwrap();
    }
}
