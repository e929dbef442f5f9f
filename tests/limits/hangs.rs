//! A GPU that hangs: what was asked of it ends in time, and neither the WebGPU thread nor another device waits for it.

use super::scene::*;
use super::world::*;

/// Time after which a copy is given up, in most of these tests.
const COPY_TIMEOUT: Duration = Duration::from_millis(600);

/// Time after which the copies of a device that was destroyed or dropped are given up.
const FAREWELL: Duration = Duration::from_secs(2);

/// Longest time for which a device waits for its copies when it is destroyed.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Time by which something may be late on a machine that is busy otherwise.
const LATE: Duration = Duration::from_secs(1);

/// Time in which what a GPU has done in secret could be shown.
const A_WHILE: Duration = Duration::from_millis(50);

/// Two devices that show a canvas each: the first one red and about to hang, the second one blue.
fn scene(memory: FrameMemoryKind, copy_timeout: Duration) -> Option<Scene> {
    let mut scene = Scene::new(memory, copy_timeout)?;
    for (page, color) in [RED, BLUE].into_iter().enumerate() {
        scene.create(page as u64, BufferIds::Allocated);
        scene.show(page, page as u64, color, 1);
    }
    scene.layer.hang_on(scene.number(0));
    Some(scene)
}

#[rstest]
fn copies_of_a_gpu_that_hangs_are_given_up_in_time(
    #[values(FrameMemoryKind::Owned, FrameMemoryKind::Portable)] memory: FrameMemoryKind,
) {
    let Some(mut scene) = scene(memory, COPY_TIMEOUT) else { return };
    let start = Instant::now();
    let sequence = scene.present(0, 0, GREEN, 2);
    let reads = [scene.read(0, None), scene.read(0, Some((0, BLUE)))];
    scene.show(1, 1, GREEN, 2);
    let read = scene.read(1, Some((1, RED)));
    assert_eq!(scene.answer(&read).unwrap(), RED);
    assert!(start.elapsed() < COPY_TIMEOUT, "the other device does not wait for this one");

    let error = scene.error(0, sequence);
    assert!(matches!(error, PresentError::TimedOut), "{error:?}");
    for read in reads {
        let error = scene.read_error(&read);
        assert!(matches!(error, PresentError::TimedOut), "{error:?}");
    }
    let time = start.elapsed();
    assert!((COPY_TIMEOUT..COPY_TIMEOUT + LATE).contains(&time), "{time:?}");
    assert_eq!((scene.shown(0), scene.acknowledged(0)), (RED, Some(2)));
    assert_eq!(scene.in_flight(), 0);

    // The GPU is back, and has done all that was given up.
    scene.layer.pass_all();
    scene.idle(A_WHILE);
    assert_eq!((scene.shown(0), scene.acknowledged(0)), (RED, Some(2)));
    scene.show(0, 0, BLUE, 3);
    let reads = [scene.read(0, None), scene.read(0, Some((0, GREEN)))];
    assert_eq!(reads.map(|read| scene.answer(&read).unwrap()), [BLUE, GREEN]);
}

#[rstest]
fn each_present_has_its_own_time(
    #[values(FrameMemoryKind::Owned, FrameMemoryKind::Portable)] memory: FrameMemoryKind,
) {
    let Some(mut scene) = scene(memory, COPY_TIMEOUT) else { return };
    let first = scene.present(0, 0, GREEN, 2);
    let error = scene.error(0, first);
    assert!(matches!(error, PresentError::TimedOut), "{error:?}");
    let second = scene.present(0, 0, BLUE, 3);
    scene.idle(A_WHILE);
    scene.layer.pass_all();
    let end = scene.end(0, second);
    assert!(matches!(end, PresentEnd::Presented), "{end:?}");
    assert_eq!((scene.shown(0), scene.acknowledged(0)), (BLUE, Some(3)));
    scene.idle(A_WHILE);
    assert_eq!(scene.shown(0), BLUE);
}

/// What the engine does with a device.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Farewell {
    Destroyed,
    Dropped,
    Both,
}

#[rstest]
fn copies_of_a_hung_device_that_is_gone_end_in_time(
    #[values(FrameMemoryKind::Owned, FrameMemoryKind::Portable)] memory: FrameMemoryKind,
    #[values(Farewell::Destroyed, Farewell::Dropped, Farewell::Both)] farewell: Farewell,
) {
    let Some(mut scene) = scene(memory, Duration::MAX) else { return };
    let sequence = scene.present(0, 0, GREEN, 2);
    let reads = [scene.read(0, None), scene.read(0, Some((0, BLUE))), scene.read(0, Some((0, RED)))];
    let (device, _) = scene.device(0);
    let start = Instant::now();
    if farewell != Farewell::Dropped {
        scene.call(LONGEST_WAIT + AT_ONCE, |presenter| presenter.destroy_device(device));
    }
    if farewell != Farewell::Destroyed {
        scene.call(LONGEST_WAIT + AT_ONCE, |presenter| presenter.drop_device(device));
    }
    scene.show(1, 1, GREEN, 2);
    let error = scene.error(0, sequence);
    assert!(matches!(error, PresentError::DeviceLost), "{error:?}");
    for read in reads {
        let error = scene.read_error(&read);
        assert!(matches!(error, PresentError::DeviceLost), "{error:?}");
    }
    assert!(start.elapsed() < FAREWELL + LATE, "{:?}", start.elapsed());
    assert_eq!((scene.shown(0), scene.acknowledged(0)), (RED, Some(2)));
    scene.layer.pass_all();
    scene.idle(A_WHILE);
    assert_eq!(scene.shown(0), RED);
    scene.show(1, 0, BLUE, 3);
}

