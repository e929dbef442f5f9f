//! A thread that waits for the GPU, for one device with work in flight.
//!
//! It waits for *its* device's oldest pending submission, on the device's own fence, outside every lock of wgpu-core;
//! never for another device, never for later work. With owned memory a frame is complete without any wgpu-core call. The engine's closures
//! (`buffer_map_async`, `queue_on_submitted_work_done`) need `device_poll(Poll)`, which happens here as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use wgpu_core::SubmissionIndex;
use wgpu_core::id::DeviceId;

use crate::api::error::PresentError;
use crate::delivery::Outbox;
use crate::gpu::{Completed, Gpu, GpuDevice, PollResult, WaitResult};
use crate::presenter::poller::threads::PollerThreads;
use crate::presenter::poller::waits::{Continuation, Wait, Waits};
use crate::sync::contain_panic;

/// A wait for the GPU looks this often whether it should end, or whether something older is waited for by now.
const SLICE: Duration = Duration::from_millis(4);

/// A thread without work ends after this long. Longer than a context takes to become idle, so that the maintenance which it
/// asks for then finds idle ones.
const LINGER: Duration = Duration::from_millis(1100);

/// The same, when the device is destroyed or dropped.
const LAST_LINGER: Duration = Duration::from_millis(20);

/// A thread with work asks for maintenance this often.
const MAINTENANCE: Duration = Duration::from_secs(1);

/// What is completed is told of together, in one transaction of the compositor say; but after this long at most.
const TELL_AFTER: Duration = Duration::from_millis(4);

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
    threads: Arc<PollerThreads>,
}

