//! Frames that are images of the GPU's, which WebRender samples.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use webrender_api::{ExternalImage, ExternalImageId, ExternalImageSource};

use crate::stage::*;

const SIZE: (u32, u32) = (33, 21);

/// A picture that differs in each pixel, and whose top differs from its bottom.
fn picture(frame: u8, alpha: u8) -> Vec<u8> {
    let pixel = |i: u32| [(i % 33) as u8 * 3, (i / 33) as u8 * 4, frame, alpha];
    (0..SIZE.0 * SIZE.1).flat_map(pixel).collect()
}

#[track_caller]
fn assert_corner_is(stage: &mut Stage, expected: &[u8]) {
    let corner = stage.corner(SIZE.0, SIZE.1);
    assert!(corner == expected, "{:?} instead of {:?}", &corner[..12], &expected[..12]);
}

/// Presents that were copied to an image, and why the last one was not.
#[track_caller]
fn assert_counts(stage: &Stage, context: ContextId, shared: u64, readback: Option<ReadbackReason>) {
    let statistics = stage.presenter.borrow().statistics(context).unwrap();
    assert_eq!((statistics.shared, statistics.readback), (shared, readback));
}

/// Draws the newest built frame, which is the one before the last present, or one that WebRender has built for that present by itself.
#[track_caller]
fn assert_draws_either(stage: &mut Stage) {
    stage.page.draw();
    let drawn = stage.page.region(region(0, 0, 33, 21));
    let is_either = [RED, GREEN].iter().any(|color| drawn == color.repeat(33 * 21));
    assert!(is_either, "{:?}", &drawn[..4]);
}

/// What script reads as straight RGBA.
#[track_caller]
fn assert_reads(stage: &Stage, expected: &[u8]) {
    let read = stage.read_image(CONTEXT, None).to_straight_rgba().unwrap();
    assert!(read == expected, "{:?} instead of {:?}", &read[..12], &expected[..12]);
}

#[rstest]
fn what_is_drawn_is_sampled_and_read(
    #[values(TextureFormat::Bgra8Unorm, TextureFormat::Rgba8Unorm)] format: TextureFormat,
) {
    let Some(mut stage) = Stage::sharing((80, 60)) else { return };
    stage.place(SIZE.0, SIZE.1);
    let configuration = stage.configuration(format, SIZE);
    for frame in 0..8_u8 {
        let rgba = picture(frame * 20, 255);
        let texture = stage.texture(configuration, &rgba);
        stage.present(texture);
        // Before it is shown, and after that.
        assert_reads(&stage, &rgba);
        assert_corner_is(&mut stage, &rgba);
        assert_reads(&stage, &rgba);
    }
    assert_counts(&stage, CONTEXT, 8, None);
    stage.finish();
}

// Script has left 40 % in the alpha channel.
#[test]
fn opaque_means_opaque() {
    let Some(mut stage) = Stage::sharing((80, 60)) else { return };
    stage.place(SIZE.0, SIZE.1);
    for alpha_mode in [AlphaMode::Opaque, AlphaMode::Premultiplied, AlphaMode::Opaque] {
        let configuration = stage.configuration(TextureFormat::Bgra8Unorm, SIZE);
        let texture = stage.texture(ContextConfiguration { alpha_mode, ..configuration }, &picture(50, 102));
        stage.present(texture);
        // The page is opaque black, so either shows the color as it is.
        assert_corner_is(&mut stage, &picture(50, 255));
        if alpha_mode == AlphaMode::Opaque {
            assert_reads(&stage, &picture(50, 255));
        }
    }
    assert_counts(&stage, CONTEXT, 3, None);
    stage.finish();
}

