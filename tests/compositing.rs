//! From texture to page: real wgpu-core, real WebRender. Expected pixels are worked out by hand.
//!
//! The page is black, so premultiplied colour comes out as it is: what is behind it adds nothing.

mod support;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use euclid::default::Size2D;
use support::gpu::{Device, Gpu, assert_no_validation_errors};
use support::page::{Item, Page, PageGl, rect, region};
use webgpu_presentation::*;
use webrender_api::{ExternalImage, ExternalImageHandler, ExternalImageId, ImageKey};
use wgpu_types::TextureFormat;

const TIMEOUT: Duration = Duration::from_secs(30);
const CONTEXT: ContextId = ContextId(3);

const BLACK: [u8; 4] = [0, 0, 0, 255];
const RED: [u8; 4] = [255, 0, 0, 255];
const GREEN: [u8; 4] = [0, 255, 0, 255];

type SharedPresenter = Rc<RefCell<Presenter>>;

/// A page with one canvas in its corner.
struct Stage {
    device: Device,
    presenter: SharedPresenter,
    outcomes: Receiver<PresentOutcome>,
    page: Page,
    key: ImageKey,
    epoch: u64,
    /// Last: it lets other tests begin.
    gpu: Gpu,
}

impl Stage {
    fn new(gl: PageGl, size: (u32, u32)) -> Option<Self> {
        Self::with_handler(gl, size, |images, _| Box::new(images))
    }

    fn with_handler(
        gl: PageGl,
        size: (u32, u32),
        handler: impl FnOnce(
            ExternalImages,
            Rc<RefCell<Option<SharedPresenter>>>,
        ) -> Box<dyn ExternalImageHandler>,
    ) -> Option<Self> {
        let gpu = Gpu::for_test()?;
        let device = gpu.device();
        let map = ContextMap::default();
        let slot = Rc::new(RefCell::new(None));
        let page =
            Page::new(gl, size, handler(ExternalImages::new(&map), slot.clone())).expect("WebRender starts");
        let sink = Arc::new(WebRenderSink::new(page.new_api(), page.document()));
        let (on_outcome, outcomes) = channel();
        let options = PresenterOptions {
            on_outcome: Arc::new(move |outcome| drop(on_outcome.send(outcome))),
            ..PresenterOptions::default()
        };
        let presenter = Presenter::new(gpu.global.clone(), &map, sink, options);
        let presenter = Rc::new(RefCell::new(presenter));
        *slot.borrow_mut() = Some(presenter.clone());
        let key = page.new_key();
        let mut stage = Self { gpu, device, presenter, outcomes, page, key, epoch: 0 };
        stage.create(CONTEXT);
        stage.presenter.borrow_mut().set_image_key(CONTEXT, key).unwrap();
        Some(stage)
    }

    fn create(&mut self, context: ContextId) {
        let descriptor = ContextDescriptor {
            owner: OwnerId(0),
            size: Size2D::new(10, 10),
            buffer_ids: BufferIds::Allocated,
        };
        self.presenter.borrow_mut().create_context(context, descriptor).unwrap();
    }

    /// Places the canvas in the corner.
    fn place(&mut self, width: u32, height: u32) {
        self.place_at(0, width, height);
    }

    fn place_at(&mut self, x: i32, width: u32, height: u32) {
        let item = Item::Image(rect(x as f32, 0.0, width as f32, height as f32), self.key);
        self.page.set_scene(&[item]);
    }

    /// A canvas texture with these RGBA pixels.
    fn texture(
        &self,
        format: TextureFormat,
        alpha_mode: AlphaMode,
        size: (u32, u32),
        rgba: &[u8],
    ) -> PendingTexture {
        let size = Size2D::new(size.0, size.1);
        let bytes = match format {
            TextureFormat::Bgra8Unorm => swap_red_and_blue(rgba),
            _ => rgba.to_vec(),
        };
        let configuration = ContextConfiguration {
            device_id: self.device.id,
            queue_id: self.device.queue,
            format,
            color_space: PredefinedColorSpace::Srgb,
            alpha_mode,
            size,
        };
        let texture_id = self.gpu.texture_with(self.device, format, size, &bytes);
        PendingTexture { texture_id, encoder_ids: None, configuration }
    }

