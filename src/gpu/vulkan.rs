//! Vulkan devices, and owned memory: frame memory that wgpu-core cannot free.
//!
//! A staging buffer in owned memory is a `VkBuffer` of this crate's, bound to a part of the device's
//! [`FrameHeap`]. wgpu-core knows it, as externally owned, only while a copy to it is recorded and submitted.
//! Afterwards no id names it, so no command of a page can, and wgpu-core has nothing of it to visit or to
//! free. What the submission holds of it keeps the memory alive until the GPU is done.
//!
//! The WebGPU thread allocates and submits; a poller's thread waits, on the device's fence and outside every
//! lock of wgpu-core. Owned memory is freed on the thread that drops it last. Where owned memory is not wanted
//! or cannot be had, a Vulkan device has portable memory like any other.

#[cfg(unix)]
mod exported;
mod heap;
mod image;

use std::any::Any;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use ash::vk;
use euclid::default::Size2D;
use wgpu_core::SubmissionIndex;
use wgpu_core::api::Vulkan;
use wgpu_core::id::{BufferId, CommandEncoderId, DeviceId, QueueId, TextureId};
use wgpu_core::resource::{
    BufferDescriptor, CreateBufferError as CoreError, CreateTextureError, TextureDescriptor,
};
use wgpu_hal::Device as _;
use wgpu_hal::vulkan as hal;
use wgpu_types::{BufferUsages, TextureFormat, TextureUses};

#[cfg(unix)]
use self::exported::{ExportedImage, ExportedMemory};
use self::heap::{FrameHeap, HeapBuffer};
use self::image::{HeapImage, OwnedImage};
use super::copy::{check_device, device_error};
use super::memory::HostMemory;
use super::portable::PortableDevice;
use super::waiting::judge;
use super::{
    CopySource, CopyTarget, CreateBufferError, DeviceUuids, GpuDevice, HeapUsage, IdleMemory, ImageShape,
    ReadbackCopy, Submission, SubmissionIds, SubmitError, WaitResult, with_headroom,
};
use crate::api::error::PresentError;
use crate::api::report::{FrameMemoryKind, ReadbackReason};
use crate::sync::catch_panic;

/// A Vulkan device.
pub(super) struct VulkanDevice {
    device: PortableDevice<Vulkan>,
    /// Where owned memory comes from; `None` if the device has portable memory alone. Where the heap has no
    /// more, new buffers get portable memory.
    heap: Option<Arc<FrameHeap>>,
    /// The names of the device, if it has a heap and can export images.
    uuids: Option<DeviceUuids>,
}

impl VulkanDevice {
    /// Makes a device that has owned memory, if that is `wanted` and the driver has memory of the right kind.
    pub(super) fn new(device: PortableDevice<Vulkan>, wanted: FrameMemoryKind) -> Self {
        let wants = wanted == FrameMemoryKind::Owned;
        let heap = wants.then(|| FrameHeap::new(device.device.clone())).flatten();
        let uuids = heap.as_ref().and_then(|heap| shared_uuids(heap.device()));
        Self { device, heap, uuids }
    }

    /// Makes a buffer of the heap, or that of a shared image, known to wgpu-core, until its id is dropped. wgpu-core keeps what it knows
    /// of the buffer until the submissions that use it are done.
    fn register(
        &self,
        memory: &Arc<dyn Any + Send + Sync>,
        id: Option<BufferId>,
    ) -> Result<BufferId, PresentError> {
        // The memory of another device can come here if that device's id names this one now.
        let (raw, len, usage) = self.buffer_of(memory).ok_or(PresentError::WrongDevice)?;
        let buffer = memory.clone();
        // SAFETY: `VkBuffer` must outlive the hal buffer. It does, because the hal buffer holds the callback,
        // which holds the `HeapBuffer` or the `ExportedImage`. wgpu-core must not map the buffer, and without MAP_READ and MAP_WRITE
        // it refuses to.
        let known = unsafe { hal::Buffer::from_raw_externally_owned(raw, Box::new(move || drop(buffer))) };
        let descriptor = BufferDescriptor {
            label: Some("canvas frame".into()),
            size: len,
            // Without MAP_READ, because wgpu-core cannot map memory that it did not allocate.
            usage,
            mapped_at_creation: false,
        };
        // SAFETY: the buffer was created from this device, with the size and the usage that the descriptor
        // states; the size is not zero, as no canvas that is copied is empty. wgpu-core takes it for
        // initialized, so it does not clear it before a copy. Its bytes are read only after a copy has
        // written the pixels.
        let (id, error) = unsafe {
            self.device.global.create_buffer_from_hal::<Vulkan>(known, self.device.id, &descriptor, id)
        };
        let Some(error) = error else { return Ok(id) };
        // wgpu-core has put an invalid buffer under the id.
        self.device.global.buffer_drop(id);
        // A page can lose its device, or use up the memory.
        let level = if let CoreError::Device(_) = error { log::Level::Debug } else { log::Level::Warn };
        log::log!(level, "webgpu-presentation: wgpu-core refuses a staging buffer: {error}");
        Err(match error {
            CoreError::Device(error) => device_error(&error),
            _ => PresentError::DeviceLost,
        })
    }
}