// Half floats are read back, so each present changes the kind of the image. A frame that was built before wants the other one.
#[test]
fn frames_that_are_queued_get_the_kind_that_they_were_built_for() {
    let Some(mut stage) = Stage::sharing((80, 60)) else { return };
    stage.place(SIZE.0, SIZE.1);
    let half = |stage: &Stage| {
        // 1.0, 0, 0, 1.0
        let configuration = stage.configuration(TextureFormat::Rgba16Float, SIZE);
        stage.texture(configuration, &[0x00, 0x3c, 0, 0, 0, 0, 0x00, 0x3c].repeat(33 * 21))
    };
    for round in 0..10 {
        let texture = half(&stage);
        stage.present(texture);
        stage.page.build();
        stage.present_solid(GREEN, SIZE);
        if round % 2 == 0 {
            assert_draws_either(&mut stage);
        }
        stage.page.build();
        let texture = half(&stage);
        stage.present(texture);
        if round % 3 == 0 {
            assert_draws_either(&mut stage);
        }
        stage.assert_corner(SIZE, RED);
    }
    stage.finish();
}

/// Does nothing, as a driver may that is given a descriptor that it cannot use.
unsafe extern "system" fn import_nothing(_: u32, _: u64, _: u32, _: i32) {}

#[test]
fn what_cannot_be_imported_is_read_back() {
    let stage = Stage::sharing_with((80, 60), |name, function| match name {
        "glImportMemoryFdEXT" => import_nothing as *const c_void,
        _ => function,
    });
    let Some(mut stage) = stage else { return };
    stage.place(SIZE.0, SIZE.1);
    let rgba = picture(1, 255);
    let texture = stage.texture(stage.configuration(TextureFormat::Bgra8Unorm, SIZE), &rgba);
    stage.present(texture);
    assert_counts(&stage, CONTEXT, 1, None);
    // The first render finds it out, and the engine is asked for maintenance.
    assert_corner_is(&mut stage, &[0, 0, 0, 255].repeat(33 * 21));
    let deadline = std::time::Instant::now() + TIMEOUT;
    while stage.corner(SIZE.0, SIZE.1) != rgba {
        assert!(std::time::Instant::now() < deadline, "it is read back");
        stage.presenter.borrow_mut().maintain();
    }
    assert_reads(&stage, &rgba);
    // From now on all are.
    let rgba = picture(2, 255);
    let texture = stage.texture(stage.configuration(TextureFormat::Bgra8Unorm, SIZE), &rgba);
    stage.present(texture);
    assert_corner_is(&mut stage, &rgba);
    assert_counts(&stage, CONTEXT, 1, Some(ReadbackReason::OrdinaryTexture));
    stage.finish();
}

static SET_PARAMETER: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static IMPORT: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static IMPORTS: AtomicUsize = AtomicUsize::new(0);

/// Sets a parameter that GL does not know, which leaves an error.
unsafe extern "system" fn set_no_parameter(memory: u32, _: u32, value: *const i32) {
    type Function = unsafe extern "system" fn(u32, u32, *const i32);
    // SAFETY: the test has put the function of this name there, and GL reads one value at most.
    unsafe {
        std::mem::transmute::<*mut c_void, Function>(SET_PARAMETER.load(Ordering::SeqCst))(memory, 0, value)
    };
}

unsafe extern "system" fn import_and_count(memory: u32, size: u64, handle_type: u32, fd: i32) {
    IMPORTS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: the caller gives it what it demands.
    unsafe { import(memory, size, handle_type, fd) };
}

/// # Safety
///
/// As for GL's function, which a test has put into `IMPORT`.
unsafe fn import(memory: u32, size: u64, handle_type: u32, fd: i32) {
    type Function = unsafe extern "system" fn(u32, u64, u32, i32);
    // SAFETY: it is that function, and the caller gives it what it demands.
    unsafe {
        std::mem::transmute::<*mut c_void, Function>(IMPORT.load(Ordering::SeqCst))(
            memory,
            size,
            handle_type,
            fd,
        );
    };
}

