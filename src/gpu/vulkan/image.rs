//! Images: textures of script's whose memory is a frame's.
//!
//! A [`HeapImage`] is a linear `VkImage` in the mapped memory of a [`FrameHeap`]. While a canvas texture of
//! wgpu-core's stands for it, script draws in it. When the texture is presented it is destroyed, and what was
//! drawn is the frame, where it lies. Later the image becomes the memory of another texture.
//!
//! Only CPU adapters have images (lavapipe, SwiftShader). There a texture is linear in ordinary memory anyway,
//! while a GPU would draw slowly in memory that the CPU can read.
//!
//! Images are allocated, cleared and made textures of on the WebGPU thread, and freed on any thread.

use std::any::Any;
use std::ptr::NonNull;
use std::sync::Arc;

use ash::vk;
use wgpu_hal::vulkan as hal;
use wgpu_types as wgt;

use super::heap::{Bound, FrameHeap};
use crate::api::report::ReadbackReason;
use crate::gpu::ImageShape;
use crate::gpu::memory::{HostMemory, ImageLayout};

/// A linear `VkImage` and the mapped memory that is bound to it. Dropping it frees both, on any thread.
pub(super) struct HeapImage {
    heap: Arc<FrameHeap>,
    image: vk::Image,
    bound: Bound,
    layout: ImageLayout,
    /// Bytes from the beginning of the memory to the first pixel.
    offset: usize,
    /// Bytes from the first pixel to the end of the last row.
    len: usize,
}

impl HeapImage {
    /// Creates an image. Its bytes are not initialized.
    pub(super) fn new(heap: &Arc<FrameHeap>, shape: &ImageShape) -> Result<Arc<Self>, ReadbackReason> {
        let info = image_info(shape).ok_or(ReadbackReason::Texture)?;
        if !heap.is_on_cpu() {
            return Err(ReadbackReason::Device);
        }
        if !heap.supports(&info) {
            return Err(ReadbackReason::Texture);
        }
        let raw = heap.device().raw_device();
        // SAFETY: the description is valid and the driver supports it; the guard keeps the device alive.
        let image = unsafe { raw.create_image(&info, None) }.map_err(|_| ReadbackReason::OutOfMemory)?;
        // SAFETY: the image was created from this device.
        let requirements = unsafe { raw.get_image_memory_requirements(image) };
        let bound = heap.bind_memory(requirements, |memory, offset| {
            // SAFETY: the memory is new, of this device, and has the size, the alignment and the type that the
            // image requires.
            unsafe { raw.bind_image_memory(image, memory, offset) }
        });
        let destroy = || {
            // SAFETY: the image was created above from this device, and nothing uses it.
            unsafe { raw.destroy_image(image, None) };
        };
        let Ok(bound) = bound.inspect_err(|_| destroy()) else { return Err(ReadbackReason::OutOfMemory) };
        let color = vk::ImageSubresource::default().aspect_mask(vk::ImageAspectFlags::COLOR);
        // SAFETY: the image is linear and has this subresource.
        let layout = unsafe { raw.get_image_subresource_layout(image, color) };
        let stride = u32::try_from(layout.row_pitch).ok();
        let offset = usize::try_from(layout.offset).ok();
        let len = stride.and_then(|stride| (stride as usize).checked_mul(shape.size.height as usize));
        match (stride, offset, len) {
            (Some(stride), Some(offset), Some(len)) if len.saturating_add(offset) <= bound.len() => {
                let layout = ImageLayout { shape: *shape, stride };
                Ok(Arc::new(Self { heap: heap.clone(), image, bound, layout, offset, len }))
            }
            _ => {
                destroy();
                heap.free(bound);
                Err(ReadbackReason::Texture)
            }
        }
    }

    pub(super) fn heap(&self) -> &Arc<FrameHeap> {
        &self.heap
    }

    pub(super) fn raw(&self) -> vk::Image {
        self.image
    }

    pub(super) fn shape(&self) -> &ImageShape {
        &self.layout.shape
    }

    /// Makes all pixels transparent black.
    ///
    /// Precondition: the image is idle.
    pub(super) fn clear(&self) {
        // SAFETY: the memory is mapped and has `len` bytes from this pointer on. The GPU does not access it and
        // no frame is in it, because the image is idle.
        unsafe { self.pointer().write_bytes(0, self.len) };
    }