impl GpuDevice for VulkanDevice {
    fn id(&self) -> DeviceId {
        self.device.id
    }

    fn memory(&self) -> Option<FrameMemoryKind> {
        Some(if self.heap.is_some() { FrameMemoryKind::Owned } else { FrameMemoryKind::Portable })
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
        if let Some(heap) = &self.heap {
            let allocated = with_headroom(bytes, headroom, |bytes| heap.allocate(bytes));
            match allocated {
                // Portable buffers of small frames share the memory objects of wgpu-core, and those of large
                // frames are soon free again: their frames are copies.
                Err(CreateBufferError::OutOfMemory) => {}
                allocated => return allocated.map(|buffer| IdleMemory::owned(Box::new(OwnedMemory(buffer)))),
            }
        }
        self.device.allocate(bytes, headroom, id)
    }

    fn allocate_image(&self, shape: &ImageShape) -> Result<IdleMemory, ReadbackReason> {
        let heap = self.heap.as_ref().ok_or(ReadbackReason::Device)?;
        let image = heap.allocate_image(shape)?;
        Ok(IdleMemory::owned(Box::new(OwnedImage(image))))
    }

    fn create_texture_in(
        &self,
        image: &IdleMemory,
        descriptor: &TextureDescriptor<'_>,
        id: Option<TextureId>,
    ) -> Option<(TextureId, Option<CreateTextureError>)> {
        let CopyTarget::InPlace(image) = image.target() else { return None };
        let image = image.downcast::<HeapImage>().ok()?;
        let ours = self.heap.as_ref().is_some_and(|heap| Arc::ptr_eq(heap, image.heap()));
        if !ours || Some(image.shape()) != ImageShape::of(descriptor).as_ref() {
            return None;
        }
        image.clear();
        let texture = image.texture(&self.device.device);
        // SAFETY: the texture was made for this device and respects the descriptor, whose shape the image has.
        // The image was cleared. Vulkan lets the change from the layout UNDEFINED, which this state stands for, discard
        // the zeros; but only CPU adapters have images, and there a layout says nothing about where pixels lie.
        Some(unsafe {
            self.device.global.create_texture_from_hal(
                Box::new(texture),
                self.device.id,
                descriptor,
                TextureUses::UNINITIALIZED,
                id,
            )
        })
    }

    fn is_drawn_in(&self, texture: TextureId, image: &CopyTarget) -> bool {
        let CopyTarget::InPlace(image) = image else { return false };
        let Some(image) = image.downcast_ref::<HeapImage>() else { return false };
        if !self.heap.as_ref().is_some_and(|heap| Arc::ptr_eq(heap, image.heap())) {
            return false;
        }
        // SAFETY: the handle is compared, and not destroyed.
        let texture = unsafe { self.device.global.texture_as_hal::<Vulkan>(texture) };
        // SAFETY: as above.
        texture.is_some_and(|texture| unsafe { texture.raw_handle() } == image.raw())
    }

    fn uuids(&self) -> Option<DeviceUuids> {
        self.uuids
    }