// GL closes the descriptor if the import succeeds. An error that was left by another call must not let it be closed twice.
#[test]
fn a_descriptor_is_not_imported_after_an_error() {
    let stage = Stage::sharing_with((80, 60), |name, function| match name {
        "glMemoryObjectParameterivEXT" => {
            SET_PARAMETER.store(function.cast_mut(), Ordering::SeqCst);
            set_no_parameter as *const c_void
        }
        "glImportMemoryFdEXT" => {
            IMPORT.store(function.cast_mut(), Ordering::SeqCst);
            import_and_count as *const c_void
        }
        _ => function,
    });
    let Some(mut stage) = stage else { return };
    stage.place(SIZE.0, SIZE.1);
    let rgba = picture(1, 255);
    let texture = stage.texture(stage.configuration(TextureFormat::Bgra8Unorm, SIZE), &rgba);
    stage.present(texture);
    let deadline = std::time::Instant::now() + TIMEOUT;
    while stage.corner(SIZE.0, SIZE.1) != rgba {
        assert!(std::time::Instant::now() < deadline, "it is read back");
        stage.presenter.borrow_mut().maintain();
    }
    assert_eq!(IMPORTS.load(Ordering::SeqCst), 0);
    stage.finish();
}

/// Bytes for which GL has no memory.
const TOO_MANY: u64 = 50 << 10;

/// GL has found that it has none, and has not told it yet.
static LACKS_MEMORY: AtomicBool = AtomicBool::new(false);
static GET_ERROR: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

unsafe extern "system" fn import_small(memory: u32, size: u64, handle_type: u32, fd: i32) {
    if size >= TOO_MANY {
        return LACKS_MEMORY.store(true, Ordering::SeqCst);
    }
    // SAFETY: the caller gives it what the function demands.
    unsafe { import(memory, size, handle_type, fd) };
}

unsafe extern "system" fn error_of_lack() -> u32 {
    type Function = unsafe extern "system" fn() -> u32;
    if LACKS_MEMORY.swap(false, Ordering::SeqCst) {
        return 0x0505;
    }
    // SAFETY: the test has put the function of this name there.
    unsafe { std::mem::transmute::<*mut c_void, Function>(GET_ERROR.load(Ordering::SeqCst))() }
}

// A page can make canvases until there is no memory.
#[test]
fn a_canvas_for_which_gl_has_no_memory_hurts_no_other() {
    let stage = Stage::sharing_with((160, 160), |name, function| match name {
        "glGetError" => {
            GET_ERROR.store(function.cast_mut(), Ordering::SeqCst);
            error_of_lack as *const c_void
        }
        "glImportMemoryFdEXT" => {
            IMPORT.store(function.cast_mut(), Ordering::SeqCst);
            import_small as *const c_void
        }
        _ => function,
    });
    let Some(mut stage) = stage else { return };
    let (small, large) = (ContextId(7), (150, 150));
    stage.place(large.0, large.1);
    let texture = stage.solid(GREEN, large);
    stage.present(texture);
    let deadline = std::time::Instant::now() + TIMEOUT;
    while stage.corner(large.0, large.1) != GREEN.repeat(150 * 150) {
        assert!(std::time::Instant::now() < deadline, "it is read back");
        stage.presenter.borrow_mut().maintain();
    }
    assert_counts(&stage, CONTEXT, 1, None);
    // The canvas stays with bytes, whatever its size.
    stage.present_solid(RED, large);
    stage.assert_corner(large, RED);
    stage.present_solid(GREEN, SIZE);
    stage.assert_corner(large, GREEN);
    assert_counts(&stage, CONTEXT, 1, Some(ReadbackReason::OrdinaryTexture));

    stage.create_in_corner(small, SIZE);
    for epoch in 1..=3 {
        let rgba = picture(epoch, 255);
        let texture = stage.texture(stage.configuration(TextureFormat::Bgra8Unorm, SIZE), &rgba);
        let end = stage.present_to(small, texture);
        assert!(matches!(end, PresentEnd::Presented), "{end:?}");
        assert_corner_is(&mut stage, &rgba);
    }
    assert_counts(&stage, small, 3, None);
    stage.finish();
}

/// A handler that passes on to another one, which changes.
#[derive(Clone, Default)]
struct Changing {
    images: Rc<RefCell<Option<ExternalImages>>>,
    /// What is locked, if it is bytes.
    bytes: Vec<u8>,
}

