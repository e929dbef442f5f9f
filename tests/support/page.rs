//! WebRender without a window.

use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use webrender::{RenderApi, RenderApiSender, Renderer, Transaction, WebRenderOptions};
use webrender_api::units::{
    DeviceIntPoint, DeviceIntRect, DeviceIntSize, FramebufferIntPoint, FramebufferIntRect,
    FramebufferIntSize, LayoutRect,
};
use webrender_api::{
    AlphaType, Checkpoint, ColorF, CommonItemProperties, DisplayListBuilder, DocumentId, Epoch,
    ExternalImageHandler, FramePublishId, FrameReadyParams, ImageKey, ImageRendering, NotificationHandler,
    NotificationRequest, PipelineId, PrimitiveFlags, RenderNotifier, RenderReasons, SpaceAndClipInfo,
};

/// What WebRender draws with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageGl {
    /// WebRender's own software rasterizer, which needs no GPU.
    Swgl,
    /// The GL of the driver through EGL, which is Mesa's llvmpipe on a machine without a GPU.
    Egl,
}

impl PageGl {
    /// The color of an opaque page under a premultiplied pixel, rounded as this rasterizer does. `tests/harness.rs` checks that.
    pub fn blend(self, [r, g, b, alpha]: [u8; 4], under: [u8; 3]) -> [u8; 3] {
        let alpha = u32::from(alpha);
        let kept = |under: u8| {
            let under = u32::from(under);
            match self {
                // `muldiv255` of swgl's blend.h.
                Self::Swgl => under - ((under * alpha + under) >> 8),
                // `lp_build_mul_norm` of llvmpipe.
                Self::Egl => {
                    let product = under * (255 - alpha);
                    (product + (product >> 8) + 128) >> 8
                }
            }
        };
        let over = |color: u8, under: u8| (u32::from(color) + kept(under)).min(255) as u8;
        [over(r, under[0]), over(g, under[1]), over(b, under[2])]
    }
}

/// One thing on the page.
#[derive(Clone, Copy, Debug)]
pub enum Item {
    Rect(LayoutRect, ColorF),
    /// An image that is composited as a surface of its own, if WebRender can do that. Engines show canvases so.
    Image(LayoutRect, ImageKey),
    /// An image that is drawn with the rest of the page.
    PlainImage(LayoutRect, ImageKey),
}

/// A rectangle by its corner and size.
pub fn rect(x: f32, y: f32, width: f32, height: f32) -> LayoutRect {
    LayoutRect::from_origin_and_size((x, y).into(), (width, height).into())
}

/// Longest wait for a frame. If it takes longer, the backend thread of WebRender has panicked.
const FRAME_TIMEOUT: Duration = Duration::from_secs(60);

/// Held while a page lives, because GL, and the context of swgl, are global to the process.
static GL: Mutex<()> = Mutex::new(());

/// A WebRender instance that draws one document.
pub struct Page {
    renderer: Option<Renderer>,
    api: RenderApi,
    sender: RenderApiSender,
    document: DocumentId,
    size: DeviceIntSize,
    epoch: u32,
    frame: u64,
    context: Context,
    _gl: MutexGuard<'static, ()>,
}

enum Context {
    Swgl(swgl::Context),
    Egl(Box<egl::Egl>),
}

struct Notifier;

impl RenderNotifier for Notifier {
    fn clone(&self) -> Box<dyn RenderNotifier> {
        Box::new(Self)
    }

    fn wake_up(&self, _composite_needed: bool) {}

    fn new_frame_ready(&self, _: DocumentId, _: FramePublishId, _: &FrameReadyParams) {}
}

/// Tells that the frame of a transaction is built. If that frame never comes, the channel is closed.
struct Built(Sender<()>);

impl NotificationHandler for Built {
    fn notify(&self, when: Checkpoint) {
        if when == Checkpoint::FrameBuilt {
            // After the timeout the receiver is gone.
            let _ = self.0.send(());
        }
    }
}

impl Page {
    /// A page of `size` device pixels whose external images come from `handler`.
    pub fn new(
        gl: PageGl,
        size: (u32, u32),
        handler: Box<dyn ExternalImageHandler>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        Self::with_loader(gl, size, |_| handler)
    }

