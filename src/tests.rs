//! Behaviour on the fake GPU, which completes, fails and loses on command. The same on real parts: `tests/`.

mod contract;
mod faults;
mod ids;
mod interrupted;
mod lingering;
mod maintenance;
mod order;
mod owners;
mod polling;
mod properties;
mod recycling;
mod renderers;
mod waiting;
mod world;