impl ExternalImageHandler for Changing {
    fn lock(&mut self, id: ExternalImageId, channel: u8, is_composited: bool) -> ExternalImage<'_> {
        let mut images = self.images.borrow_mut();
        let images = images.as_mut().expect("there is a handler");
        let ExternalImage { uv, source } = ExternalImageHandler::lock(images, id, channel, is_composited);
        let source = match source {
            ExternalImageSource::NativeTexture(texture) => ExternalImageSource::NativeTexture(texture),
            ExternalImageSource::RawData(bytes) => {
                self.bytes = bytes.to_vec();
                ExternalImageSource::RawData(&self.bytes)
            }
            ExternalImageSource::Invalid => ExternalImageSource::Invalid,
        };
        ExternalImage { uv, source }
    }

    fn unlock(&mut self, id: ExternalImageId, channel: u8) {
        if let Some(images) = &mut *self.images.borrow_mut() {
            ExternalImages::unlock(images, id, Some(channel));
        }
    }
}

/// Names a device that no machine has.
#[test]
fn shared_images_are_reported_until_they_are_gone() {
    let handler = Changing::default();
    let stage = Stage::with_loader(Egl, (80, 60), |map, _, load| {
        // SAFETY: these are the functions of the page's GL, which is current whenever its renderer or the handler is called.
        *handler.images.borrow_mut() = unsafe { ExternalImages::with_gl(map, load) }.ok();
        Box::new(handler.clone())
    });
    let Some(mut stage) = stage else { return };
    stage.place(SIZE.0, SIZE.1);
    stage.present_solid(RED, SIZE);
    stage.assert_corner(SIZE, RED);
    let bytes = |stage: &Stage| {
        let presenter = stage.presenter.borrow();
        let used: usize = presenter.device_memory_report().iter().map(|report| report.used).sum();
        let held: usize = presenter.memory_report().iter().map(|report| report.bytes).sum();
        (used, held)
    };
    // An image, and the buffer through which it is written.
    let (used, held) = bytes(&stage);
    assert!(used == held && held >= 2 * 33 * 21 * 4, "{used} {held}");
    assert_eq!(stage.presenter.borrow().device_memory_report()[0].objects, 2);
    stage.destroy(CONTEXT);
    let deadline = std::time::Instant::now() + TIMEOUT;
    while bytes(&stage) != (0, 0) {
        assert!(std::time::Instant::now() < deadline, "{:?}", bytes(&stage));
        // No image is on the page, so WebRender does not call the handler.
        stage.page.render();
        handler.images.borrow_mut().as_mut().expect("it is there").trim();
        stage.presenter.borrow_mut().maintain();
    }
    *handler.images.borrow_mut() = None;
    stage.finish();
}

unsafe extern "system" fn name_another_device(_: u32, _: u32, bytes: *mut u8) {
    // SAFETY: the caller has room for 16 bytes.
    unsafe { bytes.write_bytes(7, 16) };
}

// What was copied when the device went is shown to renderers that cannot sample the image.
#[test]
fn a_frame_whose_device_is_gone_becomes_bytes() {
    let Some(mut stage) = Stage::sharing((80, 60)) else { return };
    stage.place(SIZE.0, SIZE.1);
    let rgba = picture(1, 255);
    let texture = stage.texture(stage.configuration(TextureFormat::Bgra8Unorm, SIZE), &rgba);
    stage.present(texture);
    assert_corner_is(&mut stage, &rgba);
    let device = stage.device;
    let mut presenter = stage.presenter.borrow_mut();
    presenter.destroy_device(device.id);
    presenter.drop_queue(device.id, device.queue);
    presenter.drop_device(device.id);
    drop(presenter);
    assert_reads(&stage, &rgba);
    let other = ExternalImages::new(&stage.map);
    let before = stage.updates.count();
    let deadline = std::time::Instant::now() + Duration::from_secs(3);
    while stage.updates.count() == before {
        assert!(std::time::Instant::now() < deadline, "it becomes bytes");
        stage.presenter.borrow_mut().maintain();
    }
    assert_corner_is(&mut stage, &rgba);
    assert_reads(&stage, &rgba);
    drop(other);
    stage.finish();
}

