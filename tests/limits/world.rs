//! The layer, an adapter behind it, and a device.

pub use vulkan_test_layer::{Call, Layer, vk};
pub use wgpu_core::api::Vulkan;
pub use wgpu_types::InstanceFlags;

pub use crate::support::gpu::{Device, Gpu};

/// The layer, for this test alone. Each test begins with it.
pub fn layer() -> Layer {
    // SAFETY: every test of this program calls this function before anything else that could use the environment, and the
    // threads that the test harness has meanwhile are its own, which are Rust's.
    unsafe { Layer::install() }
}

/// The first Vulkan adapter, behind the layer. `None` without an adapter: the test is skipped.
pub fn adapter(layer: &Layer) -> Option<Gpu> {
    let Some(gpu) = Gpu::new(InstanceFlags::empty()) else {
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
