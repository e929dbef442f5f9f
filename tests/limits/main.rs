//! What happens when a driver says no, on real wgpu-core: a Vulkan layer limits the number of memory objects, as most drivers do,
//! and lets calls fail.

#[path = "../support/mod.rs"]
mod support;

mod world;

mod layer;
mod many;
mod medium;
mod memory;
mod refusal;
