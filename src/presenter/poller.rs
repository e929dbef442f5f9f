//! Waiting for the GPU: one [`DevicePoller`] for each device.

pub(super) mod device;
mod threads;
pub(super) mod waits;

use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use wgpu_core::SubmissionIndex;
use wgpu_core::id::DeviceId;

use super::poller::device::DevicePoller;
use super::poller::threads::PollerThreads;
use super::poller::waits::{Continuation, Wait};
use crate::gpu::{Gpu, GpuDevice};

/// Drives wgpu-core: for frames, and for the engine's own closures. Cheap to clone, usable on any thread.
///
/// It replaces a thread of the engine's that polls all devices: the work of one device never delays another's.
/// Closures run on a thread of the device, inside a poll: they must not wait for the WebGPU thread, see
/// [`Presenter`](crate::Presenter). A panic in one is logged; wgpu-core then forgets the others that the same poll would
/// have run, and nothing else ends.
#[derive(Clone)]
pub struct Poller(Arc<Shared>);

struct Shared {
    threads: Arc<PollerThreads>,
    gpu: Arc<dyn Gpu>,
    wake: Arc<dyn Fn() + Send + Sync>,
    devices: Mutex<FxHashMap<DeviceId, Arc<DevicePoller>>>,
    /// Of devices that were dropped, as long as their threads run.
    retired: Mutex<Vec<Weak<DevicePoller>>>,
}

impl Poller {
    pub(crate) fn new(gpu: Arc<dyn Gpu>, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self(Arc::new(Shared {
            threads: Arc::default(),
            gpu,
            wake,
            devices: Mutex::default(),
            retired: Mutex::default(),
        }))
    }

    /// Runs the device's closures as soon as a submission is done. `submission` is what wgpu-core returned from
    /// `queue_submit`, `buffer_map_async` or `queue_on_submitted_work_done` (a number that it did not return is waited for in
    /// vain).
    ///
    /// The device must not be dropped. If it is destroyed, closures run in
    /// [`Presenter::maintain`](crate::Presenter::maintain) instead. No effect once the presenter is gone.
    pub fn wait_for(&self, device: DeviceId, submission: SubmissionIndex) {
        if !self.0.threads.are_stopped() {
            let watch = Wait { index: submission, target: Continuation::Closures };
            self.device(device).watch(std::iter::once(watch));
        }
    }

    /// Runs the device's closures whose work is done already. As [`wait_for`](Self::wait_for) otherwise.
    pub fn wake(&self, device: DeviceId) {
        self.wait_for(device, 0);
    }

    /// Waits for what one submission brings, until `until` on this thread. Empties `waits`.
    pub(crate) fn wait_for_submission(
        &self,
        device: DeviceId,
        until: Option<Instant>,
        waits: &mut Vec<Wait>,
    ) {
        let device = self.device(device);
        if let (Some(until), Some(first)) = (until, waits.first()) {
            device.spin(first.index, until, waits);
        }
        if !waits.is_empty() {
            device.watch(waits.drain(..));
        }
    }

    /// What is kept of a device, from now until it is [forgotten](Self::forget).
    pub(crate) fn open(&self, device: DeviceId) -> Arc<dyn GpuDevice> {
        self.device(device).device().clone()
    }

    /// The devices that were waited for or presented on, and were not dropped.
    pub(crate) fn devices(&self) -> Vec<DeviceId> {
        self.0.devices.lock().keys().copied().collect()
    }

    /// No poller calls wgpu-core for this device any more: waits out a poll under way. Waits for frames go on.
    pub(crate) fn retire(&self, device: DeviceId) {
        self.device(device).retire();
    }

    pub(crate) fn is_retired(&self, device: DeviceId) -> bool {
        let poller = self.0.devices.lock().get(&device).cloned();
        poller.is_some_and(|poller| poller.is_retired())
    }

    /// The id of a retired device may name another one from now on.
    pub(crate) fn forget(&self, device: DeviceId) {
        let poller = self.0.devices.lock().remove(&device);
        if let Some(poller) = poller {
            let mut retired = self.0.retired.lock();
            retired.retain(|poller| poller.strong_count() > 0);
            retired.push(Arc::downgrade(&poller));
        }
    }

    /// Asks for [`maintain`](crate::Presenter::maintain), a moment from now.
    pub(crate) fn remind(&self, device: DeviceId) {
        self.device(device).remind();
    }

    /// Ends all threads, within a bound.
    pub(crate) fn stop(&self) {
        self.0.threads.stop();
        let devices = std::mem::take(&mut *self.0.devices.lock());
        let retired = std::mem::take(&mut *self.0.retired.lock());
        let retired = retired.iter().filter_map(Weak::upgrade);
        devices.into_values().chain(retired).for_each(|poller| poller.stop());
        self.0.threads.join();
    }

    fn device(&self, id: DeviceId) -> Arc<DevicePoller> {
        let known = self.0.devices.lock().get(&id).cloned();
        known.unwrap_or_else(|| {
            // Opening calls wgpu-core: not under the lock.
            let device = self.0.gpu.open(id);
            let Shared { gpu, wake, threads, .. } = &*self.0;
            let new = Arc::new(DevicePoller::new(device, gpu.clone(), wake.clone(), threads.clone()));
            self.0.devices.lock().entry(id).or_insert(new).clone()
        })
    }
}
