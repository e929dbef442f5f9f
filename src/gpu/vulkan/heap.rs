//! The heap of owned frame memory of one Vulkan device, for staging buffers and [images](super::image).
//!
//! A driver allows only so many memory objects (`VkDeviceMemory`): often 4,096 for a device, and what exceeds
//! that is an error that wgpu-core takes for the loss of the device. So small staging buffers share objects of
//! [`BLOCK`] bytes, which `gpu-allocator` divides, and larger ones have an object each. Of either kind there
//! can be a quarter of what the driver allows; the other half stays for the page's own resources. Beyond that
//! the heap gives no memory, before the driver refuses.
//!
//! The heap is locked for each allocation and each release, which happen on any thread and rarely: the rings
//! of contexts keep their memory between frames. It lives as long as the last of its buffers, and keeps what
//! is left of the device alive.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ash::vk;
use gpu_allocator::vulkan::{
    Allocation, AllocationCreateDesc, AllocationScheme, Allocator, AllocatorCreateDesc,
};
use gpu_allocator::{AllocationError, AllocationSizes, AllocatorDebugSettings, MemoryLocation};
use parking_lot::Mutex;
use wgpu_hal::vulkan as hal;

use super::image::HeapImage;
use crate::api::report::ReadbackReason;
use crate::gpu::portable::Guard;
use crate::gpu::{CreateBufferError, HeapUsage, ImageShape};

/// Bytes of a memory object that small staging buffers share. It is the smallest that the allocator can have,
/// so that a device with few small canvases takes little.
const BLOCK: u64 = 4 << 20;

/// Memory objects of one kind, shared or not, take at most the driver's limit divided by this.
const SHARE: u32 = 4;

/// The frame memory of one device.
pub(super) struct FrameHeap {
    state: Mutex<HeapState>,
    /// The device is a CPU.
    is_on_cpu: bool,
    /// The index of the memory type of all buffers and images.
    memory_type: u32,
    /// Upper bound of the memory objects of either kind.
    most_objects: usize,
    /// Number of exported images.
    exports: Arc<AtomicUsize>,
    /// Memory objects, and their bytes, that the allocator does not know of: those of exported images.
    others: Arc<[AtomicUsize; 2]>,
    /// The memory types of the device.
    memory_properties: vk::PhysicalDeviceMemoryProperties,
    // Dropped last, because the allocator frees its blocks through it.
    device: Guard<hal::Device>,
}

struct HeapState {
    allocator: Allocator,
    /// Number of memory objects that small buffers share.
    blocks: usize,
    /// Number of memory objects that are one buffer each.
    dedicated: usize,
    /// Bytes of all buffers.
    used: u64,
}

impl FrameHeap {
    /// Makes a heap without memory. Returns `None` if the device has no memory of the right kind.
    pub(super) fn new(device: Guard<hal::Device>) -> Option<Arc<Self>> {
        let hal: &hal::Device = &device;
        let instance = hal.shared_instance().raw_instance();
        let physical_device = hal.raw_physical_device();
        // SAFETY: the physical device belongs to this instance, which the device keeps alive.
        let (properties, memory) = unsafe {
            (
                instance.get_physical_device_properties(physical_device),
                instance.get_physical_device_memory_properties(physical_device),
            )
        };
        let memory_type = memory_type(&memory)?;
        let allocator = Allocator::new(&AllocatorCreateDesc {
            instance: instance.clone(),
            device: hal.raw_device().clone(),
            physical_device,
            debug_settings: AllocatorDebugSettings::default(),
            buffer_device_address: false,
            allocation_sizes: AllocationSizes::new(BLOCK, BLOCK),
        });
        let allocator = allocator
            .map_err(|error| log::error!("webgpu-presentation: no heap for owned memory: {error}"))
            .ok()?;
        let is_on_cpu = properties.device_type == vk::PhysicalDeviceType::CPU;
        let most_objects = (properties.limits.max_memory_allocation_count / SHARE).max(1) as usize;
        let state = Mutex::new(HeapState { allocator, blocks: 0, dedicated: 0, used: 0 });
        let (exports, others) = <(Arc<_>, Arc<_>)>::default();
        Some(Arc::new(Self {
            state,
            is_on_cpu,
            memory_type,
            most_objects,
            exports,
            others,
            memory_properties: memory,
            device,
        }))
    }

