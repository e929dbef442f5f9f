//! The program behind the window: canvases, the device that draws them, and the presenter.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use euclid::default::Point2D;
use webgpu_presentation::*;
use webrender_api::ImageKey;
use webrender_api::units::{DeviceIntSize, LayoutPoint, LayoutRect, LayoutSize};
use wgpu_types::InstanceFlags;
use winit::dpi::PhysicalSize;
use winit::event_loop::EventLoopProxy;
use winit::window::Window;

use crate::Wake;
use crate::canvas::Canvases;
use crate::display::Display;
use crate::error::WindowError;
use crate::gfx::Gfx;
use crate::gl::GlWindow;
use crate::painter::{Brush, Painter};
use crate::support::gpu::Gpu;

/// Longest wait for the last presents.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Stage {
    canvases: Canvases,
    /// Belongs to the canvas with the same index, and so do the following ones.
    brushes: Vec<Brush>,
    keys: Vec<ImageKey>,
    epochs: Vec<CanvasEpoch>,
    painter: Painter,
    map: ContextMap,
    /// Goes before the display: WebRender takes no image updates afterwards.
    presenter: Presenter,
    display: Display,
    start: Instant,
    tally: Tally,
}

/// Counts since a moment.
struct Tally {
    since: Instant,
    /// Frames that were shown in the window since then.
    frames: u32,
    /// Presents and superseded presents of all canvases until then.
    presents: [u64; 2],
}

impl Stage {
    pub fn new(window: Window, proxy: EventLoopProxy<Wake>) -> Result<Self, WindowError> {
        let gpu = Gpu::new(InstanceFlags::empty()).ok_or(WindowError::NoAdapter)?;
        let painter = Painter::new(Gfx { device: gpu.device(), global: gpu.global.clone() })?;

        // The map is first. The renderer and the presenter meet in it.
        let map = ContextMap::default();
        let images = Box::new(ExternalImages::new(&map));
        let mut display = Display::new(GlWindow::new(window)?, images, proxy.clone())?;
        let sink = display.take_sink().ok_or_else(|| WindowError::WebRender("the sink is taken".into()))?;
        let options = PresenterOptions {
            // The event loop may have ended.
            wake: Arc::new(move || drop(proxy.send_event(Wake::Maintain))),
            ..PresenterOptions::default()
        };
        // SAFETY: only the presenter names its staging buffers: the canvases have buffers of their own.
        let mut presenter = unsafe { Presenter::new(gpu.global, &map, sink, options) };

        let canvases = Canvases::new();
        let (mut brushes, mut keys) = (Vec::new(), Vec::new());
        for (index, canvas) in canvases.all.iter().enumerate() {
            let (id, key) = (id(index), display.new_key());
            let descriptor =
                ContextDescriptor { owner: OwnerId(0), size: canvas.size, buffer_ids: BufferIds::Allocated };
            presenter.create_context(id, descriptor)?;
            presenter.set_image_key(id, key)?;
            brushes.push(painter.brush()?);
            keys.push(key);
        }
        let (now, epochs) = (Instant::now(), vec![CanvasEpoch(0); keys.len()]);
        let tally = Tally { since: now, frames: 0, presents: [0; 2] };
        let mut stage =
            Self { canvases, brushes, keys, epochs, painter, map, presenter, display, start: now, tally };
        stage.lay_out();
        Ok(stage)
    }

    pub fn pointer_moved(&mut self, to: Point2D<i32>) {
        if self.canvases.pointer_moved(to) {
            self.lay_out();
        }
    }

    pub fn pressed(&mut self) {
        if self.canvases.pressed() {
            self.lay_out();
        }
    }

    pub fn released(&mut self) {
        self.canvases.released();
    }

    pub fn resized(&mut self, size: PhysicalSize<u32>) -> Result<(), WindowError> {
        self.display.window.resize(size)?;
        self.lay_out();
        Ok(())
    }