#[derive(Default)]
struct State {
    waits: Waits,
    /// Maintenance is to be asked for, a moment from now.
    remind: bool,
    /// The WebGPU thread has completed frames by itself: their memory will rest, which this thread alone notices.
    spun: bool,
    /// The thread looks at all this again before it ends.
    running: bool,
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
        threads: Arc<PollerThreads>,
    ) -> Self {
        Self {
            device,
            gpu,
            wake,
            state: Mutex::default(),
            changed: Condvar::new(),
            polling: Mutex::new(()),
            may_poll: AtomicBool::new(true),
            threads,
        }
    }

    /// Waits for submissions.
    pub(crate) fn watch(self: &Arc<Self>, waits: impl Iterator<Item = Wait>) {
        let mut state = self.state.lock();
        waits.for_each(|watch| state.waits.insert(watch));
        self.start(state);
    }

    /// Waits for a submission on this thread, busily, and ends its `waits`. If it is not done in time they stay; so they do if
    /// a poll must come first, which may have to wait for one that runs the engine's closures.
    pub(crate) fn spin(self: &Arc<Self>, index: SubmissionIndex, until: Instant, waits: &mut Vec<Wait>) {
        if self.device.must_poll() {
            return;
        }
        let completed = loop {
            match self.wait(index, Duration::ZERO) {
                WaitResult::Done(completed) => break completed,
                WaitResult::TimedOut if Instant::now() < until => thread::yield_now(),
                WaitResult::TimedOut | WaitResult::Lost | WaitResult::MustPoll => return,
            }
        };
        self.complete(waits, &completed);
        if let Some(polling) = self.polling.try_lock() {
            self.poll_locked(polling);
        }
        let mut state = self.state.lock();
        state.spun = true;
        if !state.running {
            self.start(state);
        }
    }

    /// Asks for maintenance, a moment from now.
    pub(crate) fn remind(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.remind = true;
        self.start(state);
    }

    /// Makes sure that a thread sees what has changed.
    fn start(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if !state.running {
            let poller = self.clone();
            match self.threads.spawn(move || poller.run()) {
                Ok(started) => state.running = started,
                Err(error) => {
                    log::error!("webgpu-presentation: no poller thread: {error}");
                    let mut waits = Vec::new();
                    state.waits.take_until(SubmissionIndex::MAX, &mut waits);
                    drop(state);
                    self.fail(&mut waits, &PresentError::OutOfMemory);
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

    /// Lets the thread see that all are to end. It does within a bound.
    pub(crate) fn stop(&self) {
        self.may_poll.store(false, Ordering::Release);
        self.notify();
    }

    fn notify(&self) {
        let _state = self.state.lock();
        self.changed.notify_one();
    }

    fn run(&self) {
        let mut pause = BACK_OFF.0;
        let mut asked = Instant::now();
        // Kept for its capacity.
        let mut taken = Vec::new();
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
            match self.wait(index, SLICE) {
                WaitResult::Done(completed) => {
                    pause = BACK_OFF.0;
                    self.take_until(index, &mut taken);
                    self.finish(&mut taken, &completed);
                }
                WaitResult::TimedOut => {}
                WaitResult::Lost => {
                    self.take_until(SubmissionIndex::MAX, &mut taken);
                    self.fail(&mut taken, &PresentError::DeviceLost);
                }
                WaitResult::MustPoll => {
                    // Taken first: what a closure, or anybody else, waits for meanwhile is polled for again.
                    self.take_until(index, &mut taken);
                    if self.poll() == PollResult::Busy {
                        let mut state = self.state.lock();
                        taken.drain(..).for_each(|watch| state.waits.insert(watch));
                        drop(state);
                        thread::sleep(pause);
                        pause = (pause * 2).min(BACK_OFF.1);
                    } else {
                        self.fail(&mut taken, &PresentError::UnsupportedBackend);
                        pause = BACK_OFF.0;
                    }
                }
            }
        }
        self.ask_for_maintenance();
    }

    fn ask_for_maintenance(&self) {
        contain_panic(|| (self.wake)());
    }

    /// Parks while there is nothing to do.
    fn next(&self) -> Next {
        let mut state = self.state.lock();
        let mut lingered = false;
        loop {
            if self.threads.are_stopped() {
                state.running = false;
                return Next::End;
            }
            if let Some(index) = state.waits.oldest() {
                return Next::WaitFor(index);
            }
            if std::mem::take(&mut state.remind) {
                return Next::Remind;
            }
            if lingered && std::mem::take(&mut state.spun) {
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

    fn wait(&self, index: SubmissionIndex, timeout: Duration) -> WaitResult {
        // What hal does with an index that it never returned is not ours to guarantee.
        let waited =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.device.wait(index, timeout)));
        waited.unwrap_or(WaitResult::Lost)
    }

    fn take_until(&self, index: SubmissionIndex, into: &mut Vec<Wait>) {
        self.state.lock().waits.take_until(index, into);
    }

    /// Empties `done`.
    fn finish(&self, done: &mut Vec<Wait>, completed: &Completed) {
        let poll_first = self.device.must_poll();
        if poll_first {
            self.poll();
        }
        self.complete(done, completed);
        if !poll_first {
            // Closures run; and canvas textures go, which were destroyed after their present: the next ones take their place.
            self.poll();
        }
    }

    /// Makes frames and tells of them. Empties `done`.
    fn complete(&self, done: &mut Vec<Wait>, completed: &Completed) {
        let mut telling = Delivery::default();
        for watch in done.drain(..) {
            if let Continuation::Ticket { context, number } = watch.target
                && let Some(context) = context.upgrade()
            {
                context.complete(number, completed);
                telling.of(context.outbox());
            }
        }
    }

    /// What is waited for will never be done. The engine's closures run in the maintenance, where a lost device is polled.
    fn fail(&self, waits: &mut Vec<Wait>, error: &PresentError) {
        let mut telling = Delivery::default();
        for watch in waits.drain(..) {
            if let Continuation::Ticket { context, number } = watch.target
                && let Some(context) = context.upgrade()
            {
                context.fail(number, error);
                telling.of(context.outbox());
            }
        }
        drop(telling);
        self.ask_for_maintenance();
    }

    /// Runs the engine's closures, unless that is not for this thread any more.
    fn poll(&self) -> PollResult {
        self.poll_locked(self.polling.lock())
    }

    fn poll_locked(&self, polling: MutexGuard<'_, ()>) -> PollResult {
        if self.may_poll.load(Ordering::Acquire) {
            return poll_contained(&*self.gpu, self.device.id());
        }
        drop(polling);
        self.ask_for_maintenance();
        PollResult::Lost
    }
}

/// Tells of what was completed: all at once if it does not take long. (All contexts of a poller have one outbox.)
#[derive(Default)]
struct Delivery(Option<(Arc<Outbox>, Instant)>);

impl Delivery {
    fn of(&mut self, outbox: &Arc<Outbox>) {
        let (outbox, since) = self.0.get_or_insert_with(|| (outbox.clone(), Instant::now()));
        if since.elapsed() >= TELL_AFTER {
            outbox.drain();
            *since = Instant::now();
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some((outbox, _)) = &self.0 {
            outbox.drain();
        }
    }
}

/// Polls, though a closure of the engine's panics: there may be more to poll for then.
pub(crate) fn poll_contained(gpu: &dyn Gpu, device: DeviceId) -> PollResult {
    let mut polled = PollResult::Busy;
    contain_panic(|| polled = gpu.poll(device));
    polled
}
