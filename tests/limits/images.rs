//! Canvas textures that lie where frames are read, on a driver that says no, lies or hangs.

use super::scene::*;
use super::world::*;

/// What most drivers allow.
const OBJECTS: u32 = 4096;

/// Time within which memory that nobody asks for comes back.
const IDLE: Duration = Duration::from_millis(2500);

/// Bytes that do not belong to a single canvas: a memory object that many of them share, and is not full.
const SHARED: u64 = 8 << 20;

/// Frames of all canvases that were not copied.
fn direct(crowd: &Crowd, canvases: u64) -> u64 {
    let statistics = (0..canvases).map(|canvas| crowd.presenter.statistics(ContextId(canvas)).unwrap());
    statistics.map(|statistics| statistics.direct).sum()
}

#[track_caller]
fn assert_presented(outcomes: &[PresentOutcome]) {
    let is_presented = |outcome: &PresentOutcome| matches!(outcome.end, PresentEnd::Presented);
    assert!(outcomes.iter().all(is_presented), "{outcomes:?}");
}

#[test]
fn ten_thousand_canvases_that_draw_in_images_leave_the_page_its_objects() {
    const CANVASES: u64 = 10_000;
    let layer = layer();
    layer.set_limit(OBJECTS);
    let Some(gpu) = adapter(&layer) else { return };
    let mut crowd = Crowd::new(gpu, CANVASES, Size2D::new(64, 64));
    for round in 0..2 {
        assert_presented(&crowd.present_drawn(0..CANVASES, round));
        crowd.assert_device_works();
    }
    assert!(
        layer.most_objects_of_a_device() <= u64::from(OBJECTS) / 2,
        "{}",
        layer.most_objects_of_a_device()
    );
    assert_eq!(layer.refused(), 0);
    crowd.assert_shown(0..CANVASES, 1);
    assert_eq!(direct(&crowd, CANVASES), 2 * CANVASES);
}

