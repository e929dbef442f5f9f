//! A page with one canvas in its corner, and a presenter.

pub use std::cell::RefCell;
pub use std::rc::Rc;
pub use std::sync::Arc;
pub use std::time::Duration;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

pub use euclid::default::Size2D;
pub use rstest::rstest;
pub use webgpu_presentation::*;
pub use webrender_api::{ColorF, ExternalImageHandler, ImageKey};
use webrender_api::{ExternalImageData, ImageDescriptor};
pub use wgpu_types::TextureFormat;

pub use crate::support::gpu::{Device, Gpu, assert_no_validation_errors};
pub use crate::support::page::PageGl::{self, Egl, Swgl};
pub use crate::support::page::{Item, Page, rect, region};

pub const TIMEOUT: Duration = Duration::from_secs(30);
pub const CONTEXT: ContextId = ContextId(3);

pub const BLACK: [u8; 4] = [0, 0, 0, 255];
pub const RED: [u8; 4] = [255, 0, 0, 255];
pub const GREEN: [u8; 4] = [0, 255, 0, 255];

pub type SharedPresenter = Rc<RefCell<Presenter>>;

/// The presenter, once there is one: WebRender needs its handler before.
pub type PresenterSlot = Rc<RefCell<Option<SharedPresenter>>>;

/// A `WebRenderSink` whose image updates are counted.
struct CountingSink {
    sink: WebRenderSink,
    updates: Arc<Updates>,
}

/// Counts the image updates that reached the sink.
#[derive(Default)]
pub struct Updates(AtomicUsize);

impl Updates {
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl ImageSink for CountingSink {
    fn add_image(&mut self, key: ImageKey, descriptor: ImageDescriptor, data: ExternalImageData) {
        self.sink.add_image(key, descriptor, data);
    }

    fn update_image(
        &mut self,
        key: ImageKey,
        descriptor: ImageDescriptor,
        data: ExternalImageData,
        epoch: CanvasEpoch,
    ) {
        self.updates.0.fetch_add(1, Ordering::SeqCst);
        self.sink.update_image(key, descriptor, data, epoch);
    }

    fn delete_image(&mut self, key: ImageKey) {
        self.sink.delete_image(key);
    }

    fn flush(&mut self) {
        self.sink.flush();
    }
}

pub struct Stage {
    pub device: Device,
    pub map: ContextMap,
    pub presenter: SharedPresenter,
    pub outcomes: Receiver<PresentOutcome>,
    pub updates: Arc<Updates>,
    pub page: Page,
    pub key: ImageKey,
    epoch: u64,
    /// Last field, because its drop lets other tests begin.
    pub gpu: Gpu,
}

impl Stage {
    /// `None` on a machine without a GPU: the test is skipped.
    pub fn new(gl: PageGl, size: (u32, u32)) -> Option<Self> {
        Self::with_handler(gl, size, |images, _| Box::new(images))
    }

    pub fn with_handler(
        gl: PageGl,
        size: (u32, u32),
        handler: impl FnOnce(ExternalImages, PresenterSlot) -> Box<dyn ExternalImageHandler>,
    ) -> Option<Self> {
        Self::with_loader(gl, size, |map, slot, _| handler(ExternalImages::new(map), slot))
    }

    /// A page that samples the GPU's images.
    pub fn sharing(size: (u32, u32)) -> Option<Self> {
        Self::sharing_with(size, |_, function| function)
    }

    /// A page that samples the GPU's images, with other functions of GL where `replace` says so.
    pub fn sharing_with(
        size: (u32, u32),
        replace: impl Fn(&str, *const std::ffi::c_void) -> *const std::ffi::c_void,
    ) -> Option<Self> {
        Self::with_loader(Egl, size, |map, _, load| {
            let load = |name: &str| replace(name, load(name));
            // SAFETY: these are the functions of the page's GL, or do what such functions may do. It is current whenever its renderer is
            // called.
            let images = unsafe { ExternalImages::with_gl(map, load) };
            Box::new(images.expect("the GL of this machine can import images"))
        })
    }

    /// A page whose handler is made with the functions of its GL.
    pub fn with_loader(
        gl: PageGl,
        size: (u32, u32),
        handler: impl FnOnce(
            &ContextMap,
            PresenterSlot,
            &mut dyn FnMut(&str) -> *const std::ffi::c_void,
        ) -> Box<dyn ExternalImageHandler>,
    ) -> Option<Self> {
        let gpu = Gpu::for_test()?;
        let device = gpu.device();
        let map = ContextMap::default();
        let slot = PresenterSlot::default();
        let page = Page::with_loader(gl, size, |load| handler(&map, slot.clone(), load));
        let page = page.expect("WebRender starts");
        let updates = Arc::<Updates>::default();
        let sink = WebRenderSink::new(page.new_api(), page.document());
        let sink = CountingSink { sink, updates: updates.clone() };
        let (on_outcome, outcomes) = channel();
        let options = PresenterOptions {
            on_outcome: Box::new(move |outcome| drop(on_outcome.send(outcome))),
            ..PresenterOptions::default()
        };
        // SAFETY: only the presenter names its staging buffers.
        let presenter = unsafe { Presenter::new(gpu.global.clone(), &map, sink, options) };
        let presenter = Rc::new(RefCell::new(presenter));
        *slot.borrow_mut() = Some(presenter.clone());
        let mut stage =
            Self { gpu, device, map, presenter, outcomes, updates, page, key: ImageKey::DUMMY, epoch: 0 };
        stage.key = stage.create(CONTEXT);
        Some(stage)
    }

