//! Direct frames: a thread that runs a presenter, which makes the canvases' textures.
//!
//! A message of Servo's that creates a texture does not name its canvas, so Servo's thread has no direct frames, in neither variant. This
//! side has a thread and a channel as Servo has, and gathers batches as the adapter does, but its messages are its own, and
//! fewer: one creates a texture, one draws, one presents, one destroys.

mod engine;

use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use euclid::default::Size2D;
use webgpu_presentation::{
    CanvasEpoch, ContextId, ContextMap, ExternalImages, GetImageError, ImageSink, Snapshot, Statistics,
};
use webrender_api::{ExternalImageData, ExternalImageSource, ImageDescriptor, ImageKey};
use wgpu_core::SubmissionIndex;

use crate::common::{rest, set_up};
use crate::entrant::{AlphaMode, Entrant, Locker, Source, Then, Update, Updates, pixel, receive};
use crate::long_work::BusyDevice;
use crate::raw::Core;
use crate::servo::Channels;

use self::engine::Engine;

pub const NAME: &str = "direct";

/// What the thread is asked to do. Canvases are named by their index. Requests without an answer are not waited for.
enum Request {
    CreateCanvas(usize, Size2D<u32>, AlphaMode),
    DestroyCanvas(usize),
    /// Creates the texture that the canvas is drawn in next.
    CreateTexture(usize, Size2D<u32>),
    /// Clears the textures of these canvases, in one submission.
    Draw(Vec<usize>),
    Present(usize, CanvasEpoch),
    /// Destroys and drops the texture of a canvas, if there is one.
    DestroyTexture(usize),
    GetImage(usize, Source, Sender<Result<Snapshot, GetImageError>>),
    /// Answers once the GPU has done everything.
    CatchUp(Sender<()>),
    Statistics(usize, Sender<Statistics>),
    /// Answers with the bytes that all canvases hold.
    Memory(Sender<usize>),
}

pub struct Direct {
    core: Core,
    busy: Option<BusyDevice>,
    long_work: Option<SubmissionIndex>,
    /// The thread ends when this channel is closed.
    requests: Sender<Request>,
    map: ContextMap,
    channels: Channels,
    updates: Updates,
    alpha_modes: Vec<AlphaMode>,
    epoch: u64,
}

impl Direct {
    pub fn new() -> Self {
        let core = set_up();
        let (map, channels) = (ContextMap::default(), Channels::new());
        let (sender, updates) = Updates::new();
        let sink = Sink { updates: sender, channels: channels.clone() };
        let (requests, requested) = channel();
        let engine = Engine::new(&core, &map, sink);
        thread::Builder::new()
            .name("WebGPU".into())
            .spawn(move || engine.run(&requested))
            .expect("a thread can be started");
        let alpha_modes = Vec::new();
        Self { core, busy: None, long_work: None, requests, map, channels, updates, alpha_modes, epoch: 0 }
    }

    fn send(&self, request: Request) {
        self.requests.send(request).expect("the WebGPU thread runs");
    }

    fn ask<T>(&self, request: impl FnOnce(Sender<T>) -> Request) -> T {
        let (sender, receiver) = channel();
        self.send(request(sender));
        receive(&receiver, "an answer of the WebGPU thread")
    }

    /// Makes a frame of a canvas without waiting for anything, and returns its epoch.
    pub fn send_frame(&mut self, canvas: usize, size: Size2D<u32>) -> u64 {
        self.send(Request::CreateTexture(canvas, size));
        self.send(Request::Draw(vec![canvas]));
        self.send_present(canvas, Then::Destroy)
    }

    fn send_present(&mut self, canvas: usize, then: Then) -> u64 {
        self.epoch += 1;
        self.send(Request::Present(canvas, CanvasEpoch(self.epoch)));
        if then == Then::Destroy {
            self.send(Request::DestroyTexture(canvas));
        }
        self.epoch
    }

    pub fn wait_for(&mut self, canvas: usize, epoch: u64) {
        self.updates.wait_for(canvas, epoch);
    }

    /// Returns the bytes that all canvases hold.
    pub fn memory(&self) -> usize {
        self.ask(Request::Memory)
    }

    pub fn statistics(&self, canvas: usize) -> Statistics {
        self.ask(|sender| Request::Statistics(canvas, sender))
    }

    fn busy(&mut self) -> &BusyDevice {
        self.busy.get_or_insert_with(|| BusyDevice::new(&self.core))
    }
}

