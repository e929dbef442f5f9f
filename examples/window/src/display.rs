//! What the window shows: WebRender, and the display list.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

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
use winit::event_loop::EventLoopProxy;

use crate::Wake;
use crate::error::WindowError;
use crate::gl::GlWindow;

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
    epoch: u32,
    /// Last field: the renderer goes before its GL context.
    pub window: GlWindow,
}

impl Display {
    /// Lets WebRender draw in a window, with external images from `images`.
    pub fn new(
        window: GlWindow,
        images: Box<dyn ExternalImageHandler>,
        proxy: EventLoopProxy<Wake>,
    ) -> Result<Self, WindowError> {
        let options = WebRenderOptions {
            clear_caches_with_quads: true,
            enable_debugger: false,
            clear_color: BACKDROP,
            ..Default::default()
        };
        let notifier = Box::new(Notifier(proxy));
        let (mut renderer, sender) =
            webrender::create_webrender_instance(window.functions()?, notifier, options, None)
                .map_err(|error| WindowError::WebRender(format!("{error:?}")))?;
        renderer.set_external_image_handler(images);
        let api = sender.create_api();
        let document = api.add_document(window.size());
        let sink = Some(WebRenderSink::new(sender.create_api(), document));
        Ok(Self { renderer: Some(renderer), api, sink, document, epoch: 0, window })
    }

    /// Where the presenter sends its image updates. There is one presenter, which takes it.
    pub fn take_sink(&mut self) -> Option<WebRenderSink> {
        self.sink.take()
    }

    pub fn new_key(&self) -> ImageKey {
        self.api.generate_image_key()
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
        transaction.set_document_view(DeviceIntRect::from_origin_and_size(
            DeviceIntPoint::zero(),
            self.window.size(),
        ));
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
        self.window.present()
    }

    /// Draws the newest frame that is built, and returns its size and pixels instead of showing it: RGB, from the top row on.
    pub fn screenshot(&mut self) -> Result<(DeviceIntSize, Vec<u8>), WindowError> {
        self.render()?;
        let size = self.window.size();
        let area = FramebufferIntRect::from_origin_and_size(
            FramebufferIntPoint::zero(),
            FramebufferIntSize::new(size.width, size.height),
        );
        let rgba =
            self.renderer.as_mut().map(|renderer| renderer.read_pixels_rgba8(area)).unwrap_or_default();
        let rows = rgba.chunks_exact(size.width as usize * 4).rev();
        let pixels = rows.flat_map(|row| row.as_chunks::<4>().0).flat_map(|&[r, g, b, _]| [r, g, b]);
        Ok((size, pixels.collect()))
    }

    fn render(&mut self) -> Result<(), WindowError> {
        self.window.make_current()?;
        let Some(renderer) = &mut self.renderer else { return Ok(()) };
        renderer.update();
        let rendered = renderer.render(self.window.size(), 0);
        rendered.map(drop).map_err(|errors| WindowError::WebRender(format!("{errors:?}")))
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.api.shut_down(true);
        if let Some(renderer) = self.renderer.take()
            && self.window.make_current().is_ok()
        {
            renderer.deinit();
        }
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
