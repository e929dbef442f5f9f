//! The floor on as many threads as an engine has.
//!
//! A request wakes a thread that submits, which wakes one that waits, which wakes the thread that measures. What a side takes
//! beyond this is not the price of waking threads.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use euclid::default::Size2D;

use super::Floor;
use crate::entrant::{AlphaMode, Entrant, Locker, Source, Then, receive};

pub const NAME: &str = "floor on three threads";
/// The name of such a floor that copies nothing.
pub const EMPTY_NAME: &str = "floor on three threads that copies nothing";

pub struct OnThreads {
    name: &'static str,
    /// The lock is never contended, because the threads wait for each other.
    floor: Arc<Mutex<Floor>>,
    requests: Sender<Vec<usize>>,
    done: Receiver<()>,
}

impl OnThreads {
    pub fn new() -> Self {
        Self::with(NAME, Floor::new())
    }

    /// Returns a floor whose presents copy nothing.
    pub fn empty() -> Self {
        Self::with(EMPTY_NAME, Floor::empty())
    }

    fn with(name: &'static str, floor: Floor) -> Self {
        let device = floor.device.clone();
        let floor = Arc::new(Mutex::new(floor));
        let (requests, requested) = channel::<Vec<usize>>();
        let (submissions, submitted) = channel();
        let (sender, done) = channel();
        let submitting = floor.clone();
        // Both threads end when their channels are closed.
        thread::spawn(move || {
            for canvases in requested {
                let submission = submitting.lock().expect("no thread panicked").copy(&canvases);
                let _ = submissions.send(submission);
            }
        });
        thread::spawn(move || {
            for submission in submitted {
                device.wait(submission);
                let _ = sender.send(());
            }
        });
        Self { name, floor, requests, done }
    }

    fn floor(&self) -> std::sync::MutexGuard<'_, Floor> {
        self.floor.lock().expect("no thread panicked")
    }
}

impl Entrant for OnThreads {
    fn name(&self) -> &'static str {
        self.name
    }

    fn create_canvas(&mut self, size: Size2D<u32>, alpha_mode: AlphaMode) -> usize {
        self.floor().create_canvas(size, alpha_mode)
    }

    fn destroy_canvas(&mut self, canvas: usize) {
        self.floor().destroy_canvas(canvas);
    }

    fn draw(&mut self, frame: &[(usize, Size2D<u32>)]) {
        self.floor().draw(frame);
    }

    fn present(&mut self, canvases: &[usize], then: Then) -> Duration {
        let canvases = canvases.to_vec();
        let start = Instant::now();
        self.requests.send(canvases.clone()).expect("the thread runs");
        receive(&self.done, "the end of a copy");
        let time = start.elapsed();
        if then == Then::Destroy {
            canvases.iter().for_each(|canvas| self.floor().drop_texture(*canvas));
        }
        time
    }

    fn script_frame(&mut self, frame: &[(usize, Size2D<u32>)], drawn: bool) -> Duration {
        self.floor().script_frame(frame, drawn)
    }

    fn get_image(&mut self, canvas: usize, source: Source) -> Duration {
        self.floor().get_image(canvas, source)
    }

    fn start_long_work(&mut self, units: u32) {
        self.floor().start_long_work(units);
    }

    fn finish_long_work(&mut self) {
        self.floor().finish_long_work();
    }

    fn locker(&self) -> Option<Box<dyn Locker>> {
        None
    }
}
