//! The seam to wgpu-core: whatever the presenter and its pollers ask of the GPU goes through the traits of
//! this folder.
//!
//! [`Gpu`] stands for a `wgpu_core::global::Global`, [`GpuDevice`] for one of its devices. [`WgpuCore`]
//! implements them for real devices, and `fake`, in tests, for devices that complete, fail and are lost on
//! command. The WebGPU thread creates, submits and drops; pollers wait and poll. No pointer to memory that
//! wgpu-core can free leaves the folder.
//!
//! Besides the traits the folder hands out copies and submissions, the proof that a submission is done
//! ([`Completed`]), and memory whose type says whether the GPU may be writing it. It may import `api` and
//! `sync`.
//!
//! Only the upload belt calls wgpu-core outside this folder. It has calls of its own in `belt/device.rs` and
//! `belt/upload.rs`, and shares [`each_backend`] alone.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use euclid::default::{Point2D, Size2D};
use thiserror::Error;
use wgpu_core::SubmissionIndex;
use wgpu_core::id::{BufferId, DeviceId, QueueId, TextureId};
use wgpu_core::resource::{CreateTextureError, TextureDescriptor};
use wgpu_types::{TextureDimension, TextureFormat, TextureUsages};

use crate::api::error::PresentError;
use crate::api::ids::EncoderIds;
use crate::api::report::{FrameMemoryKind, ReadbackReason};

/// Expands a macro once for each backend that wgpu-core has on this platform and this crate's features
/// enable. The argument is the name of the backend's type in `wgpu_core::api`. `Noop` comes last and is
/// always there.
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

mod contained;
mod copy;
mod discards;
#[cfg_attr(
    not(all(
        feature = "vulkan",
        any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")
    )),
    allow(dead_code, reason = "only Vulkan devices have memory of their own")
)]
mod memory;
mod portable;
#[cfg(all(
    feature = "vulkan",
    any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")
))]
mod vulkan;
mod waiting;
mod wgpu;

#[cfg(test)]
pub(crate) mod fake;

pub(crate) use self::contained::ContainedGpu;
pub use self::discards::DiscardedAttachments;
pub(crate) use self::memory::{
    CopyTarget, DrawnMemory, FrameMemory, IdleMemory, ImageLayout, InFlightMemory, Readable, Unreadable,
};
pub(crate) use self::waiting::{WaitError, WaitResult};
#[cfg(test)]
pub(crate) use self::wgpu::UnsupportedDevice;
pub(crate) use self::wgpu::WgpuCore;

/// What the presenter asks of a `wgpu_core::global::Global`.
///
/// [`open`](Self::open), [`poll`](Self::poll) and [`drop_queue`](Self::drop_queue) are called on any thread, all
/// other methods on the WebGPU thread only.
///
/// Precondition: an id that is passed to a method is in the hub, which is wgpu-core's table of ids. wgpu-core
/// panics at an unknown id, and so does an implementation, unless it is a [`ContainedGpu`].
pub(crate) trait Gpu: Send + Sync {
    /// Opens a device for submissions and waits. The result stays usable after
    /// [`drop_device`](Self::drop_device): it can still wait for submissions, while new ones fail. Returns
    /// `None` if wgpu-core does not know the device.
    fn open(&self, device: DeviceId) -> Option<Arc<dyn GpuDevice>>;

    /// Removes a buffer of portable memory from the hub. wgpu-core keeps its memory until the submissions that
    /// use it are done.
    fn drop_buffer(&self, id: BufferId);

    /// Returns whether `id` names a buffer of portable memory.
    fn has_buffer(&self, id: BufferId) -> bool;

    /// Creates an ordinary texture, under `id` or one that wgpu-core allocates.
    fn create_texture(
        &self,
        device: DeviceId,
        descriptor: &TextureDescriptor<'_>,
        id: Option<TextureId>,
    ) -> (TextureId, Option<CreateTextureError>);

    /// Frees the memory of a texture once the submissions that use it are done. Its id stays in the hub.
    fn destroy_texture(&self, id: TextureId);

    /// Removes a texture from the hub.
    fn drop_texture(&self, id: TextureId);

