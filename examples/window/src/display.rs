//! The window: WebRender, which draws on its GL context.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use euclid::default::Size2D;
use gleam::gl::GlFns;
use surfman::{
    Connection, Context, ContextAttributeFlags, ContextAttributes, Device, GLVersion, Surface, SurfaceAccess,
    SurfaceType,
};
use webgpu_presentation::WebRenderSink;
use webrender::{RenderApi, Renderer, Transaction, WebRenderOptions};
use webrender_api::units::{
    DeviceIntPoint, DeviceIntRect, DeviceIntSize, FramebufferIntPoint, FramebufferIntRect,
    FramebufferIntSize, LayoutRect,
};
use webrender_api::{
    AlphaType, Checkpoint, ColorF, CommonItemProperties, DisplayListBuilder, DocumentId, Epoch,
    ExternalImageHandler, FramePublishId, FrameReadyParams, ImageKey, ImageRendering, NotificationHandler,
    NotificationRequest, PipelineId, PrimitiveFlags, RenderNotifier, RenderReasons, SpaceAndClipInfo,
};
use winit::dpi::PhysicalSize;
use winit::event_loop::EventLoopProxy;
use winit::raw_window_handle::{HasDisplayHandle, HasWindowHandle};
use winit::window::Window;

use crate::Wake;
use crate::error::WindowError;

const BACKDROP: ColorF = ColorF { r: 0.16, g: 0.17, b: 0.2, a: 1.0 };
const PIPELINE: PipelineId = PipelineId(0, 0);
/// Longest wait for WebRender to build a frame.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Display {
    /// `None` once it is dropped.
    renderer: Option<Renderer>,
    api: RenderApi,
    sink: Option<WebRenderSink>,
    document: DocumentId,
    size: DeviceIntSize,
    epoch: u32,
    context: Context,
    device: Device,
    /// Last field: the GL context goes before its window.
    pub window: Window,
}

impl Display {
    pub fn new(
        window: Window,
        images: Box<dyn ExternalImageHandler>,
        proxy: EventLoopProxy<Wake>,
    ) -> Result<Self, WindowError> {
        let connection = Connection::from_display_handle(window.display_handle()?)?;
        let device = connection.create_device(&connection.create_adapter()?)?;
        let attributes = ContextAttributes {
            version: GLVersion::new(3, 3),
            flags: ContextAttributeFlags::ALPHA
                | ContextAttributeFlags::DEPTH
                | ContextAttributeFlags::STENCIL,
        };
        let descriptor = device.create_context_descriptor(&attributes)?;
        let mut context = device.create_context(&descriptor, None)?;
        let size = window.inner_size().cast::<i32>();
        let native_widget = connection.create_native_widget_from_window_handle(
            window.window_handle()?,
            Size2D::new(size.width, size.height),
        )?;
        let surface_type = SurfaceType::Widget { native_widget };
        let surface = device.create_surface(&context, SurfaceAccess::GPUOnly, surface_type)?;
        bind(&device, &mut context, surface)?;
        device.make_context_current(&context)?;
        // SAFETY: the context is current here, and whenever the renderer is called; it lives as long as the renderer.
        let gl = unsafe { GlFns::load_with(|name| device.get_proc_address(&context, name)) };

        let options = WebRenderOptions {
            clear_caches_with_quads: true,
            enable_debugger: false,
            clear_color: BACKDROP,
            ..Default::default()
        };
        let (mut renderer, sender) =
            webrender::create_webrender_instance(gl, Box::new(Notifier(proxy)), options, None)
                .map_err(|error| WindowError::WebRender(format!("{error:?}")))?;
        renderer.set_external_image_handler(images);
        let api = sender.create_api();
        let size = DeviceIntSize::new(size.width, size.height);
        let document = api.add_document(size);
        let sink = Some(WebRenderSink::new(sender.create_api(), document));
        Ok(Self { renderer: Some(renderer), api, sink, document, size, epoch: 0, context, device, window })
    }

    /// Where the presenter sends its image updates. There is one presenter, which takes it.
    pub fn take_sink(&mut self) -> Option<WebRenderSink> {
        self.sink.take()
    }

    pub fn new_key(&self) -> ImageKey {
        self.api.generate_image_key()
    }

    /// Follows the window to a new size.
    pub fn resize(&mut self, size: PhysicalSize<u32>) -> Result<(), WindowError> {
        let PhysicalSize { width, height } = size.cast::<i32>();
        if width == 0 || height == 0 {
            return Ok(());
        }
        self.size = DeviceIntSize::new(width, height);
        self.with_surface(|device, context, surface| {
            device.resize_surface(context, surface, Size2D::new(width, height))
        })
    }