    /// Returns a texture that stands for the image and keeps it alive. `device` is the device of the heap.
    pub(super) fn texture(self: &Arc<Self>, device: &hal::Device) -> hal::Texture {
        let ImageShape { size, format, .. } = self.layout.shape;
        // wgpu-hal reads the size, the format and the label of this only.
        let descriptor = wgpu_hal::TextureDescriptor {
            label: None,
            size: wgt::Extent3d { width: size.width, height: size.height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgt::TextureDimension::D2,
            format,
            usage: wgt::TextureUses::empty(),
            memory_flags: wgpu_hal::MemoryFlags::empty(),
            view_formats: Vec::new(),
        };
        let keep = self.clone();
        let callback: wgpu_hal::DropCallback = Box::new(move || drop(keep));
        // SAFETY: the image was created with these properties, and with MUTABLE_FORMAT if views of other formats
        // are made. It and its memory live until the callback is called, which holds this value.
        unsafe {
            device.texture_from_raw(self.image, &descriptor, Some(callback), hal::TextureMemory::External)
        }
    }

    fn pointer(&self) -> NonNull<u8> {
        // SAFETY: `new` has checked that the memory has bytes beyond the offset.
        unsafe { self.bound.pointer().add(self.offset) }
    }
}

impl Drop for HeapImage {
    fn drop(&mut self) {
        // SAFETY: the image was created from this device, which the heap keeps alive, and nothing uses it any more.
        // Its holders are one `OwnedImage` and the textures that stood for it, and all are gone. wgpu-core drops a
        // texture only after the submissions that use it are done, and with it its views.
        unsafe { self.heap.device().raw_device().destroy_image(self.image, None) };
        self.heap.free(std::mem::take(&mut self.bound));
    }
}

/// The only access to the bytes of a [`HeapImage`]. Textures hold the image too, but do not access its bytes except
/// on the GPU.
pub(super) struct OwnedImage(pub(super) Arc<HeapImage>);

// SAFETY: the mapping has `len` bytes from the pointer on and lasts as long as the image, which `self` holds. No
// other resource of the heap overlaps it. Memory from outside Rust counts as initialized. Nothing but `self`, of
// which each image has one, gives out the pointer; `HeapImage::clear` writes while the image is idle.
//
// The GPU accesses the memory only through the textures that stood for the image. All but the newest of them were destroyed,
// because an image is idle again only after its texture was presented. `VulkanDevice::submit` finds that the texture that it is to
// present is that newest one, and `submit_with` destroys it in the call in which the submission is accepted, so later submissions
// that name it are refused; `Presenter::new` demands that no other thread submits meanwhile. The memory is coherent.
unsafe impl HostMemory for OwnedImage {
    fn pointer(&self) -> NonNull<u8> {
        self.0.pointer()
    }

    fn len(&self) -> usize {
        self.0.len
    }

    fn target(&self) -> Arc<dyn Any + Send + Sync> {
        self.0.clone()
    }

    fn image(&self) -> Option<ImageLayout> {
        Some(self.0.layout)
    }
}

/// Describes a linear image of a shape; `None` if its format is not one of a canvas.
fn image_info(shape: &ImageShape) -> Option<vk::ImageCreateInfo<'static>> {
    use wgt::TextureUsages as Usage;
    let format = match shape.format {
        wgt::TextureFormat::Bgra8Unorm => vk::Format::B8G8R8A8_UNORM,
        wgt::TextureFormat::Rgba8Unorm => vk::Format::R8G8B8A8_UNORM,
        wgt::TextureFormat::Rgba16Float => vk::Format::R16G16B16A16_SFLOAT,
        _ => return None,
    };
    let usages = [
        (Usage::COPY_SRC, vk::ImageUsageFlags::TRANSFER_SRC),
        (Usage::COPY_DST, vk::ImageUsageFlags::TRANSFER_DST),
        (Usage::TEXTURE_BINDING, vk::ImageUsageFlags::SAMPLED),
        (Usage::STORAGE_BINDING, vk::ImageUsageFlags::STORAGE),
        (Usage::RENDER_ATTACHMENT, vk::ImageUsageFlags::COLOR_ATTACHMENT),
    ];
    let usages = usages.into_iter().filter(|(usage, _)| shape.usage.contains(*usage));
    let usage = usages.fold(vk::ImageUsageFlags::TRANSFER_SRC, |all, (_, usage)| all | usage);
    let flags = match shape.has_view_formats {
        true => vk::ImageCreateFlags::MUTABLE_FORMAT,
        false => vk::ImageCreateFlags::empty(),
    };
    let info = vk::ImageCreateInfo::default()
        .flags(flags)
        .image_type(vk::ImageType::TYPE_2D)
        .format(format)
        .extent(vk::Extent3D { width: shape.size.width, height: shape.size.height, depth: 1 })
        .mip_levels(1)
        .array_layers(1)
        .samples(vk::SampleCountFlags::TYPE_1)
        .tiling(vk::ImageTiling::LINEAR)
        .usage(usage)
        .sharing_mode(vk::SharingMode::EXCLUSIVE)
        .initial_layout(vk::ImageLayout::UNDEFINED);
    Some(info)
}