    /// A page whose handler is made with the functions of its GL, by name. (swgl has none.)
    pub fn with_loader(
        gl: PageGl,
        size: (u32, u32),
        handler: impl FnOnce(&mut dyn FnMut(&str) -> *const std::ffi::c_void) -> Box<dyn ExternalImageHandler>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let guard = GL.lock();
        let size = DeviceIntSize::new(size.0 as i32, size.1 as i32);
        let (context, functions): (Context, Rc<dyn gleam::gl::Gl>) = match gl {
            PageGl::Swgl => {
                let context = swgl::Context::create();
                context.make_current();
                context.init_default_framebuffer(0, 0, size.width, size.height, 0, std::ptr::null_mut());
                (Context::Swgl(context), Rc::new(context))
            }
            PageGl::Egl => {
                let (context, functions) = egl::Egl::new(size)?;
                (Context::Egl(Box::new(context)), functions)
            }
        };
        let options = WebRenderOptions {
            clear_caches_with_quads: gl == PageGl::Egl,
            enable_debugger: false,
            clear_color: ColorF::new(0.0, 0.0, 0.0, 1.0),
            ..Default::default()
        };
        let (mut renderer, sender) =
            webrender::create_webrender_instance(functions, Box::new(Notifier), options, None)
                .map_err(|error| format!("WebRender does not start: {error:?}"))?;
        renderer.set_external_image_handler(handler(&mut |name| match &context {
            Context::Swgl(_) => std::ptr::null(),
            Context::Egl(egl) => egl.get_proc_address(name),
        }));
        let api = sender.create_api();
        let document = api.add_document(size);
        let renderer = Some(renderer);
        let mut page =
            Self { renderer, api, sender, document, size, epoch: 0, frame: 0, context, _gl: guard };
        page.set_scene(&[]);
        Ok(page)
    }

    pub fn new_key(&self) -> ImageKey {
        self.api.generate_image_key()
    }

    /// Another `RenderApi` of the same instance, for a sink.
    pub fn new_api(&self) -> RenderApi {
        self.sender.create_api()
    }

    pub fn document(&self) -> DocumentId {
        self.document
    }

    /// Replaces what is on the page. Later items are painted over earlier ones.
    pub fn set_scene(&mut self, items: &[Item]) {
        let pipeline = PipelineId(0, 0);
        let mut builder = DisplayListBuilder::new(pipeline);
        builder.begin();
        let space = SpaceAndClipInfo::root_scroll(pipeline);
        for item in items {
            let (Item::Rect(bounds, _) | Item::Image(bounds, _) | Item::PlainImage(bounds, _)) = item;
            let mut common = CommonItemProperties::new(*bounds, space);
            match *item {
                Item::Rect(bounds, color) => builder.push_rect(&common, bounds, color),
                Item::Image(bounds, key) | Item::PlainImage(bounds, key) => {
                    if matches!(item, Item::Image(..)) {
                        common.flags |= PrimitiveFlags::PREFER_COMPOSITOR_SURFACE;
                    }
                    let (rendering, alpha) = (ImageRendering::Pixelated, AlphaType::PremultipliedAlpha);
                    builder.push_image(&common, bounds, rendering, alpha, key, ColorF::WHITE);
                }
            }
        }
        let mut transaction = Transaction::new();
        self.epoch += 1;
        transaction.set_display_list(Epoch(self.epoch), builder.end());
        transaction.set_root_pipeline(pipeline);
        self.api.send_transaction(self.document, transaction);
    }

    /// Builds a frame and waits until it is ready, without rendering it.
    pub fn build(&mut self) {
        let mut transaction = Transaction::new();
        self.frame += 1;
        transaction.generate_frame(self.frame, true, false, RenderReasons::TESTING);
        transaction.invalidate_rendered_frame(RenderReasons::TESTING);
        // Waits for this very frame, because frames that a sink asked for may be ready at any time.
        let (built, frame) = channel();
        transaction.notify(NotificationRequest::new(Checkpoint::FrameBuilt, Box::new(Built(built))));
        self.api.send_transaction(self.document, transaction);
        self.api.flush_scene_builder();
        frame.recv_timeout(FRAME_TIMEOUT).expect("WebRender builds frames");
    }

    /// Renders whatever is built.
    pub fn draw(&mut self) {
        let size = self.size;
        match &self.context {
            Context::Swgl(context) => context.make_current(),
            Context::Egl(egl) => egl.make_current(),
        }
        let renderer = self.renderer.as_mut().expect("taken on drop only");
        renderer.update();
        renderer.render(size, 0).expect("WebRender renders");
    }

    /// Waits until GL has drawn what was rendered.
    pub fn finish(&self) {
        if let Context::Egl(egl) = &self.context {
            egl.finish();
        }
    }

    /// Builds a frame of everything sent so far and renders it.
    pub fn render(&mut self) {
        self.build();
        self.draw();
    }

