//! The poller of one device: a thread that waits for the GPU while the device has work in flight.
//!
//! It waits for the oldest pending submission of its own device, on the fence of the device, outside every lock of wgpu-core; never
//! for another device and never for later work. When a submission is over it completes the tickets of it, tells of them, and polls
//! wgpu-core, so that the engine's closures (of `buffer_map_async` and `queue_on_submitted_work_done`) run and destroyed textures are
//! released. Frames in owned memory are complete before that poll. The thread starts when there is something to wait for, and ends
//! when there was nothing for a while.
//!
//! Every wait for a copy ends. A lost device fails all of them, an error that may pass is tried again for a second, and copies whose time is
//! up, or whose device was destroyed or dropped and does not answer, are given up between two slices of a wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use wgpu_core::SubmissionIndex;
use wgpu_core::id::QueueId;

use super::Wake;
use crate::api::error::PresentError;
use crate::context::ContextData;
use crate::delivery::Outbox;
use crate::gpu::{Completed, ContainedGpu, Gpu, GpuDevice, PollResult, WaitError, WaitResult};
use crate::presenter::poller::threads::PollerThreads;
use crate::presenter::poller::waits::{Continuation, Wait, Waits};
use crate::sync::catch_panic;

/// Length of one wait for the GPU. In between the thread looks whether it is to end, and whether something older is waited for by now.
const SLICE: Duration = Duration::from_millis(4);

/// Time after which a thread without work ends. It is longer than a context takes to become idle, because the thread asks for
/// maintenance as it ends, and that should find idle contexts.
const LINGER: Duration = Duration::from_millis(1100);

/// Time after which a thread without work ends if its device is destroyed or dropped.
const LAST_LINGER: Duration = Duration::from_millis(20);

/// Time between two requests for maintenance of a thread that has work.
const MAINTENANCE: Duration = Duration::from_secs(1);

/// Longest time for which completed frames are gathered, to be told of together. (The compositor can then make one transaction of
/// them.)
const TELL_AFTER: Duration = Duration::from_millis(4);

/// Shortest and longest sleep between two polls of a device that can only be polled. Each sleep is twice as long as the one before.
const BACK_OFF: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(1));

/// Length of one wait that is only for the right moment to drop a queue.
const LAZY_SLICE: Duration = Duration::from_millis(50);

/// Longest wait of a thread that is to end for the right moment to drop a queue.
const LAST_WAIT: Duration = Duration::from_millis(100);

/// Time after which the copies of a device that was destroyed or dropped are given up. (Usually they are done within milliseconds, and
/// owned memory still gets their bytes.)
const FAREWELL: Duration = Duration::from_secs(2);

/// Time for which a wait is tried again that fails for a reason that may pass. Then it counts as failed for good.
const RETRY: Duration = Duration::from_secs(1);

/// Shortest and longest pause between two tries. Each pause is twice as long as the one before.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// Shortest and longest pause before a destroyed device that is busy asks for maintenance. Each pause is twice as long as the one before.
const REMINDER: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(64));

/// Number of polls in a row that may panic. A closure of the engine's that panics does so once; after this many polls wgpu-core itself
/// does, and there is nothing to poll for.
const MOST_PANICS: u32 = 16;

/// The waits for one device, and the thread that does them.
pub(in crate::presenter) struct DevicePoller {
    device: Arc<dyn GpuDevice>,
    gpu: Arc<ContainedGpu>,
    wake: Arc<Wake>,
    state: Mutex<State>,
    changed: Condvar,
    /// Notified when the thread has done waits.
    done: Condvar,
    /// Held while wgpu-core polls the device.
    polling: Mutex<()>,
    /// Whether wgpu-core may be called for the device: until it is destroyed or dropped.
    may_poll: AtomicBool,
    /// The threads of all devices of the presenter.
    threads: Arc<PollerThreads>,
    /// Time after which a copy is given up, counted from when it was asked for.
    copy_timeout: Duration,
}

