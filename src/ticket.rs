//! A present, or a snapshot of a texture, from its message to its end.

use crate::layout::FrameLayout;
use crate::outbox::Reply;
use crate::staging::MappingBuffer;
use crate::{AlphaMode, CanvasEpoch};

/// A present that has its place in the order of its context. It must end: presented, superseded or failed.
#[must_use = "a present that does not end leaves the compositor waiting"]
#[derive(Debug)]
pub(crate) struct Present {
    /// Counts the presents of a context, from 1. Orders frames.
    pub(crate) sequence: u64,
    pub(crate) epoch: CanvasEpoch,
    /// The largest epoch up to this present: what its end acknowledges.
    pub(crate) promised: CanvasEpoch,
    /// Transparent or opaque, should the cleared frame be shown instead.
    pub(crate) alpha_mode: AlphaMode,
}

pub(crate) enum Purpose {
    Present(Present),
    /// A `get_image` with a texture: never shown.
    Capture,
}

/// A copy in flight.
pub(crate) struct Ticket {
    /// Names the ticket within its context.
    pub(crate) number: u64,
    pub(crate) purpose: Purpose,
    pub(crate) layout: FrameLayout,
    /// `None` while its frame is being made.
    pub(crate) buffer: Option<MappingBuffer>,
    /// Who waits for this very frame.
    pub(crate) replies: Vec<Reply>,
}

impl Ticket {
    /// Its sequence number, if it is a present.
    pub(crate) fn sequence(&self) -> Option<u64> {
        match &self.purpose {
            Purpose::Present(present) => Some(present.sequence),
            Purpose::Capture => None,
        }
    }
}