    /// Makes a device unusable; wgpu-core frees its buffers and textures in a later poll. Its id stays in the
    /// hub.
    fn destroy_device(&self, id: DeviceId);

    /// Removes a device from the hub.
    fn drop_device(&self, id: DeviceId);

    /// Removes a queue from the hub. wgpu-core waits until its device is idle, without a time-out, and runs closures of
    /// the engine's. Called on any thread.
    fn drop_queue(&self, id: QueueId);

    /// Returns the index of the last submission to a device that wgpu-core has accepted, or `None` if it does not
    /// tell.
    fn last_submission(&self, device: DeviceId) -> Option<SubmissionIndex>;

    /// Polls a device without waiting: runs the engine's closures for finished submissions.
    fn poll(&self, id: DeviceId) -> PollResult;
}

/// What the presenter asks of one device of a [`Gpu`].
///
/// [`allocate`](Self::allocate) and [`submit`](Self::submit) are called on the WebGPU thread only,
/// all other methods on any thread.
pub(crate) trait GpuDevice: Send + Sync {
    fn id(&self) -> DeviceId;

    /// Returns the kind of memory that the device's frames are usually read from, or `None` if this crate was
    /// built without its backend.
    fn memory(&self) -> Option<FrameMemoryKind>;

    /// Returns the largest width and height, in pixels, that a texture of the device can have.
    fn largest_texture(&self) -> u32;

    /// Allocates memory that textures can be copied to, of `bytes + headroom` bytes, or of `bytes` if there
    /// is not enough memory for more.
    ///
    /// Portable memory is a buffer in the hub. It gets `id`, or if that is `None` an id that wgpu-core
    /// allocates, and keeps it until [`Gpu::drop_buffer`]. Owned memory leaves `id` unused, and so does an
    /// error.
    fn allocate(
        &self,
        bytes: usize,
        headroom: usize,
        id: Option<BufferId>,
    ) -> Result<IdleMemory, CreateBufferError>;

    /// Allocates an image: owned memory that a texture of this shape can be drawn in.
    fn allocate_image(&self, _shape: &ImageShape) -> Result<IdleMemory, ReadbackReason> {
        Err(ReadbackReason::Device)
    }

    /// Returns the names of the device, if it can allocate shared images.
    fn uuids(&self) -> Option<DeviceUuids> {
        None
    }

    /// Allocates an image that textures of this size and format can be copied to, and that another API can import.
    ///
    /// `sibling` stands for another shared image. Copies to both are never made in one submission.
    fn allocate_shared(
        &self,
        _size: Size2D<u32>,
        _format: TextureFormat,
        _sibling: Option<Arc<dyn Any + Send + Sync>>,
    ) -> Result<IdleMemory, ReadbackReason> {
        Err(ReadbackReason::Device)
    }

    /// Creates a texture, transparent black, whose memory is an image. Returns `None` if the image is not this
    /// device's. The descriptor has the image's shape.
    fn create_texture_in(
        &self,
        _image: &IdleMemory,
        _descriptor: &TextureDescriptor<'_>,
        _id: Option<TextureId>,
    ) -> Option<(TextureId, Option<CreateTextureError>)> {
        None
    }

    /// Returns whether the memory of a texture is this image: it was created there, it is not destroyed, and its id names no other
    /// texture. A submission that presents another texture in place is refused.
    fn is_drawn_in(&self, _texture: TextureId, _image: &CopyTarget) -> bool {
        false
    }

    /// Returns what the device's owned memory takes of the driver.
    fn heap(&self) -> HeapUsage {
        HeapUsage::default()
    }

    /// Records all copies in one command encoder and submits it.
    ///
    /// Once the submission is accepted, the textures of copies [in place](CopyTarget::InPlace) are destroyed, so
    /// that nothing draws in a frame.
    ///
    /// All `ids` are free again when this returns. Without any, wgpu-core allocates them. The same
    /// holds for the ids of copies to owned memory, which is in the hub only during this call.
    fn submit(
        &self,
        queue: QueueId,
        ids: SubmissionIds,
        copies: &[ReadbackCopy],
    ) -> Result<Submission, SubmitError>;

