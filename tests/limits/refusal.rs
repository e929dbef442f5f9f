//! A driver that has no memory, or says so.

use super::world::*;

/// The error of a canvas that keeps what it shows.
fn is_out_of_memory(outcome: &PresentOutcome) -> bool {
    matches!(outcome.end, PresentEnd::Failed(PresentError::OutOfMemory))
}

fn is_presented(outcome: &PresentOutcome) -> bool {
    matches!(outcome.end, PresentEnd::Presented)
}

#[rstest]
fn a_present_without_memory_fails_alone(
    #[values(
        vk::Result::ERROR_OUT_OF_DEVICE_MEMORY,
        vk::Result::ERROR_OUT_OF_HOST_MEMORY,
        vk::Result::ERROR_TOO_MANY_OBJECTS
    )]
    error: vk::Result,
    #[values((64, 64), (1920, 1080))] size: (u32, u32),
) {
    const CANVASES: u64 = 3;
    let layer = layer();
    let Some(gpu) = adapter(&layer) else { return };
    let mut crowd = Crowd::new(gpu, CANVASES, size.into());
    crowd.assert_device_works();
    let buffers = exhaust(&crowd, &layer);
    layer.fail(Call::Allocate, error, ..);
    for outcome in crowd.present(0..CANVASES, 0) {
        assert!(is_out_of_memory(&outcome), "{outcome:?}");
        crowd.assert_blank(outcome.context.0);
    }
    for read in crowd.read(0..CANVASES, Some(0)) {
        assert!(matches!(read, Err(GetImageError::Texture(PresentError::OutOfMemory))), "{read:?}");
    }
    relieve(&crowd, &layer, buffers);
    crowd.assert_device_works();

    crowd.show(0..CANVASES, 1);
    let buffers = exhaust(&crowd, &layer);
    layer.fail(Call::Allocate, error, ..);
    let is_small = size.0 == 64;
    for outcome in crowd.present(0..CANVASES, 2) {
        // Small frames share what was allocated for the first ones.
        assert!(if is_small { is_presented(&outcome) } else { is_out_of_memory(&outcome) }, "{outcome:?}");
    }
    crowd.assert_shown(0..CANVASES, if is_small { 2 } else { 1 });
    relieve(&crowd, &layer, buffers);
    crowd.show(0..CANVASES, 3);
    crowd.assert_shown(0..CANVASES, 3);
    crowd.assert_device_works();
}

#[rstest]
fn frames_for_which_there_is_memory_are_shown_and_the_others_fail(
    #[values(
        vk::Result::ERROR_OUT_OF_DEVICE_MEMORY,
        vk::Result::ERROR_OUT_OF_HOST_MEMORY,
        vk::Result::ERROR_TOO_MANY_OBJECTS
    )]
    error: vk::Result,
    #[values(1, 4, 7)] frames: u64,
) {
    const CANVASES: u64 = 8;
    let layer = layer();
    let Some(gpu) = adapter(&layer) else { return };
    let mut crowd = Crowd::new(gpu, CANVASES, Size2D::new(1280, 1024));
    crowd.assert_device_works();
    let buffers = exhaust(&crowd, &layer);
    layer.fail(Call::Allocate, error, frames..);
    let (shown, failed): (Vec<_>, Vec<_>) = crowd.present(0..CANVASES, 0).into_iter().partition(is_presented);
    assert_eq!(shown.len() as u64, frames, "{failed:?}");
    assert!(failed.iter().all(is_out_of_memory), "{failed:?}");
    for outcome in shown {
        let canvas = outcome.context.0;
        assert_eq!(crowd.shown(canvas), color(canvas, 0));
    }
    relieve(&crowd, &layer, buffers);
    crowd.show(0..CANVASES, 1);
    crowd.assert_shown(0..CANVASES, 1);
    crowd.assert_device_works();
}