#[derive(Default)]
struct State {
    waits: Waits,
    /// When the copies of the device end that are not done by then, because it was destroyed or dropped.
    farewell_at: Option<Instant>,
    /// The queue was dropped. From then on wgpu-core finds the device busy in every poll.
    has_no_queue: bool,
    /// When maintenance is to be asked for.
    remind_at: Option<Instant>,
    /// The last pause before a reminder.
    reminder_pause: Duration,
    /// Number of polls in the maintenance that have panicked since the last one that did not.
    panics: u32,
    /// The WebGPU thread has completed frames while it was spinning. Their memory will become idle, so maintenance must be asked for
    /// although this thread completed nothing.
    has_spun: bool,
    /// The thread has taken waits and is doing them.
    is_busy: bool,
    /// A thread runs. It looks at this state once more before it ends.
    is_running: bool,
}

/// What the thread does next.
enum Next {
    /// Waits for a submission, for so long at most.
    WaitFor(SubmissionIndex, Duration),
    Remind,
    End,
}

impl DevicePoller {
    pub(super) fn new(
        device: Arc<dyn GpuDevice>,
        gpu: Arc<ContainedGpu>,
        wake: Arc<Wake>,
        threads: Arc<PollerThreads>,
        copy_timeout: Duration,
    ) -> Self {
        Self {
            device,
            gpu,
            wake,
            state: Mutex::default(),
            changed: Condvar::new(),
            done: Condvar::new(),
            polling: Mutex::new(()),
            may_poll: AtomicBool::new(true),
            threads,
            copy_timeout,
        }
    }

    /// Adds waits, which the thread does.
    pub(super) fn add(self: &Arc<Self>, waits: impl Iterator<Item = Wait>) {
        let mut state = self.state.lock();
        waits.for_each(|wait| state.waits.insert(wait));
        self.start(state);
    }

    /// Waits for a submission on the calling thread, busily, until `until`, and does its `waits` if it is over in time. Otherwise they
    /// stay in `waits`.
    ///
    /// Does nothing if the device must be polled before its frames can be read: that poll might have to wait for another one, which
    /// runs the engine's closures.
    pub(super) fn spin(self: &Arc<Self>, index: SubmissionIndex, until: Instant, waits: &mut Vec<Wait>) {
        if self.device.must_poll() {
            return;
        }
        let completed = {
            span!("DevicePoller::spin");
            loop {
                match self.device.wait(index, Duration::ZERO) {
                    WaitResult::Done(completed) => break completed,
                    WaitResult::TimedOut if Instant::now() < until => thread::yield_now(),
                    // The device's thread finds the same, and deals with it.
                    _ => return,
                }
            }
        };
        let queues = self.complete(waits, &completed);
        debug_assert!(queues.is_empty(), "the WebGPU thread waits for copies");
        if let Some(polling) = self.polling.try_lock() {
            self.poll_locked(polling);
        }
        let mut state = self.state.lock();
        state.has_spun = true;
        if !state.is_running {
            self.start(state);
        }
    }

    /// Asks for maintenance, after a pause, if the device must be polled again after a poll with this result.
    pub(super) fn remind_after(self: &Arc<Self>, result: PollResult) {
        let mut state = self.state.lock();
        state.panics = if result == PollResult::Panicked { state.panics + 1 } else { 0 };
        let is_over = matches!(result, PollResult::Idle | PollResult::Lost)
            || state.panics >= MOST_PANICS
            || state.has_no_queue;
        if is_over || state.remind_at.is_some() {
            return;
        }
        state.reminder_pause = (state.reminder_pause * 2).clamp(REMINDER.0, REMINDER.1);
        state.remind_at = Some(Instant::now() + state.reminder_pause);
        self.start(state);
    }

