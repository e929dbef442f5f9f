//! What a canvas contains.

use std::sync::Arc;

use euclid::default::Size2D;

use crate::frame::Frame;
use crate::layout::check_size;
use crate::{AlphaMode, GetImageError, Snapshot};

/// The drawing buffer as it was presented last.
pub(crate) enum Content {
    Frame(Arc<Frame>),
    Cleared { size: Size2D<u32>, alpha_mode: AlphaMode },
}

/// What a read returns, and what is shown or about to be.
pub(crate) struct Current {
    /// Of the present that made it; 0 before any.
    pub(crate) sequence: u64,
    pub(crate) content: Content,
}

impl Content {
    /// What WebRender is offered.
    pub(crate) fn frame(&self) -> Arc<Frame> {
        match self {
            Self::Frame(frame) => frame.clone(),
            Self::Cleared { alpha_mode, .. } => Arc::new(Frame::cleared(*alpha_mode)),
        }
    }

    /// What script reads.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, GetImageError> {
        match self {
            Self::Frame(frame) => Ok(Snapshot::of_frame(frame.clone())),
            Self::Cleared { size, alpha_mode } => {
                check_size(*size).map_err(|_| GetImageError::TooLarge(*size))?;
                Ok(Snapshot::cleared(*size, *alpha_mode))
            }
        }
    }
}