#[rstest]
fn a_presenter_of_a_hung_device_goes_in_time(
    #[values(FrameMemoryKind::Owned, FrameMemoryKind::Portable)] memory: FrameMemoryKind,
    #[values(false, true)] drops_device: bool,
) {
    let Some(mut scene) = scene(memory, Duration::MAX) else { return };
    let sequence = scene.present(0, 0, GREEN, 2);
    let reads = [scene.read(0, None), scene.read(0, Some((0, BLUE)))];
    let (device, queue) = scene.device(0);
    if drops_device {
        scene.call(AT_ONCE, |presenter| presenter.drop_queue(device, queue));
        scene.call(LONGEST_WAIT + AT_ONCE, |presenter| presenter.drop_device(device));
    }
    let time = scene.drop_presenter();
    assert!(time < LATE, "the drop took {time:?}");
    scene.end(0, sequence);
    for read in reads {
        let answer = scene.answer(&read);
        assert!(answer.is_err(), "{answer:?}");
    }
    assert_eq!([0, 1].map(|canvas| scene.shown(canvas)), [CLEAR; 2]);
    scene.layer.pass_all();
    scene.idle(A_WHILE);
    assert_eq!([0, 1].map(|canvas| scene.shown(canvas)), [CLEAR; 2]);
}

#[rstest]
fn a_queue_is_dropped_when_its_gpu_is_back(
    #[values(FrameMemoryKind::Owned, FrameMemoryKind::Portable)] memory: FrameMemoryKind,
) {
    let Some(mut scene) = scene(memory, COPY_TIMEOUT) else { return };
    let sequence = scene.present(0, 0, GREEN, 2);
    let (device, queue) = scene.device(0);
    scene.call(AT_ONCE, |presenter| presenter.drop_queue(device, queue));
    scene.until(|scene| queues(&scene.gpu) == 2);
    scene.show(1, 1, GREEN, 2);
    let error = scene.error(0, sequence);
    assert!(matches!(error, PresentError::TimedOut), "{error:?}");
    assert_eq!((scene.shown(0), scene.acknowledged(0)), (RED, Some(2)));
    scene.until(|scene| queues(&scene.gpu) == 2);
    scene.layer.pass_all();
    scene.until(|scene| queues(&scene.gpu) == 1);
    assert_eq!(scene.shown(0), RED);
    scene.show(1, 1, RED, 3);
}

// A canvas may have 64 copies in flight, and an owner 256 MiB; one read of each canvas is let through.
#[rstest]
fn copies_that_were_given_up_take_no_room_from_others(
    #[values(FrameMemoryKind::Owned, FrameMemoryKind::Portable)] memory: FrameMemoryKind,
) {
    const FRAME: usize = 1024 * 1024 * 4;
    // The first reads must not be given up before the last ones are asked for.
    let copy_timeout = 3 * COPY_TIMEOUT;
    let options = PresenterOptions { frame_memory: memory, copy_timeout, ..Default::default() };
    let Some(mut scene) = Scene::with(options, Size2D::new(1024, 1024)) else { return };
    scene.create(0, BufferIds::Allocated);
    scene.create(1, BufferIds::Allocated);
    scene.layer.hang();
    let mut given_up: Vec<_> = (0..64).map(|_| scene.read(0, Some((0, RED)))).collect();
    given_up.extend((0..4).map(|_| scene.read(1, Some((1, RED)))));
    assert_eq!(scene.in_flight(), 65 * FRAME);
    for read in &given_up {
        let error = scene.read_error(read);
        assert!(matches!(error, PresentError::TimedOut), "{error:?}");
    }
    // All GPUs hang still, and there is room for copies of both canvases.
    assert_eq!(scene.in_flight(), 0);
    let reads = [1, 1, 1, 1, 0, 0].map(|canvas| scene.read(canvas, Some((1, BLUE))));
    assert_eq!(scene.in_flight(), reads.len() * FRAME);
    scene.layer.pass_all();
    for read in &reads {
        assert_eq!(scene.answer(read).unwrap(), BLUE);
    }
    assert_eq!(scene.in_flight(), 0);
    scene.show(1, 0, GREEN, 1);
}
