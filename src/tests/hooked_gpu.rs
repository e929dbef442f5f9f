//! A fake GPU with hooks, for what happens on another thread in the middle of a call.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wgpu_core::SubmissionIndex;
use wgpu_core::id::{BufferId, DeviceId, QueueId, TextureId};

use super::world::*;
use crate::gpu::fake::FakeGpu;
use crate::gpu::{
    CreateBufferError, Gpu, GpuDevice, IdleMemory, PollResult, ReadbackCopy, Submission, SubmitError,
    WaitResult,
};
use crate::{EncoderIds, PresenterOptions};

#[derive(Default)]
pub(super) struct Hooks {
    /// Runs once, in the middle of the next submission.
    pub(super) submit: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// Runs when a device is dropped that the presenter no longer needs.
    pub(super) drop_device: Mutex<Option<Box<dyn FnMut() + Send>>>,
}

impl Hooks {
    pub(super) fn in_next_submit(&self, hook: impl FnOnce() + Send + 'static) {
        *self.submit.lock() = Some(Box::new(hook));
    }
}

pub(super) struct HookedGpu {
    pub(super) gpu: FakeGpu,
    pub(super) hooks: Arc<Hooks>,
}

struct HookedDevice {
    device: Arc<dyn GpuDevice>,
    hooks: Arc<Hooks>,
}

impl World {
    /// A presenter without contexts.
    pub(super) fn hooked(memory: FrameMemoryKind) -> (Self, Arc<Hooks>) {
        let (gpu, hooks) = (FakeGpu::new(memory), Arc::<Hooks>::default());
        let hooked = HookedGpu { gpu: gpu.clone(), hooks: hooks.clone() };
        (Self::on(Arc::new(hooked), gpu, PresenterOptions::default()), hooks)
    }
}

impl Gpu for HookedGpu {
    fn open(&self, device: DeviceId) -> Arc<dyn GpuDevice> {
        Arc::new(HookedDevice { device: self.gpu.open(device), hooks: self.hooks.clone() })
    }

    fn drop_buffer(&self, id: BufferId) {
        self.gpu.drop_buffer(id);
    }

    fn has_buffer(&self, id: BufferId) -> bool {
        self.gpu.has_buffer(id)
    }

    fn destroy_texture(&self, id: TextureId) {
        self.gpu.destroy_texture(id);
    }

    fn drop_texture(&self, id: TextureId) {
        self.gpu.drop_texture(id);
    }

    fn destroy_device(&self, id: DeviceId) {
        self.gpu.destroy_device(id);
    }

    fn drop_device(&self, id: DeviceId) {
        self.gpu.drop_device(id);
    }

    fn poll(&self, id: DeviceId) -> PollResult {
        self.gpu.poll(id)
    }
}

impl Drop for HookedDevice {
    fn drop(&mut self) {
        if let Some(hook) = &mut *self.hooks.drop_device.lock() {
            hook();
        }
    }
}

impl GpuDevice for HookedDevice {
    fn id(&self) -> DeviceId {
        self.device.id()
    }

    fn memory(&self) -> Option<FrameMemoryKind> {
        self.device.memory()
    }

    fn largest_texture(&self) -> u32 {
        self.device.largest_texture()
    }

    fn allocate(
        &self,
        bytes: usize,
        headroom: usize,
        id: Option<BufferId>,
    ) -> Result<IdleMemory, CreateBufferError> {
        self.device.allocate(bytes, headroom, id)
    }

    fn submit(
        &self,
        queue: QueueId,
        encoder: Option<EncoderIds>,
        copies: &[ReadbackCopy],
    ) -> Result<Submission, SubmitError> {
        let hook = self.hooks.submit.lock().take();
        if let Some(hook) = hook {
            hook();
        }
        self.device.submit(queue, encoder, copies)
    }

    fn wait(&self, index: SubmissionIndex, timeout: Duration) -> WaitResult {
        self.device.wait(index, timeout)
    }

    fn must_poll(&self) -> bool {
        self.device.must_poll()
    }
}
