//! Behaviour on the fake GPU, which completes, fails and loses on command: everything with both kinds of frame memory. The tests
//! in `tests/` use real GPUs.

mod answers;
mod fake_parts;
mod hooked_gpu;
mod recorder;
mod scripts;
mod world;

#[path = "../tests/support/chaos/mod.rs"]
mod chaos;
#[path = "../tests/support/oracle/mod.rs"]
mod oracle;

mod batches;
mod contract;
mod conversions;
mod direct;
mod faults;
mod hangs;
mod ids;
mod interrupted;
mod keys;
#[cfg(all(target_os = "linux", not(loom)))]
mod limited;
mod lingering;
mod maintenance;
mod memory;
mod model;
mod newest;
mod order;
mod owners;
mod pace;
mod panics;
mod pixels;
mod polling;
mod properties;
mod races;
mod reclaiming;
mod recycling;
mod regions;
mod renderers;
mod resizing;
mod rooms;
mod statistics;
mod taking;
mod waiting;
mod waits;

#[cfg(loom)]
mod loom;
