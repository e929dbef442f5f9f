//! Moved out of `canvas` next.

pub use super::canvas::{CanvasEpoch, ContextId, EncoderIds, OwnerId, ReturnedId, TransactionId};
