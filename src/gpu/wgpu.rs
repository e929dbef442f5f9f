//! The real GPU: wgpu-core.

use std::sync::Arc;
use std::time::Duration;

use wgpu_core::SubmissionIndex;
use wgpu_core::global::Global;
use wgpu_core::id::{BufferId, DeviceId, QueueId, TextureId};
use wgpu_types as wgt;

use super::{Copy, CreateBufferError, Gpu, GpuDevice, IdleMemory, Polled, Submission, SubmitError, Waited};
use crate::{EncoderIds, PresentError};

pub(crate) struct WgpuCore(pub(crate) Arc<Global>);

impl Gpu for WgpuCore {
    fn open(&self, device: DeviceId) -> Arc<dyn GpuDevice> {
        #[cfg(all(feature = "vulkan", not(any(target_vendor = "apple", target_family = "wasm"))))]
        if let Some(device) = super::vulkan::VulkanDevice::open(&self.0, device) {
            return Arc::new(device);
        }
        log::warn!("webgpu-presentation: {device:?} is no Vulkan device, its canvases cannot be presented");
        Arc::new(UnsupportedDevice(device))
    }

    fn drop_buffer(&self, id: BufferId) {
        self.0.buffer_drop(id);
    }

    fn destroy_texture(&self, id: TextureId) {
        self.0.texture_destroy(id);
    }

    fn drop_texture(&self, id: TextureId) {
        self.0.texture_drop(id);
    }

    fn destroy_device(&self, id: DeviceId) {
        self.0.device_destroy(id);
    }

    fn drop_device(&self, id: DeviceId) {
        self.0.device_drop(id);
    }

    fn poll(&self, id: DeviceId) -> Polled {
        match self.0.device_poll(id, wgt::PollType::Poll) {
            Ok(status) if status.is_queue_empty() => Polled::Idle,
            Ok(_) => Polled::Busy,
            Err(error) => {
                log::warn!("webgpu-presentation: polling {id:?}: {error}");
                Polled::Lost
            }
        }
    }
}

/// A device whose frames we cannot read yet. It can still be polled for the engine's closures.
pub(crate) struct UnsupportedDevice(pub(crate) DeviceId);

impl GpuDevice for UnsupportedDevice {
    fn id(&self) -> DeviceId {
        self.0
    }

    fn largest_texture(&self) -> u32 {
        u32::MAX
    }

    fn create_buffer(
        &self,
        _: usize,
        _: Option<BufferId>,
    ) -> Result<(BufferId, IdleMemory), CreateBufferError> {
        Err(CreateBufferError::UnsupportedBackend)
    }

    fn submit(&self, _: QueueId, _: Option<EncoderIds>, _: &[Copy]) -> Result<Submission, SubmitError> {
        Err(SubmitError { reason: PresentError::UnsupportedBackend, may_be_running: false })
    }

    fn wait(&self, _: SubmissionIndex, _: Duration) -> Waited {
        Waited::MustPoll
    }
}