    /// Waits until a submission is done, without holding any lock of wgpu-core.
    ///
    /// Precondition: wgpu-core has returned `index` for a submission to this device. Another index may cause
    /// a panic.
    fn wait(&self, index: SubmissionIndex, timeout: Duration) -> WaitResult;

    /// Returns whether frames of this device become readable only when it is polled after their submission is
    /// done.
    fn must_poll(&self) -> bool;
}

/// What is copied.
#[derive(Clone)]
pub(crate) enum CopySource {
    /// A texture of the page's.
    Texture(TextureId),
    /// A shared image, which only the device that allocated it knows.
    #[cfg_attr(
        not(all(
            feature = "vulkan",
            any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")
        )),
        allow(dead_code, reason = "only Vulkan devices have memory of their own")
    )]
    Image(Arc<dyn Any + Send + Sync>),
}

/// An image in memory that another graphics API imports. Usable on any thread.
pub(crate) trait SharedImage: Send + Sync {
    /// The device that allocated it, whose id may name another one by now.
    fn device(&self) -> DeviceId;

    fn uuids(&self) -> DeviceUuids;

    /// In pixels.
    fn size(&self) -> Size2D<u32>;

    fn format(&self) -> TextureFormat;

    /// Bytes of the memory, which the import must name.
    fn memory_size(&self) -> u64;

    /// Returns a handle to the memory, which is the caller's; `None` if the driver gives none.
    #[cfg(unix)]
    fn export(&self) -> Option<std::os::fd::OwnedFd>;
}

/// Names the device and the driver to another graphics API: memory can be shared if both are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceUuids {
    pub(crate) device: [u8; 16],
    pub(crate) driver: [u8; 16],
}

/// The ids of the command encoders of a submission; `None` where wgpu-core allocates them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SubmissionIds {
    pub(crate) first: Option<EncoderIds>,
    /// Used only if something is copied to or from a shared image.
    pub(crate) second: Option<EncoderIds>,
}

/// A copy of a texture, or of a part of it, to the beginning of memory or to a shared image; or a texture whose own
/// memory becomes the frame.
#[derive(Clone)]
pub(crate) struct ReadbackCopy {
    pub(crate) source: CopySource,
    pub(crate) target: CopyTarget,
    /// The id under which wgpu-core knows owned memory while the copy is submitted. `None` lets wgpu-core
    /// allocate one. Portable memory has an id of its own.
    pub(crate) id: Option<BufferId>,
    /// The first pixel of the texture that is copied.
    pub(crate) origin: Point2D<u32>,
    /// Size of what is copied, in pixels.
    pub(crate) size: Size2D<u32>,
    /// Distance of two rows in the buffer, in bytes.
    pub(crate) stride: u32,
}

/// The properties of a texture that decide whether an image can be its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ImageShape {
    /// In pixels; neither side is zero.
    pub(crate) size: Size2D<u32>,
    pub(crate) format: TextureFormat,
    pub(crate) usage: TextureUsages,
    /// Views may have another format than the texture.
    pub(crate) has_view_formats: bool,
}

impl ImageShape {
    /// Returns the shape of a texture, or `None` if wgpu-core must decide whether there can be such a texture:
    /// it does not validate the descriptor of a texture that it does not allocate.
    pub(crate) fn of(descriptor: &TextureDescriptor<'_>) -> Option<Self> {
        let TextureDescriptor { size, format, usage, .. } = *descriptor;
        let is_flat = (descriptor.dimension, size.depth_or_array_layers) == (TextureDimension::D2, 1)
            && (descriptor.mip_level_count, descriptor.sample_count) == (1, 1);
        let known = TextureUsages::COPY_SRC
            | TextureUsages::COPY_DST
            | TextureUsages::TEXTURE_BINDING
            | TextureUsages::RENDER_ATTACHMENT
            | TextureUsages::STORAGE_BINDING;
        // A device needs a feature for storage textures of this format.
        let is_storage = usage.contains(TextureUsages::STORAGE_BINDING);
        let is_usual = !usage.is_empty()
            && known.contains(usage)
            && !(is_storage && (format == TextureFormat::Bgra8Unorm || !descriptor.view_formats.is_empty()));
        let is_canvas_format = match format {
            TextureFormat::Bgra8Unorm | TextureFormat::Rgba8Unorm => {
                let same = |view: &TextureFormat| view.remove_srgb_suffix() == format;
                descriptor.view_formats.iter().all(same)
            }
            TextureFormat::Rgba16Float => descriptor.view_formats.iter().all(|view| *view == format),
            _ => false,
        };
        let has_pixels = size.width > 0 && size.height > 0;
        (is_flat && is_usual && is_canvas_format && has_pixels).then(|| Self {
            size: Size2D::new(size.width, size.height),
            format,
            usage,
            has_view_formats: !descriptor.view_formats.is_empty(),
        })
    }
}

