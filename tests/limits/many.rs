//! More canvases and snapshots than the driver allows memory objects.

use super::world::*;

/// What most drivers allow.
const OBJECTS: u32 = 4096;

const CANVASES: u64 = 10_000;

#[test]
fn ten_thousand_canvases_and_as_many_snapshots_leave_the_page_its_objects() {
    let layer = layer();
    layer.set_limit(OBJECTS);
    let Some(gpu) = adapter(&layer) else { return };
    let mut crowd = Crowd::new(gpu, CANVASES, Size2D::new(64, 64));
    crowd.show(0..CANVASES, 0);
    let snapshots = crowd.snapshots(0..CANVASES, None);
    crowd.show(0..CANVASES, 1);
    crowd.show(0..CANVASES, 2);
    crowd.assert_device_works();
    assert!(
        layer.most_objects_of_a_device() <= u64::from(OBJECTS) / 2,
        "{}",
        layer.most_objects_of_a_device()
    );
    assert_eq!(layer.refused(), 0);
    crowd.assert_shown(0..CANVASES, 2);
    for (canvas, snapshot) in (0..).zip(&snapshots) {
        assert_eq!(color_of(snapshot), color(canvas, 0), "the snapshot of canvas {canvas}");
    }
}

#[test]
fn ten_thousand_snapshots_of_one_canvas_leave_the_page_its_objects() {
    let layer = layer();
    layer.set_limit(OBJECTS);
    let Some(gpu) = adapter(&layer) else { return };
    let mut crowd = Crowd::new(gpu, 1, Size2D::new(8, 8));
    // As many as may wait for room at a time.
    const READS: usize = 500;
    let mut snapshots = vec![];
    for round in 0..CANVASES / READS as u64 {
        snapshots.extend(crowd.snapshots([0; READS], Some(round)));
        // What is shown is another one, which a snapshot shares.
        crowd.show(0..1, round + 1);
        snapshots.extend(crowd.snapshots([0], None));
    }
    crowd.assert_device_works();
    assert!(
        layer.most_objects_of_a_device() <= u64::from(OBJECTS) / 2,
        "{}",
        layer.most_objects_of_a_device()
    );
    assert_eq!(layer.refused(), 0);
    for (round, snapshots) in (0..).zip(snapshots.chunks(READS + 1)) {
        let (shown, read) = snapshots.split_last().unwrap();
        assert_eq!(color_of(shown), color(0, round + 1));
        read.iter().for_each(|snapshot| assert_eq!(color_of(snapshot), color(0, round)));
    }
}

#[test]
fn objects_come_back_with_the_canvases() {
    let layer = layer();
    layer.set_limit(OBJECTS);
    let Some(gpu) = adapter(&layer) else { return };
    let mut gpu = Some(gpu);
    let mut counts = vec![];
    for canvases in [1, 2000, 2000] {
        let mut crowd = Crowd::new(gpu.take().unwrap(), canvases, Size2D::new(64, 64));
        crowd.show(0..canvases, 0);
        let snapshots = crowd.snapshots(0..canvases, None);
        crowd.show(0..canvases, 1);
        crowd.assert_device_works();
        let (open, device) = crowd.close();
        // Snapshots outlive the presenter, and the device.
        open.global.device_drop(device.id);
        open.global.queue_drop(device.queue);
        assert!(layer.objects() > 0);
        for (canvas, snapshot) in (0..).zip(&snapshots) {
            assert_eq!(color_of(snapshot), color(canvas, 0));
        }
        drop(snapshots);
        counts.push((layer.objects(), layer.bytes()));
        gpu = Some(open);
    }
    assert_eq!(counts, [(0, 0); 3]);
}
