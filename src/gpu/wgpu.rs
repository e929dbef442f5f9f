//! [`Gpu`] on wgpu-core: opens devices by their backend and forwards everything else to the `Global`.
//!
//! The presenter makes one [`WgpuCore`] for its `Global`. A device is opened when it is first used. Under
//! Vulkan it is a `VulkanDevice`, which may have owned memory; under every other backend it is a
//! [`PortableDevice`]. A device whose backend this crate was built without becomes an [`UnsupportedDevice`],
//! so that it can at least be polled.

use std::sync::Arc;
use std::time::Duration;

use wgpu_core::device::WaitIdleError;
use wgpu_core::global::Global;
use wgpu_core::id::{BufferId, DeviceId, QueueId, TextureId};
use wgpu_core::resource::{CreateTextureError, TextureDescriptor};
use wgpu_core::{SubmissionIndex, api};
use wgpu_hal::Api;
use wgpu_types as wgt;

use super::portable::{PortableBuffers, PortableDevice};
use super::{
    CreateBufferError, Gpu, GpuDevice, IdleMemory, PollResult, ReadbackCopy, Submission, SubmissionIds,
    SubmitError, WaitResult,
};
use crate::api::error::PresentError;
use crate::api::report::FrameMemoryKind;

/// The `Global` of one presenter.
pub(crate) struct WgpuCore {
    global: Arc<Global>,
    /// The kind of frame memory that the engine wants. A device without it has portable memory.
    #[cfg_attr(
        not(all(
            feature = "vulkan",
            any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")
        )),
        expect(dead_code, reason = "without Vulkan all memory is portable")
    )]
    memory: FrameMemoryKind,
    portable_buffers: Arc<PortableBuffers>,
}

impl WgpuCore {
    /// `memory` is the kind of frame memory that devices have if they can.
    pub(crate) fn new(global: Arc<Global>, memory: FrameMemoryKind) -> Self {
        Self { global, memory, portable_buffers: Arc::default() }
    }

    fn open_portable<A: Api>(&self, id: DeviceId) -> Option<PortableDevice<A>> {
        PortableDevice::open(&self.global, &self.portable_buffers, id)
    }

    /// Opens a device with the backend that it has, or returns `None` if this crate was built without that.
    fn open_supported(&self, id: DeviceId) -> Option<Arc<dyn GpuDevice>> {
        macro_rules! look {
            (Vulkan) => {
                if let Some(device) = self.open_portable::<api::Vulkan>(id) {
                    return Some(Arc::new(super::vulkan::VulkanDevice::new(device, self.memory)));
                }
            };
            ($api:ident) => {
                if let Some(device) = self.open_portable::<api::$api>(id) {
                    return Some(Arc::new(device));
                }
            };
        }
        super::each_backend!(look);
        None
    }
}

impl Gpu for WgpuCore {
    fn open(&self, id: DeviceId) -> Option<Arc<dyn GpuDevice>> {
        let device = self.open_supported(id).unwrap_or_else(|| Arc::new(UnsupportedDevice(id)));
        match device.memory() {
            Some(memory) => log::info!("webgpu-presentation: {id:?} has {memory:?} frame memory"),
            None => log::warn!(
                "webgpu-presentation: {id:?} has an unknown backend, its canvases cannot be presented"
            ),
        }
        Some(device)
    }

    fn drop_buffer(&self, id: BufferId) {
        self.portable_buffers.forget(id);
        self.global.buffer_drop(id);
    }

    fn has_buffer(&self, id: BufferId) -> bool {
        self.portable_buffers.has(id)
    }

    fn create_texture(
        &self,
        device: DeviceId,
        descriptor: &TextureDescriptor<'_>,
        id: Option<TextureId>,
    ) -> (TextureId, Option<CreateTextureError>) {
        self.global.device_create_texture(device, descriptor, id)
    }

    fn destroy_texture(&self, id: TextureId) {
        self.global.texture_destroy(id);
    }

    fn drop_texture(&self, id: TextureId) {
        self.global.texture_drop(id);
    }

    fn destroy_device(&self, id: DeviceId) {
        self.global.device_destroy(id);
    }

    fn drop_device(&self, id: DeviceId) {
        self.global.device_drop(id);
    }

    fn drop_queue(&self, id: QueueId) {
        self.global.queue_drop(id);
    }

    fn last_submission(&self, device: DeviceId) -> Option<SubmissionIndex> {
        // wgpu-core refuses to wait for a submission that it has not accepted, before it does anything else, and names
        // the last one. The time-out is for a version that would wait.
        let impossible = wgt::PollType::Wait {
            submission_index: Some(SubmissionIndex::MAX),
            timeout: Some(Duration::ZERO),
        };
        match self.global.device_poll(device, impossible) {
            Err(WaitIdleError::WrongSubmissionIndex(_, last)) => Some(last),
            other => {
                log::error!("webgpu-presentation: {device:?} does not tell its last submission: {other:?}");
                None
            }
        }
    }

    fn poll(&self, id: DeviceId) -> PollResult {
        match self.global.device_poll(id, wgt::PollType::Poll) {
            Ok(status) if status.is_queue_empty() => PollResult::Idle,
            Ok(_) => PollResult::Busy,
            Err(error) => {
                log::warn!("webgpu-presentation: polling {id:?}: {error}");
                PollResult::Lost
            }
        }
    }
}

/// A device whose backend this crate was built without. Nothing can be presented from it, but it can be
/// polled for the engine's closures.
pub(crate) struct UnsupportedDevice(pub(crate) DeviceId);

impl GpuDevice for UnsupportedDevice {
    fn id(&self) -> DeviceId {
        self.0
    }

    fn memory(&self) -> Option<FrameMemoryKind> {
        None
    }

    fn largest_texture(&self) -> u32 {
        u32::MAX
    }

    fn allocate(&self, _: usize, _: usize, _: Option<BufferId>) -> Result<IdleMemory, CreateBufferError> {
        Err(CreateBufferError::UnsupportedBackend)
    }

    fn submit(&self, _: QueueId, _: SubmissionIds, _: &[ReadbackCopy]) -> Result<Submission, SubmitError> {
        Err(SubmitError { reason: PresentError::UnsupportedBackend, may_be_in_flight: false })
    }

    fn wait(&self, _: SubmissionIndex, _: Duration) -> WaitResult {
        WaitResult::MustPoll
    }

    fn must_poll(&self) -> bool {
        false
    }
}
