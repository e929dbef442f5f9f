//! The threads of pollers, and the devices that they hold.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::world::*;
use crate::Poller;

/// Dropped slowly, as a `VkDevice` is.
mod slow {
    use std::sync::atomic::{AtomicBool, Ordering};

    use wgpu_core::SubmissionIndex;
    use wgpu_core::id::{BufferId, DeviceId, QueueId, TextureId};

    use super::*;
    use crate::gpu::{
        CreateBufferError, Gpu, GpuDevice, IdleMemory, PollResult, ReadbackCopy, Submission, SubmitError,
        UnsupportedDevice, WaitResult,
    };
    use crate::{EncoderIds, FrameMemoryKind};

    #[derive(Default)]
    pub(super) struct Slow(pub(super) Arc<AtomicBool>);

    struct Device(UnsupportedDevice, Arc<AtomicBool>);

    impl Drop for Device {
        fn drop(&mut self) {
            thread::sleep(Duration::from_millis(100));
            self.1.store(true, Ordering::SeqCst);
        }
    }

    impl Gpu for Slow {
        fn open(&self, device: DeviceId) -> Arc<dyn GpuDevice> {
            Arc::new(Device(UnsupportedDevice(device), self.0.clone()))
        }

        fn drop_buffer(&self, _: BufferId) {}

        fn destroy_texture(&self, _: TextureId) {}

        fn drop_texture(&self, _: TextureId) {}

        fn destroy_device(&self, _: DeviceId) {}

        fn drop_device(&self, _: DeviceId) {}

        fn poll(&self, _: DeviceId) -> PollResult {
            PollResult::Idle
        }
    }

    impl GpuDevice for Device {
        fn id(&self) -> DeviceId {
            self.0.id()
        }

        fn memory(&self) -> Option<FrameMemoryKind> {
            None
        }

        fn largest_texture(&self) -> u32 {
            0
        }

        fn create_buffer(
            &self,
            bytes: usize,
            room: usize,
            id: Option<BufferId>,
        ) -> Result<(BufferId, IdleMemory), CreateBufferError> {
            self.0.create_buffer(bytes, room, id)
        }

        fn submit(
            &self,
            queue: QueueId,
            encoder: Option<EncoderIds>,
            copies: &[ReadbackCopy],
        ) -> Result<Submission, SubmitError> {
            self.0.submit(queue, encoder, copies)
        }

        fn wait(&self, index: SubmissionIndex, timeout: Duration) -> WaitResult {
            self.0.wait(index, timeout)
        }

        fn must_poll(&self) -> bool {
            false
        }
    }
}

// A process that ends unloads the driver.
#[test]
fn a_presenter_outlives_its_threads_though_their_device_was_dropped() {
    let gpu = slow::Slow::default();
    let dropped = gpu.0.clone();
    let poller = Poller::new(Arc::new(gpu), Arc::new(|| ()));
    poller.wait_for(device(0), 1);
    poller.retire(device(0));
    poller.forget(device(0));
    // The thread has nothing to do any more: it lets go of the device.
    thread::sleep(Duration::from_millis(60));
    poller.stop();
    assert!(dropped.load(std::sync::atomic::Ordering::SeqCst), "a thread is in the driver still");
}