    /// Displays these images, the last one in front.
    pub fn set_scene(&mut self, images: &[(LayoutRect, ImageKey)]) {
        let mut builder = DisplayListBuilder::new(PIPELINE);
        builder.begin();
        for &(bounds, key) in images {
            let mut common = CommonItemProperties::new(bounds, SpaceAndClipInfo::root_scroll(PIPELINE));
            common.flags |= PrimitiveFlags::PREFER_COMPOSITOR_SURFACE;
            let (rendering, alpha) = (ImageRendering::Auto, AlphaType::PremultipliedAlpha);
            builder.push_image(&common, bounds, rendering, alpha, key, ColorF::WHITE);
        }
        let mut transaction = Transaction::new();
        self.epoch += 1;
        transaction.set_document_view(DeviceIntRect::from_origin_and_size(DeviceIntPoint::zero(), self.size));
        transaction.set_display_list(Epoch(self.epoch), builder.end());
        transaction.set_root_pipeline(PIPELINE);
        transaction.generate_frame(self.epoch.into(), true, false, RenderReasons::SCENE);
        self.api.send_transaction(self.document, transaction);
    }

    /// Waits until WebRender has built a frame of all that was sent.
    pub fn build(&mut self) -> Result<(), WindowError> {
        let (tell, built) = channel();
        let mut transaction = Transaction::new();
        transaction.generate_frame(0, true, false, RenderReasons::SNAPSHOT);
        transaction.notify(NotificationRequest::new(Checkpoint::FrameBuilt, Box::new(Built(tell))));
        self.api.send_transaction(self.document, transaction);
        self.api.flush_scene_builder();
        Ok(built.recv_timeout(PATIENCE)?)
    }

    /// Draws the newest frame that is built, and shows it in the window.
    pub fn draw(&mut self) -> Result<(), WindowError> {
        self.render()?;
        self.with_surface(|device, context, surface| device.present_surface(context, surface))
    }

    /// Draws the newest frame that is built, and returns its pixels instead of showing it: the size, and RGB from the top row on.
    pub fn screenshot(&mut self) -> Result<(DeviceIntSize, Vec<u8>), WindowError> {
        self.render()?;
        let size = FramebufferIntSize::new(self.size.width, self.size.height);
        let area = FramebufferIntRect::from_origin_and_size(FramebufferIntPoint::zero(), size);
        let rgba = self.renderer.as_mut().map(|renderer| renderer.read_pixels_rgba8(area));
        let rgba = rgba.unwrap_or_default();
        let rows = rgba.chunks_exact(size.width as usize * 4).rev();
        let pixels = rows.flat_map(|row| row.as_chunks::<4>().0).flat_map(|&[r, g, b, _]| [r, g, b]);
        Ok((self.size, pixels.collect()))
    }

    fn render(&mut self) -> Result<(), WindowError> {
        self.device.make_context_current(&self.context)?;
        let Some(renderer) = &mut self.renderer else { return Ok(()) };
        renderer.update();
        let rendered = renderer.render(self.size, 0);
        rendered.map(drop).map_err(|errors| WindowError::WebRender(format!("{errors:?}")))
    }

    /// Does something with the surface of the window, which the context lets go of meanwhile.
    fn with_surface(
        &mut self,
        act: impl FnOnce(&Device, &Context, &mut Surface) -> Result<(), surfman::Error>,
    ) -> Result<(), WindowError> {
        let Self { device, context, .. } = self;
        let Some(mut surface) = device.unbind_surface_from_context(context)? else { return Ok(()) };
        let done = act(device, context, &mut surface);
        bind(device, context, surface)?;
        Ok(done?)
    }
}

fn bind(device: &Device, context: &mut Context, surface: Surface) -> Result<(), WindowError> {
    device.bind_surface_to_context(context, surface).map_err(|(error, mut surface)| {
        // A surface must not be dropped without this.
        let _ = device.destroy_surface(context, &mut surface);
        error.into()
    })
}

impl Drop for Display {
    fn drop(&mut self) {
        self.api.shut_down(true);
        let Self { renderer, device, context, .. } = self;
        let _ = device.make_context_current(context);
        if let Some(renderer) = renderer.take() {
            renderer.deinit();
        }
        if let Ok(Some(mut surface)) = device.unbind_surface_from_context(context) {
            let _ = device.destroy_surface(context, &mut surface);
        }
        let _ = device.destroy_context(context);
    }
}

/// Wakes the event loop when WebRender has built a frame.
struct Notifier(EventLoopProxy<Wake>);

impl RenderNotifier for Notifier {
    fn clone(&self) -> Box<dyn RenderNotifier> {
        Box::new(Self(self.0.clone()))
    }

    fn wake_up(&self, _composite_needed: bool) {}

    fn new_frame_ready(&self, _: DocumentId, _: FramePublishId, _: &FrameReadyParams) {
        // The event loop may have ended.
        let _ = self.0.send_event(Wake::FrameReady);
    }
}

/// Tells that the frame of a transaction is built.
struct Built(Sender<()>);

impl NotificationHandler for Built {
    fn notify(&self, when: Checkpoint) {
        if when == Checkpoint::FrameBuilt {
            let _ = self.0.send(());
        }
    }
}
