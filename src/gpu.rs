//! The seam to the GPU: everything the presenter asks of wgpu-core. No file outside this folder calls it.
//!
//! [`wgpu`] is the real one; `fake` (tests only) completes, fails and loses on command.

use std::sync::Arc;
use std::time::Duration;

use euclid::default::Size2D;
use thiserror::Error;
use wgpu_core::SubmissionIndex;
use wgpu_core::id::{BufferId, DeviceId, QueueId, TextureId};

use crate::api::error::PresentError;
use crate::api::ids::EncoderIds;
use crate::api::report::FrameMemoryKind;

/// Calls a macro with the name of each backend's API, as far as wgpu-core has it here and this crate's features name it.
macro_rules! each_backend {
    ($look:ident) => {
        #[cfg(all(
            feature = "vulkan",
            any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")
        ))]
        $look!(Vulkan);
        #[cfg(all(
            feature = "gles",
            any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")
        ))]
        $look!(Gles);
        #[cfg(all(feature = "dx12", windows))]
        $look!(Dx12);
        #[cfg(all(feature = "metal", target_vendor = "apple"))]
        $look!(Metal);
        $look!(Noop);
    };
}
pub(crate) use each_backend;

pub(crate) mod memory;
mod copy;
mod portable;
#[cfg(all(
    feature = "vulkan",
    any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")
))]
mod vulkan;
mod wgpu;

#[cfg(test)]
pub(crate) mod fake;

pub(crate) use self::memory::{FrameMemory, IdleMemory, InFlightMemory, Readable, Unreadable};
#[cfg(test)]
pub(crate) use self::wgpu::UnsupportedDevice;
pub(crate) use self::wgpu::WgpuCore;

/// A `wgpu_core::global::Global`. Called on the WebGPU thread only, but for [`open`](Self::open)ed devices' waits and polls.
pub(crate) trait Gpu: Send + Sync {
    /// What the presenter keeps of a device; it outlives `device_drop`.
    fn open(&self, device: DeviceId) -> Arc<dyn GpuDevice>;
    fn drop_buffer(&self, id: BufferId);
    fn destroy_texture(&self, id: TextureId);
    fn drop_texture(&self, id: TextureId);
    fn destroy_device(&self, id: DeviceId);
    fn drop_device(&self, id: DeviceId);
    /// `device_poll(Poll)`: runs callbacks of finished work. Never for a dropped device.
    fn poll(&self, id: DeviceId) -> Polled;
}

/// One device of a [`Gpu`].
pub(crate) trait GpuDevice: Send + Sync {
    fn id(&self) -> DeviceId;

    /// The kind of memory that its frames are read from; `None` if they cannot be.
    fn memory(&self) -> Option<FrameMemoryKind>;

    /// No texture of the device is wider or higher.
    fn largest_texture(&self) -> u32;

    /// Makes a buffer of at least `bytes` bytes that the GPU can copy to, with `room` more if they can be had. After an error
    /// `id` is free again.
    fn create_buffer(
        &self,
        bytes: usize,
        room: usize,
        id: Option<BufferId>,
    ) -> Result<(BufferId, IdleMemory), CreateBufferError>;

    /// Records all copies in one encoder and submits it. The ids of `encoder` are free again afterwards.
    fn submit(
        &self,
        queue: QueueId,
        encoder: Option<EncoderIds>,
        copies: &[TextureCopy],
    ) -> Result<Submission, SubmitError>;

    /// Waits, outside all locks, until a submission is done.
    fn wait(&self, index: SubmissionIndex, timeout: Duration) -> Waited;

    /// Whether the device must be polled, once a submission is done, before the memory that it wrote can be read.
    fn must_poll(&self) -> bool;
}

/// A copy of a whole texture into the beginning of a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextureCopy {
    pub(crate) texture: TextureId,
    pub(crate) buffer: BufferId,
    pub(crate) size: Size2D<u32>,
    pub(crate) stride: u32,
}

/// A submission that the GPU has accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Submission {
    pub(crate) device: DeviceId,
    pub(crate) index: SubmissionIndex,
}

/// Proof that all submissions of a device up to an index are done. Made by [`GpuDevice::wait`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completed {
    device: DeviceId,
    index: SubmissionIndex,
}

impl Completed {
    pub(crate) fn covers(&self, submission: &Submission) -> bool {
        self.device == submission.device && submission.index <= self.index
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Waited {
    Done(Completed),
    TimedOut,
    /// The device is lost: what was not done will never be.
    Lost,
    /// This device cannot be waited for outside wgpu-core: it must be polled.
    MustPoll,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    /// Nothing is in flight.
    Idle,
    Busy,
    Lost,
}

#[derive(Clone, Debug, Error)]
pub(crate) enum CreateBufferError {
    #[error("unsupported backend")]
    UnsupportedBackend,
    #[error("out of memory")]
    OutOfMemory,
    #[error("the device is lost")]
    DeviceLost,
}

impl From<CreateBufferError> for PresentError {
    fn from(error: CreateBufferError) -> Self {
        match error {
            CreateBufferError::UnsupportedBackend => Self::UnsupportedBackend,
            CreateBufferError::OutOfMemory => Self::OutOfMemory,
            CreateBufferError::DeviceLost => Self::DeviceLost,
        }
    }
}

/// Tries to make something with room, and without if there is no memory for that.
fn with_room<T>(
    bytes: usize,
    room: usize,
    create: impl Fn(usize) -> Result<T, CreateBufferError>,
) -> Result<T, CreateBufferError> {
    if room > 0 {
        match create(bytes + room) {
            Err(CreateBufferError::OutOfMemory) => {}
            created => return created,
        }
    }
    create(bytes)
}

/// Why a submission was not made.
#[derive(Clone, Debug)]
pub(crate) struct SubmitError {
    pub(crate) reason: PresentError,
    /// The GPU may have accepted the work all the same: the buffers must not be used again.
    pub(crate) may_be_running: bool,
}
