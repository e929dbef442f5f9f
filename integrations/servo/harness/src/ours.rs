//! This crate, driven by the messages of an engine (`engine.rs`), with a compositor that observes image updates.

mod compositor;
mod presenting;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use euclid::default::Size2D;
use webgpu_presentation::{
    AlphaMode, ContextMap, PendingTexture, PresentEnd, PresentError, PresentOutcome, Presenter,
    PresenterOptions,
};

use crate::common::set_up;
use crate::engine::{self, Request};
use crate::entrant::{Updates, receive};
use crate::long_work::BusyDevice;
use crate::raw::{Core, Device};

use self::compositor::{Generations, Sink};

/// The name of the side that [`Ours::spinning`] creates.
pub const SPINNING: &str = "ours, spinning";

pub struct Ours {
    name: &'static str,
    core: Core,
    device: Device,
    busy: Option<BusyDevice>,
    long_work: Option<Receiver<()>>,
    requests: Sender<Request>,
    thread: Option<JoinHandle<()>>,
    map: ContextMap,
    updates: Updates,
    generations: Generations,
    /// The first present that failed.
    failure: Arc<OnceLock<PresentError>>,
    canvases: Vec<Canvas>,
    epoch: u64,
}

struct Canvas {
    alpha_mode: AlphaMode,
    drawn: Option<PendingTexture>,
}

impl Ours {
    pub fn new() -> Self {
        Self::with(PresenterOptions::default(), "ours")
    }

    /// Creates the side with a WebGPU thread that waits up to 100 µs for small canvases.
    pub fn spinning() -> Self {
        let spin = Duration::from_micros(100);
        Self::with(PresenterOptions { spin, ..Default::default() }, SPINNING)
    }

    fn with(options: PresenterOptions, name: &'static str) -> Self {
        let core = set_up();
        let device = core.device();
        let map = ContextMap::default();
        let (sender, updates) = Updates::new();
        let generations = Generations::new();
        let sink = Arc::new(Sink { updates: sender, generations: generations.clone() });
        let failure = Arc::<OnceLock<_>>::default();
        let failed = failure.clone();
        let on_outcome = Arc::new(move |outcome: PresentOutcome| {
            if let PresentEnd::Failed(error) = outcome.end {
                // Only the first failure is kept.
                let _ = failed.set(error);
            }
        });
        let options = PresenterOptions { on_outcome, ..options };
        let (requests, thread) = engine::start(core.global.clone(), &map, sink, options);
        Self {
            name,
            core,
            device,
            busy: None,
            long_work: None,
            requests,
            thread: Some(thread),
            map,
            updates,
            generations,
            failure,
            canvases: Vec::new(),
            epoch: 0,
        }
    }

    fn send(&self, request: Request) {
        self.requests.send(request).expect("the WebGPU thread runs");
    }

    /// Runs `request` on the WebGPU thread, and returns what it sends.
    fn ask<T: Send + 'static>(
        &self,
        what: &str,
        request: impl FnOnce(&mut Presenter, Sender<T>) + Send + 'static,
    ) -> T {
        let (sender, receiver) = channel();
        self.send(Request::Other(Box::new(move |presenter| request(presenter, sender))));
        receive(&receiver, what)
    }

    fn drawn(&self, canvas: usize) -> PendingTexture {
        self.canvases[canvas].drawn.expect("it was drawn")
    }

    /// Destroys what was drawn, unless a present has done so.
    fn drop_texture(&mut self, canvas: usize) {
        if let Some(texture) = self.canvases[canvas].drawn.take() {
            self.send(Request::DestroyTexture(texture.texture_id));
            self.send(Request::DropTexture(texture.texture_id));
        }
    }

    /// Destroys textures of the device that does long work, and returns how long each takes.
    pub fn destroy_busy_textures(&mut self, count: usize) -> Vec<Duration> {
        let busy = self.busy();
        self.ask("the destruction of textures", move |presenter, sender| {
            let destroy = |_| {
                let texture = busy.device.texture(Size2D::new(256, 256));
                let start = Instant::now();
                let mut batch = presenter.batch();
                batch.destroy_texture(texture);
                batch.drop_texture(texture);
                batch.submit();
                start.elapsed()
            };
            let _ = sender.send((0..count).map(destroy).collect());
        })
    }

    fn busy(&mut self) -> BusyDevice {
        self.busy.get_or_insert_with(|| BusyDevice::new(&self.core)).clone()
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        // The thread may be gone already, if this is a panic.
        let _ = self.requests.send(Request::Exit);
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, its message is printed already.
            let _ = thread.join();
        }
    }
}