/// A canvas has the image that is shown and the one in which the next frame is drawn, and no other memory of a frame. One that rests has
/// the first alone.
#[rstest]
#[case((64, 64), 2000)]
#[case((256, 256), 300)]
#[case((1920, 1080), 8)]
fn a_canvas_has_two_images_while_it_is_drawn_and_one_while_it_rests(
    #[case] size: (u32, u32),
    #[case] canvases: u64,
) {
    let layer = layer();
    let Some(gpu) = adapter(&layer) else { return };
    let mut crowd = Crowd::new(gpu, canvases, size.into());
    let frame = u64::from(size.0 * size.1 * 4);
    for round in 0..4 {
        assert_presented(&crowd.present_drawn(0..canvases, round));
    }
    assert_eq!(direct(&crowd, canvases), 4 * canvases);
    let reported = crowd.reported();
    assert!(reported <= 2 * frame * canvases, "{} bytes a canvas", reported / canvases);
    let [heap] = crowd.presenter.device_memory_report()[..] else { panic!("one device") };
    assert!(
        heap.used as u64 <= 2 * frame * canvases && heap.reserved as u64 <= 2 * frame * canvases + SHARED
    );

    let start = Instant::now();
    let reserved = |crowd: &Crowd| crowd.presenter.device_memory_report()[0].reserved as u64;
    let rests =
        |crowd: &Crowd| reserved(crowd) <= frame * canvases + SHARED && crowd.reported() <= frame * canvases;
    while !rests(&crowd) && start.elapsed() < IDLE {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(rests(&crowd), "{} bytes taken, {} reported", reserved(&crowd), crowd.reported());
    crowd.assert_shown(0..canvases, 3);
}

#[test]
fn images_come_back_with_the_canvases() {
    let layer = layer();
    let Some(gpu) = adapter(&layer) else { return };
    let mut crowd = Crowd::new(gpu, 100, Size2D::new(256, 256));
    assert_presented(&crowd.present_drawn(0..100, 0));
    assert_presented(&crowd.present_drawn(0..100, 1));
    let snapshots = crowd.snapshots(0..100, None);
    // These are never presented.
    let textures: Vec<_> = (0..100).map(|canvas| crowd.canvas_texture(canvas).unwrap()).collect();
    let (gpu, device) = crowd.close();
    for texture in textures {
        gpu.global.texture_drop(texture.texture_id);
    }
    gpu.global.device_poll(device.id, wgpu_types::PollType::wait_indefinitely()).unwrap();
    gpu.global.device_drop(device.id);
    gpu.global.queue_drop(device.queue);
    assert!(layer.objects() > 0, "snapshots outlive the presenter, and the device");
    for (canvas, snapshot) in (0..).zip(&snapshots) {
        assert_eq!(color_of(snapshot), color(canvas, 1));
    }
    drop(snapshots);
    assert_eq!((layer.objects(), layer.bytes()), (0, 0));
}

/// wgpu-core takes other errors of an allocation for a loss of the device, as it does in every call of the page's.
#[test]
fn without_memory_a_canvas_texture_is_an_error_of_the_page() {
    const CANVASES: u64 = 3;
    let layer = layer();
    let Some(gpu) = adapter(&layer) else { return };
    let mut crowd = Crowd::new(gpu, CANVASES, Size2D::new(1920, 1080));
    assert_presented(&crowd.present_drawn(0..CANVASES, 0));
    let buffers = exhaust(&crowd, &layer);
    // Neither an image nor an ordinary texture gets memory.
    layer.fail(Call::Allocate, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY, ..);
    for canvas in 0..CANVASES {
        crowd.canvas_texture(canvas).expect_err("there is no memory");
    }
    crowd.assert_shown(0..CANVASES, 0);
    relieve(&crowd, &layer, buffers);
    crowd.assert_device_works();
    assert_presented(&crowd.present_drawn(0..CANVASES, 1));
    crowd.assert_shown(0..CANVASES, 1);
    assert_eq!(direct(&crowd, CANVASES), 2 * CANVASES);
}

#[test]
fn a_canvas_for_whose_image_there_is_no_memory_draws_in_an_ordinary_texture() {
    let layer = layer();
    let Some(gpu) = adapter(&layer) else { return };
    let mut crowd = Crowd::new(gpu, 1, Size2D::new(1920, 1080));
    crowd.assert_device_works();
    let failed = layer.failed(Call::Allocate);
    // The first allocation is the image's, the second one the texture's.
    layer.fail(Call::Allocate, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY, ..1);
    assert_presented(&crowd.present_drawn(0..1, 0));
    assert_eq!(layer.failed(Call::Allocate) - failed, 1);
    crowd.assert_shown(0..1, 0);
    let statistics = crowd.presenter.statistics(ContextId(0)).unwrap();
    assert_eq!((statistics.direct, statistics.copied), (0, 1));
    assert_eq!(statistics.readback, Some(ReadbackReason::OutOfMemory));
    assert_presented(&crowd.present_drawn(0..1, 1));
    assert_eq!(direct(&crowd, 1), 1);
}

/// Two canvases, of which each has shown red that was drawn in an image, on devices of their own.
fn scene(copy_timeout: Duration) -> Option<Scene> {
    let mut scene = Scene::new(FrameMemoryKind::Owned, copy_timeout)?;
    for page in 0..2 {
        scene.create(page as u64, BufferIds::Allocated);
        let texture = scene.draw(page, page as u64, RED);
        let sequence = scene.present_texture(page as u64, texture, 1);
        let end = scene.end(page as u64, sequence);
        assert!(matches!(end, PresentEnd::Presented), "{end:?}");
        assert_eq!(scene.shown(page as u64), RED);
    }
    Some(scene)
}

fn direct_of(scene: &mut Scene, canvas: u64) -> u64 {
    scene.presenter().statistics(ContextId(canvas)).unwrap().direct
}

#[test]
fn what_a_hung_gpu_draws_late_is_not_shown() {
    const TIMEOUT: Duration = Duration::from_millis(600);
    let Some(mut scene) = scene(TIMEOUT) else { return };
    scene.layer.hang_on(scene.number(0));
    let start = Instant::now();
    let texture = scene.draw(0, 0, GREEN);
    let sequence = scene.present_texture(0, texture, 2);
    let read = scene.read(0, None);
    // The other device does not wait for this one.
    let texture = scene.draw(1, 1, BLUE);
    let other = scene.present_texture(1, texture, 2);
    scene.end(1, other);
    assert_eq!(scene.shown(1), BLUE);
    assert!(start.elapsed() < TIMEOUT);
    let error = scene.error(0, sequence);
    assert!(matches!(error, PresentError::TimedOut), "{error:?}");
    let error = scene.read_error(&read);
    assert!(matches!(error, PresentError::TimedOut), "{error:?}");
    assert_eq!((scene.shown(0), scene.acknowledged(0)), (RED, Some(2)));

    scene.layer.pass_all();
    scene.idle(Duration::from_millis(50));
    assert_eq!(scene.shown(0), RED);
    for (epoch, color) in (3..).zip([BLUE, GREEN, RED, BLUE, GREEN, RED]) {
        let texture = scene.draw(0, 0, color);
        let sequence = scene.present_texture(0, texture, epoch);
        let end = scene.end(0, sequence);
        assert!(matches!(end, PresentEnd::Presented), "{end:?}");
        assert_eq!(scene.shown(0), color);
    }
    assert_eq!(direct_of(&mut scene, 0), 7, "the image that was given up costs the canvas nothing");
}

#[rstest]
fn what_was_never_drawn_is_not_shown(#[values(false, true)] counter_is_lost: bool) {
    let Some(mut scene) = scene(Duration::MAX) else { return };
    for (epoch, color) in (2..).zip([GREEN, BLUE, RED]) {
        let texture = scene.draw(0, 0, color);
        let sequence = scene.present_texture(0, texture, epoch);
        scene.end(0, sequence);
    }
    let number = scene.number(0);
    scene.layer.hang_on(number);
    scene.layer.fail_on(number, Call::Submit, vk::Result::SUCCESS, ..);
    let texture = scene.draw(0, 0, GREEN);
    let sequence = scene.present_texture(0, texture, 5);
    let read = scene.read(0, None);
    match counter_is_lost {
        false => scene.layer.pass(Call::Counter),
        true => scene.layer.fail_on(number, Call::Counter, vk::Result::ERROR_DEVICE_LOST, ..),
    }
    scene.layer.fail_on(number, Call::Wait, vk::Result::SUCCESS, ..);
    let error = scene.error(0, sequence);
    assert!(matches!(error, PresentError::DeviceLost), "{error:?}");
    let error = scene.read_error(&read);
    assert!(matches!(error, PresentError::DeviceLost), "{error:?}");
    assert_eq!((scene.shown(0), scene.acknowledged(0)), (RED, Some(5)));
    // The canvas goes on with another device.
    let texture = scene.draw(1, 0, GREEN);
    let sequence = scene.present_texture(0, texture, 6);
    scene.end(0, sequence);
    assert_eq!(scene.shown(0), GREEN);
}

#[test]
fn a_present_whose_submission_fails_ends_and_so_does_the_next() {
    let Some(mut scene) = scene(Duration::MAX) else { return };
    let texture = scene.draw(0, 0, GREEN);
    scene.layer.fail_on(scene.number(0), Call::Submit, vk::Result::ERROR_DEVICE_LOST, ..);
    let sequence = scene.present_texture(0, texture, 2);
    let error = scene.error(0, sequence);
    assert!(matches!(error, PresentError::DeviceLost), "{error:?}");
    assert_eq!(scene.shown(0), RED);
    scene.layer.pass_all();
    // The texture was of a device that is lost.
    let sequence = scene.present_texture(0, texture, 3);
    scene.error(0, sequence);
    let texture = scene.draw(1, 0, BLUE);
    let sequence = scene.present_texture(0, texture, 4);
    scene.end(0, sequence);
    assert_eq!(scene.shown(0), BLUE);
}

#[test]
fn a_device_that_hangs_is_destroyed_in_time_though_something_was_drawn() {
    let Some(mut scene) = scene(Duration::MAX) else { return };
    scene.layer.hang_on(scene.number(0));
    let texture = scene.draw(0, 0, GREEN);
    let (device, _) = scene.device(0);
    scene.call(AT_ONCE, |presenter| presenter.destroy_device(device));
    let sequence = scene.present_texture(0, texture, 2);
    scene.error(0, sequence);
    assert_ne!(scene.shown(0), GREEN);
    scene.layer.pass_all();
    let texture = scene.draw(1, 0, BLUE);
    let sequence = scene.present_texture(0, texture, 3);
    scene.end(0, sequence);
    assert_eq!(scene.shown(0), BLUE);
}
