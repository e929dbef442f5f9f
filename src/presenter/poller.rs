//! Waiting for the GPU: one [`DevicePoller`] for each device, found by the id of the device.
//!
//! The WebGPU thread hands over what it has submitted, and opens and forgets devices. The engine may use a [`Poller`] on any thread.

pub(super) mod device;
mod threads;
pub(super) mod waits;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use wgpu_core::SubmissionIndex;
use wgpu_core::id::{DeviceId, QueueId};

use self::device::DevicePoller;
use self::threads::PollerThreads;
use self::waits::{Continuation, Wait};
use crate::api::error::PresentError;
use crate::api::error::UnknownQueue;
use crate::gpu::{ContainedGpu, Gpu, GpuDevice, HeapUsage, PollResult};
use crate::sync::{catch_panic, contain_panic};

/// Drives wgpu-core, for frames and for the engine's own closures.
///
/// It replaces a thread of the engine's that polls all devices: the work of one device never delays that of another. Clones are
/// cheap, and any thread may use them.
///
/// An engine names each of its own submissions in [`wait_for`](Self::wait_for) or [`wait_for_queue`](Self::wait_for_queue). That is all it
/// has to do: what it drops while work uses it is released by the poll that follows that work, and what no work uses at once. So dropping a
/// resource needs no [`wake`](Self::wake), and submits and writes need no lock that keeps pollers away.
///
/// Closures run on a thread of the device, inside a poll, and must not wait for the WebGPU thread (see
/// [`Presenter`](crate::Presenter)). A panic in one is logged. wgpu-core then forgets the other closures that the same poll would have
/// run; nothing else is affected.
#[derive(Clone)]
pub struct Poller(Arc<Shared>);

struct Shared {
    threads: Arc<PollerThreads>,
    gpu: Arc<ContainedGpu>,
    wake: Arc<Wake>,
    devices: Mutex<Devices>,
    copy_timeout: Duration,
    /// Pollers of devices that were dropped, whose threads may still run.
    retired: Mutex<Vec<Weak<DevicePoller>>>,
}

#[derive(Default)]
struct Devices {
    pollers: FxHashMap<DeviceId, Arc<DevicePoller>>,
    /// The queues that the engine has named together with their devices.
    queues: FxHashMap<QueueId, DeviceId>,
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").field("devices", &self.devices()).finish_non_exhaustive()
    }
}

/// How pollers ask for maintenance.
struct Wake {
    wake: Arc<dyn Fn() + Send + Sync>,
    /// Copies wait for room: the WebGPU thread must submit them once another copy is done.
    wants_room: AtomicBool,
}

impl Wake {
    fn ask_for_maintenance(&self) {
        contain_panic(|| (self.wake)());
    }

    /// Asks for maintenance if copies wait for room. Called when a copy has ended.
    fn give_room(&self) {
        if self.wants_room.swap(false, Ordering::AcqRel) {
            self.ask_for_maintenance();
        }
    }
}

impl Poller {
    /// Copies that are not done within `copy_timeout` are given up.
    pub(crate) fn new(
        gpu: Arc<ContainedGpu>,
        wake: Arc<dyn Fn() + Send + Sync>,
        copy_timeout: Duration,
    ) -> Self {
        Self(Arc::new(Shared {
            threads: Arc::default(),
            gpu,
            wake: Arc::new(Wake { wake, wants_room: AtomicBool::new(false) }),
            devices: Mutex::default(),
            copy_timeout,
            retired: Mutex::default(),
        }))
    }

    /// Runs the closures of a device as soon as a submission is done. Does not wait.
    ///
    /// `submission` is what wgpu-core returned from `queue_submit`, `buffer_map_async` or `queue_on_submitted_work_done`. The wait for
    /// a number that it did not return never ends, or ends at once on a Vulkan device without timeline semaphores. Other waits are not
    /// concerned.
    ///
    /// The device must not be dropped. If it is destroyed, its closures run in
    /// [`Presenter::maintain`](crate::Presenter::maintain) instead. Once the presenter is gone this does nothing, nor does it
    /// for a device that wgpu-core does not know.
    pub fn wait_for(&self, device: DeviceId, submission: SubmissionIndex) {
        if self.0.threads.are_stopped() {
            return;
        }
        if let Some(device) = self.device(device) {
            let wait = Wait { index: submission, then: Continuation::RunClosures };
            device.add(std::iter::once(wait));
        }
    }

