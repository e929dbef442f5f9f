//! Vulkan devices, and owned memory: frame memory that wgpu-core cannot free.
//!
//! Owned memory is a `VkDeviceMemory` of this crate's, mapped for as long as it exists. It is bound to a
//! `VkBuffer` that wgpu-core knows as externally owned. When the device is destroyed, wgpu-core forgets the
//! buffer and the bytes stay.
//!
//! The WebGPU thread creates buffers and submits; a poller's thread waits, on the device's fence and outside
//! every lock of wgpu-core. Owned memory is freed on the thread that drops it last. Where owned memory is not
//! wanted or cannot be had, a Vulkan device has portable memory like any other.

use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use ash::vk;
use wgpu_core::SubmissionIndex;
use wgpu_core::api::Vulkan;
use wgpu_core::device::DeviceError;
use wgpu_core::id::{BufferId, DeviceId, QueueId};
use wgpu_core::resource::{BufferDescriptor, CreateBufferError as CoreError};
use wgpu_hal::Device as _;
use wgpu_hal::vulkan as hal;
use wgpu_types::BufferUsages;

use super::memory::HostMemory;
use super::portable::{Guard, PortableDevice};
use super::waiting::judge;
use super::{
    CreateBufferError, GpuDevice, IdleMemory, ReadbackCopy, Submission, SubmitError, WaitResult,
    with_headroom,
};
use crate::api::ids::EncoderIds;
use crate::api::report::FrameMemoryKind;

/// A Vulkan device.
pub(super) struct VulkanDevice {
    device: PortableDevice<Vulkan>,
    /// The kind of memory that new buffers get. Where no more owned memory can be allocated they get portable
    /// memory.
    memory: FrameMemoryKind,
}

impl VulkanDevice {
    /// Makes a device that has owned memory, if that is `wanted` and a first small allocation succeeds.
    pub(super) fn new(device: PortableDevice<Vulkan>, wanted: FrameMemoryKind) -> Self {
        let owned =
            wanted == FrameMemoryKind::Owned && OwnedAllocation::new(device.device.clone(), 4).is_ok();
        let memory = if owned { FrameMemoryKind::Owned } else { FrameMemoryKind::Portable };
        Self { device, memory }
    }

    /// Creates a buffer in owned memory and makes it known to wgpu-core.
    fn create_owned(
        &self,
        bytes: usize,
        id: Option<BufferId>,
    ) -> Result<(BufferId, IdleMemory), CreateBufferError> {
        let memory = Arc::new(OwnedAllocation::new(self.device.device.clone(), bytes)?);
        let keep = memory.clone();
        // SAFETY: `VkBuffer` must outlive the hal buffer. It does, because the hal buffer holds the callback,
        // which holds the allocation. wgpu-core must not map the buffer, and without MAP_READ and MAP_WRITE
        // it refuses to.
        let known =
            unsafe { hal::Buffer::from_raw_externally_owned(memory.buffer, Box::new(move || drop(keep))) };
        let descriptor = BufferDescriptor {
            label: Some("canvas frame".into()),
            size: memory.len as u64,
            // Without MAP_READ, because wgpu-core cannot map memory that it did not allocate.
            usage: BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        // SAFETY: the buffer was created from this device, with the size and the usage that the descriptor
        // states; the size is not zero, as no canvas that is copied is empty. wgpu-core takes it for
        // initialized, so it does not clear it before a copy. Its bytes are read only after a copy has
        // written the pixels.
        let (id, error) = unsafe {
            self.device.global.create_buffer_from_hal::<Vulkan>(known, self.device.id, &descriptor, id)
        };
        match error {
            None => Ok((id, IdleMemory::owned(Box::new(OwnedMemory(memory))))),
            Some(error) => {
                // wgpu-core has put an invalid buffer under the id.
                self.device.global.buffer_drop(id);
                if let CoreError::Device(DeviceError::Lost) = error {
                    return Err(CreateBufferError::DeviceLost);
                }
                log::warn!("webgpu-presentation: no owned memory of {bytes} bytes: {error}");
                Err(CreateBufferError::OutOfMemory)
            }
        }
    }
}

impl GpuDevice for VulkanDevice {
    fn id(&self) -> DeviceId {
        self.device.id
    }

    fn memory(&self) -> Option<FrameMemoryKind> {
        Some(self.memory)
    }