    #[cfg(unix)]
    fn allocate_shared(
        &self,
        size: Size2D<u32>,
        format: TextureFormat,
        sibling: Option<Arc<dyn Any + Send + Sync>>,
    ) -> Result<IdleMemory, ReadbackReason> {
        let (Some(heap), Some(uuids)) = (&self.heap, self.uuids) else { return Err(ReadbackReason::Device) };
        let sibling = sibling.and_then(|sibling| sibling.downcast::<ExportedImage>().ok());
        let image = ExportedImage::new(heap, self.device.id, uuids, size, format, sibling.as_deref())?;
        Ok(IdleMemory::shared(Box::new(ExportedMemory(image))))
    }

    fn heap(&self) -> HeapUsage {
        self.heap.as_ref().map(|heap| heap.usage()).unwrap_or_default()
    }

    fn submit(
        &self,
        queue: QueueId,
        ids: SubmissionIds,
        copies: &[ReadbackCopy],
    ) -> Result<Submission, SubmitError> {
        copies
            .iter()
            .try_for_each(|copy| self.judge_in_place(queue, copy))
            .map_err(|reason| SubmitError { reason, may_be_in_flight: false })?;
        let register = |memory: &_, id| self.register(memory, id);
        let record_shared = |encoder| self.record_shared(encoder, copies);
        let submitted = self.device.submit_with(queue, ids, copies, register, record_shared);
        let may_run = submitted.as_ref().err().is_none_or(|error| error.may_be_in_flight);
        if may_run && copies.iter().any(ReadbackCopy::is_shared) {
            self.keep_until_done(queue, copies);
        }
        submitted
    }

    fn wait(&self, index: SubmissionIndex, timeout: Duration) -> WaitResult {
        let PortableDevice { id, device, fence, .. } = &self.device;
        // SAFETY: the fence was taken from this device, and their guards keep both alive.
        let waited = unsafe { device.wait(fence, index, Some(timeout)) };
        // SAFETY: as above.
        judge(*id, index, waited, || unsafe { device.get_fence_value(fence) })
    }

    fn must_poll(&self) -> bool {
        self.device.must_poll()
    }
}

impl VulkanDevice {
    /// Returns an error if a copy in place is not of the texture that is drawn in the image: a frame must not lie where another
    /// texture can be drawn in, or one that was dropped and is not destroyed. No command of wgpu-core's names the texture, so wgpu-core
    /// does not judge it.
    fn judge_in_place(&self, queue: QueueId, copy: &ReadbackCopy) -> Result<(), PresentError> {
        let (CopySource::Texture(texture), CopyTarget::InPlace(_)) = (&copy.source, &copy.target) else {
            return Ok(());
        };
        match catch_panic("wgpu-core", || self.is_drawn_in(*texture, &copy.target)) {
            Some(true) => Ok(()),
            // A device that is destroyed destroys its textures.
            Some(false) => {
                check_device(&self.device.global, queue, copy).and(Err(PresentError::TextureDestroyed))
            }
            None => Err(PresentError::Panicked),
        }
    }
}

#[cfg(unix)]
fn shared_uuids(device: &hal::Device) -> Option<DeviceUuids> {
    exported::uuids(device)
}

#[cfg(not(unix))]
fn shared_uuids(_: &hal::Device) -> Option<DeviceUuids> {
    None
}

#[cfg(unix)]
impl VulkanDevice {
    /// Returns the buffer that copies to this memory go to, its size in bytes, and its usage. `None` if it is not this device's.
    fn buffer_of(&self, memory: &Arc<dyn Any + Send + Sync>) -> Option<(vk::Buffer, u64, BufferUsages)> {
        let heap = self.heap.as_ref()?;
        if let Some(image) = memory.downcast_ref::<ExportedImage>() {
            let (bounce, usage) = (image.bounce(), BufferUsages::COPY_DST | BufferUsages::COPY_SRC);
            return Arc::ptr_eq(image.heap(), heap).then(|| (bounce.raw(), bounce.len(), usage));
        }
        let buffer = memory.downcast_ref::<HeapBuffer>()?;
        let is_ours = Arc::ptr_eq(buffer.heap(), heap);
        is_ours.then(|| (buffer.raw(), buffer.len() as u64, BufferUsages::COPY_DST))
    }

