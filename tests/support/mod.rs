//! Real parts for tests and for the demo: wgpu-core on Vulkan, WebRender without a display.
#![allow(dead_code, reason = "each user needs a part of it")]

pub mod chaos;
pub mod gpu;
pub mod memory;
pub mod oracle;
#[cfg(feature = "webrender")]
pub mod page;
pub mod real;
