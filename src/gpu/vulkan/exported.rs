//! Shared images: images that another graphics API imports and samples.
//!
//! An [`ExportedImage`] is a `VkImage` in memory of its own, which the driver exports as a file descriptor. wgpu-core has no id for
//! it, because an engine that chooses ids gives none for it, so it cannot copy a texture there; and raw commands that copy a texture
//! could not be sure of its size and format, which a page chooses. So a present makes two copies on the GPU: wgpu-core copies the
//! texture to a [`Bounce`] buffer, and checks that as any other copy; raw commands copy that to the image.
//!
//! Vulkan calls whatever is not this device an external queue family. After each use the image is released to it, in the layout
//! in which GL samples. A present needs not acquire it, because it overwrites all pixels. That GL is done is known from its own
//! fence, before the image is used again.
//!
//! Images are allocated and recorded on the WebGPU thread, exported on a renderer's thread, and freed on any thread.

use std::any::Any;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;

use ash::{khr, vk};
use euclid::default::{Point2D, Size2D};
use wgpu_core::id::DeviceId;
use wgpu_hal::vulkan as hal;
use wgpu_types::{COPY_BYTES_PER_ROW_ALIGNMENT, TextureFormat};

use super::heap::{ExportCount, FrameHeap, ObjectCount};
use crate::api::report::ReadbackReason;
use crate::gpu::memory::SharedMemory;
use crate::gpu::{DeviceUuids, SharedImage};

/// The layout in which images are sampled.
const SAMPLED: vk::ImageLayout = vk::ImageLayout::SHADER_READ_ONLY_OPTIMAL;

/// An image that can be exported. Dropping it frees the image; whoever has imported it keeps the memory.
pub(super) struct ExportedImage {
    heap: Arc<FrameHeap>,
    device: DeviceId,
    uuids: DeviceUuids,
    image: vk::Image,
    memory: vk::DeviceMemory,
    memory_size: u64,
    /// Bytes of memory that were allocated for this image: its own, and those of the buffer unless it was there already.
    allocated: u64,
    size: Size2D<u32>,
    format: TextureFormat,
    bounce: Arc<Bounce>,
    _counts: (ExportCount, ObjectCount),
}

impl ExportedImage {
    /// Creates an image of undefined contents.
    pub(super) fn new(
        heap: &Arc<FrameHeap>,
        device: DeviceId,
        uuids: DeviceUuids,
        size: Size2D<u32>,
        format: TextureFormat,
        sibling: Option<&Self>,
    ) -> Result<Arc<Self>, ReadbackReason> {
        if !matches!(format, TextureFormat::Bgra8Unorm | TextureFormat::Rgba8Unorm) {
            return Err(ReadbackReason::Texture);
        }
        let count = heap.count_export().ok_or(ReadbackReason::OutOfMemory)?;
        let mut external = vk::ExternalMemoryImageCreateInfo::default()
            .handle_types(vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD);
        // GL is not told with which flags, usages and format Vulkan has made an image, so `EXT_external_objects` says which: views of
        // other formats (issue 17), all usages that the format has (issue 13), and the format of the texture. GL has none in the order
        // blue, green, red. Bytes are copied to the image as they are, and GL swaps the channels when it samples.
        let info = vk::ImageCreateInfo::default()
            .flags(vk::ImageCreateFlags::MUTABLE_FORMAT)
            .image_type(vk::ImageType::TYPE_2D)
            .format(vk::Format::R8G8B8A8_UNORM)
            .extent(vk::Extent3D { width: size.width, height: size.height, depth: 1 })
            .mip_levels(1)
            .array_layers(1)
            .samples(vk::SampleCountFlags::TYPE_1)
            .tiling(vk::ImageTiling::OPTIMAL)
            .usage(
                vk::ImageUsageFlags::TRANSFER_DST
                    | vk::ImageUsageFlags::TRANSFER_SRC
                    | vk::ImageUsageFlags::SAMPLED
                    | vk::ImageUsageFlags::STORAGE
                    | vk::ImageUsageFlags::COLOR_ATTACHMENT
                    | vk::ImageUsageFlags::INPUT_ATTACHMENT,
            )
            .sharing_mode(vk::SharingMode::EXCLUSIVE)
            .initial_layout(vk::ImageLayout::UNDEFINED);
        if !heap.exports(&info) {
            return Err(ReadbackReason::Texture);
        }
        let shared = sibling.filter(|sibling| sibling.size == size && Arc::ptr_eq(&sibling.heap, heap));
        let (bounce, new_bytes) = match shared {
            Some(sibling) => (sibling.bounce.clone(), 0),
            None => {
                let bounce = Bounce::new(heap, size)?;
                let len = bounce.len;
                (bounce, len)
            }
        };
        let raw = heap.device().raw_device();
        let info = info.push_next(&mut external);
        // SAFETY: the description is valid, the driver supports it, and the heap keeps the device alive.
        let image = unsafe { raw.create_image(&info, None) }.map_err(|_| ReadbackReason::OutOfMemory)?;
        // SAFETY: the image was created from this device.
        let requirements = unsafe { raw.get_image_memory_requirements(image) };
        let mut export = vk::ExportMemoryAllocateInfo::default()
            .handle_types(vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD);
        let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().image(image);
        let memory_type = heap.device_memory_type(requirements.memory_type_bits);
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(requirements.size)
            .memory_type_index(memory_type)
            .push_next(&mut export)
            .push_next(&mut dedicated);
        // SAFETY: the size and the type are those that the image requires.
        let allocated = unsafe { raw.allocate_memory(&info, None) };
        let bound = allocated.and_then(|memory| {
            // SAFETY: the memory is new and was allocated for this image, which has none yet.
            let bound = unsafe { raw.bind_image_memory(image, memory, 0) };
            // SAFETY: the memory was allocated above, and nothing uses it.
            bound.map(|()| memory).inspect_err(|_| unsafe { raw.free_memory(memory, None) })
        });
        match bound {
            Ok(memory) => Ok(Arc::new(Self {
                heap: heap.clone(),
                device,
                uuids,
                image,
                memory,
                memory_size: requirements.size,
                allocated: requirements.size.saturating_add(new_bytes),
                size,
                format,
                bounce,
                _counts: (count, heap.count_object(requirements.size)),
            })),
            Err(error) => {
                log::debug!("webgpu-presentation: no memory that can be exported: {error}");
                // SAFETY: the image was created above, and nothing uses it.
                unsafe { raw.destroy_image(image, None) };
                Err(ReadbackReason::OutOfMemory)
            }
        }
    }