    /// Creates a context and returns the key under which it can be displayed.
    pub fn create(&mut self, context: ContextId) -> ImageKey {
        let size = Size2D::new(10, 10);
        let descriptor = ContextDescriptor { owner: OwnerId(0), size, buffer_ids: BufferIds::Allocated };
        let key = self.page.new_key();
        let mut presenter = self.presenter.borrow_mut();
        presenter.create_context(context, descriptor).unwrap();
        presenter.set_image_key(context, key).unwrap();
        key
    }

    /// Creates a context that is shown in the corner, because all frames of one context have the byte order of its first.
    pub fn create_in_corner(&mut self, context: ContextId, size: (u32, u32)) {
        self.key = self.create(context);
        self.place(size.0, size.1);
    }

    pub fn destroy(&mut self, context: ContextId) {
        self.page.set_scene(&[]);
        self.page.render();
        self.presenter.borrow_mut().destroy_context(context).unwrap();
    }

    /// Places the canvas in the corner.
    pub fn place(&mut self, width: u32, height: u32) {
        self.place_at(0, width, height);
    }

    pub fn place_at(&mut self, x: i32, width: u32, height: u32) {
        let item = Item::Image(rect(x as f32, 0.0, width as f32, height as f32), self.key);
        self.page.set_scene(&[item]);
    }

    /// A premultiplied canvas in sRGB.
    pub fn configuration(&self, format: TextureFormat, size: (u32, u32)) -> ContextConfiguration {
        let size = Size2D::new(size.0, size.1);
        ContextConfiguration { format, ..self.device.configuration(size) }
    }

    /// A canvas texture with these RGBA pixels.
    pub fn texture(&self, configuration: ContextConfiguration, rgba: &[u8]) -> PendingTexture {
        let bytes = match configuration.format {
            TextureFormat::Bgra8Unorm => swap_red_and_blue(rgba),
            _ => rgba.to_vec(),
        };
        self.gpu.canvas(self.device, configuration, &bytes)
    }

    pub fn solid(&self, pixel: [u8; 4], size: (u32, u32)) -> PendingTexture {
        let rgba = pixel.repeat((size.0 * size.1) as usize);
        self.texture(self.configuration(TextureFormat::Bgra8Unorm, size), &rgba)
    }

    /// Presents and waits for the outcome, not for the page.
    pub fn present_to(&mut self, context: ContextId, texture: PendingTexture) -> PresentEnd {
        self.present_all(&[(context, texture)]);
        self.end()
    }

    /// Presents a canvas to each context, in one batch.
    pub fn present_all(&mut self, textures: &[(ContextId, PendingTexture)]) {
        self.epoch += 1;
        let mut presenter = self.presenter.borrow_mut();
        let mut batch = presenter.batch();
        for (context, texture) in textures {
            let _ = batch.present(*context, Contents::Texture(*texture), CanvasEpoch(self.epoch));
            batch.destroy_texture(texture.texture_id);
            batch.drop_texture(texture.texture_id);
        }
    }

    #[track_caller]
    pub fn end(&self) -> PresentEnd {
        self.outcomes.recv_timeout(TIMEOUT).expect("a present ends").end
    }

    #[track_caller]
    pub fn present(&mut self, texture: PendingTexture) {
        let end = self.present_to(CONTEXT, texture);
        assert!(matches!(end, PresentEnd::Presented), "{end:?}");
    }

    #[track_caller]
    pub fn present_solid(&mut self, pixel: [u8; 4], size: (u32, u32)) {
        self.present(self.solid(pixel, size));
    }

    pub fn clear(&mut self, size: (u32, u32), alpha_mode: AlphaMode) {
        self.epoch += 1;
        let contents = Contents::Cleared { size: Size2D::new(size.0, size.1), alpha_mode };
        self.presenter.borrow_mut().present(CONTEXT, contents, CanvasEpoch(self.epoch)).unwrap();
        self.end();
    }

    pub fn read_image(&self, context: ContextId, texture: Option<PendingTexture>) -> Snapshot {
        let (sender, receiver) = channel();
        self.presenter.borrow_mut().get_image(context, texture, move |image| drop(sender.send(image)));
        receiver.recv_timeout(TIMEOUT).expect("get_image is answered").unwrap()
    }

    /// The corner of the page, after a frame was built and drawn.
    pub fn corner(&mut self, width: u32, height: u32) -> Vec<u8> {
        self.page.render();
        self.page.region(region(0, 0, width as i32, height as i32))
    }

    #[track_caller]
    pub fn assert_corner(&mut self, size: (u32, u32), expected: [u8; 4]) {
        let corner = self.corner(size.0, size.1);
        let wrong = corner.as_chunks::<4>().0.iter().position(|pixel| *pixel != expected);
        if let Some(wrong) = wrong {
            let (x, y) = (wrong % size.0 as usize, wrong / size.0 as usize);
            panic!("({x}, {y}) is {:?}, not {expected:?}", &corner[wrong * 4..][..4]);
        }
    }

    /// wgpu-core must have no buffer and no command buffer left, and no complaint. Each image update must have carried an epoch.
    #[track_caller]
    pub fn finish(self) {
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
