//! What each side must be able to do.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use euclid::default::Size2D;
use webgpu_presentation::AlphaMode;
use wgpu_types::{Color, TextureFormat};

use crate::raw::PATIENCE;

pub const FORMAT: TextureFormat = TextureFormat::Bgra8Unorm;

/// Of every texture: premultiplied, and not opaque, so that an opaque canvas takes the long way.
pub const COLOUR: Color = Color { r: 0.4, g: 0.2, b: 0.0, a: 0.4 };

/// What `COLOUR` is in memory.
pub fn pixel(alpha_mode: AlphaMode) -> [u8; 4] {
    match alpha_mode {
        AlphaMode::Premultiplied => [0, 51, 102, 102],
        AlphaMode::Opaque => [0, 51, 102, 255],
    }
}

/// One way to present canvases. A canvas is named by its index: the first one is 0.
pub trait Entrant: Send {
    fn name(&self) -> &'static str;

    /// A canvas that is displayed.
    fn create_canvas(&mut self, size: Size2D<u32>, alpha_mode: AlphaMode) -> usize;

    fn destroy_canvas(&mut self, canvas: usize);

    /// A fresh texture for each of these canvases, drawn by the GPU; and nothing is under way any more.
    fn draw(&mut self, frame: &[(usize, Size2D<u32>)]);

    /// Presents what was drawn, once for each mention of a canvas, and waits for the image updates. How long that took.
    fn present(&mut self, canvases: &[usize], then: Then) -> Duration;

    /// Until the caller has the bytes. How long that took.
    fn get_image(&mut self, canvas: usize, source: Source) -> Duration;

    /// Submits work on a second device, another page's, so many units of it. That page asks to be told when it is done.
    fn start_long_work(&mut self, units: u32);

    /// Waits until it is.
    fn finish_long_work(&mut self);

    /// The renderer's side. `None` if there is none.
    fn locker(&self) -> Option<Box<dyn Locker>>;
}

/// What becomes of a texture that was presented.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Destroyed by the next message, as engines do.
    Destroy,
    /// It is presented again.
    Keep,
}

/// What `get_image` reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// What was presented last.
    Shown,
    /// What was drawn last.
    Drawn,
}

/// What a renderer calls.
pub trait Locker {
    fn lock_and_unlock(&mut self, canvas: usize);

    /// Of what is locked.
    fn first_pixel(&mut self, canvas: usize) -> Option<[u8; 4]>;
}

/// An image update as it is observed.
pub struct Update {
    pub canvas: usize,
    pub epoch: u64,
}

/// The image updates of one side. Each one travels over a channel to the thread that measures.
pub struct Updates {
    receiver: Receiver<Update>,
    /// The highest epoch of each canvas.
    epochs: Vec<u64>,
}

impl Updates {
    pub fn new() -> (Sender<Update>, Self) {
        let (sender, receiver) = channel();
        (sender, Self { receiver, epochs: Vec::new() })
    }

    pub fn add_canvas(&mut self) {
        self.epochs.push(0);
    }

    pub fn wait_for(&mut self, canvas: usize, epoch: u64) {
        while self.epochs[canvas] < epoch {
            let update = receive(&self.receiver, "an image update");
            let known = &mut self.epochs[update.canvas];
            *known = update.epoch.max(*known);
        }
    }
}

pub fn receive<T>(receiver: &Receiver<T>, what: &str) -> T {
    match receiver.recv_timeout(PATIENCE) {
        Ok(message) => message,
        Err(RecvTimeoutError::Timeout) => panic!("{what} did not come within {PATIENCE:?}"),
        Err(RecvTimeoutError::Disconnected) => panic!("{what} never comes: the other side is gone"),
    }
}
