//! Bytes of driver memory that canvases take, and that come back by themselves.

use super::world::*;

/// Bytes that do not belong to a single canvas: a memory object that many of them share, and is not full.
const SHARED: u64 = 8 << 20;

/// Time within which memory that nobody asks for comes back.
const IDLE: Duration = Duration::from_millis(2500);

/// A canvas that is presented has two frames, the one that is shown and the next one. One that rests has the first alone.
#[rstest]
#[case((64, 64), 2000)]
#[case((256, 256), 300)]
#[case((1920, 1080), 8)]
fn a_canvas_takes_two_frames_while_it_is_presented_and_one_while_it_rests(
    #[case] size: (u32, u32),
    #[case] canvases: u64,
) {
    let layer = layer();
    let Some(gpu) = adapter(&layer) else { return };
    let mut crowd = Crowd::new(gpu, canvases, size.into());
    let before = layer.bytes();
    let frame = u64::from(size.0 * size.1 * 4);
    for round in 0..3 {
        crowd.show(0..canvases, round);
    }
    let (reported, taken) = (crowd.reported(), layer.bytes() - before);
    eprintln!(
        "{size:?}: {frame} bytes a frame; reported {}, taken of the driver {} bytes a canvas",
        reported / canvases,
        taken / canvases
    );
    assert!(reported <= 2 * frame * canvases, "{reported} bytes reported");
    let [heap] = crowd.presenter.device_memory_report()[..] else { panic!("one device") };
    assert_eq!((heap.used as u64, heap.reserved as u64), (reported, taken), "the reports add up");
    assert!(taken <= 2 * frame * canvases + SHARED, "{taken} bytes taken");

    // The presenter is not called.
    let start = Instant::now();
    let rests = |layer: &Layer| layer.bytes() - before <= frame * canvases + SHARED;
    while !rests(&layer) && start.elapsed() < IDLE {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (reported, taken) = (crowd.reported(), layer.bytes() - before);
    eprintln!(
        "{size:?}, at rest for {:?}: reported {}, taken of the driver {} bytes a canvas",
        start.elapsed(),
        reported / canvases,
        taken / canvases
    );
    assert!(rests(&layer), "{taken} bytes taken");
    assert!(reported <= frame * canvases, "{reported} bytes reported");
    crowd.assert_shown(0..canvases, 2);
}

#[test]
fn the_memory_of_a_dropped_snapshot_comes_back_though_nobody_calls() {
    let layer = layer();
    let Some(gpu) = adapter(&layer) else { return };
    let mut crowd = Crowd::new(gpu, 1, Size2D::new(3840, 2160));
    crowd.show(0..1, 0);
    let shown = layer.bytes();
    let snapshot = crowd.snapshots([0], None);
    crowd.show(0..1, 1);
    crowd.show(0..1, 2);
    // What rests by now is gone before the snapshot is.
    std::thread::sleep(IDLE);
    let held = layer.bytes();
    assert_eq!(held - shown, 3840 * 2160 * 4);
    drop(snapshot);
    let start = Instant::now();
    while layer.bytes() > shown && start.elapsed() < IDLE {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(layer.bytes(), shown);
}