    /// Keeps what raw commands name until the queue is done with it: wgpu-core does not know of it.
    fn keep_until_done(&self, queue: QueueId, copies: &[ReadbackCopy]) {
        let copies: Vec<ReadbackCopy> = copies.iter().filter(|copy| copy.is_shared()).cloned().collect();
        let kept = copies.clone();
        let keep = || self.device.global.queue_on_submitted_work_done(queue, Box::new(move || drop(kept)));
        if catch_panic("wgpu-core", keep).is_none() {
            // It has dropped the closure, although the GPU may be using the images.
            std::mem::forget(copies);
        }
    }

    /// Records the copies to and from shared images.
    fn record_shared(&self, encoder: CommandEncoderId, copies: &[ReadbackCopy]) -> Result<(), PresentError> {
        let heap = self.heap.as_ref().ok_or(PresentError::WrongDevice)?;
        let image = |image: &Arc<dyn Any + Send + Sync>| {
            let image = image.clone().downcast::<ExportedImage>().ok();
            image.filter(|image| Arc::ptr_eq(image.heap(), heap)).ok_or(PresentError::WrongDevice)
        };
        let record = |commands| {
            for copy in copies {
                match (&copy.source, &copy.target) {
                    (CopySource::Texture(_), CopyTarget::Shared(target)) => {
                        // SAFETY: the commands are being recorded for this device. The encoder before this one copies the
                        // texture to the bounce buffer, with this stride, and the size is that of the image, for which it was
                        // lent. `keep_until_done` keeps the image. Nothing samples it: it was idle, or its last submission is an
                        // earlier one of this queue.
                        unsafe { image(target)?.record_write(commands, copy.stride) };
                    }
                    (CopySource::Image(source), CopyTarget::Owned(buffer)) => {
                        let (buffer, ..) = self.buffer_of(buffer).ok_or(PresentError::WrongDevice)?;
                        // SAFETY: as above. An earlier submission of this queue has written the image, whose layout the copy
                        // has. The buffer was lent for this copy, so it is large enough.
                        unsafe {
                            image(source)?.record_read(commands, buffer, copy.origin, copy.size, copy.stride);
                        }
                    }
                    _ => {}
                }
            }
            Ok(())
        };
        // SAFETY: the commands leave the encoder as it was: open, and outside a pass.
        unsafe {
            self.device.global.command_encoder_as_hal_mut::<Vulkan, _, _>(encoder, |encoder| match encoder {
                // SAFETY: the handle is not destroyed by hand.
                Some(encoder) => record(encoder.raw_handle()),
                None => Err(PresentError::DeviceLost),
            })
        }
    }
}

#[cfg(not(unix))]
impl VulkanDevice {
    fn buffer_of(&self, memory: &Arc<dyn Any + Send + Sync>) -> Option<(vk::Buffer, u64, BufferUsages)> {
        let buffer = memory.downcast_ref::<HeapBuffer>()?;
        let is_ours = Arc::ptr_eq(buffer.heap(), self.heap.as_ref()?);
        is_ours.then(|| (buffer.raw(), buffer.len() as u64, BufferUsages::COPY_DST))
    }

    fn keep_until_done(&self, _: QueueId, _: &[ReadbackCopy]) {}

    fn record_shared(&self, _: CommandEncoderId, _: &[ReadbackCopy]) -> Result<(), PresentError> {
        Err(PresentError::WrongDevice)
    }
}

/// The only access to the bytes of a [`HeapBuffer`]. wgpu-core holds the buffer too while a submission uses
/// it, but does not access its bytes.
struct OwnedMemory(Arc<HeapBuffer>);

// SAFETY: the mapping of a `HeapBuffer` has `len` bytes and lasts as long as the value, which `self` holds. No
// other buffer of the heap overlaps it. Memory from outside Rust counts as initialized. Nothing but `self`, of
// which each buffer has one, gives out the pointer.
//
// The GPU accesses the memory only through the buffer that is bound to it, whose usage allows nothing but
// writing copies. wgpu-core knows the buffer only from `VulkanDevice::register` to the end of the same call of
// `submit_with`, which records copies with this target and no others. Commands of the engine's could name it
// in that time only on another thread, which `Presenter::new` demands that they do not. The memory is
// coherent, and each submission ends with a barrier to the host.
unsafe impl HostMemory for OwnedMemory {
    fn pointer(&self) -> NonNull<u8> {
        self.0.pointer()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn target(&self) -> Arc<dyn Any + Send + Sync> {
        self.0.clone()
    }
}
