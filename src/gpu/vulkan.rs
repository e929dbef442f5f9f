//! A Vulkan device: frame memory that wgpu-core cannot free, and waiting outside its locks.
//!
//! The memory is our own `VkDeviceMemory`, mapped for as long as it lives, bound to a `VkBuffer` that wgpu-core knows as an
//! externally owned buffer. `device.destroy()` makes wgpu-core forget the buffer; the bytes stay.

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
use super::{
    Completed, CreateBufferError, GpuDevice, IdleMemory, Submission, SubmitError, TextureCopy, Waited,
    with_room,
};
use crate::api::ids::EncoderIds;
use crate::api::report::FrameMemoryKind;

pub(super) struct VulkanDevice {
    device: PortableDevice<Vulkan>,
    memory: FrameMemoryKind,
}

impl VulkanDevice {
    /// With owned memory if that is wanted and can be had: the CPU must read it at full speed.
    pub(super) fn new(device: PortableDevice<Vulkan>, wanted: FrameMemoryKind) -> Self {
        let owned = wanted == FrameMemoryKind::Owned && Allocation::new(device.device.clone(), 4).is_ok();
        let memory = if owned { FrameMemoryKind::Owned } else { FrameMemoryKind::Portable };
        Self { device, memory }
    }

    fn create_owned(
        &self,
        bytes: usize,
        id: Option<BufferId>,
    ) -> Result<(BufferId, IdleMemory), CreateBufferError> {
        let memory = Arc::new(Allocation::new(self.device.device.clone(), bytes)?);
        let keep = memory.clone();
        // SAFETY: the buffer outlives the hal buffer, because the callback, which holds it, is dropped with that.
        let known =
            unsafe { hal::Buffer::from_raw_externally_owned(memory.buffer, Box::new(move || drop(keep))) };
        let descriptor = BufferDescriptor {
            label: Some("canvas frame".into()),
            size: memory.len as u64,
            // Not MAP_READ: wgpu-core must not try to map what it did not allocate.
            usage: BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        // SAFETY: the buffer was made from this device with this size and usage. It counts as initialised because
        // its bytes are only ever read after a copy has written the pixels.
        let (id, error) = unsafe {
            self.device.global.create_buffer_from_hal::<Vulkan>(known, self.device.id, &descriptor, id)
        };
        match error {
            None => Ok((id, IdleMemory::owned(Box::new(OwnedMemory(memory))))),
            Some(error) => {
                // wgpu-core keeps an invalid entry under the id.
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
        room: usize,
        id: Option<BufferId>,
    ) -> Result<(BufferId, IdleMemory), CreateBufferError> {
        if self.memory == FrameMemoryKind::Owned {
            match with_room(bytes, room, |bytes| self.create_owned(bytes, id)) {
                // Each one is an allocation of the driver's, whose number is limited; wgpu-core's share theirs.
                Err(CreateBufferError::OutOfMemory) => {}
                created => return created,
            }
        }
        self.device.create_buffer(bytes, room, id)
    }

    fn submit(
        &self,
        queue: QueueId,
        encoder: Option<EncoderIds>,
        copies: &[TextureCopy],
    ) -> Result<Submission, SubmitError> {
        self.device.submit(queue, encoder, copies)
    }

    fn wait(&self, index: SubmissionIndex, timeout: Duration) -> Waited {
        let PortableDevice { id, device, fence, .. } = &self.device;
        // SAFETY: the fence belongs to the device, and both are kept alive by their guards.
        match unsafe { device.wait(fence, index, Some(timeout)) } {
            Ok(true) => Waited::Done(Completed { device: *id, index }),
            Ok(false) => Waited::TimedOut,
            Err(error) => {
                log::warn!("webgpu-presentation: waiting for {id:?}: {error}");
                Waited::Lost
            }
        }
    }

    fn must_poll(&self) -> bool {
        self.device.must_poll()
    }
}

/// A mapped `VkDeviceMemory` and the `VkBuffer` bound to all of it.
struct Allocation {
    device: Guard<hal::Device>,
    buffer: vk::Buffer,
    memory: vk::DeviceMemory,
    pointer: NonNull<u8>,
    len: usize,
    coherent: bool,
}

// SAFETY: `pointer` is only read through `OwnedMemory`, of which there is one; the handles are used on drop alone.
unsafe impl Send for Allocation {}
// SAFETY: as above; a shared reference gives access to no memory.
unsafe impl Sync for Allocation {}

impl Allocation {
    fn new(device: Guard<hal::Device>, len: usize) -> Result<Self, CreateBufferError> {
        let raw = device.raw_device();
        let info = vk::BufferCreateInfo::default()
            .size(len as u64)
            .usage(vk::BufferUsageFlags::TRANSFER_DST)
            .sharing_mode(vk::SharingMode::EXCLUSIVE);
        // SAFETY: a valid description; the device is alive.
        let buffer = unsafe { raw.create_buffer(&info, None) }.map_err(creation_error)?;
        match allocate(&device, buffer) {
            Ok((memory, pointer, coherent)) => Ok(Self { buffer, memory, pointer, len, coherent, device }),
            Err(error) => {
                // SAFETY: made above and used by nobody.
                unsafe { raw.destroy_buffer(buffer, None) };
                Err(error)
            }
        }
    }
}

/// Allocates, binds and maps memory for `buffer`. The last value says whether it is coherent.
fn allocate(
    device: &hal::Device,
    buffer: vk::Buffer,
) -> Result<(vk::DeviceMemory, NonNull<u8>, bool), CreateBufferError> {
    let raw = device.raw_device();
    // SAFETY: the buffer was made from this device.
    let need = unsafe { raw.get_buffer_memory_requirements(buffer) };
    let (memory_type, coherent) =
        memory_type(device, need.memory_type_bits).ok_or(CreateBufferError::UnsupportedBackend)?;
    let info = vk::MemoryAllocateInfo::default().allocation_size(need.size).memory_type_index(memory_type);
    // SAFETY: a valid description, with a type that the buffer may have.
    let memory = unsafe { raw.allocate_memory(&info, None) }.map_err(creation_error)?;
    // SAFETY: fresh memory of the required size and type; offset 0 is always aligned.
    let mapped = unsafe {
        raw.bind_buffer_memory(buffer, memory, 0)
            .and_then(|()| raw.map_memory(memory, 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty()))
    };
    match mapped.map(|pointer| NonNull::new(pointer.cast())) {
        Ok(Some(pointer)) => Ok((memory, pointer, coherent)),
        failed => {
            // SAFETY: made above and used by nobody; the caller destroys the buffer.
            unsafe { raw.free_memory(memory, None) };
            Err(failed.err().map_or(CreateBufferError::OutOfMemory, creation_error))
        }
    }
}

/// Host memory that the CPU reads at full speed (cached), coherent if possible. Without it reading a frame takes ten
/// times as long, so then there is none.
fn memory_type(device: &hal::Device, allowed: u32) -> Option<(u32, bool)> {
    use vk::MemoryPropertyFlags as Flags;
    let known = Flags::DEVICE_LOCAL | Flags::HOST_VISIBLE | Flags::HOST_COHERENT | Flags::HOST_CACHED;
    let needed = Flags::HOST_VISIBLE | Flags::HOST_CACHED;
    let instance = device.shared_instance().raw_instance();
    // SAFETY: the physical device belongs to the instance, which the device keeps alive.
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

impl Drop for Allocation {
    fn drop(&mut self) {
        let raw = self.device.raw_device();
        // SAFETY: the last holder is gone. wgpu-core was one until it had dropped its buffer, which it does only after
        // the submissions that use it are done; `OwnedMemory` was the other, so nobody reads. Freeing unmaps.
        unsafe {
            raw.destroy_buffer(self.buffer, None);
            raw.free_memory(self.memory, None);
        }
    }
}

/// The one reader of an [`Allocation`]; wgpu-core's callback merely keeps that alive.
struct OwnedMemory(Arc<Allocation>);

impl OwnedMemory {
    fn range(&self) -> vk::MappedMemoryRange<'static> {
        vk::MappedMemoryRange::default().memory(self.0.memory).size(vk::WHOLE_SIZE)
    }
}

// SAFETY: the mapping is of at least `len` bytes and lasts until `Allocation` is dropped. Only this value gives out its
// pointer, and the GPU writes through the bound buffer alone, which only copies to that buffer do.
unsafe impl HostMemory for OwnedMemory {
    fn pointer(&self) -> NonNull<u8> {
        self.0.pointer
    }

    fn len(&self) -> usize {
        self.0.len
    }

    fn invalidate(&self) {
        if !self.0.coherent {
            // SAFETY: the memory is mapped, and the range is all of it.
            let result =
                unsafe { self.0.device.raw_device().invalidate_mapped_memory_ranges(&[self.range()]) };
            log_failure("invalidating", result);
        }
    }

    fn flush(&self) {
        if !self.0.coherent {
            // SAFETY: as above.
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
