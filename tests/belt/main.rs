//! The upload belt on real wgpu-core: on a noop device, which copies buffers, and on Vulkan with validation.

#[path = "../support/mod.rs"]
mod support;
mod world;

mod arrival;
mod refusal;
mod chunks;
mod mistakes;
mod devices;
mod textures;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
