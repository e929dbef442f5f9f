//! A [`Gpu`] whose calls do not unwind.
//!
//! wgpu-core panics at an id that it does not know, inside closures of the engine's that it runs, and
//! where a driver surprises it. Such a panic must not unwind through the presenter, which holds tickets, ids
//! and buffers in local variables while it calls. So the presenter and its pollers see every [`Gpu`]
//! through [`ContainedGpu`], which turns a panic into an error. It is the only place where all calls are
//! guarded; `copy` and `staging::buffer` guard a few more because they must tidy up.
//!
//! wgpu-core's locks are not poisoned, so after a panic other calls go on. What the panicking call had begun may
//! be half done: a submission may be running, and an object may stay in the hub.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use euclid::default::Size2D;
use wgpu_core::SubmissionIndex;
use wgpu_core::id::{BufferId, DeviceId, QueueId, TextureId};
use wgpu_core::resource::{CreateTextureError, TextureDescriptor};

use super::{
    CopyTarget, CreateBufferError, DeviceUuids, Gpu, GpuDevice, HeapUsage, IdleMemory, ImageShape,
    PollResult, ReadbackCopy, Submission, SubmissionIds, SubmitError, WaitResult,
};
use wgpu_types::TextureFormat;

use crate::api::error::PresentError;
use crate::api::report::{FrameMemoryKind, ReadbackReason};
use crate::sync::catch_panic;

/// What panicked, for the log.
const WGPU_CORE: &str = "wgpu-core, or a closure of the engine that it ran,";

/// Passes all calls on to another [`Gpu`] and contains their panics.
pub(crate) struct ContainedGpu(Arc<dyn Gpu>);

/// A device of a [`ContainedGpu`].
struct ContainedDevice(Arc<dyn GpuDevice>);

impl ContainedGpu {
    pub(crate) fn new(gpu: Arc<dyn Gpu>) -> Self {
        Self(gpu)
    }
}

impl Gpu for ContainedGpu {
    fn open(&self, device: DeviceId) -> Option<Arc<dyn GpuDevice>> {
        let device = catch_panic(WGPU_CORE, || self.0.open(device)).flatten()?;
        Some(Arc::new(ContainedDevice(device)))
    }

    fn drop_buffer(&self, id: BufferId) {
        catch_panic(WGPU_CORE, || self.0.drop_buffer(id));
    }

    fn has_buffer(&self, id: BufferId) -> bool {
        self.0.has_buffer(id)
    }

    /// Unwinds as wgpu-core does, because there is no id to return then. The caller holds nothing meanwhile.
    fn create_texture(
        &self,
        device: DeviceId,
        descriptor: &TextureDescriptor<'_>,
        id: Option<TextureId>,
    ) -> (TextureId, Option<CreateTextureError>) {
        self.0.create_texture(device, descriptor, id)
    }

    fn destroy_texture(&self, id: TextureId) {
        catch_panic(WGPU_CORE, || self.0.destroy_texture(id));
    }

    fn drop_texture(&self, id: TextureId) {
        catch_panic(WGPU_CORE, || self.0.drop_texture(id));
    }

    fn destroy_device(&self, id: DeviceId) {
        catch_panic(WGPU_CORE, || self.0.destroy_device(id));
    }

    fn drop_device(&self, id: DeviceId) {
        catch_panic(WGPU_CORE, || self.0.drop_device(id));
    }

    fn drop_queue(&self, id: QueueId) {
        catch_panic(WGPU_CORE, || self.0.drop_queue(id));
    }

    fn last_submission(&self, device: DeviceId) -> Option<SubmissionIndex> {
        catch_panic(WGPU_CORE, || self.0.last_submission(device)).flatten()
    }

    fn poll(&self, id: DeviceId) -> PollResult {
        catch_panic(WGPU_CORE, || self.0.poll(id)).unwrap_or(PollResult::Panicked)
    }
}

impl GpuDevice for ContainedDevice {
    fn id(&self) -> DeviceId {
        self.0.id()
    }

    fn memory(&self) -> Option<FrameMemoryKind> {
        self.0.memory()
    }

    fn largest_texture(&self) -> u32 {
        self.0.largest_texture()
    }

    fn allocate(
        &self,
        bytes: usize,
        headroom: usize,
        id: Option<BufferId>,
    ) -> Result<IdleMemory, CreateBufferError> {
        let allocated = catch_panic(WGPU_CORE, || self.0.allocate(bytes, headroom, id));
        allocated.unwrap_or(Err(CreateBufferError::Panicked))
    }

    fn allocate_image(&self, shape: &ImageShape) -> Result<IdleMemory, ReadbackReason> {
        let allocated = catch_panic(WGPU_CORE, || self.0.allocate_image(shape));
        allocated.unwrap_or(Err(ReadbackReason::Device))
    }

    fn uuids(&self) -> Option<DeviceUuids> {
        self.0.uuids()
    }

    fn allocate_shared(
        &self,
        size: Size2D<u32>,
        format: TextureFormat,
        sibling: Option<Arc<dyn Any + Send + Sync>>,
    ) -> Result<IdleMemory, ReadbackReason> {
        let allocated = catch_panic(WGPU_CORE, || self.0.allocate_shared(size, format, sibling));
        allocated.unwrap_or(Err(ReadbackReason::Device))
    }

    fn create_texture_in(
        &self,
        image: &IdleMemory,
        descriptor: &TextureDescriptor<'_>,
        id: Option<TextureId>,
    ) -> Option<(TextureId, Option<CreateTextureError>)> {
        catch_panic(WGPU_CORE, || self.0.create_texture_in(image, descriptor, id)).flatten()
    }

    fn is_drawn_in(&self, texture: TextureId, image: &CopyTarget) -> bool {
        catch_panic(WGPU_CORE, || self.0.is_drawn_in(texture, image)).unwrap_or(false)
    }

    fn heap(&self) -> HeapUsage {
        self.0.heap()
    }

    fn submit(
        &self,
        queue: QueueId,
        ids: SubmissionIds,
        copies: &[ReadbackCopy],
    ) -> Result<Submission, SubmitError> {
        let submitted = catch_panic(WGPU_CORE, || self.0.submit(queue, ids, copies));
        // Nothing tells how far the call had come.
        submitted.unwrap_or(Err(SubmitError { reason: PresentError::Panicked, may_be_in_flight: true }))
    }

    fn wait(&self, index: SubmissionIndex, timeout: Duration) -> WaitResult {
        catch_panic(WGPU_CORE, || self.0.wait(index, timeout)).unwrap_or(WaitResult::Panicked)
    }

    fn must_poll(&self) -> bool {
        self.0.must_poll()
    }
}
