//! Behaviour on the fake GPU, which completes, fails and loses on command. The same on real parts: `tests/`.

mod contract;
mod faults;
mod ids;
mod maintenance;
mod model;
mod order;
mod polling;
mod properties;
mod renderers;
mod world;