    /// Allocates a buffer of `len` bytes, at least one, that textures can be copied to.
    pub(super) fn allocate(self: &Arc<Self>, len: usize) -> Result<Arc<HeapBuffer>, CreateBufferError> {
        let raw = self.device.raw_device();
        let info = vk::BufferCreateInfo::default()
            .size(len as u64)
            .usage(vk::BufferUsageFlags::TRANSFER_DST)
            .sharing_mode(vk::SharingMode::EXCLUSIVE);
        // SAFETY: the description is valid, and the guard keeps the device alive.
        let buffer = unsafe { raw.create_buffer(&info, None) }.map_err(creation_error)?;
        // SAFETY: the buffer was created from this device.
        let requirements = unsafe { raw.get_buffer_memory_requirements(buffer) };
        let bound = self.bind_memory(requirements, |memory, offset| {
            // SAFETY: the memory is new, of this device, and has the size, the alignment and the type that the
            // buffer requires.
            unsafe { raw.bind_buffer_memory(buffer, memory, offset) }
        });
        match bound {
            Ok(bound) => {
                if requirements.size <= BLOCK {
                    // Another canvas may have had the memory. Its bytes must not be seen, even if a driver that lost
                    // the device says that the copy is done.
                    // SAFETY: the memory is mapped there and has at least `len` bytes, which no other allocation
                    // overlaps, and nothing accesses it yet.
                    unsafe { bound.pointer().write_bytes(0, len) };
                }
                Ok(Arc::new(HeapBuffer { heap: self.clone(), buffer, bound, len }))
            }
            Err(error) => {
                // SAFETY: the buffer was created above from this device, and nothing uses it.
                unsafe { raw.destroy_buffer(buffer, None) };
                Err(error)
            }
        }
    }

    /// Creates an image that textures of `shape` can be drawn in.
    pub(super) fn allocate_image(
        self: &Arc<Self>,
        shape: &ImageShape,
    ) -> Result<Arc<HeapImage>, ReadbackReason> {
        HeapImage::new(self, shape)
    }

    /// Allocates memory for a buffer or a linear image with these requirements, which `bind` binds to it.
    pub(super) fn bind_memory(
        &self,
        mut requirements: vk::MemoryRequirements,
        bind: impl FnOnce(vk::DeviceMemory, vk::DeviceSize) -> Result<(), vk::Result>,
    ) -> Result<Bound, CreateBufferError> {
        requirements.memory_type_bits &= 1 << self.memory_type;
        if requirements.memory_type_bits == 0 {
            return Err(CreateBufferError::OutOfMemory);
        }
        let allocation = self.state.lock().allocate(
            &AllocationCreateDesc {
                name: "canvas frame",
                requirements,
                location: MemoryLocation::GpuToCpu,
                linear: true,
                allocation_scheme: AllocationScheme::GpuAllocatorManaged,
            },
            self.most_objects,
        )?;
        // SAFETY: the caller binds the memory as a whole, and frees it with the heap.
        let bound = bind(unsafe { allocation.memory() }, allocation.offset());
        // The memory is mapped as a whole, because its type is host-visible.
        match (bound, allocation.mapped_ptr().map(NonNull::cast::<u8>)) {
            (Ok(()), Some(pointer)) => {
                let len = usize::try_from(requirements.size).unwrap_or(usize::MAX);
                Ok(Bound { allocation, pointer, len })
            }
            (bound, _) => {
                self.state.lock().free(allocation);
                Err(bound.err().map_or(CreateBufferError::OutOfMemory, creation_error))
            }
        }
    }

    /// Frees memory. Precondition: what it was bound to is destroyed.
    pub(super) fn free(&self, bound: Bound) {
        self.state.lock().free(bound.allocation);
    }

    pub(super) fn device(&self) -> &hal::Device {
        &self.device
    }

    /// Whether the device is a CPU, which draws in ordinary memory.
    pub(super) fn is_on_cpu(&self) -> bool {
        self.is_on_cpu
    }

    /// Counts one more exported image, until the result is dropped. Returns `None` if there are as many as there may be: a quarter of
    /// the memory objects of another kind, because an image can have two.
    pub(super) fn count_export(&self) -> Option<ExportCount> {
        let most = (self.most_objects / 4).max(1);
        let count = ExportCount(self.exports.clone());
        (self.exports.fetch_add(1, Ordering::Relaxed) < most).then_some(count)
    }

    /// Counts a memory object of `bytes` bytes that the allocator does not know of, until the result is dropped.
    pub(super) fn count_object(&self, bytes: u64) -> ObjectCount {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let [objects, all_bytes] = &*self.others;
        objects.fetch_add(1, Ordering::Relaxed);
        all_bytes.fetch_add(bytes, Ordering::Relaxed);
        ObjectCount(self.others.clone(), bytes)
    }

