//! What a canvas contains.

use std::sync::Arc;

use euclid::default::Size2D;

use crate::api::error::GetImageError;
use crate::frame::Original;
use crate::frame::Snapshot;
use crate::frame::check_size;
use crate::frame::{Frame, SharedFrame};
use crate::pixels::AlphaMode;

/// The drawing buffer as it was presented last.
pub(crate) enum Content {
    Frame {
        frame: SharedFrame,
        /// What the frame was made of, if it is not what was copied.
        original: Option<Arc<Original>>,
    },
    Cleared(Cleared),
}

/// A drawing buffer that nobody drew into.
#[derive(Clone, Copy)]
pub(crate) struct Cleared {
    pub(crate) size: Size2D<u32>,
    pub(crate) alpha_mode: AlphaMode,
}

/// What a read returns, and what is shown or about to be.
pub(crate) struct Current {
    /// Of the present that made it; 0 before any.
    pub(crate) sequence: u64,
    pub(crate) content: Content,
}

impl Content {
    /// What WebRender is offered.
    pub(crate) fn frame(&self) -> SharedFrame {
        match self {
            Self::Frame { frame, .. } => frame.clone(),
            Self::Cleared(cleared) => Frame::cleared(cleared.alpha_mode).into(),
        }
    }

    /// What script reads.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, GetImageError> {
        match self {
            Self::Frame { original: Some(original), .. } => Ok(Snapshot::of_original(original.clone())),
            Self::Frame { frame, original: None } => Ok(Snapshot::of_frame(frame.clone())),
            Self::Cleared(cleared) => cleared.snapshot(),
        }
    }

    /// What script reads once it is taken away.
    pub(crate) fn cleared(&self) -> Cleared {
        match self {
            Self::Frame { frame, .. } => {
                Cleared { size: frame.layout().size(), alpha_mode: frame.layout().alpha_mode() }
            }
            Self::Cleared(cleared) => *cleared,
        }
    }
}

impl Cleared {
    /// What script reads.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, GetImageError> {
        check_size(self.size).map_err(|_| GetImageError::TooLarge(self.size))?;
        Ok(Snapshot::cleared(self.size, self.alpha_mode))
    }
}
