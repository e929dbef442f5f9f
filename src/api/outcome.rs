//! Moved out of `canvas` next.

pub use super::canvas::{Awaited, PresentEnd, PresentOutcome};