// The renderer goes to another GPU and comes back. What is shown stays.
#[test]
fn a_renderer_may_change_its_device() {
    let (changing, functions) = (Changing::default(), RefCell::new(HashMap::new()));
    let stage = Stage::with_loader(Egl, (80, 60), |map, _, load| {
        let load = |name: &str| *functions.borrow_mut().entry(name.to_owned()).or_insert_with(|| load(name));
        // SAFETY: these are the functions of the page's GL, which is current whenever its renderer is called.
        *changing.images.borrow_mut() = unsafe { ExternalImages::with_gl(map, load) }.ok();
        Box::new(changing.clone())
    });
    let Some(mut stage) = stage else { return };
    let change = |stage: &Stage, is_other: bool| {
        *changing.images.borrow_mut() = None;
        let load = |name: &str| match name {
            "glGetUnsignedBytei_vEXT" if is_other => name_another_device as *const c_void,
            _ => functions.borrow().get(name).copied().unwrap_or(std::ptr::null()),
        };
        // SAFETY: as above, or a function that does what one of that name may do.
        *changing.images.borrow_mut() = unsafe { ExternalImages::with_gl(&stage.map, load) }.ok();
    };
    stage.place(SIZE.0, SIZE.1);
    let rgba = picture(1, 255);
    let texture = stage.texture(stage.configuration(TextureFormat::Bgra8Unorm, SIZE), &rgba);
    stage.present(texture);
    assert_corner_is(&mut stage, &rgba);
    assert_counts(&stage, CONTEXT, 1, None);
    let before = stage.updates.count();
    change(&stage, true);
    let deadline = std::time::Instant::now() + TIMEOUT;
    while stage.updates.count() == before {
        assert!(std::time::Instant::now() < deadline, "it is read back");
        stage.presenter.borrow_mut().maintain();
    }
    assert_corner_is(&mut stage, &rgba);
    stage.present_solid(GREEN, SIZE);
    stage.assert_corner(SIZE, GREEN);
    assert_counts(&stage, CONTEXT, 1, Some(ReadbackReason::OrdinaryTexture));
    change(&stage, false);
    stage.present_solid(RED, SIZE);
    stage.assert_corner(SIZE, RED);
    assert_counts(&stage, CONTEXT, 2, None);
    // Drawn before presenters had time to replace it, a frame of another device is blank, and no reason to share none any more.
    change(&stage, true);
    stage.page.render();
    change(&stage, false);
    stage.present_solid(GREEN, SIZE);
    stage.assert_corner(SIZE, GREEN);
    assert_counts(&stage, CONTEXT, 3, None);
    *changing.images.borrow_mut() = Some(ExternalImages::new(&stage.map));
    stage.finish();
}

#[test]
fn a_renderer_that_samples_nothing_ends_sharing_for_all() {
    let Some(mut stage) = Stage::sharing((80, 60)) else { return };
    stage.place(SIZE.0, SIZE.1);
    let rgba = picture(1, 255);
    let texture = stage.texture(stage.configuration(TextureFormat::Rgba8Unorm, SIZE), &rgba);
    stage.present(texture);
    assert_corner_is(&mut stage, &rgba);
    let other = ExternalImages::new(&stage.map);
    // What is shown becomes bytes, and stays on screen all the while.
    let before = stage.updates.count();
    let deadline = std::time::Instant::now() + TIMEOUT;
    while stage.updates.count() == before {
        assert!(std::time::Instant::now() < deadline, "it is read back");
        stage.presenter.borrow_mut().maintain();
        assert_corner_is(&mut stage, &rgba);
    }
    assert_corner_is(&mut stage, &rgba);
    stage.present_solid(GREEN, SIZE);
    stage.assert_corner(SIZE, GREEN);
    assert_counts(&stage, CONTEXT, 1, Some(ReadbackReason::OrdinaryTexture));
    drop(other);
    stage.present_solid(RED, SIZE);
    stage.assert_corner(SIZE, RED);
    assert_counts(&stage, CONTEXT, 2, None);
    stage.finish();
}