    /// Returns the memory type for an image that the CPU does not read: the first one that is allowed, if possible on the GPU.
    pub(super) fn device_memory_type(&self, allowed: u32) -> u32 {
        let types = self.memory_properties.memory_types_as_slice().iter().zip(0..);
        let mut allowed = types.filter(|(_, index)| allowed & (1 << index) != 0);
        let is_local =
            |kind: &vk::MemoryType| kind.property_flags.contains(vk::MemoryPropertyFlags::DEVICE_LOCAL);
        let first = allowed.clone().next().map_or(0, |(_, index)| index);
        allowed.find_map(|(kind, index)| is_local(kind).then_some(index)).unwrap_or(first)
    }

    /// Whether the driver can export the memory of an image.
    pub(super) fn exports(&self, info: &vk::ImageCreateInfo<'_>) -> bool {
        let hal: &hal::Device = &self.device;
        let mut external = vk::PhysicalDeviceExternalImageFormatInfo::default()
            .handle_type(vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD);
        let info_of_format = vk::PhysicalDeviceImageFormatInfo2::default()
            .format(info.format)
            .ty(info.image_type)
            .tiling(info.tiling)
            .usage(info.usage)
            .flags(info.flags)
            .push_next(&mut external);
        let mut exported = vk::ExternalImageFormatProperties::default();
        let mut properties = vk::ImageFormatProperties2::default().push_next(&mut exported);
        // SAFETY: the physical device belongs to this instance, which the device keeps alive. The extension that exports depends on
        // this function.
        let supported = unsafe {
            hal.shared_instance().raw_instance().get_physical_device_image_format_properties2(
                hal.raw_physical_device(),
                &info_of_format,
                &mut properties,
            )
        };
        let largest = properties.image_format_properties.max_extent;
        let features = exported.external_memory_properties.external_memory_features;
        supported.is_ok()
            && info.extent.width <= largest.width
            && info.extent.height <= largest.height
            && features.contains(vk::ExternalMemoryFeatureFlags::EXPORTABLE)
    }

    /// Whether the driver supports an image.
    pub(super) fn supports(&self, info: &vk::ImageCreateInfo<'_>) -> bool {
        let hal: &hal::Device = &self.device;
        // SAFETY: the physical device belongs to this instance, which the device keeps alive.
        let limits = unsafe {
            hal.shared_instance().raw_instance().get_physical_device_image_format_properties(
                hal.raw_physical_device(),
                info.format,
                info.image_type,
                info.tiling,
                info.usage,
                info.flags,
            )
        };
        limits.is_ok_and(|limits| {
            let largest = limits.max_extent;
            info.extent.width <= largest.width && info.extent.height <= largest.height
        })
    }

    pub(super) fn usage(&self) -> HeapUsage {
        let [objects, bytes] = [&self.others[0], &self.others[1]].map(|count| count.load(Ordering::Relaxed));
        let state = self.state.lock();
        HeapUsage {
            objects: state.blocks + state.dedicated + objects,
            reserved: state.allocator.capacity() as usize + bytes,
            used: state.used as usize + bytes,
        }
    }
}

impl HeapState {
    /// Allocates memory, unless that could need one more memory object than there may be.
    fn allocate(
        &mut self,
        description: &AllocationCreateDesc<'_>,
        most_objects: usize,
    ) -> Result<Allocation, CreateBufferError> {
        if *self.count(description.requirements.size) >= most_objects {
            return Err(CreateBufferError::OutOfMemory);
        }
        let before = self.allocator.capacity();
        let allocation = self.allocator.allocate(description).map_err(|error| match error {
            AllocationError::OutOfMemory | AllocationError::FailedToMap(_) => CreateBufferError::OutOfMemory,
            error => {
                log::warn!("webgpu-presentation: no frame memory: {error}");
                CreateBufferError::DriverRefused
            }
        })?;
        if self.allocator.capacity() > before {
            *self.count(allocation.size()) += 1;
        }
        self.used += allocation.size();
        Ok(allocation)
    }

    fn free(&mut self, allocation: Allocation) {
        let (size, before) = (allocation.size(), self.allocator.capacity());
        if let Err(error) = self.allocator.free(allocation) {
            log::error!("webgpu-presentation: freeing frame memory: {error}");
        }
        if self.allocator.capacity() < before {
            *self.count(size) -= 1;
        }
        self.used -= size;
    }