    /// Makes sure that a thread sees a change of the state.
    fn start(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if !state.is_running {
            let poller = self.clone();
            match self.threads.spawn(move || poller.run()) {
                Ok(started) => state.is_running = started,
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

    pub(super) fn device(&self) -> &Arc<dyn GpuDevice> {
        &self.device
    }

    /// Lets the thread poll no more, and waits until a poll under way is over. Waits for frames go on for [`FAREWELL`].
    pub(super) fn retire(&self) {
        self.may_poll.store(false, Ordering::Release);
        drop(self.polling.lock());
        let mut state = self.state.lock();
        state.farewell_at.get_or_insert_with(|| Instant::now() + FAREWELL);
        self.changed.notify_one();
    }

    pub(super) fn is_retired(&self) -> bool {
        !self.may_poll.load(Ordering::Acquire)
    }

    /// Lets the thread see that all threads are to end.
    pub(super) fn stop(&self) {
        self.may_poll.store(false, Ordering::Release);
        self.notify();
    }

    fn notify(&self) {
        let _state = self.state.lock();
        self.changed.notify_one();
    }

    fn run(&self) {
        let mut pause = BACK_OFF.0;
        let mut panics = 0;
        let (mut failing_since, mut retry_pause) = (None, RETRY_PAUSE.0);
        let mut asked = Instant::now();
        // One vector serves all rounds, for its capacity.
        let mut taken = Vec::new();
        loop {
            let (index, slice) = match self.next() {
                Next::WaitFor(index, slice) => (index, slice),
                Next::Remind => {
                    self.wake.ask_for_maintenance();
                    continue;
                }
                Next::End => break,
            };
            if asked.elapsed() > MAINTENANCE {
                asked = Instant::now();
                self.wake.ask_for_maintenance();
            }
            let waited = {
                span!("DevicePoller::wait");
                self.device.wait(index, slice)
            };
            if !matches!(waited, WaitResult::Failed(_)) {
                (failing_since, retry_pause) = (None, RETRY_PAUSE.0);
            }
            match waited {
                WaitResult::Done(completed) => {
                    pause = BACK_OFF.0;
                    self.take_until(index, &mut taken);
                    self.finish(&mut taken, &completed);
                }
                WaitResult::TimedOut => self.give_up(&mut taken),
                WaitResult::Lost => {
                    self.take_until(SubmissionIndex::MAX, &mut taken);
                    self.fail(&mut taken, &PresentError::DeviceLost);
                }
                WaitResult::Failed(error) => {
                    let since = *failing_since.get_or_insert_with(Instant::now);
                    if since.elapsed() < RETRY {
                        self.give_up(&mut taken);
                        self.sleep(retry_pause);
                        retry_pause = (retry_pause * 2).min(RETRY_PAUSE.1);
                        continue;
                    }
                    // wgpu-core would wait in the drop of a queue and panic if that fails too, and would free what the GPU uses.
                    self.take_all_but_queues(&mut taken);
                    self.fail(&mut taken, &reason(error));
                    // What is waited for next is tried as often.
                    (failing_since, retry_pause) = (None, RETRY_PAUSE.0);
                }
                WaitResult::Panicked => {
                    // A submission before it may have been added meanwhile, and is waited for next.
                    self.take_only(index, &mut taken);
                    self.fail(&mut taken, &PresentError::Panicked);
                    self.poll();
                }
                WaitResult::MustPoll => {
                    // The waits are taken before the poll. Those that are added meanwhile need another poll.
                    self.take_until(index, &mut taken);
                    let polled = self.poll();
                    panics = if polled == PollResult::Panicked { panics + 1 } else { 0 };
                    if polled == PollResult::Busy || (1..MOST_PANICS).contains(&panics) {
                        let mut state = self.state.lock();
                        taken.drain(..).for_each(|wait| state.waits.insert(wait));
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
        if self.threads.are_stopped() {
            self.drop_idle_queues();
        }
        self.wake.ask_for_maintenance();
    }

    /// Gives up the copies whose time is up; and all waits of a device that was destroyed or dropped and does not answer. Empties `taken`.
    fn give_up(&self, taken: &mut Vec<Wait>) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let is_gone = state.farewell_at.is_some_and(|time| time <= now);
        if is_gone {
            state.waits.take_all_but_queues(taken);
        } else if let Some(limit) = now.checked_sub(self.copy_timeout) {
            state.waits.take_asked_until(limit, taken);
        }
        if taken.is_empty() {
            return;
        }
        state.is_busy = true;
        drop(state);
        log::warn!("webgpu-presentation: {:?} does not answer", self.device.id());
        self.fail(taken, &if is_gone { PresentError::DeviceLost } else { PresentError::TimedOut });
    }

    /// Drops the queues that wait for their device, if it is done in a moment. The others stay in wgpu-core's hub. Precondition: all threads
    /// are to end, so that nothing is waited for any more.
    fn drop_idle_queues(&self) {
        let mut left = Vec::new();
        self.state.lock().waits.take_until(SubmissionIndex::MAX, &mut left);
        for Wait { index, then } in left {
            let Continuation::DropQueue(queue) = then else { continue };
            if let WaitResult::Done(_) | WaitResult::Lost = self.device.wait(index, LAST_WAIT) {
                self.gpu.drop_queue(queue);
            } else {
                log::warn!("webgpu-presentation: {queue:?} is busy, and goes with the `Global`");
            }
        }
    }

    /// Drops queues of the device. Their closures run, as in a poll; wgpu-core releases what the finished submissions used.
    fn drop_queues(&self, queues: Vec<QueueId>) {
        for queue in queues {
            self.state.lock().has_no_queue = true;
            self.gpu.drop_queue(queue);
        }
    }

    /// Decides what to do next; parks the thread while there is nothing.
    fn next(&self) -> Next {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.is_busy) {
            self.done.notify_all();
        }
        let mut lingered = false;
        loop {
            if self.threads.are_stopped() {
                state.is_running = false;
                return Next::End;
            }
            if state.remind_at.take_if(|time| *time <= Instant::now()).is_some() {
                return Next::Remind;
            }
            if let Some(index) = state.waits.oldest() {
                let slice = if state.waits.only_drop_queues() { LAZY_SLICE } else { SLICE };
                return Next::WaitFor(index, slice);
            }
            if lingered && std::mem::take(&mut state.has_spun) {
                return Next::Remind;
            }
            if lingered {
                state.is_running = false;
                return Next::End;
            }
            lingered = if let Some(time) = state.remind_at {
                self.changed.wait_until(&mut state, time);
                false
            } else {
                let linger = if self.may_poll.load(Ordering::Acquire) { LINGER } else { LAST_LINGER };
                self.changed.wait_for(&mut state, linger).timed_out()
            };
        }
    }

    /// Sleeps, unless all threads are to end.
    fn sleep(&self, pause: Duration) {
        let mut state = self.state.lock();
        if !self.threads.are_stopped() {
            self.changed.wait_for(&mut state, pause);
        }
    }

    /// Waits until no copy is in flight, or until `deadline`. Returns whether none is.
    pub(super) fn wait_for_copies(&self, deadline: Instant) -> bool {
        let mut state = self.state.lock();
        while state.is_busy || state.waits.have_copies() {
            if self.done.wait_until(&mut state, deadline).timed_out() {
                return false;
            }
        }
        true
    }

    fn take_until(&self, index: SubmissionIndex, into: &mut Vec<Wait>) {
        let mut state = self.state.lock();
        state.waits.take_until(index, into);
        state.is_busy = true;
    }

    fn take_only(&self, index: SubmissionIndex, into: &mut Vec<Wait>) {
        let mut state = self.state.lock();
        state.waits.take_only(index, into);
        state.is_busy = true;
    }

    fn take_all_but_queues(&self, into: &mut Vec<Wait>) {
        let mut state = self.state.lock();
        state.waits.take_all_but_queues(into);
        state.is_busy = true;
    }

    /// Does waits whose submissions are over, and polls. Empties `done`.
    fn finish(&self, done: &mut Vec<Wait>, completed: &Completed) {
        let poll_first = self.device.must_poll();
        if poll_first && self.poll() == PollResult::Panicked {
            // A closure of the engine's panicked, or wgpu-core before it had mapped anything.
            self.poll();
        }
        let queues = self.complete(done, completed);
        if !poll_first {
            // The poll runs closures. It also releases canvas textures that were destroyed after their present, so that the next
            // ones can take their (warm) memory.
            self.poll();
        }
        self.drop_queues(queues);
    }

    /// Completes tickets, and tells of the frames. Empties `done`. Returns the queues that are to be dropped.
    fn complete(&self, done: &mut Vec<Wait>, completed: &Completed) -> Vec<QueueId> {
        let queues = end_tickets(done, |context, number| context.complete(number, completed));
        self.wake.give_room();
        queues
    }

    /// Fails tickets whose submissions will never be over. The engine's closures run in the maintenance that is asked for, which polls
    /// lost devices too. Empties `waits`.
    fn fail(&self, waits: &mut Vec<Wait>, error: &PresentError) {
        let queues = fail(waits, error);
        self.drop_queues(queues);
        self.wake.ask_for_maintenance();
    }

    /// Polls wgpu-core, which runs the engine's closures. If the device is retired, asks for maintenance instead.
    fn poll(&self) -> PollResult {
        self.poll_locked(self.polling.lock())
    }

    fn poll_locked(&self, polling: MutexGuard<'_, ()>) -> PollResult {
        span!("DevicePoller::poll");
        if self.may_poll.load(Ordering::Acquire) {
            return self.gpu.poll(self.device.id());
        }
        drop(polling);
        self.wake.ask_for_maintenance();
        PollResult::Lost
    }
}

/// Tells of completed frames when it is dropped, and earlier if that takes long. All contexts of a poller have one outbox.
#[derive(Default)]
struct Delivery(Option<(Arc<Outbox>, Instant)>);

impl Delivery {
    /// Notes that something was written into the outbox.
    fn add(&mut self, outbox: &Arc<Outbox>) {
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

/// Why a copy fails whose wait has failed for too long.
fn reason(error: WaitError) -> PresentError {
    match error {
        WaitError::OutOfMemory => PresentError::OutOfMemory,
        WaitError::Unexpected => PresentError::DeviceLost,
    }
}

/// Fails the tickets of `waits` and tells of that. Empties `waits`. Returns the queues that are to be dropped.
pub(super) fn fail(waits: &mut Vec<Wait>, error: &PresentError) -> Vec<QueueId> {
    end_tickets(waits, |context, number| context.fail(number, error))
}

/// Ends the tickets of `waits` one by one and tells of their ends. Empties `waits`. Returns the queues that are to be dropped.
///
/// A panic while a frame is made of a copy is a bug of this crate. It ends its own ticket, as failed, and no other one.
fn end_tickets(waits: &mut Vec<Wait>, end: impl Fn(&ContextData, u64)) -> Vec<QueueId> {
    let mut delivery = Delivery::default();
    let mut queues = Vec::new();
    for wait in waits.drain(..) {
        let (context, number) = match wait.then {
            Continuation::Complete { context, number, .. } => (context, number),
            Continuation::RunClosures => continue,
            Continuation::DropQueue(queue) => {
                queues.push(queue);
                continue;
            }
        };
        if let Some(context) = context.upgrade() {
            let culprit = "the end of a copy";
            if catch_panic(culprit, || end(&context, number)).is_none() {
                catch_panic(culprit, || context.fail(number, &PresentError::Panicked));
            }
            delivery.add(context.outbox());
        }
    }
    queues
}
