//! Who waits for a present, and for how long. One list for each map, with a thread while there is a deadline in it.
//!
//! A callback is in one place, and whoever takes it out calls it: the context when a present ends, the thread when time is up,
//! the map when it goes. So it is called once.

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

/// The thread looks at least this often, and ends if there was no deadline for so long: whoever waits in each frame starts no
/// thread in each, and wakes none.
const LINGER: Duration = Duration::from_millis(500);

#[derive(Default)]
pub(crate) struct Waiters {
    state: Mutex<State>,
    /// An earlier deadline, or the end.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Waiters added.
    number: u64,
    /// In the order in which they came. No context without waiters.
    by_context: FxHashMap<ContextId, Vec<Waiter>>,
    /// Of those waiters that have one.
    deadlines: BTreeSet<(Instant, u64, ContextId)>,
    /// When the thread looks again, if there is one.
    looks_at: Option<Instant>,
    /// The map is gone.
    closed: bool,
}

struct Waiter {
    number: u64,
    epoch: CanvasEpoch,
    deadline: Option<Instant>,
    callback: Callback,
}

impl Waiters {
    /// Call [`watch`](Self::watch) once no lock is held.
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

    /// Whether anybody waits for a context.
    pub(crate) fn any(&self, id: ContextId) -> bool {
        self.state.lock().by_context.contains_key(&id)
    }

    /// Takes those out that wait for an epoch no higher than this one.
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

    /// Ends the waits whose time is up, and sees to it that the others are ended in time.
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
                            // Too early is better than never.
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

    /// The map is gone: nobody can present any more.
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
    /// Takes those out whose time is up, or all that have a deadline.
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

/// No lock is held.
fn tell(callbacks: Vec<Callback>, awaited: &Awaited) {
    callbacks.into_iter().for_each(|callback| contain_panic(|| callback(awaited.clone())));
}

#[cfg(test)]
impl Waiters {
    /// Waiters, deadlines, and whether there is a thread.
    pub(crate) fn counts(&self) -> (usize, usize, bool) {
        let state = self.state.lock();
        let waiters = state.by_context.values().map(Vec::len).sum();
        (waiters, state.deadlines.len(), state.looks_at.is_some())
    }
}
