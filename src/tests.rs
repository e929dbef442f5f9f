//! Behaviour on the fake GPU, which completes, fails and loses on command: all of it with both kinds of frame memory. The same on
//! real parts: `tests/`.

mod contract;
mod conversions;
mod faults;
mod ids;
mod interrupted;
mod lingering;
mod maintenance;
mod memory;
mod model;
mod order;
mod owners;
mod pace;
mod pixels;
mod polling;
mod properties;
mod recycling;
mod renderers;
mod resizing;
mod threads;
mod waiting;
mod world;

#[cfg(loom)]
mod loom;