// GL keeps what it has imported. What script may still read is copied before the device goes.
#[rstest]
fn a_frame_outlives_its_device(#[values(false, true)] is_in_flight: bool) {
    let Some(mut stage) = Stage::sharing((80, 60)) else { return };
    stage.place(SIZE.0, SIZE.1);
    let rgba = picture(1, 255);
    let texture = stage.texture(stage.configuration(TextureFormat::Bgra8Unorm, SIZE), &rgba);
    if is_in_flight {
        stage.present_all(&[(CONTEXT, texture)]);
    } else {
        stage.present(texture);
        assert_corner_is(&mut stage, &rgba);
    }
    let device = stage.device;
    let mut presenter = stage.presenter.borrow_mut();
    presenter.destroy_device(device.id);
    presenter.drop_queue(device.id, device.queue);
    presenter.drop_device(device.id);
    drop(presenter);
    if is_in_flight {
        assert!(matches!(stage.end(), PresentEnd::Presented));
    }
    assert_corner_is(&mut stage, &rgba);
    assert_reads(&stage, &rgba);
    stage.device = stage.gpu.device();
    stage.present_solid(GREEN, SIZE);
    stage.assert_corner(SIZE, GREEN);
    assert_counts(&stage, CONTEXT, 2, None);
    stage.finish();
}

#[test]
fn reads_in_the_same_batch_and_in_flight_get_their_frame() {
    let Some(mut stage) = Stage::sharing((80, 60)) else { return };
    stage.place(SIZE.0, SIZE.1);
    let (sender, answers) = std::sync::mpsc::channel();
    for frame in 0..20_u8 {
        let texture =
            stage.texture(stage.configuration(TextureFormat::Bgra8Unorm, SIZE), &picture(frame, 255));
        let mut presenter = stage.presenter.borrow_mut();
        let mut batch = presenter.batch();
        batch.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(u64::from(frame))).unwrap();
        let reply = |sender: std::sync::mpsc::Sender<_>| move |image| drop(sender.send((frame, image)));
        if frame % 3 == 0 {
            batch.get_image(CONTEXT, None, reply(sender.clone()));
        }
        batch.drop_texture(texture.texture_id);
        batch.submit();
        for _ in 0..frame % 4 {
            presenter.get_image(CONTEXT, None, reply(sender.clone()));
        }
        if frame % 5 == 0 {
            presenter.take_image(CONTEXT, None, reply(sender.clone()));
        }
    }
    drop(sender);
    let mut count = 0;
    while let Ok((frame, image)) = answers.recv_timeout(TIMEOUT) {
        let image: Snapshot = image.expect("there is an image");
        assert!(image.to_straight_rgba().unwrap() == picture(frame, 255), "frame {frame}");
        count += 1;
    }
    assert_eq!(count, 7 + 30 + 4);
    stage.finish();
}

#[test]
fn a_canvas_may_change_its_size_its_format_and_its_end() {
    let Some(mut stage) = Stage::sharing((80, 60)) else { return };
    for frame in 0..24_u32 {
        let size = (1 + frame * 3 % 40, 1 + frame * 7 % 30);
        let format = if frame % 2 == 0 { TextureFormat::Bgra8Unorm } else { TextureFormat::Rgba8Unorm };
        stage.place(size.0, size.1);
        let color = [frame as u8 * 10, 255 - frame as u8, 7, 255];
        let rgba = color.repeat((size.0 * size.1) as usize);
        let texture = stage.texture(stage.configuration(format, size), &rgba);
        stage.present(texture);
        stage.assert_corner(size, color);
    }
    let bytes = |stage: &Stage| {
        let report = stage.presenter.borrow().memory_report();
        report.iter().map(|report| report.bytes).sum::<usize>()
    };
    assert!(bytes(&stage) > 0);
    stage.destroy(CONTEXT);
    // What GL was sampling is let go when the next canvas is unlocked.
    let other = ContextId(4);
    stage.create_in_corner(other, SIZE);
    let texture = stage.solid(RED, SIZE);
    assert!(matches!(stage.present_to(other, texture), PresentEnd::Presented));
    let deadline = std::time::Instant::now() + TIMEOUT;
    loop {
        stage.assert_corner(SIZE, RED);
        let report = stage.presenter.borrow().memory_report();
        if report.iter().all(|report| report.context == other) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{report:?}");
    }
    stage.finish();
}

