//! What happens on another thread in the middle of a submission.

use std::sync::Arc;

use super::hooked_gpu::{HookedGpu, Hooks};
use super::world::*;
use crate::gpu::Gpu;
use crate::gpu::fake::{self, FakeGpu};
use crate::staging::{Reclaimer, StagingRing};
use crate::{BufferIds, CanvasEpoch, Contents, ContextMap, PresentEnd, PresentError};

/// Destroys all contexts of the page in the middle of the next submission.
fn destroy_page_in_submit(hooks: &Hooks, map: &ContextMap) {
    let map = map.clone();
    hooks.in_next_submit(move || assert_eq!(map.destroy_owner(PAGE), 1));
}

// The worst moments: a copy is being submitted into a fresh buffer or into that of the youngest copy in flight, and the
// submission is accepted, refused, or refused and perhaps running.
#[rstest]
fn an_owner_dies_in_the_middle_of_a_submission(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let refusals = [None, Some(false), Some(true)];
    for (in_flight, refusal) in [0, 2].into_iter().flat_map(|n| refusals.map(|refusal| (n, refusal))) {
        let (World { gpu, map, recorder, mut presenter, .. }, hooks) = World::hooked(memory);
        let id = create(&mut presenter, 10, PAGE);
        for _ in 0..in_flight {
            present(&gpu, &mut presenter, id, RED).unwrap();
        }
        if let Some(may_be_in_flight) = refusal {
            gpu.fail_next_submit(PresentError::DeviceLost, may_be_in_flight);
        }
        destroy_page_in_submit(&hooks, &map);
        let texture = pending(gpu.texture(device(0), GREEN, None), 0, size(4, 2));
        let texture = with_ids(texture, fake::encoder_ids(1));
        let last = presenter.present(id, Contents::Texture(texture), CanvasEpoch(5)).unwrap();
        assert_eq!(last, in_flight + 1);
        for sequence in 1..=last {
            let end = recorder.end_of(id, sequence);
            assert!(matches!(end, PresentEnd::Failed(_) | PresentEnd::Superseded), "{end:?}");
        }
        recorder.assert_deleted_last(10);
        presenter.maintain();
        gpu.finish(device(0));
        recorder.assert_ids_returned_once(3 + 2);
        assert_eq!(gpu.buffers(), 0);
        // The next context of the id is as good as new.
        presenter.create_context(id, descriptor(PAGE)).unwrap();
        drop(presenter);
    }
}

#[rstest]
fn a_capture_whose_owner_dies_in_its_submission_is_answered(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let (World { gpu, map, mut presenter, .. }, hooks) = World::hooked(memory);
    let id = create(&mut presenter, 10, PAGE);
    destroy_page_in_submit(&hooks, &map);
    let texture = pending(gpu.texture(device(0), GREEN, None), 0, size(4, 2));
    assert_unknown(&read(&mut presenter, id, Some(texture)));
}

// A submit can block: on lavapipe, for as long as its device is busy.
#[rstest]
fn a_frame_is_shown_while_the_canvases_of_another_device_are_being_submitted(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let (mut world, hooks) = World::hooked(memory);
    let [first, second] = [10, 11].map(|id| create(&mut world.presenter, id, PAGE));
    let textures = [(first, world.texture_on(0, GREEN)), (second, world.texture_on(1, GREEN))];
    hooks.in_next_submit({
        let (gpu, recorder, hooks) = (world.gpu.clone(), world.recorder.clone(), Arc::clone(&hooks));
        move || {
            // The hook of the first submission sets that of the second one.
            hooks.in_next_submit(move || {
                gpu.finish(device(0));
                recorder.until_ended(first, 1);
            });
        }
    });
    let mut batch = world.presenter.batch();
    for (id, texture) in textures {
        batch.present(id, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
    }
    batch.submit();
    assert!(hooks.submit.lock().is_none());
}

// A poller gives a copy up in the moment in which the ring frees what had returned before. The buffer must be dropped once, even
// though its id may name another one soon.
#[rstest]
fn a_buffer_that_returns_while_its_device_is_forgotten_is_dropped_once(
    #[values(false, true)] is_provided: bool,
) {
    let (gpu, hooks) = (FakeGpu::new(Portable), Arc::<Hooks>::default());
    let hooked = HookedGpu { gpu: gpu.clone(), hooks: hooks.clone() };
    let opened = hooked.open(device(0)).unwrap();
    let ids = if is_provided {
        BufferIds::Provided(vec![fake::buffer(1), fake::buffer(2)])
    } else {
        BufferIds::Allocated
    };
    let mut ring = StagingRing::new(ids, Reclaimer::default());
    let mut lend =
        || ring.acquire(&hooked, &*opened, 1000).unwrap().unwrap().buffer.submitted(fake::submission());
    let (first, second) = (lend(), lend());
    drop(first);
    *hooks.drop_buffer.lock() = Some(Box::new(move || drop(second)));
    ring.forget_device(&hooked, device(0));
    assert_eq!(gpu.buffers(), 0);
    // The ids name buffers of another device from now on.
    let other = hooked.open(device(1)).unwrap();
    let _lent = [(); 2].map(|()| ring.acquire(&hooked, &*other, 1000).unwrap().unwrap());
    ring.collect(&hooked);
    assert_eq!(gpu.buffers(), 2);
}
