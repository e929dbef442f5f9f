//! The threads of a presenter's pollers: ended together, and waited for.
//!
//! A thread lets go of its device last of all, and a process that ends unloads the driver: so each one is joined, though its
//! device was dropped and its poller forgotten long ago.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;

#[derive(Default)]
pub(crate) struct PollerThreads {
    stopped: AtomicBool,
    /// Those that run, and those that have ended since one was started last.
    running: Mutex<Vec<JoinHandle<()>>>,
}

impl PollerThreads {
    /// False if all are to end.
    pub(crate) fn spawn(&self, run: impl FnOnce() + Send + 'static) -> io::Result<bool> {
        let mut running = self.running.lock();
        if self.are_stopped() {
            return Ok(false);
        }
        let thread = thread::Builder::new().name("webgpu poller".into()).spawn(run)?;
        // What one of these owned was dropped before it counts as finished.
        running.retain(|thread| !thread.is_finished());
        running.push(thread);
        Ok(true)
    }

    pub(crate) fn are_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// All are to end, and none is started any more. Wake them afterwards, and [`join`](Self::join) them.
    pub(crate) fn stop(&self) {
        let _running = self.running.lock();
        self.stopped.store(true, Ordering::Release);
    }

    /// Waits until all have ended.
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut *self.running.lock());
        // A closure of the engine's may stop its own thread.
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != thread::current().id()) {
            if thread.join().is_err() {
                log::error!("webgpu-presentation: a poller thread panicked");
            }
        }
    }
}