    pub(super) fn heap(&self) -> &Arc<FrameHeap> {
        &self.heap
    }

    /// The buffer that textures are copied to first.
    pub(super) fn bounce(&self) -> &Bounce {
        &self.bounce
    }

    /// Records the copy of the bounce buffer, whose rows are `stride` bytes apart, to the image, and releases the image.
    ///
    /// # Safety
    ///
    /// `commands` is being recorded for the image's device. The image lives until they are executed, and nothing samples it until
    /// then. A copy of the image's size to the bounce buffer comes before, and has been made visible to copies; `stride` is its
    /// stride.
    pub(super) unsafe fn record_write(&self, commands: vk::CommandBuffer, stride: u32) {
        let raw = self.heap.device().raw_device();
        let writable = self
            .barrier(vk::ImageLayout::UNDEFINED, vk::ImageLayout::TRANSFER_DST_OPTIMAL)
            .dst_access_mask(vk::AccessFlags::TRANSFER_WRITE);
        let region = vk::BufferImageCopy::default()
            .buffer_row_length(stride / 4)
            .image_subresource(layers())
            .image_extent(vk::Extent3D { width: self.size.width, height: self.size.height, depth: 1 });
        // SAFETY: the caller promises what the commands demand. The barrier before the copy orders it after earlier copies from the
        // image; that of the release orders later copies to the bounce buffer after it.
        unsafe {
            let transfer = vk::PipelineStageFlags::TRANSFER;
            raw.cmd_pipeline_barrier(
                commands,
                transfer,
                transfer,
                vk::DependencyFlags::empty(),
                &[],
                &[],
                &[writable],
            );
            raw.cmd_copy_buffer_to_image(
                commands,
                self.bounce.buffer,
                self.image,
                vk::ImageLayout::TRANSFER_DST_OPTIMAL,
                &[region],
            );
            self.record_release(
                commands,
                vk::ImageLayout::TRANSFER_DST_OPTIMAL,
                vk::AccessFlags::TRANSFER_WRITE,
            );
        }
    }

