//! What happens when a driver says no, on real wgpu-core: a Vulkan layer limits the number of memory objects, as most drivers do,
//! and lets calls fail; and it lets waits for the GPU fail, lie and hang.

#[path = "../support/mod.rs"]
mod support;

mod scene;
mod world;

mod hangs;
mod images;
mod layer;
mod losses;
mod many;
mod medium;
mod memory;
mod refusal;
mod waits;
