//! What tests and examples share: wgpu-core on real adapters, WebRender without a display.
#![allow(dead_code, reason = "each user needs only a part")]

pub mod chaos;
pub mod crowd;
pub mod gpu;
pub mod memory;
pub mod oracle;
#[cfg(feature = "webrender")]
pub mod page;
pub mod real;