    /// Runs the closures of the device that a queue belongs to as soon as a submission is done, as [`wait_for`](Self::wait_for) does.
    ///
    /// # Errors
    ///
    /// The queue was not named in [`Presenter::add_device`](crate::Presenter::add_device), its device was dropped, or the presenter is gone.
    pub fn wait_for_queue(&self, queue: QueueId, submission: SubmissionIndex) -> Result<(), UnknownQueue> {
        let devices = self.0.devices.lock();
        let poller = devices.queues.get(&queue).and_then(|device| devices.pollers.get(device)).cloned();
        drop(devices);
        let wait = Wait { index: submission, then: Continuation::RunClosures };
        poller.ok_or(UnknownQueue(queue))?.add(std::iter::once(wait));
        Ok(())
    }

    /// Runs the closures of a device whose work is done already; otherwise as [`wait_for`](Self::wait_for).
    pub fn wake(&self, device: DeviceId) {
        self.wait_for(device, 0);
    }

    /// Lets the device's thread wait for one submission; before that, waits itself until `until`, busily. Empties `waits`, which are
    /// all for that submission. Called on the WebGPU thread.
    pub(super) fn wait_for_submission(
        &self,
        device: DeviceId,
        until: Option<Instant>,
        waits: &mut Vec<Wait>,
    ) {
        let Some(device) = self.device(device) else {
            // It was opened for the submission, and is forgotten only on this thread.
            log::error!("webgpu-presentation: {device:?} is not known any more");
            device::fail(waits, &PresentError::Panicked);
            return;
        };
        if let (Some(until), Some(first)) = (until, waits.first()) {
            device.spin(first.index, until, waits);
        }
        if !waits.is_empty() {
            device.add(waits.drain(..));
        }
    }

    /// Asks for maintenance as soon as a copy has ended, because others wait for room.
    pub(super) fn want_room(&self) {
        self.0.wake.wants_room.store(true, Ordering::Release);
    }

    /// Whether the copies of a device that are in flight would be lost with it: they go to memory of wgpu-core.
    pub(super) fn loses_copies(&self, device: DeviceId) -> bool {
        self.0.devices.lock().pollers.get(&device).is_some_and(|poller| poller.device().must_poll())
    }

    /// Waits until no copy of a device is in flight, or until `deadline`. Returns whether none is. Called on the WebGPU thread.
    pub(super) fn wait_for_copies(&self, device: DeviceId, deadline: Instant) -> bool {
        let poller = self.0.devices.lock().pollers.get(&device).cloned();
        poller.is_none_or(|poller| poller.wait_for_copies(deadline))
    }

    /// Notes that a queue belongs to a device, and prepares the device: its first wait finds a thread that runs. (On a machine whose cores
    /// are busy, a new thread runs only milliseconds later.)
    pub(super) fn add_device(&self, device: DeviceId, queue: QueueId) {
        if let Some(poller) = self.device(device) {
            poller.add(std::iter::empty());
            self.0.devices.lock().queues.insert(queue, device);
        }
    }

    /// Drops a queue on the thread of its device, once all that was submitted to the device is done or the device is lost.
    ///
    /// wgpu-core waits for the device when the last handle of a queue goes, without a time-out. Even a thread that holds a handle for a
    /// moment then has nothing to wait for any more.
    pub(super) fn drop_queue(&self, device: DeviceId, queue: QueueId) {
        self.0.devices.lock().queues.remove(&queue);
        match (self.0.gpu.last_submission(device), self.device(device)) {
            (Some(index), Some(poller)) => {
                poller.add(std::iter::once(Wait { index, then: Continuation::DropQueue(queue) }));
            }
            // The device is not known, so there is no fence to wait for.
            _ => self.0.gpu.drop_queue(queue),
        }
    }

