//! The real GPU: wgpu-core.

use std::sync::Arc;
use std::time::Duration;

use wgpu_core::global::Global;
use wgpu_core::id::{BufferId, DeviceId, QueueId, TextureId};
use wgpu_core::{SubmissionIndex, api};
use wgpu_hal::Api;
use wgpu_types as wgt;

use super::portable::{PortableBuffers, PortableDevice};
use super::{
    CreateBufferError, Gpu, GpuDevice, IdleMemory, Polled, Submission, SubmitError, TextureCopy, Waited,
};
use crate::api::error::PresentError;
use crate::api::ids::EncoderIds;
use crate::api::report::FrameMemoryKind;

pub(crate) struct WgpuCore {
    global: Arc<Global>,
    #[cfg_attr(
        not(all(
            feature = "vulkan",
            any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")
        )),
        expect(dead_code, reason = "all is portable")
    )]
    memory: FrameMemoryKind,
    portable: Arc<PortableBuffers>,
}

impl WgpuCore {
    /// `memory` is the kind that is wanted, where it can be had.
    pub(crate) fn new(global: Arc<Global>, memory: FrameMemoryKind) -> Self {
        Self { global, memory, portable: Arc::default() }
    }

    fn portable<A: Api>(&self, id: DeviceId) -> Option<PortableDevice<A>> {
        PortableDevice::open(&self.global, &self.portable, id)
    }

    /// Finds the backend.
    fn device(&self, id: DeviceId) -> Option<Arc<dyn GpuDevice>> {
        macro_rules! look {
            (Vulkan) => {
                if let Some(device) = self.portable::<api::Vulkan>(id) {
                    return Some(Arc::new(super::vulkan::VulkanDevice::new(device, self.memory)));
                }
            };
            ($api:ident) => {
                if let Some(device) = self.portable::<api::$api>(id) {
                    return Some(Arc::new(device));
                }
            };
        }
        super::each_backend!(look);
        None
    }
}

impl Gpu for WgpuCore {
    fn open(&self, id: DeviceId) -> Arc<dyn GpuDevice> {
        let device = self.device(id).unwrap_or_else(|| Arc::new(UnsupportedDevice(id)));
        match device.memory() {
            Some(memory) => log::info!("webgpu-presentation: {id:?} has {memory:?} frame memory"),
            None => log::warn!(
                "webgpu-presentation: {id:?} has an unknown backend, its canvases cannot be presented"
            ),
        }
        device
    }

    fn drop_buffer(&self, id: BufferId) {
        self.portable.forget(id);
        self.global.buffer_drop(id);
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

    fn poll(&self, id: DeviceId) -> Polled {
        match self.global.device_poll(id, wgt::PollType::Poll) {
            Ok(status) if status.is_queue_empty() => Polled::Idle,
            Ok(_) => Polled::Busy,
            Err(error) => {
                log::warn!("webgpu-presentation: polling {id:?}: {error}");
                Polled::Lost
            }
        }
    }
}

/// A device of a backend that this crate was built without. It can still be polled for the engine's closures.
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

    fn create_buffer(
        &self,
        _: usize,
        _: usize,
        _: Option<BufferId>,
    ) -> Result<(BufferId, IdleMemory), CreateBufferError> {
        Err(CreateBufferError::UnsupportedBackend)
    }

    fn submit(
        &self,
        _: QueueId,
        _: Option<EncoderIds>,
        _: &[TextureCopy],
    ) -> Result<Submission, SubmitError> {
        Err(SubmitError { reason: PresentError::UnsupportedBackend, may_be_running: false })
    }

    fn wait(&self, _: SubmissionIndex, _: Duration) -> Waited {
        Waited::MustPoll
    }

    fn must_poll(&self) -> bool {
        false
    }
}