    fn solid(&self, pixel: [u8; 4], size: (u32, u32)) -> PendingTexture {
        let rgba = pixel.repeat((size.0 * size.1) as usize);
        self.texture(TextureFormat::Bgra8Unorm, AlphaMode::Premultiplied, size, &rgba)
    }

    /// Presents and waits for the outcome, not for the page.
    fn present_to(&mut self, context: ContextId, texture: PendingTexture) -> PresentEnd {
        self.epoch += 1;
        let mut presenter = self.presenter.borrow_mut();
        let mut batch = presenter.batch();
        let _ = batch.present(context, Contents::Texture(texture), CanvasEpoch(self.epoch));
        batch.destroy_texture(texture.texture_id);
        batch.drop_texture(texture.texture_id);
        batch.submit();
        self.outcomes.recv_timeout(TIMEOUT).expect("a present ends").end
    }

    fn present(&mut self, texture: PendingTexture) {
        let end = self.present_to(CONTEXT, texture);
        assert!(matches!(end, PresentEnd::Presented), "{end:?}");
    }

    fn clear(&mut self, size: (u32, u32), alpha_mode: AlphaMode) {
        self.epoch += 1;
        let contents = Contents::Cleared { size: Size2D::new(size.0, size.1), alpha_mode };
        self.presenter.borrow_mut().present(CONTEXT, contents, CanvasEpoch(self.epoch)).unwrap();
        self.outcomes.recv_timeout(TIMEOUT).expect("a present ends");
    }

    /// The corner of the page, after a frame was built and drawn.
    fn corner(&mut self, width: u32, height: u32) -> Vec<u8> {
        self.page.render();
        self.page.region(region(0, 0, width as i32, height as i32))
    }

    fn assert_corner(&mut self, size: (u32, u32), expected: [u8; 4]) {
        let corner = self.corner(size.0, size.1);
        let wrong = corner.as_chunks::<4>().0.iter().position(|pixel| *pixel != expected);
        if let Some(wrong) = wrong {
            let (x, y) = (wrong % size.0 as usize, wrong / size.0 as usize);
            panic!("({x}, {y}) is {:?}, not {expected:?}", &corner[wrong * 4..][..4]);
        }
    }

    fn finish(self) {
        let Self { gpu, presenter, page, .. } = self;
        drop(page);
        drop(presenter);
        let report = gpu.global.generate_report();
        assert!(report.hub_report().buffers.is_empty());
        assert!(report.hub_report().command_buffers.is_empty());
        assert_no_validation_errors();
    }
}

fn swap_red_and_blue(pixels: &[u8]) -> Vec<u8> {
    pixels.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, a]| [b, g, r, a]).collect()
}

macro_rules! stage {
    ($($argument:expr),*) => {
        match Stage::new($($argument),*) {
            Some(stage) => stage,
            None => return,
        }
    };
}

// Below the macro that it uses.
#[path = "compositing/pixels.rs"]
mod pixels;

/// Premultiplied pixels that differ from each other.
fn pattern(width: u32, height: u32, opaque: bool) -> Vec<u8> {
    let pixel = |i: u32| {
        let alpha = if opaque { 40 } else { (i * 13 % 256) as u8 };
        let colour = |factor: u32| (i * factor % (u32::from(alpha) + 1)) as u8;
        [colour(7), colour(11), colour(3), alpha]
    };
    (0..width * height).flat_map(pixel).collect()
}

/// What a black page shows: colour as it is.
fn on_black(pixels: &[u8]) -> Vec<u8> {
    pixels.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b, 255]).collect()
}

fn formats_and_sizes_are_exact(gl: PageGl, sizes: &[(u32, u32)]) {
    let largest = (sizes.iter().map(|s| s.0).max().unwrap(), sizes.iter().map(|s| s.1).max().unwrap());
    let mut stage = stage!(gl, (largest.0 + 8, largest.1 + 8));
    for format in [TextureFormat::Bgra8Unorm, TextureFormat::Rgba8Unorm] {
        for alpha_mode in [AlphaMode::Opaque, AlphaMode::Premultiplied] {
            for &(width, height) in sizes {
                // A context of its own: all frames of one have the byte order of its first.
                let context = ContextId(1000);
                stage.create(context);
                stage.key = stage.page.new_key();
                stage.presenter.borrow_mut().set_image_key(context, stage.key).unwrap();
                stage.place(width, height);
                let rgba = pattern(width, height, alpha_mode == AlphaMode::Opaque);
                let texture = stage.texture(format, alpha_mode, (width, height), &rgba);
                stage.present_to(context, texture);
                let shown = stage.corner(width, height);
                assert!(shown == on_black(&rgba), "{gl:?} {format:?} {alpha_mode:?} {width}×{height}");
                // Nothing beside it.
                assert_eq!(stage.page.region(region(width as i32, 0, 1, 1)), BLACK);
                assert_eq!(stage.page.region(region(0, height as i32, 1, 1)), BLACK);
                stage.page.set_scene(&[]);
                stage.page.render();
                stage.presenter.borrow_mut().destroy_context(context).unwrap();
            }
        }
    }
    stage.finish();
}

