//! What each side of a comparison must be able to do, and what all sides are given: a format, a color, and a channel for image
//! updates.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use euclid::default::Size2D;
use webrender_api::ImageDescriptor;
use wgpu_types::{Color, TextureFormat};

/// How long anything is waited for, before it is called lost.
pub const PATIENCE: Duration = Duration::from_secs(8);

pub const FORMAT: TextureFormat = TextureFormat::Bgra8Unorm;

/// What every texture is cleared to. It is premultiplied and translucent, so that the frames of opaque canvases have to be changed.
pub const COLOR: Color = Color { r: 0.4, g: 0.2, b: 0.0, a: 0.4 };

/// How a canvas treats its alpha channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlphaMode {
    Opaque,
    Premultiplied,
}

/// Returns the bytes of a pixel of `COLOR`, as `get_image` has to return it.
pub fn pixel(alpha_mode: AlphaMode) -> [u8; 4] {
    match alpha_mode {
        AlphaMode::Premultiplied => [0, 51, 102, 102],
        AlphaMode::Opaque => [0, 51, 102, 255],
    }
}

/// One way to present canvases. Canvases are named by their index, from 0.
pub trait Entrant: Send {
    fn name(&self) -> &'static str;

    /// Creates a canvas that is displayed.
    fn create_canvas(&mut self, size: Size2D<u32>, alpha_mode: AlphaMode) -> usize;

    fn destroy_canvas(&mut self, canvas: usize);

    /// Draws a fresh texture for each of these canvases, and returns when the GPU has done it and nothing else is in flight.
    fn draw(&mut self, frame: &[(usize, Size2D<u32>)]);

    /// Presents what was drawn, once for each mention of a canvas, waits for the image updates, and returns how long that took.
    fn present(&mut self, canvases: &[usize], then: Then) -> Duration;

    /// Makes a frame as script does, and returns how long it took until the image updates were there. A texture is made for each
    /// canvas, and drawn if `drawn` says so; then each of them is presented, destroyed and dropped; all without waiting in between.
    fn script_frame(&mut self, frame: &[(usize, Size2D<u32>)], drawn: bool) -> Duration;

    /// Reads an image, and returns how long it took until the caller had the bytes.
    fn get_image(&mut self, canvas: usize, source: Source) -> Duration;

    /// Submits so many units of work on a second device, which stands for another page. That page asks to be told of their end.
    fn start_long_work(&mut self, units: u32);

    /// Waits until the long work is done.
    fn finish_long_work(&mut self);

    /// Returns what a renderer calls, or `None` if the side has no renderer.
    fn locker(&self) -> Option<Box<dyn Locker>>;

    /// Makes sure that presents were of the kind that the side stands for.
    fn check(&self) {}
}

/// What becomes of a texture that was presented.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It is destroyed by the next message, as engines do.
    Destroy,
    /// It stays, to be presented again.
    Keep,
}

/// What `get_image` reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Reads what was presented last.
    Shown,
    /// Reads the texture that was drawn last.
    Drawn,
}

/// What a renderer calls.
pub trait Locker {
    fn lock_and_unlock(&mut self, canvas: usize);

    /// Locks a canvas and returns its first pixel.
    fn first_pixel(&mut self, canvas: usize) -> Option<[u8; 4]>;
}

/// An image update, as the compositor of a side observes it.
pub struct Update {
    pub canvas: usize,
    pub epoch: u64,
    pub descriptor: ImageDescriptor,
    /// The generation that the renderer locks.
    pub channel_index: u8,
}

/// The image updates of one side. Each of them travels over a channel to the thread that measures.
pub struct Updates {
    receiver: Receiver<Update>,
    /// The highest epoch of each canvas so far.
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
            self.next();
        }
    }

    /// Waits for the next update.
    pub fn next(&mut self) -> Update {
        let update = receive(&self.receiver, "an image update");
        self.note(update)
    }

    /// Returns an update that is there already.
    pub fn take(&mut self) -> Option<Update> {
        self.receiver.try_recv().ok().map(|update| self.note(update))
    }

    fn note(&mut self, update: Update) -> Update {
        let known = &mut self.epochs[update.canvas];
        *known = update.epoch.max(*known);
        update
    }
}

pub fn receive<T>(receiver: &Receiver<T>, what: &str) -> T {
    match receiver.recv_timeout(PATIENCE) {
        Ok(message) => message,
        Err(RecvTimeoutError::Timeout) => panic!("{what} did not come within {PATIENCE:?}"),
        Err(RecvTimeoutError::Disconnected) => panic!("{what} never comes: the other side is gone"),
    }
}
