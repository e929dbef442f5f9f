//! The threads of a presenter's pollers: started one by one, ended and joined together.
//!
//! A thread drops its device last of all, and a process that exits unloads the driver. So each thread is joined, even one whose
//! device was dropped long ago and whose poller is forgotten.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Longest time for which the end of all threads is waited for. (One test lets a thread hang.)
const LONGEST_JOIN: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 5 });

/// First and longest pause between two looks at a thread that is to end. Each pause is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_micros(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

#[derive(Default)]
pub(super) struct PollerThreads {
    are_stopped: AtomicBool,
    /// The threads that run, and those that have ended since the last one was started.
    running: Mutex<Vec<JoinHandle<()>>>,
}

impl PollerThreads {
    /// Starts a thread. Returns false, and starts none, if all are to end.
    pub(super) fn spawn(&self, run: impl FnOnce() + Send + 'static) -> io::Result<bool> {
        let mut running = self.running.lock();
        if self.are_stopped() {
            return Ok(false);
        }
        let thread = thread::Builder::new().name("webgpu poller".into()).spawn(run)?;
        // A thread counts as finished only after it has dropped all that it owned.
        running.retain(|thread| !thread.is_finished());
        running.push(thread);
        Ok(true)
    }

    /// Whether any thread runs.
    pub(super) fn any_runs(&self) -> bool {
        self.running.lock().iter().any(|thread| !thread.is_finished())
    }

    /// Whether all threads are to end.
    pub(super) fn are_stopped(&self) -> bool {
        self.are_stopped.load(Ordering::Acquire)
    }

    /// Asks all threads to end, and lets none start any more. They must be woken afterwards, and [joined](Self::join).
    pub(super) fn stop(&self) {
        let _running = self.running.lock();
        self.are_stopped.store(true, Ordering::Release);
    }

    /// Waits until all threads have ended; but not for this thread, should a closure of the engine's stop its own poller. A thread that
    /// does not end in time, because it is stuck in the driver or in a closure of the engine's, is left alone.
    pub(super) fn join(&self) {
        let threads = std::mem::take(&mut *self.running.lock());
        let deadline = Instant::now() + LONGEST_JOIN;
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != thread::current().id()) {
            let mut pause = FIRST_PAUSE;
            while !thread.is_finished() && Instant::now() < deadline {
                thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            if !thread.is_finished() {
                log::error!("webgpu-presentation: a poller thread does not end, and is left behind");
            } else if thread.join().is_err() {
                log::error!("webgpu-presentation: a poller thread panicked");
            }
        }
    }
}
