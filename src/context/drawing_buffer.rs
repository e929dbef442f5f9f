//! What a canvas contains: a frame, or a cleared drawing buffer.
//!
//! Two values of this kind exist for each context: what was presented last, which is shown and read, and the cleared drawing
//! buffer that replaced it for reads alone (see `reading`). All of it lies under the lock of the context.

use std::sync::Arc;

use euclid::default::Size2D;

use crate::api::error::GetImageError;
use crate::frame::{Frame, ImageRead, Readback, SharedFrame, Snapshot, check_size};
use crate::pixels::AlphaMode;

/// The contents of a drawing buffer at the moment of its present.
pub(crate) enum CanvasContent {
    Frame {
        /// What WebRender shows.
        frame: SharedFrame,
        /// What was copied from the texture, if the frame had to be converted from it; or what was copied from the frame, if it is
        /// a texture. Script reads this then.
        readback: Option<Arc<Readback>>,
    },
    Cleared(ClearedBuffer),
}

/// A drawing buffer into which nothing was drawn: transparent black or opaque black.
#[derive(Clone, Copy)]
pub(crate) struct ClearedBuffer {
    pub(crate) size: Size2D<u32>,
    pub(crate) alpha_mode: AlphaMode,
}

/// The newest content that was presented: shown, or about to be.
pub(crate) struct CurrentContent {
    /// Sequence number of the present that made it; 0 before any present.
    pub(crate) sequence: u64,
    pub(crate) content: CanvasContent,
}

impl CanvasContent {
    /// Returns the frame that WebRender is to show.
    pub(crate) fn frame(&self) -> SharedFrame {
        match self {
            Self::Frame { frame, .. } => frame.clone(),
            Self::Cleared(cleared) => Frame::cleared(cleared.alpha_mode).into(),
        }
    }

    /// Returns the image that must be copied before script can read it.
    pub(crate) fn unread(&self) -> Option<ImageRead> {
        match self {
            Self::Frame { frame, readback: None } => frame.image_read(),
            _ => None,
        }
    }

    /// Returns the image that script reads. Precondition: it is not [unread](Self::unread).
    pub(crate) fn snapshot(&self) -> Result<Snapshot, GetImageError> {
        match self {
            Self::Frame { readback: Some(readback), .. } => Ok(Snapshot::of_readback(readback.clone())),
            Self::Frame { frame, readback: None } => Ok(Snapshot::of_frame(frame.clone())),
            Self::Cleared(cleared) => cleared.snapshot(),
        }
    }

    /// Returns a cleared drawing buffer of the same size and alpha mode.
    pub(crate) fn cleared(&self) -> ClearedBuffer {
        match self {
            Self::Frame { frame, .. } => {
                ClearedBuffer { size: frame.layout().size(), alpha_mode: frame.layout().alpha_mode() }
            }
            Self::Cleared(cleared) => *cleared,
        }
    }
}

impl ClearedBuffer {
    /// Returns the image that script reads.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, GetImageError> {
        check_size(self.size).map_err(|_| GetImageError::TooLarge(self.size))?;
        Ok(Snapshot::cleared(self.size, self.alpha_mode))
    }
}
