//! The upload belt on real wgpu-core: on its backend without a driver, which copies buffers, and on Vulkan with validation.

#[path = "../support/mod.rs"]
mod support;
mod world;

mod arrival;
mod chunks;
mod demand;
mod devices;
mod mistakes;
mod refusal;
mod scattered;
mod textures;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