impl Entrant for Direct {
    fn name(&self) -> &'static str {
        NAME
    }

    fn create_canvas(&mut self, size: Size2D<u32>, alpha_mode: AlphaMode) -> usize {
        let canvas = self.alpha_modes.len();
        self.alpha_modes.push(alpha_mode);
        self.updates.add_canvas();
        self.send(Request::CreateCanvas(canvas, size, alpha_mode));
        canvas
    }

    fn destroy_canvas(&mut self, canvas: usize) {
        self.send(Request::DestroyTexture(canvas));
        self.send(Request::DestroyCanvas(canvas));
        self.ask(Request::CatchUp);
    }

    fn draw(&mut self, frame: &[(usize, Size2D<u32>)]) {
        for (canvas, size) in frame {
            self.send(Request::DestroyTexture(*canvas));
            self.send(Request::CreateTexture(*canvas, *size));
        }
        self.send(Request::Draw(frame.iter().map(|(canvas, _)| *canvas).collect()));
        self.ask(Request::CatchUp);
        rest();
    }

    fn present(&mut self, canvases: &[usize], then: Then) -> Duration {
        let start = Instant::now();
        let epochs: Vec<_> = canvases.iter().map(|canvas| self.send_present(*canvas, then)).collect();
        for (canvas, epoch) in canvases.iter().zip(epochs) {
            self.updates.wait_for(*canvas, epoch);
        }
        start.elapsed()
    }

    fn script_frame(&mut self, frame: &[(usize, Size2D<u32>)], drawn: bool) -> Duration {
        let start = Instant::now();
        for (canvas, size) in frame {
            self.send(Request::CreateTexture(*canvas, *size));
            if drawn {
                self.send(Request::Draw(vec![*canvas]));
            }
        }
        let epochs: Vec<_> =
            frame.iter().map(|(canvas, _)| self.send_present(*canvas, Then::Destroy)).collect();
        for ((canvas, _), epoch) in frame.iter().zip(epochs) {
            self.updates.wait_for(*canvas, epoch);
        }
        start.elapsed()
    }

    fn get_image(&mut self, canvas: usize, source: Source) -> Duration {
        let start = Instant::now();
        let image = self.ask(|sender| Request::GetImage(canvas, source, sender)).expect("there is an image");
        let bytes = image.to_vec().expect("there is memory for a copy");
        let time = start.elapsed();
        assert_eq!(bytes.first_chunk(), Some(&pixel(self.alpha_modes[canvas])), "it is what was drawn");
        time
    }

    fn start_long_work(&mut self, units: u32) {
        self.long_work = Some(self.busy().submit(units));
    }

    fn finish_long_work(&mut self) {
        let submission = self.long_work.take().expect("it was started");
        self.busy().device.wait(submission);
    }

    fn locker(&self) -> Option<Box<dyn Locker>> {
        Some(Box::new(Renderer { images: ExternalImages::new(&self.map), channels: self.channels.clone() }))
    }

    fn check(&self) {
        for canvas in 0..self.alpha_modes.len() {
            let Statistics { copied, direct, readback, .. } = self.statistics(canvas);
            assert_eq!(copied, 0, "{direct} frames of canvas {canvas} are direct, others not: {readback:?}");
        }
    }
}

/// Passes image updates on, as the compositor that Servo's thread is given does.
struct Sink {
    updates: Sender<Update>,
    channels: Channels,
}

impl ImageSink for Sink {
    fn add_image(&mut self, key: ImageKey, _: ImageDescriptor, data: ExternalImageData) {
        self.channels.set(key.1 as usize, data.channel_index);
    }

    fn update_image(
        &mut self,
        key: ImageKey,
        descriptor: ImageDescriptor,
        data: ExternalImageData,
        epoch: CanvasEpoch,
    ) {
        let (canvas, channel_index) = (key.1 as usize, data.channel_index);
        self.channels.set(canvas, channel_index);
        // The receiver is gone once the case is over.
        let _ = self.updates.send(Update { canvas, epoch: epoch.0, descriptor, channel_index });
    }

    fn delete_image(&mut self, _: ImageKey) {}
}

/// A renderer that locks what image updates announced last.
struct Renderer {
    images: ExternalImages,
    channels: Channels,
}

impl Renderer {
    fn read<T>(&mut self, canvas: usize, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let (id, generation) = (context(canvas).into(), Some(self.channels.get(canvas)));
        let read = match self.images.lock(id, generation) {
            ExternalImageSource::RawData(bytes) => Some(read(bytes)),
            _ => None,
        };
        self.images.unlock(id, generation);
        read
    }
}

impl Locker for Renderer {
    fn lock_and_unlock(&mut self, canvas: usize) {
        let len = self.read(canvas, <[u8]>::len);
        std::hint::black_box(len).expect("it can be locked");
    }

    fn first_pixel(&mut self, canvas: usize) -> Option<[u8; 4]> {
        self.read(canvas, |bytes| bytes.first_chunk().copied()).flatten()
    }
}

fn context(canvas: usize) -> ContextId {
    ContextId(canvas as u64)
}
