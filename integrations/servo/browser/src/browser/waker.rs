//! Wakes the thread that runs Servo's event loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use servo::EventLoopWaker;

/// Lets any thread of Servo wake the event loop.
#[derive(Clone, Debug)]
pub(crate) struct Waker {
    thread: Thread,
    woken: Arc<AtomicBool>,
}

impl Waker {
    pub(crate) fn of_this_thread() -> Self {
        Self { thread: thread::current(), woken: Arc::default() }
    }

    /// Waits until something is to be done, or for as long as `limit`. Called on the thread of the event loop.
    pub(crate) fn wait(&self, limit: Duration) {
        if !self.woken.swap(false, Ordering::AcqRel) {
            thread::park_timeout(limit);
        }
    }
}

impl EventLoopWaker for Waker {
    fn clone_box(&self) -> Box<dyn EventLoopWaker> {
        Box::new(self.clone())
    }

    fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}
