//! A thread that waits for the GPU, for one device with work in flight.
//!
//! It waits for *its* device's oldest pending submission, on the device's own fence, outside every lock of wgpu-core;
//! never for another device, never for later work. A frame is complete without any wgpu-core call. The engine's closures
//! (`buffer_map_async`, `queue_on_submitted_work_done`) need `device_poll(Poll)`, which happens here as well.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use wgpu_core::SubmissionIndex;
use wgpu_core::id::DeviceId;

use crate::PresentError;
use crate::context::ContextData;
use crate::gpu::{Completed, Gpu, GpuDevice, Polled, Waited};
use crate::outbox::guarded;

/// A wait for the GPU looks this often whether it should end, or whether something older is waited for by now.
const SLICE: Duration = Duration::from_millis(4);

/// A thread without work ends after this long. Longer than a context takes to become idle, so that the maintenance which it
/// asks for then finds idle ones.
const LINGER: Duration = Duration::from_millis(1100);

/// The same, when the device is destroyed or dropped.
const LAST_LINGER: Duration = Duration::from_millis(20);

/// A thread with work asks for maintenance this often.
const MAINTENANCE: Duration = Duration::from_secs(1);

/// How long a thread that must poll sleeps between two polls: doubled from the first to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(1));

/// The waits of one device.
pub(crate) struct DevicePoller {
    device: Arc<dyn GpuDevice>,
    gpu: Arc<dyn Gpu>,
    wake: Arc<dyn Fn() + Send + Sync>,
    state: Mutex<State>,
    changed: Condvar,
    /// Held while wgpu-core polls.
    polling: Mutex<()>,
    /// Cleared when the device is destroyed or dropped.
    may_poll: AtomicBool,
    /// Of all devices of the presenter.
    stopped: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    /// By submission.
    watches: VecDeque<Watch>,
    /// The one that runs, and those that are about to have ended.
    threads: Vec<JoinHandle<()>>,
    /// Maintenance is to be asked for, a moment from now.
    remind: bool,
    /// The thread looks at all this again before it ends.
    running: bool,
}

impl State {
    /// Keeps the order; the same watch twice is one.
    fn insert(&mut self, watch: Watch) {
        let place = self.watches.partition_point(|other| other.index < watch.index);
        let mut same = self.watches.iter().skip(place).take_while(|other| other.index == watch.index);
        if !same.any(|other| other.target.is(&watch.target)) {
            self.watches.insert(place, watch);
        }
    }
}

struct Watch {
    index: SubmissionIndex,
    target: Target,
}

pub(crate) enum Target {
    Ticket { context: Weak<ContextData>, number: u64 },
    Closures,
}

impl Target {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ticket { context, number }, Self::Ticket { context: other, number: others }) => {
                number == others && context.ptr_eq(other)
            }
            (Self::Closures, Self::Closures) => true,
            _ => false,
        }
    }
}

/// What a thread does next.
enum Next {
    WaitFor(SubmissionIndex),
    Remind,
    End,
}

impl DevicePoller {
    pub(crate) fn new(
        device: Arc<dyn GpuDevice>,
        gpu: Arc<dyn Gpu>,
        wake: Arc<dyn Fn() + Send + Sync>,
        stopped: Arc<AtomicBool>,
    ) -> Self {
        Self {
            device,
            gpu,
            wake,
            state: Mutex::default(),
            changed: Condvar::new(),
            polling: Mutex::new(()),
            may_poll: AtomicBool::new(true),
            stopped,
        }
    }

    /// Waits for a submission.
    pub(crate) fn watch(self: &Arc<Self>, index: SubmissionIndex, target: Target) {
        let mut state = self.state.lock();
        state.insert(Watch { index, target });
        self.start(state);
    }

    fn put_back(&self, watches: VecDeque<Watch>) {
        let mut state = self.state.lock();
        watches.into_iter().for_each(|watch| state.insert(watch));
    }

    /// Asks for maintenance, a moment from now.
    pub(crate) fn remind(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.remind = true;
        self.start(state);
    }

    /// Makes sure that a thread sees what has changed.
    fn start(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if !state.running && !self.stopped.load(Ordering::Acquire) {
            let poller = self.clone();
            let thread = thread::Builder::new().name("webgpu poller".into());
            match thread.spawn(move || poller.run()) {
                Ok(thread) => {
                    state.running = true;
                    state.threads.retain(|thread| !thread.is_finished());
                    state.threads.push(thread);
                }
                Err(error) => {
                    log::error!("webgpu-presentation: no poller thread: {error}");
                    let watches = std::mem::take(&mut state.watches);
                    drop(state);
                    self.fail(watches, &PresentError::OutOfMemory);
                    return;
                }
            }
        }
        self.changed.notify_one();
    }

    pub(crate) fn device(&self) -> &Arc<dyn GpuDevice> {
        &self.device
    }

    /// Calls wgpu-core no more: waits out a poll under way. Waits for frames go on.
    pub(crate) fn retire(&self) {
        self.may_poll.store(false, Ordering::Release);
        drop(self.polling.lock());
        self.notify();
    }