#[test]
fn formats_and_sizes_are_exact_on_swgl() {
    formats_and_sizes_are_exact(PageGl::Swgl, &[(1, 1), (3, 5), (300, 150), (301, 151), (1919, 1079)]);
}

#[test]
fn formats_and_sizes_are_exact_on_egl() {
    formats_and_sizes_are_exact(PageGl::Egl, &[(1, 1), (3, 5), (300, 150), (301, 151)]);
}

// R13: wider than WebRender's textures, so it is tiled.
#[test]
fn a_canvas_of_8193_pixels_by_one_is_exact_at_both_ends() {
    let mut stage = stage!(PageGl::Swgl, (300, 4));
    let rgba = pattern(8193, 1, false);
    let texture = stage.texture(TextureFormat::Bgra8Unorm, AlphaMode::Premultiplied, (8193, 1), &rgba);
    stage.place(8193, 1);
    stage.present(texture);
    assert!(stage.corner(300, 1) == on_black(&rgba[..300 * 4]));
    stage.place_at(200 - 8193, 8193, 1);
    assert!(stage.corner(200, 1) == on_black(&rgba[(8193 - 200) * 4..]));
    assert_eq!(stage.page.region(region(200, 0, 1, 1)), BLACK);
    stage.finish();
}

// R7, R8.
#[test]
fn what_was_never_presented_is_transparent() {
    let mut stage = stage!(PageGl::Swgl, (20, 20));
    stage.place(10, 10);
    stage.assert_corner((20, 20), BLACK);
    stage.clear((10, 10), AlphaMode::Opaque);
    stage.assert_corner((10, 10), BLACK);
    stage.finish();
}

// R8: transparent shows what is behind, opaque hides it.
#[test]
fn cleared_canvases_show_or_hide_what_is_behind() {
    for gl in [PageGl::Swgl, PageGl::Egl] {
        let mut stage = stage!(gl, (40, 40));
        let behind = Item::Rect(rect(0.0, 0.0, 40.0, 40.0), webrender_api::ColorF::new(0.0, 1.0, 0.0, 1.0));
        stage.page.set_scene(&[behind, Item::Image(rect(0.0, 0.0, 33.0, 21.0), stage.key)]);
        stage.assert_corner((40, 40), GREEN);
        let texture = stage.solid(RED, (33, 21));
        stage.present(texture);
        stage.assert_corner((33, 21), RED);
        stage.clear((33, 21), AlphaMode::Opaque);
        stage.assert_corner((33, 21), BLACK);
        stage.clear((33, 21), AlphaMode::Premultiplied);
        stage.assert_corner((40, 40), GREEN);
        stage.finish();
    }
}

#[test]
fn updates_replace_each_other() {
    for gl in [PageGl::Swgl, PageGl::Egl] {
        let mut stage = stage!(gl, (64, 64));
        stage.place(64, 64);
        for i in 1..20u8 {
            let pixel = [i * 10, 255 - i, i, 255];
            let texture = stage.solid(pixel, (64, 64));
            stage.present(texture);
            stage.assert_corner((64, 64), pixel);
        }
        stage.finish();
    }
}