    /// The number of memory objects of the kind that an allocation of `size` bytes is in.
    fn count(&mut self, size: u64) -> &mut usize {
        if size <= BLOCK { &mut self.blocks } else { &mut self.dedicated }
    }
}

/// Counts an exported image until it is dropped.
pub(super) struct ExportCount(Arc<AtomicUsize>);

impl Drop for ExportCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a memory object and its bytes until it is dropped.
pub(super) struct ObjectCount(Arc<[AtomicUsize; 2]>, usize);

impl Drop for ObjectCount {
    fn drop(&mut self) {
        let Self(others, bytes) = self;
        others[0].fetch_sub(1, Ordering::Relaxed);
        others[1].fetch_sub(*bytes, Ordering::Relaxed);
    }
}

/// Mapped memory that is bound to a buffer or an image. It is [freed](FrameHeap::free) by whatever has it.
pub(super) struct Bound {
    allocation: Allocation,
    pointer: NonNull<u8>,
    len: usize,
}

// SAFETY: the pointer is valid on every thread, and it is dereferenced only through `OwnedMemory` and `OwnedImage`, of
// which each buffer and each image has one. Vulkan's handles may be used on any thread; those that demand exclusive
// access are used when the memory is freed, under the lock of the heap.
unsafe impl Send for Bound {}
// SAFETY: a shared reference gives access to the memory only through `OwnedMemory` and `OwnedImage`, of which each
// buffer and each image has one.
unsafe impl Sync for Bound {}

impl Bound {
    /// Returns where the memory is mapped, until it is freed.
    pub(super) fn pointer(&self) -> NonNull<u8> {
        self.pointer
    }

    /// Capacity in bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl Default for Bound {
    /// Makes a value without memory.
    fn default() -> Self {
        Self { allocation: Allocation::default(), pointer: NonNull::dangling(), len: 0 }
    }
}

/// A `VkBuffer` and the mapped memory that is bound to it. Dropping it frees both, on any thread.
pub(super) struct HeapBuffer {
    heap: Arc<FrameHeap>,
    buffer: vk::Buffer,
    bound: Bound,
    len: usize,
}

impl HeapBuffer {
    pub(super) fn heap(&self) -> &Arc<FrameHeap> {
        &self.heap
    }

    pub(super) fn raw(&self) -> vk::Buffer {
        self.buffer
    }

    /// Returns where the memory is mapped, for as long as `self` exists.
    pub(super) fn pointer(&self) -> NonNull<u8> {
        self.bound.pointer()
    }

    /// Capacity in bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for HeapBuffer {
    fn drop(&mut self) {
        // SAFETY: the buffer was created from this device, which the heap keeps alive, and nothing uses it any
        // more. The holders of a `HeapBuffer` are one `OwnedMemory` and what wgpu-core knows of the buffer, and
        // both are gone. wgpu-core drops what it knows only after the submissions that use it are done, so the
        // GPU does not write; without `OwnedMemory` the CPU does not read.
        unsafe { self.heap.device.raw_device().destroy_buffer(self.buffer, None) };
        self.heap.free(std::mem::take(&mut self.bound));
    }
}

/// Returns the index of the memory type that frames are read from.
///
/// The memory must be cached on the CPU: reading a frame from other memory takes ten times as long, so such
/// memory is not used at all. It must be coherent, as nearly all cached memory is. Types with flags that this
/// function does not know are left out, because such memory may follow rules of its own.
fn memory_type(properties: &vk::PhysicalDeviceMemoryProperties) -> Option<u32> {
    use vk::MemoryPropertyFlags as Flags;
    let needed = Flags::HOST_VISIBLE | Flags::HOST_CACHED | Flags::HOST_COHERENT;
    let known = needed | Flags::DEVICE_LOCAL;
    let fits =
        |kind: &vk::MemoryType| kind.property_flags.contains(needed) && known.contains(kind.property_flags);
    properties.memory_types_as_slice().iter().zip(0..).find_map(|(kind, index)| fits(kind).then_some(index))
}

fn creation_error(error: vk::Result) -> CreateBufferError {
    match error {
        vk::Result::ERROR_DEVICE_LOST => CreateBufferError::DeviceLost,
        vk::Result::ERROR_OUT_OF_DEVICE_MEMORY => CreateBufferError::OutOfMemory,
        _ => CreateBufferError::DriverRefused,
    }
}