    pub(crate) fn is_retired(&self) -> bool {
        !self.may_poll.load(Ordering::Acquire)
    }

    /// Lets the thread see that it is to end. It does within a bound; [`join`](Self::join) waits for that.
    pub(crate) fn stop(&self) {
        self.may_poll.store(false, Ordering::Release);
        self.notify();
    }

    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut self.state.lock().threads);
        // A closure of the engine's may stop its own thread.
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != thread::current().id()) {
            if thread.join().is_err() {
                log::error!("webgpu-presentation: a poller thread panicked");
            }
        }
    }

    fn notify(&self) {
        let _state = self.state.lock();
        self.changed.notify_one();
    }

    fn run(&self) {
        let mut pause = BACK_OFF.0;
        let mut asked = Instant::now();
        loop {
            let index = match self.next() {
                Next::WaitFor(index) => index,
                Next::Remind => {
                    thread::sleep(BACK_OFF.1);
                    self.ask_for_maintenance();
                    continue;
                }
                Next::End => break,
            };
            if asked.elapsed() > MAINTENANCE {
                asked = Instant::now();
                self.ask_for_maintenance();
            }
            match self.wait(index) {
                Waited::Done(completed) => {
                    pause = BACK_OFF.0;
                    let done = self.take_until(index);
                    self.finish(done, &completed);
                }
                Waited::TimedOut => {}
                Waited::Lost => {
                    let all = self.take_until(SubmissionIndex::MAX);
                    self.fail(all, &PresentError::DeviceLost);
                }
                Waited::MustPoll => {
                    // Taken first: what a closure, or anybody else, waits for meanwhile is polled for again.
                    let taken = self.take_until(index);
                    if self.poll() == Polled::Busy {
                        self.put_back(taken);
                        thread::sleep(pause);
                        pause = (pause * 2).min(BACK_OFF.1);
                    } else {
                        self.fail(taken, &PresentError::UnsupportedBackend);
                        pause = BACK_OFF.0;
                    }
                }
            }
        }
        self.ask_for_maintenance();
    }

    fn ask_for_maintenance(&self) {
        guarded(|| (self.wake)());
    }

    /// Parks while there is nothing to do.
    fn next(&self) -> Next {
        let mut state = self.state.lock();
        let mut lingered = false;
        loop {
            if self.stopped.load(Ordering::Acquire) {
                state.running = false;
                return Next::End;
            }
            if let Some(watch) = state.watches.front() {
                return Next::WaitFor(watch.index);
            }
            if std::mem::take(&mut state.remind) {
                return Next::Remind;
            }
            if lingered {
                state.running = false;
                return Next::End;
            }
            let linger = if self.may_poll.load(Ordering::Acquire) { LINGER } else { LAST_LINGER };
            lingered = self.changed.wait_for(&mut state, linger).timed_out();
        }
    }

    fn wait(&self, index: SubmissionIndex) -> Waited {
        // What hal does with an index that it never returned is not ours to guarantee.
        let waited =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.device.wait(index, SLICE)));
        waited.unwrap_or(Waited::Lost)
    }

    fn take_until(&self, index: SubmissionIndex) -> VecDeque<Watch> {
        let mut state = self.state.lock();
        let done = state.watches.partition_point(|watch| watch.index <= index);
        let later = state.watches.split_off(done);
        std::mem::replace(&mut state.watches, later)
    }

    fn finish(&self, done: VecDeque<Watch>, completed: &Completed) {
        let poll_first = self.device.must_poll();
        if poll_first {
            self.poll();
        }
        let mut closures = false;
        for watch in done {
            match watch.target {
                Target::Ticket { context, number } => {
                    if let Some(context) = context.upgrade() {
                        context.complete(number, completed);
                        context.outbox().drain();
                    }
                }
                Target::Closures => closures = true,
            }
        }
        if closures && !poll_first {
            self.poll();
        }
    }

    /// What is waited for will never be done. The engine's closures run in the maintenance, where a lost device is polled.
    fn fail(&self, watches: VecDeque<Watch>, error: &PresentError) {
        for watch in watches {
            if let Target::Ticket { context, number } = watch.target
                && let Some(context) = context.upgrade()
            {
                context.fail(number, error);
                context.outbox().drain();
            }
        }
        self.ask_for_maintenance();
    }

    /// Runs the engine's closures, unless that is not for this thread any more.
    fn poll(&self) -> Polled {
        let polling = self.polling.lock();
        if self.may_poll.load(Ordering::Acquire) {
            return poll_guarded(&*self.gpu, self.device.id());
        }
        drop(polling);
        self.ask_for_maintenance();
        Polled::Lost
    }
}

/// Polls, though a closure of the engine's panics: there may be more to poll for then.
pub(crate) fn poll_guarded(gpu: &dyn Gpu, device: DeviceId) -> Polled {
    let mut polled = Polled::Busy;
    guarded(|| polled = gpu.poll(device));
    polled
}