    /// Records the copy of a part of the image to a buffer, which the CPU reads afterwards, and releases the image again.
    ///
    /// # Safety
    ///
    /// `commands` is being recorded for the image's device. The image and the buffer live until they are executed. An earlier submission
    /// of the same queue has written the image. The part lies inside the image; `buffer` is one of the device that has room for all
    /// rows, and `stride` is a multiple of four.
    pub(super) unsafe fn record_read(
        &self,
        commands: vk::CommandBuffer,
        buffer: vk::Buffer,
        origin: Point2D<u32>,
        size: Size2D<u32>,
        stride: u32,
    ) {
        let raw = self.heap.device().raw_device();
        let readable = self
            .barrier(SAMPLED, vk::ImageLayout::TRANSFER_SRC_OPTIMAL)
            .dst_access_mask(vk::AccessFlags::TRANSFER_READ)
            .src_queue_family_index(vk::QUEUE_FAMILY_EXTERNAL)
            .dst_queue_family_index(self.heap.device().queue_family_index());
        let region = vk::BufferImageCopy::default()
            .buffer_row_length(stride / 4)
            .image_subresource(layers())
            .image_offset(vk::Offset3D { x: origin.x as i32, y: origin.y as i32, z: 0 })
            .image_extent(vk::Extent3D { width: size.width, height: size.height, depth: 1 });
        let read_by_cpu = vk::BufferMemoryBarrier::default()
            .src_access_mask(vk::AccessFlags::TRANSFER_WRITE)
            .dst_access_mask(vk::AccessFlags::HOST_READ)
            .src_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
            .dst_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
            .buffer(buffer)
            .size(vk::WHOLE_SIZE);
        let transfer = vk::PipelineStageFlags::TRANSFER;
        // SAFETY: the caller promises what the commands demand.
        unsafe {
            raw.cmd_pipeline_barrier(
                commands,
                transfer,
                transfer,
                vk::DependencyFlags::empty(),
                &[],
                &[],
                &[readable],
            );
            raw.cmd_copy_image_to_buffer(
                commands,
                self.image,
                vk::ImageLayout::TRANSFER_SRC_OPTIMAL,
                buffer,
                &[region],
            );
            raw.cmd_pipeline_barrier(
                commands,
                transfer,
                vk::PipelineStageFlags::HOST,
                vk::DependencyFlags::empty(),
                &[],
                &[read_by_cpu],
                &[],
            );
            self.record_release(commands, vk::ImageLayout::TRANSFER_SRC_OPTIMAL, vk::AccessFlags::empty());
        }
    }

    /// Records the release of the image to other APIs.
    ///
    /// # Safety
    ///
    /// As for [`record_write`](Self::record_write); the image is in the layout `from`.
    unsafe fn record_release(
        &self,
        commands: vk::CommandBuffer,
        from: vk::ImageLayout,
        written: vk::AccessFlags,
    ) {
        let released = self
            .barrier(from, SAMPLED)
            .src_access_mask(written)
            .src_queue_family_index(self.heap.device().queue_family_index())
            .dst_queue_family_index(vk::QUEUE_FAMILY_EXTERNAL);
        // SAFETY: the caller promises what the command demands.
        unsafe {
            self.heap.device().raw_device().cmd_pipeline_barrier(
                commands,
                vk::PipelineStageFlags::TRANSFER,
                // What follows in the queue, such as a copy of what was just written, is ordered after the release.
                vk::PipelineStageFlags::TRANSFER,
                vk::DependencyFlags::empty(),
                &[],
                &[],
                &[released],
            );
        }
    }

    fn barrier(&self, from: vk::ImageLayout, to: vk::ImageLayout) -> vk::ImageMemoryBarrier<'static> {
        let range = vk::ImageSubresourceRange::default()
            .aspect_mask(vk::ImageAspectFlags::COLOR)
            .level_count(1)
            .layer_count(1);
        vk::ImageMemoryBarrier::default()
            .old_layout(from)
            .new_layout(to)
            .src_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
            .dst_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
            .image(self.image)
            .subresource_range(range)
    }
}

/// A buffer on the GPU, through which textures are copied to the shared images of one canvas, one after the other.
pub(super) struct Bounce {
    heap: Arc<FrameHeap>,
    buffer: vk::Buffer,
    memory: vk::DeviceMemory,
    len: u64,
    _count: ObjectCount,
}

impl Bounce {
    /// Creates a buffer for images of this size.
    fn new(heap: &Arc<FrameHeap>, size: Size2D<u32>) -> Result<Arc<Self>, ReadbackReason> {
        let stride = (u64::from(size.width) * 4).next_multiple_of(COPY_BYTES_PER_ROW_ALIGNMENT.into());
        let len = stride * u64::from(size.height);
        let raw = heap.device().raw_device();
        let info = vk::BufferCreateInfo::default()
            .size(len)
            .usage(vk::BufferUsageFlags::TRANSFER_DST | vk::BufferUsageFlags::TRANSFER_SRC)
            .sharing_mode(vk::SharingMode::EXCLUSIVE);
        // SAFETY: the description is valid, and the heap keeps the device alive.
        let buffer = unsafe { raw.create_buffer(&info, None) }.map_err(|_| ReadbackReason::OutOfMemory)?;
        // SAFETY: the buffer was created from this device.
        let requirements = unsafe { raw.get_buffer_memory_requirements(buffer) };
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(requirements.size)
            .memory_type_index(heap.device_memory_type(requirements.memory_type_bits));
        // SAFETY: the size and the type are those that the buffer requires.
        let allocated = unsafe { raw.allocate_memory(&info, None) };
        let bound = allocated.and_then(|memory| {
            // SAFETY: the memory is new and fits the buffer, which has none yet.
            let bound = unsafe { raw.bind_buffer_memory(buffer, memory, 0) };
            // SAFETY: the memory was allocated above, and nothing uses it.
            bound.map(|()| memory).inspect_err(|_| unsafe { raw.free_memory(memory, None) })
        });
        match bound {
            Ok(memory) => {
                let _count = heap.count_object(requirements.size);
                Ok(Arc::new(Self { heap: heap.clone(), buffer, memory, len, _count }))
            }
            Err(_) => {
                // SAFETY: the buffer was created above, and nothing uses it.
                unsafe { raw.destroy_buffer(buffer, None) };
                Err(ReadbackReason::OutOfMemory)
            }
        }
    }

