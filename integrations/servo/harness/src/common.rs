//! What is the same on every side: how wgpu-core is set up, and what a canvas's texture is and holds.
//!
//! The peer sets up wgpu-core by itself, and the other sides copy it: see [`set_up`].

use std::time::Duration;

use euclid::default::Size2D;
use wgpu_core::SubmissionIndex;
use wgpu_core::command::{RenderPassColorAttachment, RenderPassDescriptor};
use wgpu_core::id::TextureId;
use wgpu_core::resource::{TextureDescriptor, TextureViewDescriptor};
use wgpu_types as wgt;

use crate::entrant::{COLOR, FORMAT};
use crate::raw::{Core, Device};

/// Sets wgpu-core up as the peer does.
pub fn set_up() -> Core {
    let flags = wgt::InstanceFlags::from_build_config()
        | wgt::InstanceFlags::AUTOMATIC_TIMESTAMP_NORMALIZATION
        | wgt::InstanceFlags::STRICT_WEBGPU_COMPLIANCE;
    let descriptor = wgt::InstanceDescriptor {
        backends: wgt::Backends::VULKAN,
        flags,
        memory_budget_thresholds: wgt::MemoryBudgetThresholds {
            for_resource_creation: Some(95),
            for_device_loss: Some(99),
        },
        ..wgt::InstanceDescriptor::new_without_display_handle()
    };
    Core::new(descriptor, wgt::MemoryHints::MemoryUsage).expect("there is a Vulkan adapter")
}

impl Device {
    pub fn texture(&self, size: Size2D<u32>) -> TextureId {
        let descriptor = texture_descriptor(size, FORMAT);
        let (id, error) = self.global.device_create_texture(self.id, &descriptor, None);
        assert!(error.is_none(), "{error:?}");
        id
    }

    /// Draws textures in one submission.
    pub fn clear(&self, textures: &[TextureId]) -> SubmissionIndex {
        let encoder = self.encoder();
        let views: Vec<_> = textures
            .iter()
            .map(|texture| {
                let (view, error) =
                    self.global.texture_create_view(*texture, &TextureViewDescriptor::default(), None);
                assert!(error.is_none(), "{error:?}");
                let descriptor = RenderPassDescriptor {
                    color_attachments: vec![Some(cleared(view, COLOR))].into(),
                    ..Default::default()
                };
                let (mut pass, error) = self.global.command_encoder_begin_render_pass(encoder, &descriptor);
                assert!(error.is_none(), "{error:?}");
                self.global.render_pass_end(&mut pass).expect("it can be recorded");
                view
            })
            .collect();
        let submission = self.submit(encoder);
        views.into_iter().for_each(|view| self.global.texture_view_drop(view));
        submission
    }
}

/// Returns the bytes from one row of a copy to the next.
pub fn stride(size: Size2D<u32>) -> u32 {
    (size.width * 4).next_multiple_of(wgt::COPY_BYTES_PER_ROW_ALIGNMENT)
}

pub fn extent(size: Size2D<u32>) -> wgt::Extent3d {
    wgt::Extent3d { width: size.width, height: size.height, depth_or_array_layers: 1 }
}

/// Describes a canvas's texture, which is also one that bytes can be written to.
pub fn texture_descriptor(size: Size2D<u32>, format: wgt::TextureFormat) -> TextureDescriptor<'static> {
    TextureDescriptor {
        label: None,
        size: extent(size),
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgt::TextureDimension::D2,
        format,
        usage: wgt::TextureUsages::RENDER_ATTACHMENT
            | wgt::TextureUsages::COPY_SRC
            | wgt::TextureUsages::COPY_DST,
        view_formats: vec![],
    }
}

/// Describes the render pass that draws a texture: it only clears it.
pub fn cleared<V>(view: V, color: wgt::Color) -> RenderPassColorAttachment<V> {
    RenderPassColorAttachment {
        view,
        depth_slice: None,
        resolve_target: None,
        load_op: wgt::LoadOp::Clear(color),
        store_op: wgt::StoreOp::Store,
    }
}

/// Lets what was started before come to its end, so that threads are parked and caches equally cold for each side.
pub fn rest() {
    std::thread::sleep(Duration::from_micros(300));
}