// An engine that chooses ids gives a pair for each present. A shared one needs two: the second is kept from an earlier one.
#[test]
fn ids_of_the_engine_are_handed_back_once() {
    let Some(mut stage) = Stage::sharing((80, 60)) else { return };
    stage.place(SIZE.0, SIZE.1);
    // The ids that wgpu-core allocates in this test are textures' only, so the engine may choose the others.
    let context = ContextId(9);
    let key = stage.page.new_key();
    let ids = |index| wgpu_core::id::Id::zip(1000 + index, 1);
    let descriptor = ContextDescriptor {
        owner: OwnerId(0),
        size: Size2D::new(10, 10),
        buffer_ids: BufferIds::Provided(vec![wgpu_core::id::Id::zip(1000, 1)]),
    };
    stage.presenter.borrow_mut().create_context(context, descriptor).unwrap();
    stage.presenter.borrow_mut().set_image_key(context, key).unwrap();
    stage.key = key;
    stage.place(SIZE.0, SIZE.1);
    for frame in 0..5_u8 {
        let rgba = picture(frame * 9, 255);
        let texture = stage.texture(stage.configuration(TextureFormat::Bgra8Unorm, SIZE), &rgba);
        let encoder_ids = EncoderIds {
            command_encoder: ids(u32::from(frame)),
            command_buffer: wgpu_core::id::Id::zip(1000 + u32::from(frame), 1),
        };
        let texture = PendingTexture { encoder_ids: Some(encoder_ids), ..texture };
        assert!(matches!(stage.present_to(context, texture), PresentEnd::Presented));
        assert_corner_is(&mut stage, &rgba);
        let read = stage.read_image(context, None).to_straight_rgba().unwrap();
        assert!(read == rgba, "frame {frame}");
    }
    assert_counts(&stage, context, 4, None);
    stage.finish();
}

// WebRender tiles bytes that are more than 4,096 pixels wide, and goes on to tile whatever has the key later. It would draw the whole
// of a texture in each tile.
#[rstest]
fn a_wide_canvas_is_whole_after_it_was_bytes(#[values(false, true)] prefers_surface: bool) {
    const WIDE: (u32, u32) = (4800, 8);
    let Some(mut stage) = Stage::sharing(WIDE) else { return };
    let bounds = rect(0.0, 0.0, WIDE.0 as f32, WIDE.1 as f32);
    let item = if prefers_surface { Item::Image } else { Item::PlainImage };
    stage.page.set_scene(&[item(bounds, stage.key)]);
    // 0, 0, 1.0, 1.0: half floats are bytes.
    let half = [0, 0, 0, 0, 0x00, 0x3c, 0x00, 0x3c].repeat(4800 * 8);
    let texture = stage.texture(stage.configuration(TextureFormat::Rgba16Float, WIDE), &half);
    stage.present(texture);
    stage.assert_corner(WIDE, [0, 0, 255, 255]);
    let left_and_right = |x| if x < 2400 { RED } else { GREEN };
    let rgba: Vec<u8> = (0..8).flat_map(|_| (0..4800).flat_map(left_and_right)).collect();
    let texture = stage.texture(stage.configuration(TextureFormat::Bgra8Unorm, WIDE), &rgba);
    stage.present(texture);
    let corner = stage.corner(WIDE.0, WIDE.1);
    let wrong = corner.chunks_exact(4).zip(rgba.chunks_exact(4)).position(|(is, wanted)| is != wanted);
    assert_eq!(wrong, None);
    stage.finish();
}