    /// Asks for a call of [`draw`](Self::draw).
    pub fn request_redraw(&self) {
        self.display.window.window.request_redraw();
    }

    /// Tells WebRender where the canvases are.
    fn lay_out(&mut self) {
        let image = |&index: &usize| {
            let canvas = &self.canvases.all[index];
            let origin = LayoutPoint::from_untyped(canvas.origin.to_f32());
            let size = LayoutSize::from_untyped(canvas.size.to_f32());
            (LayoutRect::from_origin_and_size(origin, size), self.keys[index])
        };
        let images: Vec<_> = self.canvases.order.iter().map(image).collect();
        self.display.set_scene(&images);
    }

    /// Does what script does in an animation frame: draws canvases that are animated or have changed, and presents them.
    pub fn animate(&mut self) -> Result<(), WindowError> {
        let gfx = &self.painter.gfx;
        let encoder = gfx.encoder()?;
        let time = self.start.elapsed().as_secs_f32();
        let mut drawn = Vec::new();
        for (index, canvas) in self.canvases.all.iter_mut().enumerate() {
            if std::mem::take(&mut canvas.is_stale) || canvas.is_animated {
                drawn.push((index, self.painter.draw(encoder, &self.brushes[index], canvas, time)?));
            }
        }
        gfx.submit(encoder)?;

        let mut batch = self.presenter.batch();
        for (index, texture) in drawn {
            self.epochs[index].0 += 1;
            batch.present(id(index), Contents::Texture(texture), self.epochs[index])?;
            batch.destroy_texture(texture.texture_id);
            batch.drop_texture(texture.texture_id);
        }
        batch.submit();
        Ok(())
    }

    /// Shows the newest frame of WebRender, and once a second the statistics.
    pub fn draw(&mut self) -> Result<(), WindowError> {
        self.display.draw()?;
        self.tally.frames += 1;
        if self.tally.since.elapsed() >= Duration::from_secs(1) {
            self.show_statistics()?;
        }
        Ok(())
    }

    pub fn maintain(&mut self) {
        self.presenter.maintain();
    }

    fn show_statistics(&mut self) -> Result<(), WindowError> {
        let mut presents = [0; 2];
        for index in 0..self.keys.len() {
            let Statistics { presented, superseded, .. } = self.presenter.statistics(id(index))?;
            presents[0] += presented;
            presents[1] += superseded;
        }
        let bytes: usize = self.presenter.memory_report().iter().map(|report| report.bytes).sum();
        let seconds = self.tally.since.elapsed().as_secs_f64();
        let frames = f64::from(self.tally.frames) / seconds;
        let rate = |kind: usize| (presents[kind] - self.tally.presents[kind]) as f64 / seconds;
        self.display.window.window.set_title(&format!(
            "WebGPU canvases: {frames:.0} frames, {:.0} presented, {:.0} superseded per second; {:.1} MiB",
            rate(0),
            rate(1),
            bytes as f64 / f64::from(1 << 20),
        ));
        self.tally = Tally { since: Instant::now(), frames: 0, presents };
        Ok(())
    }

    /// Waits until all that was presented is shown, and returns the window's size and RGB pixels.
    pub fn screenshot(&mut self) -> Result<(DeviceIntSize, Vec<u8>), WindowError> {
        let (tell, told) = channel();
        let presented = self.epochs.iter().enumerate().filter(|(_, epoch)| epoch.0 > 0);
        for (index, &epoch) in presented {
            let tell = tell.clone();
            self.map.when_presented(id(index), epoch, PATIENCE, move |end| drop(tell.send(end)));
        }
        drop(tell);
        // The map answers in time, even if a present does not end.
        for end in told {
            if !matches!(end, Awaited::Presented { .. }) {
                return Err(WindowError::NotPresented(end));
            }
        }
        self.display.build()?;
        self.display.screenshot()
    }
}

fn id(index: usize) -> ContextId {
    ContextId(index as u64)
}