// D5: a smaller frame under an older, larger descriptor panicked the renderer.
#[test]
fn resizing_with_queued_frames_does_not_panic_the_renderer() {
    let mut stage = stage!(PageGl::Swgl, (600, 600));
    let sizes = [(500, 400), (3, 5), (600, 600), (1, 1), (301, 151), (2, 600), (600, 2), (40, 40)];
    for round in 0..3u8 {
        for (i, size) in (1..).zip(sizes) {
            stage.place(size.0, size.1);
            let texture = stage.solid([i * 20, round * 50, 99, 255], size);
            stage.present(texture);
            // Built, and not rendered: its locks come later, with its own descriptor.
            stage.page.build();
        }
        stage.page.draw();
        // What was held back meanwhile is offered after the locks.
        let expected = [8 * 20, round * 50, 99, 255];
        let deadline = std::time::Instant::now() + TIMEOUT;
        while stage.corner(40, 40) != expected.repeat(1600) {
            assert!(std::time::Instant::now() < deadline, "the newest frame is shown");
        }
    }
    stage.finish();
}

#[test]
fn two_frames_queued_before_one_render_show_the_newest() {
    let mut stage = stage!(PageGl::Swgl, (32, 32));
    stage.place(32, 32);
    for (first, second) in [(RED, GREEN), (GREEN, RED)] {
        let texture = stage.solid(first, (32, 32));
        stage.present(texture);
        stage.page.build();
        let texture = stage.solid(second, (32, 32));
        stage.present(texture);
        stage.page.build();
        stage.page.draw();
        assert_eq!(stage.page.region(region(0, 0, 32, 32)), second.repeat(32 * 32));
    }
    stage.finish();
}

// R15 and D6.
#[test]
fn a_failed_present_keeps_the_last_frame_on_the_page() {
    let mut stage = stage!(PageGl::Swgl, (32, 32));
    stage.place(32, 32);
    let texture = stage.solid(RED, (32, 32));
    stage.present(texture);
    stage.assert_corner((32, 32), RED);
    let small = stage.solid(GREEN, (8, 8));
    let configuration = ContextConfiguration { size: Size2D::new(32, 32), ..small.configuration };
    let end = stage.present_to(CONTEXT, PendingTexture { configuration, ..small });
    assert!(matches!(end, PresentEnd::Failed(PresentError::Refused(_))), "{end:?}");
    stage.assert_corner((32, 32), RED);
    // A destroyed texture presents blank.
    let destroyed = stage.solid(GREEN, (32, 32));
    stage.gpu.global.texture_destroy(destroyed.texture_id);
    let end = stage.present_to(CONTEXT, destroyed);
    assert!(matches!(end, PresentEnd::Failed(PresentError::TextureDestroyed)), "{end:?}");
    stage.assert_corner((32, 32), BLACK);
    stage.finish();
}

// R14: the page goes on showing the frames of a device that is gone. D2 read freed memory here.
#[test]
fn the_page_outlives_a_device() {
    let mut stage = stage!(PageGl::Swgl, (512, 512));
    stage.place(512, 512);
    let texture = stage.solid(GREEN, (512, 512));
    stage.present(texture);
    let device = stage.device;
    {
        let mut presenter = stage.presenter.borrow_mut();
        presenter.destroy_device(device.id);
        presenter.maintain();
    }
    stage.assert_corner((512, 512), GREEN);
    stage.presenter.borrow_mut().drop_device(device.id);
    stage.gpu.global.queue_drop(device.queue);
    stage.assert_corner((512, 512), GREEN);
    stage.device = stage.gpu.device();
    let texture = stage.solid(RED, (512, 512));
    stage.present(texture);
    stage.assert_corner((512, 512), RED);
    stage.finish();
}

/// Destroys the context while WebRender holds its lock.
struct Saboteur {
    images: ExternalImages,
    presenter: Rc<RefCell<Option<SharedPresenter>>>,
    armed: Rc<RefCell<bool>>,
}

impl ExternalImageHandler for Saboteur {
    fn lock(&mut self, id: ExternalImageId, channel: u8, composited: bool) -> ExternalImage<'_> {
        if self.armed.replace(false) {
            // Locked first, so that what WebRender reads belongs to a context that is gone.
            ExternalImageHandler::lock(&mut self.images, id, channel, composited);
            if let Some(presenter) = &*self.presenter.borrow() {
                presenter.borrow_mut().destroy_context(ContextId(id.0)).unwrap();
            }
        }
        ExternalImageHandler::lock(&mut self.images, id, channel, composited)
    }

    fn unlock(&mut self, id: ExternalImageId, channel: u8) {
        ExternalImageHandler::unlock(&mut self.images, id, channel);
    }
}

