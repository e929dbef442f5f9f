//! Moved out of `canvas` next.

pub use super::canvas::{FrameMemoryKind, MemoryKind, MemoryReport, Statistics};
