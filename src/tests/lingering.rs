//! Contexts that are destroyed after a transaction of the compositor.

mod orders;

use webrender_api::IdNamespace;

use super::world::*;
use crate::delivery::Locked;
use crate::{
    AlphaMode, Awaited, CanvasEpoch, Contents, ContextId, ContextMap, CreateContextError, ExternalImages,
    MemoryKind, Presenter, TransactionId, UnknownContext,
};

const ID: ContextId = ContextId(10);

/// The namespace of the keys that [`key`] makes.
const COMPOSITOR: IdNamespace = IdNamespace(1);

/// The world of a context that shows red.
fn showing_red(memory: FrameMemoryKind) -> World {
    let mut world = World::empty(memory);
    create(&mut world.presenter, 10, PAGE);
    show(&mut world, RED);
    world
}

fn show(world: &mut World, pixel: [u8; 4]) {
    let sequence = present(&world.gpu, &mut world.presenter, ID, pixel).unwrap();
    world.gpu.finish(device(0));
    world.recorder.until_ended(ID, sequence);
}

/// What a renderer shows of the context.
fn shown(images: &mut ExternalImages) -> Option<[u8; 4]> {
    let pixel = lock_newest(images, ID);
    images.unlock(ID.into(), None);
    pixel
}

#[rstest]
fn a_context_lingers_for_the_compositor_alone(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let World { gpu, map, recorder, mut presenter, mut images, .. } = showing_red(memory);
    present(&gpu, &mut presenter, ID, GREEN).unwrap();
    let waiting = read(&mut presenter, ID, None);
    let awaited = wait_on(&map, ID, 9, TIMEOUT);
    presenter.destroy_context_after(ID, TransactionId(5)).unwrap();

    // For the engine it is gone.
    recorder.assert_ids_returned_once(3);
    assert_eq!(gpu.buffers(), 0);
    recorder.assert_destroyed(ID, 2);
    assert_unknown(&waiting);
    assert_unknown(&read(&mut presenter, ID, None));
    assert!(matches!(awaited.recv_timeout(TIMEOUT), Ok(Awaited::ContextGone)));
    assert!(matches!(present(&gpu, &mut presenter, ID, GREEN), Err(UnknownContext(_))));
    let unknown = Err(UnknownContext(ID));
    assert_eq!(presenter.destroy_context(ID), unknown);
    assert_eq!(presenter.destroy_context_after(ID, TransactionId(1)), unknown);
    assert_eq!(presenter.set_image_key(ID, key(11)), Err(UnknownContext(ID).into()));
    assert!(presenter.statistics(ID).is_err());
    assert_eq!(presenter.create_context(ID, descriptor(PAGE)), Err(CreateContextError::Duplicate(ID)));

    // For the compositor it is not.
    gpu.finish(device(0));
    for (namespace, transaction) in [(COMPOSITOR, 4), (IdNamespace(2), 5), (COMPOSITOR, 3)] {
        map.transaction_done(namespace, TransactionId(transaction));
        assert_eq!(shown(&mut images), Some(RED), "what is in flight is never shown");
        assert!(!recorder.calls().contains(&Call::Delete(key(10))));
    }
    map.transaction_done(COMPOSITOR, TransactionId(6));
    assert_eq!(shown(&mut images), Some(CLEAR));
    recorder.assert_deleted_last(10);
    presenter.create_context(ID, descriptor(PAGE)).unwrap();
}

#[rstest]
fn what_was_begun_is_not_shown_by_what_lingers(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let World { map, recorder, mut presenter, mut images, .. } = showing_red(memory);
    let context = map.find(ID).unwrap();
    let begun = context.begin(CanvasEpoch(7), AlphaMode::Opaque).unwrap();
    presenter.destroy_context_after(ID, TransactionId(5)).unwrap();
    context.clear(&begun, size(1, 1));
    presenter.maintain();
    recorder.until_ended(ID, 2);
    assert_eq!(shown(&mut images), Some(RED));
    let last = recorder.calls_of(10).pop();
    assert!(matches!(last, Some(Call::Update(.., 7))), "but it is acknowledged: {last:?}");
}