// R19.
#[test]
fn a_context_destroyed_while_it_is_locked_is_drawn() {
    let armed = Rc::new(RefCell::new(false));
    let arm = armed.clone();
    let stage = Stage::with_handler(PageGl::Swgl, (64, 64), move |images, presenter| {
        Box::new(Saboteur { images, presenter, armed })
    });
    let Some(mut stage) = stage else { return };
    stage.place(64, 64);
    let texture = stage.solid(RED, (64, 64));
    stage.present(texture);
    stage.page.build();
    arm.replace(true);
    stage.page.draw();
    assert!(!*arm.borrow(), "it was locked");
    assert_eq!(stage.page.region(region(0, 0, 64, 64)), RED.repeat(64 * 64));
    // The image is deleted; the id may be used again, though a frame of its first life is still locked.
    stage.page.set_scene(&[]);
    stage.assert_corner((64, 64), BLACK);
    stage.create(CONTEXT);
    stage.key = stage.page.new_key();
    stage.presenter.borrow_mut().set_image_key(CONTEXT, stage.key).unwrap();
    stage.place(64, 64);
    let texture = stage.solid(GREEN, (64, 64));
    stage.present(texture);
    stage.assert_corner((64, 64), GREEN);
    *stage.presenter.borrow_mut() = Presenter::new(
        stage.gpu.global.clone(),
        &ContextMap::default(),
        Arc::new(WebRenderSink::new(stage.page.new_api(), stage.page.document())),
        PresenterOptions::default(),
    );
    stage.page.set_scene(&[]);
    stage.page.render();
    assert_no_validation_errors();
}

// R21: all tiles of one update show one frame, whatever arrives between their locks.
#[test]
fn tiles_of_a_large_canvas_never_mix() {
    const PRESENTS_PER_RENDER: usize = 50;
    let size = (4800, 600);
    let presents = Rc::new(RefCell::new(0usize));
    struct Streaming {
        images: ExternalImages,
        next: Box<dyn FnMut()>,
        presenter: Rc<RefCell<Option<SharedPresenter>>>,
    }
    impl ExternalImageHandler for Streaming {
        fn lock(&mut self, id: ExternalImageId, channel: u8, composited: bool) -> ExternalImage<'_> {
            if self.presenter.borrow().is_some() {
                (self.next)();
            }
            ExternalImageHandler::lock(&mut self.images, id, channel, composited)
        }

        fn unlock(&mut self, id: ExternalImageId, channel: u8) {
            ExternalImageHandler::unlock(&mut self.images, id, channel);
        }
    }
    // A present between every two locks: filled in once the stage stands.
    type Next = Rc<RefCell<Option<Box<dyn FnMut()>>>>;
    let next: Next = Rc::default();
    let call = next.clone();
    let stage = Stage::with_handler(PageGl::Swgl, size, move |images, presenter| {
        let next = Box::new(move || {
            if let Some(next) = &mut *call.borrow_mut() {
                next();
            }
        });
        Box::new(Streaming { images, next, presenter })
    });
    let Some(mut stage) = stage else { return };
    let image = rect(0.0, 0.0, size.0 as f32, size.1 as f32);
    stage.page.set_scene(&[Item::PlainImage(image, stage.key)]);
    let stage_presenter = stage.presenter.clone();
    let textures: Vec<_> =
        (1..=250u8).map(|i| stage.solid([i, 255 - i, i / 2, 255], size)).take(24).collect();
    {
        let (presents, textures) = (presents.clone(), textures.clone());
        *next.borrow_mut() = Some(Box::new(move || {
            let count = presents.replace_with(|count| *count + 1);
            // Each present asks for a frame, each frame locks: an end, so that the render has one.
            if count % PRESENTS_PER_RENDER == PRESENTS_PER_RENDER - 1 {
                presents.replace(count);
                return;
            }
            let contents = Contents::Texture(textures[count % textures.len()]);
            let mut presenter = stage_presenter.borrow_mut();
            presenter.present(CONTEXT, contents, CanvasEpoch(9)).unwrap();
            let (sender, receiver) = channel();
            presenter.get_image(CONTEXT, None, move |_| sender.send(()).expect("it is awaited"));
            receiver.recv_timeout(TIMEOUT).unwrap();
        }));
    }
    let contents = Contents::Texture(textures[0]);
    stage.presenter.borrow_mut().present(CONTEXT, contents, CanvasEpoch(1)).unwrap();
    stage.outcomes.recv_timeout(TIMEOUT).unwrap();
    for round in 0..6 {
        *presents.borrow_mut() = round * PRESENTS_PER_RENDER;
        stage.page.render();
        let shown = stage.page.region(region(0, 0, size.0 as i32, size.1 as i32));
        let first = shown[..4].to_vec();
        assert_ne!(first, BLACK);
        assert!(shown.chunks_exact(4).all(|pixel| pixel == first), "tiles of several frames");
    }
    assert!(
        *presents.borrow() > 6,
        "several tiles were locked, and presented between: {}",
        presents.borrow()
    );
    *next.borrow_mut() = None;
    for texture in textures {
        stage.gpu.drop_texture(texture.texture_id);
    }
    stage.finish();
}