impl ReadbackCopy {
    /// Whether it is to or from a shared image.
    fn is_shared(&self) -> bool {
        matches!((&self.source, &self.target), (CopySource::Image(_), _) | (_, CopyTarget::Shared(_)))
    }
}

/// A submission that wgpu-core has accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Submission {
    pub(crate) device: DeviceId,
    /// Counts the submissions of the device.
    pub(crate) index: SubmissionIndex,
}

/// Proof that all submissions to a device up to an index are done. Outside tests only `waiting` makes one,
/// after the device's fence has reached the index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completed {
    device: DeviceId,
    index: SubmissionIndex,
}

impl Completed {
    /// Returns whether `submission` is done.
    pub(crate) fn covers(&self, submission: &Submission) -> bool {
        self.device == submission.device && submission.index <= self.index
    }
}

/// The result of [`Gpu::poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PollResult {
    /// No submission is in flight.
    Idle,
    /// Submissions are in flight.
    Busy,
    /// The device is lost.
    Lost,
    /// wgpu-core, or a closure of the engine that it ran, panicked.
    Panicked,
}

/// What the owned memory of a device takes of the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeapUsage {
    /// Number of memory objects (`VkDeviceMemory`), of which a driver allows only so many.
    pub(crate) objects: usize,
    /// Bytes of all these objects.
    pub(crate) reserved: usize,
    /// Bytes of them that are staging buffers or images.
    pub(crate) used: usize,
}

/// Why [`GpuDevice::allocate`] failed.
#[derive(Clone, Debug, Error)]
pub(crate) enum CreateBufferError {
    /// This crate was built without the device's backend.
    #[error("unsupported backend")]
    UnsupportedBackend,
    #[error("out of memory")]
    OutOfMemory,
    /// The driver refused for another reason than the memory of the device. wgpu-core must not be asked
    /// instead, because it takes such an error for the loss of the device.
    #[error("the driver allocates no more")]
    #[cfg_attr(
        not(all(
            feature = "vulkan",
            any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")
        )),
        expect(dead_code, reason = "only Vulkan devices have memory of their own")
    )]
    DriverRefused,
    #[error("the device is lost")]
    DeviceLost,
    #[error("wgpu-core panicked")]
    Panicked,
}

impl From<CreateBufferError> for PresentError {
    fn from(error: CreateBufferError) -> Self {
        match error {
            CreateBufferError::UnsupportedBackend => Self::UnsupportedBackend,
            CreateBufferError::OutOfMemory | CreateBufferError::DriverRefused => Self::OutOfMemory,
            CreateBufferError::DeviceLost => Self::DeviceLost,
            CreateBufferError::Panicked => Self::Panicked,
        }
    }
}

/// Creates something of `bytes + headroom` bytes, or of `bytes` if there is not enough memory for more.
fn with_headroom<T>(
    bytes: usize,
    headroom: usize,
    create: impl Fn(usize) -> Result<T, CreateBufferError>,
) -> Result<T, CreateBufferError> {
    if headroom > 0 {
        match create(bytes + headroom) {
            Err(CreateBufferError::OutOfMemory) => {}
            created => return created,
        }
    }
    create(bytes)
}

/// Why [`GpuDevice::submit`] failed.
#[derive(Clone, Debug)]
pub(crate) struct SubmitError {
    pub(crate) reason: PresentError,
    /// The GPU may have accepted the work in spite of the error, and may be writing the buffers: they must
    /// not be used again.
    pub(crate) may_be_in_flight: bool,
}
