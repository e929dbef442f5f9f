//! The thread that frees memory which nobody asks for any more.
//!
//! Memory returns to a [`Recycler`] on any thread and at any time: a snapshot is dropped, or a renderer lets go
//! of an old frame when a tab comes to the front again. Nothing may call the presenter after that, so a thread
//! of its own looks at each recycler in which something rests, every half a second, and frees what has rested
//! for a second. So no memory rests for more than a second and a half. A presenter has one [`Reclaimer`]. Its
//! thread runs only while something rests.
//!
//! Locks are `parking_lot`'s, because the thread waits with a time-out, which loom does not explore.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::recycler::Recycler;
use crate::sync::catch_panic;

/// Time between two looks at one recycler.
const INTERVAL: Duration = Duration::from_millis(500);

/// Frees the idle memory of one presenter. Clones share a thread. Usable on any thread.
#[derive(Clone, Default)]
pub(crate) struct Reclaimer(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when the thread is to end.
    closing: Condvar,
}

#[derive(Default)]
struct State {
    /// The recyclers in which something rests, in the order in which they are to be looked at.
    watched: VecDeque<(Instant, Weak<Recycler>)>,
    /// The last thread that was started.
    thread: Option<JoinHandle<()>>,
    /// A thread runs, and looks at `watched` once more before it ends.
    is_running: bool,
    is_closed: bool,
}

impl Reclaimer {
    /// Looks after a recycler until nothing rests there.
    ///
    /// Precondition: it is not watched already.
    pub(super) fn watch(&self, recycler: Weak<Recycler>) {
        let mut state = self.0.state.lock();
        if state.is_closed {
            return;
        }
        state.watched.push_back((Instant::now() + INTERVAL, recycler));
        if state.is_running {
            return;
        }
        let shared = self.0.clone();
        match thread::Builder::new().name("webgpu memory".into()).spawn(move || shared.run()) {
            // A thread that ran before has ended, or is about to.
            Ok(thread) => {
                state.is_running = true;
                state.thread = Some(thread);
            }
            // The next request for memory frees what is too much.
            Err(error) => log::error!("webgpu-presentation: no thread frees idle memory: {error}"),
        }
    }

    /// Ends the thread and waits for it, which takes as long as it frees memory. Nothing is watched afterwards.
    pub(crate) fn close(&self) {
        let mut state = self.0.state.lock();
        state.is_closed = true;
        state.watched.clear();
        self.0.closing.notify_all();
        let thread = state.thread.take();
        drop(state);
        if thread.is_some_and(|thread| thread.join().is_err()) {
            log::error!("webgpu-presentation: the thread that frees idle memory panicked");
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut state = self.state.lock();
        while !state.is_closed
            && let Some((due, recycler)) = state.watched.pop_front()
        {
            while !state.is_closed && !self.closing.wait_until(&mut state, due).timed_out() {}
            // Freeing takes long, and the last holder of the recycler may be this one.
            drop(state);
            let now = Instant::now();
            // With its last memory wgpu-core destroys a device, in which it may panic. The thread must go on.
            let reclaim = || recycler.upgrade().is_some_and(|recycler| recycler.reclaim(now));
            let is_watched = catch_panic("freeing idle memory", reclaim).unwrap_or(true);
            state = self.state.lock();
            if is_watched {
                state.watched.push_back((now + INTERVAL, recycler));
            }
        }
        state.is_running = false;
        let rest = mem::take(&mut state.watched);
        drop(state);
        drop(rest);
    }
}
