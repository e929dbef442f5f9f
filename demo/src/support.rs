//! The two files of the library's test support that the demo uses: wgpu-core on Vulkan, and WebRender without a display.
//! The rest of `tests/support`, which needs crates of its own, stays out of this build.
#![allow(dead_code, reason = "the library's tests need more of these files")]

#[path = "../../tests/support/gpu.rs"]
pub mod gpu;
#[path = "../../tests/support/page.rs"]
pub mod page;
