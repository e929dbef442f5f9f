//! What the example shares with the library's tests and with the demo: wgpu-core on Vulkan, and drawing with it.
#![allow(dead_code, reason = "the tests and the demo need more of these files")]

#[path = "../../../tests/support/gpu.rs"]
pub mod gpu;
