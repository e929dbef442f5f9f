//! Pollers: devices that can only be polled (GLES, Direct3D 12, Metal), closures of the engine that misbehave in a poll, and the
//! threads that hold a device.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wgpu_core::SubmissionIndex;
use wgpu_core::id::{BufferId, DeviceId, QueueId, TextureId};
use wgpu_core::resource::{CreateTextureError, TextureDescriptor};

use super::hooked_gpu::HookedGpu;
use super::world::*;
use crate::gpu::fake::{self, FakeGpu};
use crate::gpu::{ContainedGpu, Gpu, GpuDevice, PollResult, UnsupportedDevice};
use crate::{Poller, PresenterOptions, UnknownQueue};

/// What a poll does, closures included.
type OnPoll = Box<dyn FnMut() -> PollResult + Send>;

/// A GPU whose devices can do nothing but be polled.
struct Polling {
    on_poll: Mutex<OnPoll>,
    polled: Mutex<Sender<()>>,
}

impl Polling {
    fn new(on_poll: OnPoll) -> (Arc<Self>, Receiver<()>) {
        let (sender, polls) = channel();
        (Arc::new(Self { on_poll: Mutex::new(on_poll), polled: Mutex::new(sender) }), polls)
    }
}

impl Gpu for Polling {
    fn open(&self, device: DeviceId) -> Option<Arc<dyn GpuDevice>> {
        Some(Arc::new(UnsupportedDevice(device)))
    }

    fn drop_buffer(&self, _: BufferId) {}

    fn has_buffer(&self, _: BufferId) -> bool {
        false
    }

    fn create_texture(
        &self,
        _: DeviceId,
        _: &TextureDescriptor<'_>,
        _: Option<TextureId>,
    ) -> (TextureId, Option<CreateTextureError>) {
        (TextureId::zip(0, 1), None)
    }

    fn destroy_texture(&self, _: TextureId) {}

    fn drop_texture(&self, _: TextureId) {}

    fn destroy_device(&self, _: DeviceId) {}

    fn drop_device(&self, _: DeviceId) {}

    fn drop_queue(&self, _: QueueId) {}

    fn last_submission(&self, _: DeviceId) -> Option<SubmissionIndex> {
        None
    }

    fn poll(&self, _: DeviceId) -> PollResult {
        // A test that has ended counts no more polls.
        let _ = self.polled.lock().send(());
        (self.on_poll.lock())()
    }
}

fn poller_on(gpu: Arc<dyn Gpu>) -> Poller {
    Poller::new(Arc::new(ContainedGpu::new(gpu)), Arc::new(|| ()), Duration::MAX)
}

#[test]
fn a_queue_is_waited_for_on_the_device_that_it_was_named_with() {
    let World { gpu, mut presenter, .. } = World::empty(Owned);
    let poller = presenter.poller().clone();
    let [unknown, first, second] = [0, 1, 2].map(fake::queue);
    presenter.add_device(device(1), first);
    presenter.add_device(device(2), second);
    assert_eq!(poller.wait_for_queue(unknown, 0), Err(UnknownQueue(unknown)));
    let polls = || [1, 2].map(|index| gpu.polls(device(index)));
    let before = polls();
    poller.wait_for_queue(second, 0).unwrap();
    until(|| polls()[1] > before[1]);
    assert_eq!(polls()[0], before[0], "another device");
    poller.wait_for_queue(first, 0).unwrap();
    until(|| polls()[0] > before[0]);
    presenter.drop_device(device(2));
    assert_eq!(poller.wait_for_queue(second, 0), Err(UnknownQueue(second)));
    assert_eq!(poller.wait_for_queue(first, 0), Ok(()));
}

/// Waits until a condition holds. A test that waits in vain fails.
#[track_caller]
fn until(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < TIMEOUT, "waited in vain");
        thread::sleep(Duration::from_millis(1));
    }
}

// wgpu-core computes the status of a poll before it runs the closures: an idle queue may have got work by then.
#[test]
fn a_closure_that_waits_for_more_is_polled_for() {
    let (gpu, polls) = Polling::new(Box::new(|| PollResult::Idle));
    let poller = poller_on(gpu.clone());
    let mut again = Some(poller.clone());
    *gpu.on_poll.lock() = Box::new(move || {
        if let Some(poller) = again.take() {
            poller.wait_for(device(0), 2);
        }
        PollResult::Idle
    });
    poller.wait_for(device(0), 1);
    for _ in 0..2 {
        polls.recv_timeout(TIMEOUT).expect("each wait is polled for");
    }
    poller.stop();
}

#[test]
fn a_panicking_closure_ends_no_other_wait() {
    let mut panics = true;
    let (gpu, polls) = Polling::new(Box::new(move || {
        assert!(!std::mem::take(&mut panics), "on purpose");
        PollResult::Idle
    }));
    let poller = poller_on(gpu);
    poller.wait_for(device(0), 2);
    for _ in 0..2 {
        polls.recv_timeout(TIMEOUT).expect("it is polled for again");
    }
    poller.stop();
}

#[test]
fn a_panicking_closure_does_not_unwind_through_the_presenter() {
    let (gpu, polls) = Polling::new(Box::new(|| PollResult::Idle));
    let World { mut presenter, .. } =
        World::on(gpu.clone(), FakeGpu::new(Owned), PresenterOptions::default());
    presenter.poller().wake(device(0));
    polls.recv_timeout(TIMEOUT).expect("it is polled");
    *gpu.on_poll.lock() = Box::new(|| panic!("on purpose"));
    presenter.maintain();
    presenter.destroy_device(device(0));
    presenter.drop_device(device(0));
    assert!(polls.try_iter().count() >= 3);
}

#[test]
fn nothing_is_waited_for_once_the_presenter_is_gone() {
    let (gpu, polls) = Polling::new(Box::new(|| PollResult::Idle));
    let poller = poller_on(gpu);
    poller.stop();
    poller.wait_for(device(0), 1);
    assert!(polls.recv_timeout(Duration::from_millis(50)).is_err());
}

// A process that ends unloads the driver: no thread may be in it then, dropping a device, which takes a `VkDevice` some time.
#[test]
fn a_presenter_outlives_its_threads_though_their_device_was_dropped() {
    let gpu = HookedGpu { gpu: FakeGpu::new(Owned), hooks: Arc::default() };
    let dropped = Arc::new(AtomicBool::new(false));
    let is_dropped = dropped.clone();
    *gpu.hooks.drop_device.lock() = Some(Box::new(move || {
        thread::sleep(Duration::from_millis(100));
        is_dropped.store(true, Ordering::SeqCst);
    }));
    let poller = poller_on(Arc::new(gpu));
    poller.wait_for(device(0), 0);
    poller.retire(device(0));
    poller.forget(device(0));
    // The thread has nothing to do any more and lets go of the device.
    thread::sleep(Duration::from_millis(60));
    poller.stop();
    assert!(dropped.load(Ordering::SeqCst), "a thread is in the driver still");
}