    /// Whether a thread runs. What such a thread asks for before it ends is seen by a caller that looks afterwards.
    pub(super) fn any_runs(&self) -> bool {
        let any_runs = self.0.threads.any_runs();
        fence(Ordering::Acquire);
        any_runs
    }

    /// Returns what is kept of a device, from now until it is [forgotten](Self::forget). Returns `None` if wgpu-core does not know
    /// it.
    pub(crate) fn open(&self, device: DeviceId) -> Option<Arc<dyn GpuDevice>> {
        Some(self.device(device)?.device().clone())
    }

    /// Returns what is kept of a device, unless it was destroyed or dropped.
    pub(super) fn open_living(&self, device: DeviceId) -> Option<Arc<dyn GpuDevice>> {
        let poller = self.device(device).filter(|poller| !poller.is_retired())?;
        Some(poller.device().clone())
    }

    /// Returns the devices that were waited for or presented on, and were not dropped.
    pub(super) fn devices(&self) -> Vec<DeviceId> {
        self.0.devices.lock().pollers.keys().copied().collect()
    }

    /// Returns what each device that was not dropped has taken of its driver for owned memory.
    pub(super) fn heaps(&self) -> Vec<(DeviceId, HeapUsage)> {
        let devices = self.0.devices.lock();
        devices.pollers.iter().map(|(id, poller)| (*id, poller.device().heap())).collect()
    }

    /// Lets no poller poll this device any more, and waits until a poll under way is over. Waits for frames go on, but not for long: the GPU
    /// may never answer.
    pub(crate) fn retire(&self, device: DeviceId) {
        if let Some(device) = self.device(device) {
            device.retire();
        }
    }

    /// Forgets a retired device, whose id may name another one from now on.
    pub(crate) fn forget(&self, device: DeviceId) {
        let mut devices = self.0.devices.lock();
        devices.queues.retain(|_, of| *of != device);
        let poller = devices.pollers.remove(&device);
        drop(devices);
        if let Some(poller) = poller {
            let mut retired = self.0.retired.lock();
            retired.retain(|poller| poller.strong_count() > 0);
            retired.push(Arc::downgrade(&poller));
            drop(retired);
            // With the last handle wgpu-core destroys the device, in which it may panic.
            catch_panic("wgpu-core", || drop(poller));
        }
    }

    /// Notes the result of a poll in the maintenance. If the device is retired and must be polled again, asks for
    /// [`maintain`](crate::Presenter::maintain) after a while. (Otherwise its own thread polls.)
    pub(super) fn polled(&self, device: DeviceId, result: PollResult) {
        let poller = self.0.devices.lock().pollers.get(&device).cloned();
        if let Some(poller) = poller.filter(|poller| poller.is_retired()) {
            poller.remind_after(result);
        }
    }

    /// Ends all threads and waits for them, which takes no longer than a closure of the engine's and a slice of a wait. A thread that is
    /// stuck is waited for for five seconds.
    pub(crate) fn stop(&self) {
        self.0.threads.stop();
        let devices = std::mem::take(&mut *self.0.devices.lock());
        let retired = std::mem::take(&mut *self.0.retired.lock());
        let retired = retired.iter().filter_map(Weak::upgrade);
        devices.pollers.into_values().chain(retired).for_each(|poller| poller.stop());
        self.0.threads.join();
    }

    /// Returns the poller of a device, which is made if there is none. Returns `None` if wgpu-core does not know the device.
    fn device(&self, id: DeviceId) -> Option<Arc<DevicePoller>> {
        let known = self.0.devices.lock().pollers.get(&id).cloned();
        known.or_else(|| {
            // Opening calls wgpu-core, so the lock is not held.
            let device = self.0.gpu.open(id)?;
            let Shared { gpu, wake, threads, copy_timeout, .. } = &*self.0;
            let (gpu, wake, threads) = (gpu.clone(), wake.clone(), threads.clone());
            let new = Arc::new(DevicePoller::new(device, gpu, wake, threads, *copy_timeout));
            Some(self.0.devices.lock().pollers.entry(id).or_insert(new).clone())
        })
    }
}