// R22: WebRender on GL keeps the swizzle of a key's first format.
#[test]
fn a_format_switch_keeps_its_colours() {
    for gl in [PageGl::Egl, PageGl::Swgl] {
        for formats in [
            [TextureFormat::Bgra8Unorm, TextureFormat::Rgba8Unorm],
            [TextureFormat::Rgba8Unorm, TextureFormat::Bgra8Unorm],
        ] {
            for size in [(48, 32), (1, 1)] {
                let mut stage = stage!(gl, (64, 64));
                stage.place(size.0, size.1);
                for (i, format) in formats.into_iter().cycle().take(6).enumerate() {
                    let pixel = [200, 10 * i as u8, 30, 255];
                    let rgba = pixel.repeat((size.0 * size.1) as usize);
                    let texture = stage.texture(format, AlphaMode::Premultiplied, size, &rgba);
                    stage.present(texture);
                    stage.assert_corner(size, pixel);
                    if i == 3 {
                        stage.clear(size, AlphaMode::Premultiplied);
                        stage.assert_corner(size, BLACK);
                    }
                }
                stage.finish();
            }
        }
    }
}

#[test]
fn contexts_of_two_devices_share_a_page() {
    let mut stage = stage!(PageGl::Swgl, (64, 32));
    let other = ContextId(4);
    stage.create(other);
    let other_key = stage.page.new_key();
    stage.presenter.borrow_mut().set_image_key(other, other_key).unwrap();
    stage.page.set_scene(&[
        Item::Image(rect(0.0, 0.0, 32.0, 32.0), stage.key),
        Item::Image(rect(32.0, 0.0, 32.0, 32.0), other_key),
    ]);
    let first = stage.device;
    let second = stage.gpu.device();
    for i in 1..10u8 {
        let (left, right) = ([i, 0, 0, 255], [0, i, 0, 255]);
        stage.device = first;
        let left_texture = stage.solid(left, (32, 32));
        stage.device = second;
        let right_texture = stage.solid(right, (32, 32));
        let epoch = CanvasEpoch(u64::from(i));
        {
            let mut presenter = stage.presenter.borrow_mut();
            let mut batch = presenter.batch();
            batch.present(CONTEXT, Contents::Texture(left_texture), epoch).unwrap();
            batch.present(other, Contents::Texture(right_texture), epoch).unwrap();
            for texture in [left_texture, right_texture] {
                batch.destroy_texture(texture.texture_id);
                batch.drop_texture(texture.texture_id);
            }
        }
        stage.outcomes.recv_timeout(TIMEOUT).unwrap();
        stage.outcomes.recv_timeout(TIMEOUT).unwrap();
        stage.page.render();
        assert_eq!(stage.page.region(region(0, 0, 32, 32)), left.repeat(1024));
        assert_eq!(stage.page.region(region(32, 0, 32, 32)), right.repeat(1024));
    }
    stage.finish();
}

// I6 and R17: WebRender builds hundreds of frames without rendering one; the last one is shown in the end.
#[test]
fn hundreds_of_frames_without_a_render_end_with_the_newest() {
    let mut stage = stage!(PageGl::Swgl, (16, 16));
    stage.place(16, 16);
    let mut last = BLACK;
    for i in 1..=300u32 {
        last = [i as u8, (i >> 8) as u8, 5, 255];
        let texture = stage.solid(last, (16, 16));
        stage.present(texture);
    }
    let deadline = std::time::Instant::now() + TIMEOUT;
    while stage.corner(16, 16) != last.repeat(256) {
        assert!(std::time::Instant::now() < deadline, "the newest frame is shown");
    }
    stage.finish();
}
