//! A fake GPU with hooks, for what happens on another thread in the middle of a call.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use wgpu_core::SubmissionIndex;
use wgpu_core::id::{BufferId, DeviceId, QueueId, TextureId};
use wgpu_core::resource::{CreateTextureError, TextureDescriptor};

use super::world::*;
use crate::PresenterOptions;
use crate::gpu::fake::FakeGpu;
use crate::gpu::{
    CopyTarget, CreateBufferError, Gpu, GpuDevice, IdleMemory, ImageShape, PollResult, ReadbackCopy,
    Submission, SubmissionIds, SubmitError, WaitResult,
};

#[derive(Default)]
pub(super) struct Hooks {
    /// Runs once, in the middle of the next submission.
    pub(super) submit: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// Runs once, before the next buffer is dropped in the hub.
    pub(super) drop_buffer: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// Runs when a device is dropped that the presenter no longer needs.
    pub(super) drop_device: Mutex<Option<Box<dyn FnMut() + Send>>>,
    /// How long each wait takes, whatever its time-out.
    pub(super) waits_take: Mutex<Duration>,
    /// How many of the next calls panic.
    panics: Mutex<HashMap<Call, usize>>,
}

/// A call of the seam that can panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    Open,
    CreateBuffer,
    /// Before anything is submitted.
    Submit,
    /// After the submission was accepted.
    Submitted,
    Wait,
    Poll,
    DropBuffer,
    DestroyTexture,
    DropTexture,
    DestroyDevice,
    DropDevice,
    DropQueue,
}

impl Hooks {
    /// Lets the next `count` calls panic.
    pub(super) fn panic_in(&self, call: Call, count: usize) {
        self.panics.lock().insert(call, count);
    }

    /// Panics, if that was asked for.
    fn enter(&self, call: Call) {
        let panics = match self.panics.lock().get_mut(&call) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        };
        assert!(!panics, "on purpose, in {call:?}");
    }

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
    fn open(&self, device: DeviceId) -> Option<Arc<dyn GpuDevice>> {
        self.hooks.enter(Call::Open);
        Some(Arc::new(HookedDevice { device: self.gpu.open(device)?, hooks: self.hooks.clone() }))
    }

    fn drop_buffer(&self, id: BufferId) {
        let hook = self.hooks.drop_buffer.lock().take();
        if let Some(hook) = hook {
            hook();
        }
        self.hooks.enter(Call::DropBuffer);
        self.gpu.drop_buffer(id);
    }

    fn has_buffer(&self, id: BufferId) -> bool {
        self.gpu.has_buffer(id)
    }

    fn create_texture(
        &self,
        device: DeviceId,
        descriptor: &TextureDescriptor<'_>,
        id: Option<TextureId>,
    ) -> (TextureId, Option<CreateTextureError>) {
        self.gpu.create_texture(device, descriptor, id)
    }

    fn destroy_texture(&self, id: TextureId) {
        self.hooks.enter(Call::DestroyTexture);
        self.gpu.destroy_texture(id);
    }

    fn drop_texture(&self, id: TextureId) {
        self.hooks.enter(Call::DropTexture);
        self.gpu.drop_texture(id);
    }

    fn destroy_device(&self, id: DeviceId) {
        self.hooks.enter(Call::DestroyDevice);
        self.gpu.destroy_device(id);
    }

    fn drop_device(&self, id: DeviceId) {
        self.hooks.enter(Call::DropDevice);
        self.gpu.drop_device(id);
    }

    fn drop_queue(&self, id: QueueId) {
        self.hooks.enter(Call::DropQueue);
        self.gpu.drop_queue(id);
    }

    fn last_submission(&self, device: DeviceId) -> Option<SubmissionIndex> {
        self.gpu.last_submission(device)
    }

    fn poll(&self, id: DeviceId) -> PollResult {
        self.hooks.enter(Call::Poll);
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
        self.hooks.enter(Call::CreateBuffer);
        self.device.allocate(bytes, headroom, id)
    }

    fn allocate_image(&self, shape: &ImageShape) -> Result<IdleMemory, crate::ReadbackReason> {
        self.device.allocate_image(shape)
    }

    fn create_texture_in(
        &self,
        image: &IdleMemory,
        descriptor: &TextureDescriptor<'_>,
        id: Option<TextureId>,
    ) -> Option<(TextureId, Option<CreateTextureError>)> {
        self.device.create_texture_in(image, descriptor, id)
    }

    fn is_drawn_in(&self, texture: TextureId, image: &CopyTarget) -> bool {
        self.device.is_drawn_in(texture, image)
    }

    fn submit(
        &self,
        queue: QueueId,
        ids: SubmissionIds,
        copies: &[ReadbackCopy],
    ) -> Result<Submission, SubmitError> {
        let hook = self.hooks.submit.lock().take();
        if let Some(hook) = hook {
            hook();
        }
        self.hooks.enter(Call::Submit);
        let submitted = self.device.submit(queue, ids, copies);
        self.hooks.enter(Call::Submitted);
        submitted
    }

    fn wait(&self, index: SubmissionIndex, timeout: Duration) -> WaitResult {
        self.hooks.enter(Call::Wait);
        let stuck = *self.hooks.waits_take.lock();
        thread::sleep(stuck);
        self.device.wait(index, timeout)
    }

    fn must_poll(&self) -> bool {
        self.device.must_poll()
    }
}
