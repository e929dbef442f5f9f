//! Devices that can only be polled (GLES, Direct3D 12, Metal), and closures of the engine's that misbehave in a poll.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use parking_lot::Mutex;
use wgpu_core::id::{BufferId, DeviceId, TextureId};

use super::world::{Owned, TIMEOUT, World, device};
use crate::gpu::{Gpu, GpuDevice, PollResult, UnsupportedDevice};
use crate::{Poller, Presenter, PresenterOptions};

/// What a poll does, closures included.
type OnPoll = Box<dyn FnMut() -> PollResult + Send>;

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
    fn open(&self, device: DeviceId) -> Arc<dyn GpuDevice> {
        Arc::new(UnsupportedDevice(device))
    }

    fn drop_buffer(&self, _: BufferId) {}

    fn destroy_texture(&self, _: TextureId) {}

    fn drop_texture(&self, _: TextureId) {}

    fn destroy_device(&self, _: DeviceId) {}

    fn drop_device(&self, _: DeviceId) {}

    fn poll(&self, _: DeviceId) -> PollResult {
        // The test may have heard enough.
        let _ = self.polled.lock().send(());
        (self.on_poll.lock())()
    }
}

// wgpu-core computes the status of a poll before it runs the closures.
#[test]
fn a_closure_that_waits_for_more_is_polled_for() {
    let (gpu, polls) = Polling::new(Box::new(|| PollResult::Idle));
    let poller = Poller::new(gpu.clone(), Arc::new(|| ()));
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
    let poller = Poller::new(gpu, Arc::new(|| ()));
    poller.wait_for(device(0), 2);
    for _ in 0..2 {
        polls.recv_timeout(TIMEOUT).expect("it is polled for again");
    }
    poller.stop();
}

#[test]
fn a_panicking_closure_does_not_unwind_through_the_presenter() {
    let (gpu, polls) = Polling::new(Box::new(|| PollResult::Idle));
    let world = World::empty(Owned);
    let (sink, options) = (Arc::new(world.recorder.clone()), PresenterOptions::default());
    let mut presenter = Presenter::with_gpu(gpu.clone(), &world.map, sink, options);
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
    let poller = Poller::new(gpu, Arc::new(|| ()));
    poller.stop();
    poller.wait_for(device(0), 1);
    assert!(polls.recv_timeout(Duration::from_millis(50)).is_err());
}
