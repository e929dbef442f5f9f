//! A presenter on real wgpu-core and a renderer that reads like WebRender: with owned and with portable frame memory on Vulkan with
//! validation, and with portable frame memory on GL. What real GPUs do not do on command is forced in `src/tests`.

#[path = "../support/mod.rs"]
mod support;
mod world;

mod direct;
mod engine;
mod faults;
mod frames;
mod moments;
mod newest;
mod racing;
mod views;