// A renderer's thread frees no memory: its frames must not take that long.
#[rstest]
fn what_a_renderer_lets_go_is_freed_when_the_context_ends(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let World { map, mut presenter, .. } = showing_red(memory);
    let context = map.find(ID).unwrap();
    presenter.destroy_context_after(ID, TransactionId(5)).unwrap();
    let Ok(Locked::Frame(frame)) = context.lock(map.new_handler(None), None) else { panic!("it lingers") };
    assert!(!frame.is_orphan(), "its memory is not freed by its last holder");
    map.transaction_done(COMPOSITOR, TransactionId(5));
    assert!(frame.is_orphan());
    assert!(!presenter.memory_report().is_empty());
    drop(frame);
    assert!(presenter.memory_report().is_empty());
}

#[rstest]
fn what_lingers_keeps_what_it_shows_alone(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = showing_red(memory);
    // The frame before rests in the recycler afterwards, and nothing takes it from there.
    show(&mut world, GREEN);
    let kinds = |presenter: &Presenter| -> Vec<_> {
        presenter.memory_report().iter().map(|report| report.kind).collect()
    };
    assert!(kinds(&world.presenter).contains(&MemoryKind::Recycled));
    world.presenter.destroy_context_after(ID, TransactionId(5)).unwrap();
    assert_eq!(kinds(&world.presenter), [MemoryKind::Frames]);
}

#[rstest]
fn there_is_nothing_to_linger_for(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let reports: [fn(&ContextMap); 2] =
        [|map| map.transaction_done(COMPOSITOR, TransactionId(5)), |map| map.compositor_gone(COMPOSITOR)];
    for report in reports {
        let World { map, recorder, mut presenter, mut images, .. } = showing_red(memory);
        report(&map);
        assert_eq!(shown(&mut images), Some(RED), "a living context does not end with a transaction");
        presenter.destroy_context_after(ID, TransactionId(5)).unwrap();
        assert_eq!(shown(&mut images), Some(CLEAR));
        recorder.assert_deleted_last(10);
    }
    // No compositor displays a context without a key.
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
    assert_eq!(shown(&mut images), Some(CLEAR));
    recorder.assert_deleted_last(10);
}

#[rstest]
fn a_late_report_does_not_reach_the_next_context_of_the_id(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let World { gpu, map, recorder, mut presenter, mut images, .. } = showing_red(memory);
    // A renderer may hold on to the old context.
    let _held = map.find(ID);
    presenter.destroy_context_after(ID, TransactionId(5)).unwrap();
    assert_eq!(map.destroy_owner(PAGE), 1, "a context that lingers still has its owner");
    recorder.assert_deleted_last(10);
    create(&mut presenter, 10, OTHER_PAGE);
    let second = present(&gpu, &mut presenter, ID, GREEN).unwrap();
    gpu.finish(device(0));
    recorder.until_ended_again(ID, second);
    map.transaction_done(COMPOSITOR, TransactionId(5));
    assert_eq!(shown(&mut images), Some(GREEN));
}

#[rstest]
fn who_waits_for_an_id_that_lingers_waits_for_its_next_context(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let World { map, mut presenter, recorder, .. } = showing_red(memory);
    presenter.destroy_context_after(ID, TransactionId(5)).unwrap();
    let awaited = wait_on(&map, ID, 1, TIMEOUT);
    map.transaction_done(COMPOSITOR, TransactionId(5));
    assert!(awaited.try_recv().is_err());
    presenter.create_context(ID, descriptor(PAGE)).unwrap();
    let contents = Contents::Cleared { size: size(1, 1), alpha_mode: AlphaMode::Opaque };
    presenter.present(ID, contents, CanvasEpoch(1)).unwrap();
    assert!(matches!(awaited.recv_timeout(TIMEOUT), Ok(Awaited::Presented { sequence: 1, .. })));
    recorder.assert_deleted_last(10);
}
