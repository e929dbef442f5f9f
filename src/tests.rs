//! Behaviour on the fake GPU, which completes, fails and loses on command: everything with both kinds of frame memory. The tests
//! in `tests/` use real GPUs.

mod answers;
mod hooked_gpu;
mod recorder;
mod world;

mod batches;
mod contract;
mod conversions;
mod faults;
mod ids;
mod interrupted;
mod lingering;
mod maintenance;
mod memory;
mod newest;
//TEMP mod model;
mod order;
mod owners;
mod pace;
mod pixels;
mod polling;
//TEMP mod properties;
mod races;
mod recycling;
mod renderers;
mod resizing;
mod rooms;
mod taking;
mod waiting;

#[cfg(loom)]
mod loom;
