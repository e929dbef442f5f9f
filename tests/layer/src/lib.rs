//! A Vulkan layer for tests: it limits the number of device memory objects, counts them, and lets calls fail on
//! command.
//!
//! Software drivers have no limit of their own and never fail. This layer stands between the Vulkan loader and
//! such a driver, and does what other drivers do. It exists twice in the process of a test. The loader loads it as a
//! library, which intercepts calls (`negotiation`, `calls`, `chain`). The test links it as a crate and calls
//! [`Layer::install`] before the process makes its first Vulkan instance (`control`). Both look at the same `State`,
//! because the crate asks the loaded library for its one.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

mod state;
mod chain;
mod calls;
mod negotiation;
mod control;

pub use ash::vk;

pub use control::Layer;
pub use state::Call;