    /// The page as RGBA, top row first.
    pub fn pixels(&mut self) -> Vec<u8> {
        let rect = FramebufferIntRect::from_origin_and_size(
            FramebufferIntPoint::zero(),
            FramebufferIntSize::new(self.size.width, self.size.height),
        );
        let renderer = self.renderer.as_mut().expect("taken on drop only");
        let bytes = renderer.read_pixels_rgba8(rect);
        bytes.chunks_exact(self.size.width as usize * 4).rev().flatten().copied().collect()
    }

    /// The pixels of a part of the page, row after row from the top.
    pub fn region(&mut self, region: DeviceIntRect) -> Vec<u8> {
        let width = self.size.width as usize;
        let pixels = self.pixels();
        crop(&pixels, width, region)
    }
}

/// A part of an RGBA picture.
pub fn crop(pixels: &[u8], width: usize, region: DeviceIntRect) -> Vec<u8> {
    let columns = region.min.x as usize * 4..region.max.x as usize * 4;
    let rows = pixels.chunks_exact(width * 4).take(region.max.y as usize).skip(region.min.y as usize);
    rows.flat_map(|row| &row[columns.clone()]).copied().collect()
}

pub fn region(x: i32, y: i32, width: i32, height: i32) -> DeviceIntRect {
    DeviceIntRect::from_origin_and_size(DeviceIntPoint::new(x, y), DeviceIntSize::new(width, height))
}

impl Drop for Page {
    fn drop(&mut self) {
        self.api.shut_down(true);
        if let Some(renderer) = self.renderer.take() {
            renderer.deinit();
        }
        match &self.context {
            Context::Swgl(context) => context.destroy(),
            Context::Egl(_) => {}
        }
    }
}

mod egl {
    //! GL without a window.

    use std::cell::RefCell;
    use std::rc::Rc;

    use euclid::default::Size2D;
    use gleam::gl::{Gl, GlFns};
    use surfman::mesa_surfaceless::connection::Connection;
    use surfman::mesa_surfaceless::context::Context;
    use surfman::mesa_surfaceless::device::Device;
    use surfman::{ContextAttributeFlags, ContextAttributes, GLVersion, SurfaceAccess, SurfaceType};
    use webrender_api::units::DeviceIntSize;

    pub struct Egl {
        device: Device,
        context: RefCell<Context>,
        framebuffer: u32,
        gl: Rc<dyn Gl>,
    }

    impl Egl {
        pub fn new(size: DeviceIntSize) -> Result<(Self, Rc<dyn Gl>), Box<dyn std::error::Error>> {
            let failed = |error: surfman::Error| format!("no GL without a window: {error:?}");
            let connection = Connection::new().map_err(failed)?;
            let adapter = connection.create_software_adapter().map_err(failed)?;
            let device = connection.create_device(&adapter).map_err(failed)?;
            let attributes = ContextAttributes {
                version: GLVersion::new(3, 3),
                flags: ContextAttributeFlags::ALPHA
                    | ContextAttributeFlags::DEPTH
                    | ContextAttributeFlags::STENCIL,
            };
            let descriptor = device.create_context_descriptor(&attributes).map_err(failed)?;
            let mut context = device.create_context(&descriptor, None).map_err(failed)?;
            let size = Size2D::new(size.width, size.height);
            let surface = device
                .create_surface(&context, SurfaceAccess::GPUOnly, SurfaceType::Generic { size })
                .map_err(failed)?;
            device.bind_surface_to_context(&mut context, surface).map_err(|(error, _)| failed(error))?;
            device.make_context_current(&context).map_err(failed)?;
            // SAFETY: the context is current, and lives as long as its functions are used.
            let gl = unsafe { GlFns::load_with(|name| device.get_proc_address(&context, name)) };
            let info = device.context_surface_info(&context).map_err(failed)?;
            let framebuffer =
                info.and_then(|info| info.framebuffer_object).map_or(0, |framebuffer| framebuffer.0.get());
            let egl = Self { device, context: RefCell::new(context), framebuffer, gl: gl.clone() };
            egl.make_current();
            Ok((egl, gl))
        }

        pub fn get_proc_address(&self, name: &str) -> *const std::ffi::c_void {
            self.device.get_proc_address(&self.context.borrow(), name)
        }

        pub fn finish(&self) {
            self.gl.finish();
        }

        pub fn make_current(&self) {
            self.device.make_context_current(&self.context.borrow()).expect("the context lives");
            self.gl.bind_framebuffer(gleam::gl::FRAMEBUFFER, self.framebuffer);
        }
    }

    impl Drop for Egl {
        fn drop(&mut self) {
            let context = self.context.get_mut();
            if let Ok(Some(mut surface)) = self.device.unbind_surface_from_context(context) {
                let _ = self.device.destroy_surface(context, &mut surface);
            }
            let _ = self.device.destroy_context(context);
        }
    }
}
