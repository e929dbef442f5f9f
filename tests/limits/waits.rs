//! Waits for the GPU that fail, and waits that say that work is done which never ran.

use super::scene::*;
use super::world::*;

/// Time for which the presenter tries a wait again that fails for a reason that may pass.
const RETRY: Duration = Duration::from_secs(1);

#[rstest]
fn a_wait_that_fails_for_a_moment_costs_no_frame(
    #[values(FrameMemoryKind::Owned, FrameMemoryKind::Portable)] memory: FrameMemoryKind,
    #[values(Duration::ZERO, Duration::from_millis(20))] spin: Duration,
    #[values(
        vk::Result::ERROR_OUT_OF_HOST_MEMORY,
        vk::Result::ERROR_OUT_OF_DEVICE_MEMORY,
        vk::Result::ERROR_UNKNOWN
    )]
    error: vk::Result,
) {
    let options = PresenterOptions { frame_memory: memory, spin, ..Default::default() };
    let Some(mut scene) = Scene::with(options, Size2D::new(64, 64)) else { return };
    scene.create(0, BufferIds::Allocated);
    for (epoch, color) in (1..).zip([RED, GREEN, BLUE]) {
        scene.layer.fail(Call::Wait, error, ..5);
        let failed = scene.layer.failed(Call::Wait);
        let sequence = scene.present(0, 0, color, epoch);
        let (current, texture) = (scene.read(0, None), scene.read(0, Some((0, RED))));
        let end = scene.end(0, sequence);
        assert!(matches!(end, PresentEnd::Presented), "{end:?}");
        assert_eq!(scene.answer(&current).unwrap(), color);
        assert_eq!(scene.answer(&texture).unwrap(), RED);
        assert_eq!((scene.shown(0), scene.acknowledged(0)), (color, Some(epoch)));
        assert_eq!(scene.layer.failed(Call::Wait) - failed, 5);
    }
}

#[rstest]
fn waits_that_fail_for_long_end_the_copies_and_not_the_device(
    #[values(FrameMemoryKind::Owned, FrameMemoryKind::Portable)] memory: FrameMemoryKind,
    #[values(false, true)] lacks_memory: bool,
) {
    let Some(mut scene) = Scene::new(memory, Duration::MAX) else { return };
    scene.create(0, BufferIds::Allocated);
    scene.create(1, BufferIds::Allocated);
    scene.show(0, 0, RED, 1);
    let result = if lacks_memory { vk::Result::ERROR_OUT_OF_HOST_MEMORY } else { vk::Result::ERROR_UNKNOWN };
    scene.layer.fail_on(scene.number(0), Call::Wait, result, ..);
    let start = Instant::now();
    let sequence = scene.present(0, 0, GREEN, 2);
    let reads = [scene.read(0, None), scene.read(0, Some((0, BLUE)))];
    // Another device is not concerned.
    scene.show(1, 1, BLUE, 1);
    assert!(start.elapsed() < RETRY);
    let error = scene.error(0, sequence);
    assert!(start.elapsed() >= RETRY);
    let errors = reads.map(|read| scene.read_error(&read));
    for error in [&error].into_iter().chain(&errors) {
        match error {
            PresentError::OutOfMemory => assert!(lacks_memory),
            PresentError::DeviceLost => assert!(!lacks_memory),
            error => panic!("{error:?}"),
        }
    }
    assert_eq!((scene.shown(0), scene.acknowledged(0)), (RED, Some(2)));

    scene.layer.pass_all();
    scene.show(0, 0, BLUE, 3);
    let reads = [scene.read(0, None), scene.read(0, Some((0, GREEN)))];
    assert_eq!(reads.map(|read| scene.answer(&read).unwrap()), [BLUE, GREEN]);
}

/// How a driver lies about work that never ran.
#[derive(Clone, Copy, Debug)]
enum Lie {
    /// Its waits succeed; the counter of the fence does not rise.
    Early,
    /// Its waits succeed; the counter says that the device is lost. Vulkan allows this.
    Lost,
}

impl Lie {
    /// Lets what the first device is given from now on never run, and its waits take as long as they may.
    fn begin(scene: &Scene) {
        let number = scene.number(0);
        scene.layer.hang_on(number);
        scene.layer.fail_on(number, Call::Submit, vk::Result::SUCCESS, ..);
    }

    /// Lets the waits for it succeed.
    fn tell(self, scene: &Scene) {
        let (layer, number) = (&scene.layer, scene.number(0));
        match self {
            Self::Early => layer.pass(Call::Counter),
            Self::Lost => layer.fail_on(number, Call::Counter, vk::Result::ERROR_DEVICE_LOST, ..),
        }
        layer.fail_on(number, Call::Wait, vk::Result::SUCCESS, ..);
    }
}

#[rstest]
fn what_was_never_copied_is_neither_shown_nor_read(
    #[values(FrameMemoryKind::Owned, FrameMemoryKind::Portable)] memory: FrameMemoryKind,
    #[values(Lie::Early, Lie::Lost)] lie: Lie,
) {
    let Some(mut scene) = Scene::new(memory, Duration::MAX) else { return };
    scene.create(0, BufferIds::Allocated);
    // The buffer of the next copy has the bytes of an earlier frame.
    for (epoch, color) in (1..).zip([RED, GREEN, BLUE]) {
        scene.show(0, 0, color, epoch);
    }
    Lie::begin(&scene);
    let sequence = scene.present(0, 0, RED, 4);
    let reads = [scene.read(0, None), scene.read(0, Some((0, RED)))];
    lie.tell(&scene);
    scene.end(0, sequence);
    assert_eq!((scene.shown(0), scene.acknowledged(0)), (BLUE, Some(4)));
    let error = scene.error(0, sequence);
    assert!(matches!(error, PresentError::DeviceLost), "{error:?}");
    for read in reads {
        let error = scene.read_error(&read);
        assert!(matches!(error, PresentError::DeviceLost), "{error:?}");
    }
    assert!(scene.layer.failed(Call::Submit) > 0, "what was submitted never ran");
    // The canvas goes on with another device.
    scene.show(1, 0, GREEN, 5);
}

#[rstest]
fn memory_that_another_canvas_had_never_shows_it(
    #[values(FrameMemoryKind::Owned, FrameMemoryKind::Portable)] memory: FrameMemoryKind,
    #[values(Lie::Early, Lie::Lost)] lie: Lie,
) {
    let Some(mut scene) = Scene::new(memory, Duration::MAX) else { return };
    // The first canvas keeps the memory object that all of them share.
    for canvas in 0..8 {
        scene.create(canvas, BufferIds::Allocated);
        scene.show(0, canvas, RED, 1);
    }
    for canvas in 1..8 {
        scene.presenter().destroy_context(ContextId(canvas)).unwrap();
    }
    for canvas in 10..18 {
        scene.create(canvas, BufferIds::Allocated);
    }
    Lie::begin(&scene);
    for canvas in 10..14 {
        scene.present(0, canvas, GREEN, 1);
    }
    let reads: Vec<_> = (14..18).map(|canvas| scene.read(canvas, Some((0, GREEN)))).collect();
    lie.tell(&scene);
    for canvas in 10..14 {
        scene.end(canvas, 1);
        assert_eq!((scene.shown(canvas), scene.acknowledged(canvas)), (CLEAR, Some(1)));
        let error = scene.error(canvas, 1);
        assert!(matches!(error, PresentError::DeviceLost), "{error:?}");
    }
    for read in &reads {
        let error = scene.read_error(read);
        assert!(matches!(error, PresentError::DeviceLost), "{error:?}");
    }
    assert_eq!(scene.shown(0), RED);
}
