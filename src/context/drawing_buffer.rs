//! What a canvas contains.

use std::sync::Arc;

use euclid::default::Size2D;

use crate::api::error::GetImageError;
use crate::frame::Readback;
use crate::frame::Snapshot;
use crate::frame::check_size;
use crate::frame::{Frame, SharedFrame};
use crate::pixels::AlphaMode;

/// The drawing buffer as it was presented last.
pub(crate) enum CanvasContent {
    Frame {
        frame: SharedFrame,
        /// What the frame was made of, if it is not what was copied.
        readback: Option<Arc<Readback>>,
    },
    ClearedBuffer(ClearedBuffer),
}

/// A drawing buffer that nobody drew into.
#[derive(Clone, Copy)]
pub(crate) struct ClearedBuffer {
    pub(crate) size: Size2D<u32>,
    pub(crate) alpha_mode: AlphaMode,
}

/// What a read returns, and what is shown or about to be.
pub(crate) struct CurrentContent {
    /// Of the present that made it; 0 before any.
    pub(crate) sequence: u64,
    pub(crate) content: CanvasContent,
}

impl CanvasContent {
    /// What WebRender is offered.
    pub(crate) fn frame(&self) -> SharedFrame {
        match self {
            Self::Frame { frame, .. } => frame.clone(),
            Self::ClearedBuffer(cleared) => Frame::cleared(cleared.alpha_mode).into(),
        }
    }

    /// What script reads.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, GetImageError> {
        match self {
            Self::Frame { readback: Some(readback), .. } => Ok(Snapshot::of_readback(readback.clone())),
            Self::Frame { frame, readback: None } => Ok(Snapshot::of_frame(frame.clone())),
            Self::ClearedBuffer(cleared) => cleared.snapshot(),
        }
    }

    /// What script reads once it is taken away.
    pub(crate) fn cleared(&self) -> ClearedBuffer {
        match self {
            Self::Frame { frame, .. } => {
                ClearedBuffer { size: frame.layout().size(), alpha_mode: frame.layout().alpha_mode() }
            }
            Self::ClearedBuffer(cleared) => *cleared,
        }
    }
}

impl ClearedBuffer {
    /// What script reads.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, GetImageError> {
        check_size(self.size).map_err(|_| GetImageError::TooLarge(self.size))?;
        Ok(Snapshot::cleared(self.size, self.alpha_mode))
    }
}
