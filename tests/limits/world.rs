//! The layer, and an adapter behind it.

pub use std::time::{Duration, Instant};

pub use euclid::default::Size2D;
pub use rstest::rstest;
pub use vulkan_test_layer::{Call, Layer, vk};
pub use webgpu_presentation::*;
pub use wgpu_core::api::Vulkan;
use wgpu_core::id::BufferId;
use wgpu_core::resource::BufferDescriptor;
use wgpu_types as wgt;

pub use crate::support::crowd::{Crowd, color, color_of};
pub use crate::support::gpu::{Device, Gpu};

/// The layer, for this test alone. Each test begins with it.
pub fn layer() -> Layer {
    // SAFETY: every test of this program calls this function before anything else that could use the environment, and the
    // threads that the test harness has meanwhile are its own, which are Rust's.
    unsafe { Layer::install() }
}

/// The first Vulkan adapter, behind the layer. `None` without an adapter: the test is skipped.
pub fn adapter(layer: &Layer) -> Option<Gpu> {
    let Some(gpu) = Gpu::new(wgt::InstanceFlags::empty()) else {
        assert!(
            std::env::var_os("WEBGPU_PRESENTATION_REQUIRE_ADAPTER").is_none(),
            "there is no Vulkan adapter"
        );
        eprintln!("SKIPPED: there is no Vulkan adapter");
        return None;
    };
    assert!(layer.instances() > 0, "the loader has loaded the layer");
    Some(gpu)
}

/// Takes all memory that wgpu-core has left of its allocations, so that it needs the driver for the next one. The driver
/// refuses it from now on.
pub fn exhaust(crowd: &Crowd, layer: &Layer) -> Vec<BufferId> {
    let Crowd { gpu, device, .. } = crowd;
    layer.fail(Call::Allocate, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY, ..);
    let mut buffers = vec![];
    for size in (12..=24).rev().map(|power| 1 << power) {
        let descriptor = BufferDescriptor {
            label: None,
            size,
            usage: wgt::BufferUsages::MAP_READ | wgt::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        loop {
            let (buffer, error) = gpu.global.device_create_buffer(device.id, &descriptor, None);
            if error.is_some() {
                gpu.global.buffer_drop(buffer);
                break;
            }
            buffers.push(buffer);
        }
    }
    buffers
}

/// Gives back what [`exhaust`] took. The driver refuses nothing any more.
pub fn relieve(crowd: &Crowd, layer: &Layer, buffers: Vec<BufferId>) {
    layer.pass(Call::Allocate);
    buffers.into_iter().for_each(|buffer| crowd.gpu.global.buffer_drop(buffer));
}
