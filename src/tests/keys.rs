//! An image key belongs to one context of a map at a time, whatever presenters display them.

use std::thread;
use std::time::Duration;

use super::world::*;
use crate::{ContextId, Presenter, SetImageKeyError, TransactionId};

const OTHER: ContextId = ContextId(10);

/// [`CONTEXT`] at one presenter, displayed under the key 10, and [`OTHER`] at another one. Both tell the same recorder.
fn two_presenters(memory: FrameMemoryKind) -> (World, Presenter) {
    let mut world = World::empty(memory);
    let mut second = World::presenter(&world.gpu, &world.map, &world.recorder);
    world.presenter.create_context(CONTEXT, descriptor(PAGE)).unwrap();
    world.presenter.set_image_key(CONTEXT, key(10)).unwrap();
    second.create_context(OTHER, descriptor(OTHER_PAGE)).unwrap();
    (world, second)
}

const IN_USE: Result<(), SetImageKeyError> = Err(SetImageKeyError::KeyInUse(CONTEXT));

#[rstest]
fn a_key_of_another_context_is_refused_until_that_lets_go_of_it(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let (mut world, mut second) = two_presenters(memory);
    assert_eq!(second.set_image_key(OTHER, key(10)), IN_USE);
    let third = create(&mut world.presenter, 11, PAGE);
    assert_eq!(world.presenter.set_image_key(third, key(10)), IN_USE, "nor at the same presenter");
    assert_eq!(world.presenter.set_image_key(CONTEXT, key(10)), Ok(()), "it has the key");
    world.show(RED, 1);
    world.presenter.set_image_key(CONTEXT, key(12)).unwrap();
    second.set_image_key(OTHER, key(10)).unwrap();
    let green = present(&world.gpu, &mut second, OTHER, GREEN).unwrap();
    world.finish_of(OTHER, green);
    assert_eq!(world.presenter.set_image_key(CONTEXT, key(10)), Err(SetImageKeyError::KeyInUse(OTHER)));
    drop(second);
    world.presenter.set_image_key(CONTEXT, key(10)).unwrap();
    world.presenter.destroy_context(CONTEXT).unwrap();
    assert_eq!(world.recorder.assert_lives(10), 3);
    assert_eq!(world.recorder.assert_lives(12), 1);
}

// Another thread is telling the first sink when its context ends. The second one must not be told before.
#[rstest]
fn a_key_is_free_once_the_sink_was_told_of_its_end(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let (mut world, mut second) = two_presenters(memory);
    world.recorder.record(|record| record.update_takes = Duration::from_millis(200));
    let red = world.present(RED, 1);
    world.gpu.finish(device(0));
    // The poller is in the sink, or about to be.
    thread::sleep(Duration::from_millis(50));
    world.presenter.destroy_context(CONTEXT).unwrap();
    second.set_image_key(OTHER, key(10)).unwrap();
    world.until_ended(red);
    let calls = world.recorder.calls_of(10);
    assert!(
        matches!(calls[..], [Call::Add(..), Call::Update(..), Call::Delete(_), Call::Add(..)]),
        "{calls:?}"
    );
    drop(second);
    assert_eq!(world.recorder.assert_lives(10), 2);
}

#[rstest]
fn a_lingering_context_has_its_key(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let (mut world, mut second) = two_presenters(memory);
    world.presenter.destroy_context_after(CONTEXT, TransactionId(7)).unwrap();
    assert_eq!(second.set_image_key(OTHER, key(10)), IN_USE);
    world.map.transaction_done(key(10).0, TransactionId(7));
    assert_eq!(second.set_image_key(OTHER, key(10)), Ok(()));
}

#[rstest]
fn the_keys_of_an_owner_that_another_thread_destroys_are_free(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let (world, mut second) = two_presenters(memory);
    let map = world.map.clone();
    thread::spawn(move || assert_eq!(map.destroy_owner(PAGE), 1)).join().unwrap();
    assert_eq!(second.set_image_key(OTHER, key(10)), Ok(()));
    world.map.destroy_owner(OTHER_PAGE);
    assert_eq!(world.recorder.assert_lives(10), 2);
}
