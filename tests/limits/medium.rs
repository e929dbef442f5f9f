//! Frames that fill the memory objects of a driver soon: what has no room in owned memory goes to portable memory.

use super::world::*;

/// Frames of 1.5 MiB, of which few share a memory object, or of 5 MiB, which have one each: more of either than there may be objects.
#[rstest]
fn frames_that_have_no_room_are_portable_before_the_driver_refuses(
    #[values(64, 128)] limit: u32,
    #[values((768, 512), (1280, 1024))] size: (u32, u32),
) {
    let layer = layer();
    layer.set_limit(limit);
    let Some(gpu) = adapter(&layer) else { return };
    let canvases = if size.0 == 768 { u64::from(limit) } else { u64::from(limit) / 2 };
    let mut crowd = Crowd::new(gpu, canvases, size.into());
    crowd.show(0..canvases, 0);
    let kinds = crowd.kinds(0..canvases);
    assert!(kinds.contains(&FrameMemoryKind::Owned), "owned memory is used while there is some");
    assert!(kinds.contains(&FrameMemoryKind::Portable), "there is not enough of it");
    let snapshots = crowd.snapshots(0..canvases, None);
    crowd.show(0..canvases, 1);
    crowd.show(0..canvases, 2);
    crowd.assert_device_works();
    assert_eq!(layer.refused(), 0);
    crowd.assert_shown(0..canvases, 2);
    for (canvas, snapshot) in (0..).zip(&snapshots) {
        assert_eq!(color_of(snapshot), color(canvas, 0), "the snapshot of canvas {canvas}");
    }

    // Where other canvases end, there is room for the rest.
    drop(snapshots);
    for canvas in 1..canvases {
        crowd.presenter.destroy_context(ContextId(canvas)).unwrap();
    }
    crowd.show(0..1, 3);
    crowd.presenter.trim(OwnerId(0));
    crowd.show(0..1, 4);
    assert_eq!(crowd.kinds(0..1), [FrameMemoryKind::Owned]);
    crowd.assert_shown(0..1, 4);
    let (gpu, device) = crowd.close();
    gpu.global.device_drop(device.id);
    gpu.global.queue_drop(device.queue);
    assert_eq!((layer.objects(), layer.bytes()), (0, 0));
}