    pub(super) fn raw(&self) -> vk::Buffer {
        self.buffer
    }

    /// Capacity in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }
}

impl Drop for Bounce {
    fn drop(&mut self) {
        let raw = self.heap.device().raw_device();
        // SAFETY: both were created from this device, which the heap keeps alive. Submissions that use the buffer keep the image until
        // they are done, and the image keeps the buffer.
        unsafe {
            raw.destroy_buffer(self.buffer, None);
            raw.free_memory(self.memory, None);
        }
    }
}

fn layers() -> vk::ImageSubresourceLayers {
    vk::ImageSubresourceLayers::default().aspect_mask(vk::ImageAspectFlags::COLOR).layer_count(1)
}

impl SharedImage for ExportedImage {
    fn device(&self) -> DeviceId {
        self.device
    }

    fn uuids(&self) -> DeviceUuids {
        self.uuids
    }

    fn size(&self) -> Size2D<u32> {
        self.size
    }

    fn format(&self) -> TextureFormat {
        self.format
    }

    fn memory_size(&self) -> u64 {
        self.memory_size
    }

    fn export(&self) -> Option<OwnedFd> {
        let device = self.heap.device();
        let instance = device.shared_instance().raw_instance();
        let functions = khr::external_memory_fd::Device::new(instance, device.raw_device());
        let info = vk::MemoryGetFdInfoKHR::default()
            .memory(self.memory)
            .handle_type(vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD);
        // SAFETY: the extension is enabled on the device, and the memory was allocated to be exported so.
        let fd = unsafe { functions.get_memory_fd(&info) };
        let fd =
            fd.inspect_err(|error| log::warn!("webgpu-presentation: exporting an image: {error}")).ok()?;
        // SAFETY: Vulkan gives the descriptor to the caller.
        Some(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

impl Drop for ExportedImage {
    fn drop(&mut self) {
        let raw = self.heap.device().raw_device();
        // SAFETY: both were created from this device, which the heap keeps alive. Submissions that use the image keep it until they are
        // done, and nothing else on this device uses it. GL has memory of its own that names the same pages.
        unsafe {
            raw.destroy_image(self.image, None);
            raw.free_memory(self.memory, None);
        }
    }
}

/// The memory of an [`ExportedImage`], in the hands of a ring.
pub(super) struct ExportedMemory(pub(super) Arc<ExportedImage>);

impl SharedMemory for ExportedMemory {
    fn len(&self) -> usize {
        usize::try_from(self.0.allocated).unwrap_or(usize::MAX)
    }

    fn target(&self) -> Arc<dyn Any + Send + Sync> {
        self.0.clone()
    }

    fn image(&self) -> Arc<dyn SharedImage> {
        self.0.clone()
    }
}

/// Returns the names of a device, if its memory can be exported.
pub(super) fn uuids(device: &hal::Device) -> Option<DeviceUuids> {
    if !device.enabled_device_extensions().contains(&khr::external_memory_fd::NAME) {
        return None;
    }
    let (shared, physical_device) = (device.shared_instance(), device.raw_physical_device());
    let instance = shared.raw_instance();
    // SAFETY: the physical device belongs to this instance, which the device keeps alive.
    let version = unsafe { instance.get_physical_device_properties(physical_device) }.api_version;
    if shared.instance_api_version().min(version) < vk::API_VERSION_1_1 {
        // Before that, the functions that are called below and to create images have other names, and calling these ends the process.
        return None;
    }
    let mut ids = vk::PhysicalDeviceIDProperties::default();
    let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut ids);
    // SAFETY: as above. Both have the version of Vulkan that this function came with.
    unsafe { instance.get_physical_device_properties2(physical_device, &mut properties) };
    Some(DeviceUuids { device: ids.device_uuid, driver: ids.driver_uuid })
}
