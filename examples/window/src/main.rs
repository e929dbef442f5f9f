//! A window with WebGPU canvases: drag them, drag their lower right corners, click them, resize the window. Escape closes it.
//!
//! Everything runs on the thread of the event loop, except what the crate does on threads of its own. The exit status is 0; 1 if
//! something failed; or 2 if there is no display or no Vulkan adapter.
//!
//! - `canvas`: the canvases, and what the pointer does with them;
//! - `painter`: draws them with wgpu-core;
//! - `gl`: the window and its GL context;
//! - `display`: WebRender, which draws there;
//! - `stage`: presents the canvases and displays them.

mod canvas;
mod display;
mod error;
#[path = "../../../demo/src/gfx.rs"]
#[allow(dead_code, reason = "the demo needs more of this file")]
mod gfx;
mod gl;
mod painter;
mod stage;
mod support;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use euclid::default::Point2D;
use webrender_api::units::DeviceIntSize;
use winit::application::ApplicationHandler;
use winit::dpi::PhysicalSize;
use winit::event::{ElementState, MouseButton, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop, EventLoopProxy};
use winit::keyboard::{Key, NamedKey};
use winit::window::{Window, WindowId};

use crate::error::WindowError;
use crate::stage::Stage;

/// Time between two animation frames.
const FRAME: Duration = Duration::from_micros(16_667);

/// Shows WebGPU canvases in a window.
#[derive(Parser)]
#[command(name = "window")]
struct Options {
    /// Close the window after this many animation frames
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    frames: Option<u64>,

    /// Write what the window shows in the end, as PNG
    #[arg(long, value_name = "FILE")]
    screenshot: Option<PathBuf>,
}

/// What other threads ask of the event loop.
#[derive(Debug)]
enum Wake {
    /// WebRender has built a frame.
    FrameReady,
    /// Sent by `PresenterOptions::wake`.
    Maintain,
}

struct App {
    options: Options,
    proxy: EventLoopProxy<Wake>,
    /// `None` until the event loop runs.
    stage: Option<Stage>,
    /// When the next animation frame is due, and how many there were.
    next: Instant,
    frames: u64,
    end: Result<(), WindowError>,
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if error.is_missing() { 2 } else { 1 })
        }
    }
}

fn run(options: Options) -> Result<(), WindowError> {
    let event_loop = EventLoop::with_user_event().build()?;
    let proxy = event_loop.create_proxy();
    let mut app = App { options, proxy, stage: None, next: Instant::now(), frames: 0, end: Ok(()) };
    event_loop.run_app(&mut app)?;
    app.end
}

impl ApplicationHandler<Wake> for App {
    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        if self.stage.is_none() {
            let attributes = Window::default_attributes()
                .with_title("WebGPU canvases")
                .with_inner_size(PhysicalSize::new(800, 600));
            let window = event_loop.create_window(attributes).map_err(WindowError::from);
            match window.and_then(|window| Stage::new(window, self.proxy.clone())) {
                Ok(stage) => self.stage = Some(stage),
                Err(error) => self.close(event_loop, Err(error)),
            }
        }
    }

    fn user_event(&mut self, _: &ActiveEventLoop, wake: Wake) {
        if let Some(stage) = &mut self.stage {
            match wake {
                Wake::FrameReady => stage.request_redraw(),
                Wake::Maintain => stage.maintain(),
            }
        }
    }

    fn window_event(&mut self, event_loop: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        let Some(stage) = &mut self.stage else { return };
        match event {
            WindowEvent::CloseRequested => self.finish(event_loop),
            WindowEvent::KeyboardInput { event, .. }
                if event.state.is_pressed() && event.logical_key == Key::Named(NamedKey::Escape) =>
            {
                self.finish(event_loop);
            }
            WindowEvent::CursorMoved { position, .. } => {
                stage.pointer_moved(Point2D::new(position.x, position.y).to_i32());
            }
            WindowEvent::MouseInput { state: ElementState::Pressed, button: MouseButton::Left, .. } => {
                stage.pressed();
            }
            WindowEvent::MouseInput { state: ElementState::Released, button: MouseButton::Left, .. } => {
                stage.released();
            }
            WindowEvent::Resized(size) => {
                let resized = stage.resized(size);
                self.check(event_loop, resized);
            }
            WindowEvent::RedrawRequested => {
                let drawn = stage.draw();
                self.check(event_loop, drawn);
            }
            _ => {}
        }
    }

    fn about_to_wait(&mut self, event_loop: &ActiveEventLoop) {
        let Some(stage) = &mut self.stage else { return };
        let now = Instant::now();
        if now >= self.next {
            if Some(self.frames) == self.options.frames {
                return self.finish(event_loop);
            }
            self.frames += 1;
            self.next += FRAME;
            if self.next < now {
                // Frames that were missed are not made up for.
                self.next = now + FRAME;
            }
            let animated = stage.animate();
            self.check(event_loop, animated);
        }
        event_loop.set_control_flow(ControlFlow::WaitUntil(self.next));
    }
}

impl App {
    /// Takes the screenshot and closes the window.
    fn finish(&mut self, event_loop: &ActiveEventLoop) {
        let end = match (&mut self.stage, &self.options.screenshot) {
            (Some(stage), Some(path)) => stage.screenshot().and_then(|picture| write(path, picture)),
            _ => Ok(()),
        };
        self.close(event_loop, end);
    }

    fn check(&mut self, event_loop: &ActiveEventLoop, done: Result<(), WindowError>) {
        if done.is_err() {
            self.close(event_loop, done);
        }
    }

    fn close(&mut self, event_loop: &ActiveEventLoop, end: Result<(), WindowError>) {
        self.stage = None;
        self.end = end;
        event_loop.exit();
    }
}

fn write(path: &Path, (size, rgb): (DeviceIntSize, Vec<u8>)) -> Result<(), WindowError> {
    let file = std::fs::File::create(path)?;
    let mut encoder = png::Encoder::new(file, size.width as u32, size.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&rgb)?;
    Ok(())
}