    fn largest_texture(&self) -> u32 {
        self.device.largest_texture()
    }

    fn create_buffer(
        &self,
        bytes: usize,
        headroom: usize,
        id: Option<BufferId>,
    ) -> Result<(BufferId, IdleMemory), CreateBufferError> {
        if self.memory == FrameMemoryKind::Owned {
            match with_headroom(bytes, headroom, |bytes| self.create_owned(bytes, id)) {
                // Each owned buffer is an allocation of the driver's, of which there can be only a limited
                // number. Buffers of wgpu-core's share their allocations.
                Err(CreateBufferError::OutOfMemory) => {}
                created => return created,
            }
        }
        self.device.create_buffer(bytes, headroom, id)
    }

    fn submit(
        &self,
        queue: QueueId,
        encoder: Option<EncoderIds>,
        copies: &[ReadbackCopy],
    ) -> Result<Submission, SubmitError> {
        self.device.submit(queue, encoder, copies)
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

/// A mapped `VkDeviceMemory` and the `VkBuffer` bound to all of it.
struct OwnedAllocation {
    device: Guard<hal::Device>,
    buffer: vk::Buffer,
    memory: vk::DeviceMemory,
    pointer: NonNull<u8>,
    len: usize,
    coherent: bool,
}

// SAFETY: the pointer is valid on every thread, and it is dereferenced only through `OwnedMemory`, of which
// each allocation has one. Vulkan's handles may be used on any thread; those that demand exclusive access are
// used in `drop` and, for the memory, by `OwnedMemory` alone.
unsafe impl Send for OwnedAllocation {}
// SAFETY: a shared reference gives access to the memory only through `OwnedMemory`, of which each allocation
// has one.
unsafe impl Sync for OwnedAllocation {}

impl OwnedAllocation {
    /// Allocates `len` bytes, at least one.
    fn new(device: Guard<hal::Device>, len: usize) -> Result<Self, CreateBufferError> {
        let raw = device.raw_device();
        let info = vk::BufferCreateInfo::default()
            .size(len as u64)
            .usage(vk::BufferUsageFlags::TRANSFER_DST)
            .sharing_mode(vk::SharingMode::EXCLUSIVE);
        // SAFETY: the description is valid, and the guard keeps the device alive.
        let buffer = unsafe { raw.create_buffer(&info, None) }.map_err(creation_error)?;
        match allocate(&device, buffer) {
            Ok((memory, pointer, coherent)) => Ok(Self { buffer, memory, pointer, len, coherent, device }),
            Err(error) => {
                // SAFETY: the buffer was created above from this device, and nothing uses it.
                unsafe { raw.destroy_buffer(buffer, None) };
                Err(error)
            }
        }
    }
}

/// Allocates memory, binds it to `buffer` and maps it. The last value says whether the memory is coherent.
///
/// Precondition: `buffer` was created from `device` and has no memory yet.
fn allocate(
    device: &hal::Device,
    buffer: vk::Buffer,
) -> Result<(vk::DeviceMemory, NonNull<u8>, bool), CreateBufferError> {
    let raw = device.raw_device();
    // SAFETY: the buffer was created from this device.
    let need = unsafe { raw.get_buffer_memory_requirements(buffer) };
    let (memory_type, coherent) =
        memory_type(device, need.memory_type_bits).ok_or(CreateBufferError::UnsupportedBackend)?;
    let info = vk::MemoryAllocateInfo::default().allocation_size(need.size).memory_type_index(memory_type);
    // SAFETY: the description is valid: its memory type exists, and the buffer may have it.
    let memory = unsafe { raw.allocate_memory(&info, None) }.map_err(creation_error)?;
    // SAFETY: the memory is new and has the size and the type that the buffer requires; offset 0 is always
    // aligned. The type is host-visible, and the memory was not mapped before.
    let mapped = unsafe {
        raw.bind_buffer_memory(buffer, memory, 0)
            .and_then(|()| raw.map_memory(memory, 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty()))
    };
    match mapped.map(|pointer| NonNull::new(pointer.cast())) {
        Ok(Some(pointer)) => Ok((memory, pointer, coherent)),
        failed => {
            // SAFETY: the memory was allocated above, and nothing uses it: the caller destroys the buffer
            // unused.
            unsafe { raw.free_memory(memory, None) };
            Err(failed.err().map_or(CreateBufferError::OutOfMemory, creation_error))
        }
    }
}

/// Returns the index of a memory type among `allowed` that the CPU reads at full speed, and whether it is
/// coherent.
///
/// The memory must be cached on the CPU: reading a frame from other memory takes ten times as long, so such
/// memory is not used at all. Coherent memory is preferred. Types with flags that this function does not know
/// are left out, because such memory may follow rules of its own.
fn memory_type(device: &hal::Device, allowed: u32) -> Option<(u32, bool)> {
    use vk::MemoryPropertyFlags as Flags;
    let known = Flags::DEVICE_LOCAL | Flags::HOST_VISIBLE | Flags::HOST_COHERENT | Flags::HOST_CACHED;
    let needed = Flags::HOST_VISIBLE | Flags::HOST_CACHED;
    let instance = device.shared_instance().raw_instance();
    // SAFETY: the physical device belongs to this instance, which the device keeps alive.
    let properties = unsafe { instance.get_physical_device_memory_properties(device.raw_physical_device()) };
    properties
        .memory_types_as_slice()
        .iter()
        .zip(0u32..)
        .filter(|(kind, index)| {
            allowed & (1 << index) != 0
                && kind.property_flags.contains(needed)
                && known.contains(kind.property_flags)
        })
        .map(|(kind, index)| (index, kind.property_flags.contains(Flags::HOST_COHERENT)))
        .max_by_key(|&(index, coherent)| (coherent, u32::MAX - index))
}

fn creation_error(error: vk::Result) -> CreateBufferError {
    match error {
        vk::Result::ERROR_DEVICE_LOST => CreateBufferError::DeviceLost,
        _ => CreateBufferError::OutOfMemory,
    }
}

impl Drop for OwnedAllocation {
    fn drop(&mut self) {
        let raw = self.device.raw_device();
        // SAFETY: both were created from this device, which the guard keeps alive, and nothing uses them any
        // more. The holders of an allocation are wgpu-core's buffer and one `OwnedMemory`, and both are gone.
        // wgpu-core drops its buffer only after the submissions that use it are done, so the GPU does not
        // write; without `OwnedMemory` the CPU does not read. Freeing the memory unmaps it.
        unsafe {
            raw.destroy_buffer(self.buffer, None);
            raw.free_memory(self.memory, None);
        }
    }
}

/// The only access to the bytes of an [`OwnedAllocation`]. wgpu-core's buffer holds the allocation too, but
/// does not access its bytes.
struct OwnedMemory(Arc<OwnedAllocation>);

impl OwnedMemory {
    /// Returns the range of the whole memory.
    fn range(&self) -> vk::MappedMemoryRange<'static> {
        vk::MappedMemoryRange::default().memory(self.0.memory).size(vk::WHOLE_SIZE)
    }
}

// SAFETY: the mapping has at least `len` bytes and lasts until the `OwnedAllocation` is dropped, which `self`
// holds. Memory from outside Rust counts as initialized. Nothing but `self`, of which each allocation has
// one, gives out the pointer. The GPU accesses the memory only through the buffer that is bound to it, whose
// usage allows nothing but writing copies; the engine promises to use the ids of staging buffers for nothing
// else, so these copies are the presenter's.
unsafe impl HostMemory for OwnedMemory {
    fn pointer(&self) -> NonNull<u8> {
        self.0.pointer
    }

    fn len(&self) -> usize {
        self.0.len
    }

    fn invalidate(&self) {
        if !self.0.coherent {
            // SAFETY: the memory is mapped and belongs to this device, and the range is all of it.
            let result =
                unsafe { self.0.device.raw_device().invalidate_mapped_memory_ranges(&[self.range()]) };
            log_failure("invalidating", result);
        }
    }

    fn flush(&self) {
        if !self.0.coherent {
            // SAFETY: the memory is mapped and belongs to this device, and the range is all of it.
            let result = unsafe { self.0.device.raw_device().flush_mapped_memory_ranges(&[self.range()]) };
            log_failure("flushing", result);
        }
    }
}

fn log_failure(what: &str, result: Result<(), vk::Result>) {
    if let Err(error) = result {
        log::error!("webgpu-presentation: {what} frame memory: {error}");
    }
}
