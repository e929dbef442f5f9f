//! The waits for presents, with their deadlines. Each map has one list of them, and a thread while the list has a deadline.
//!
//! A callback lies in this list until it is taken out, and the code that takes it out calls it: the context when a present ends, the thread when
//! time is up, the map when it goes. So each callback is called exactly once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustc_hash::FxHashMap;

use super::outbox::Callback;
use crate::api::ids::{CanvasEpoch, ContextId};
use crate::api::outcome::Awaited;
use crate::sync::contain_panic;

/// Longest sleep of the thread, and the time without a deadline after which it ends. An engine that waits in each frame thus starts and wakes no
/// thread in each.
const LINGER: Duration = Duration::from_millis(500);

/// The waits of one map.
#[derive(Default)]
pub(crate) struct Waiters {
    state: Mutex<State>,
    /// Notified of a deadline that is earlier than the thread's sleep, and of the end of the map.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Number of waiters added so far; each one's number names it.
    number: u64,
    /// The waiters of each context in the order in which they came. A context without waiters has no entry.
    by_context: FxHashMap<ContextId, Vec<Waiter>>,
    /// The deadlines of the waiters that have one, with their numbers and contexts.
    deadlines: BTreeSet<(Instant, u64, ContextId)>,
    /// When the thread wakes up by itself; `None` if no thread runs.
    looks_at: Option<Instant>,
    /// The map is gone, and the thread ends.
    closed: bool,
}

struct Waiter {
    number: u64,
    epoch: CanvasEpoch,
    deadline: Option<Instant>,
    callback: Callback,
}

impl Waiters {
    /// Adds a waiter. The caller [watches](Self::watch) the deadlines once it holds no lock.
    pub(crate) fn add(
        &self,
        id: ContextId,
        epoch: CanvasEpoch,
        deadline: Option<Instant>,
        callback: Callback,
    ) {
        let mut state = self.state.lock();
        state.number += 1;
        let number = state.number;
        state.deadlines.extend(deadline.map(|deadline| (deadline, number, id)));
        state.by_context.entry(id).or_default().push(Waiter { number, epoch, deadline, callback });
    }

    /// Whether a waiter of this context is listed.
    pub(crate) fn any(&self, id: ContextId) -> bool {
        self.state.lock().by_context.contains_key(&id)
    }

    /// Takes out the waiters of a context whose epoch is not above `epoch`.
    pub(crate) fn take(&self, id: ContextId, epoch: CanvasEpoch) -> Vec<Callback> {
        let mut state = self.state.lock();
        let State { by_context, deadlines, .. } = &mut *state;
        let Some(waiters) = by_context.get_mut(&id) else { return Vec::new() };
        let taken = waiters.extract_if(.., |waiter| waiter.epoch <= epoch).map(|waiter| {
            if let Some(deadline) = waiter.deadline {
                deadlines.remove(&(deadline, waiter.number, id));
            }
            waiter.callback
        });
        let taken = taken.collect();
        if waiters.is_empty() {
            by_context.remove(&id);
        }
        taken
    }

    /// Ends the waits whose time is up, and makes sure that a thread ends the others in time.
    pub(crate) fn watch(self: &Arc<Self>) {
        let mut state = self.state.lock();
        let now = Instant::now();
        let mut late = state.take_late(Some(now));
        if let Some(&(first, ..)) = state.deadlines.first() {
            match state.looks_at {
                Some(time) if time <= first => {}
                Some(_) => {
                    self.changed.notify_one();
                }
                None => {
                    let waiters = self.clone();
                    let thread = thread::Builder::new().name("webgpu waiters".into());
                    match thread.spawn(move || waiters.run()) {
                        Ok(_) => state.looks_at = Some(now),
                        Err(error) => {
                            // Without a thread all waits with a deadline end now: too early is better than never.
                            log::error!("webgpu-presentation: no thread for time-outs: {error}");
                            late.extend(state.take_late(None));
                        }
                    }
                }
            }
        }
        drop(state);
        tell(late, &Awaited::TimedOut);
    }

    fn run(&self) {
        loop {
            let mut state = self.state.lock();
            let late = loop {
                if state.closed {
                    return;
                }
                let now = Instant::now();
                let late = state.take_late(Some(now));
                if !late.is_empty() {
                    break late;
                }
                let linger = now + LINGER;
                let time = state.deadlines.first().map_or(linger, |&(first, ..)| first.min(linger));
                state.looks_at = Some(time);
                let timed_out = self.changed.wait_until(&mut state, time).timed_out();
                if timed_out && state.deadlines.is_empty() {
                    state.looks_at = None;
                    return;
                }
            };
            drop(state);
            tell(late, &Awaited::TimedOut);
        }
    }

    /// Ends all waits: the map is gone, and nothing can be presented any more.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.deadlines.clear();
        let waiters = std::mem::take(&mut state.by_context);
        self.changed.notify_one();
        drop(state);
        let callbacks = waiters.into_values().flatten().map(|waiter| waiter.callback);
        tell(callbacks.collect(), &Awaited::ContextGone);
    }
}

impl State {
    /// Takes out the waiters whose deadline is not after `now`; with `None`, all that have a deadline.
    fn take_late(&mut self, now: Option<Instant>) -> Vec<Callback> {
        let mut late = Vec::new();
        while let Some(&(deadline, number, id)) = self.deadlines.first()
            && now.is_none_or(|now| deadline <= now)
        {
            self.deadlines.pop_first();
            let Some(waiters) = self.by_context.get_mut(&id) else { continue };
            let index = waiters.iter().position(|waiter| waiter.number == number);
            late.extend(index.map(|index| waiters.remove(index).callback));
            if waiters.is_empty() {
                self.by_context.remove(&id);
            }
        }
        late
    }
}

/// Calls back. Precondition: no lock is held.
fn tell(callbacks: Vec<Callback>, awaited: &Awaited) {
    callbacks.into_iter().for_each(|callback| contain_panic(|| callback(awaited.clone())));
}

#[cfg(test)]
impl Waiters {
    /// Number of waiters and of deadlines, and whether a thread runs.
    pub(crate) fn counts(&self) -> (usize, usize, bool) {
        let state = self.state.lock();
        let waiters = state.by_context.values().map(Vec::len).sum();
        (waiters, state.deadlines.len(), state.looks_at.is_some())
    }
}
