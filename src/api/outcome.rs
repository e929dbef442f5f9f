//! How presents end, and what a wait for one is answered with.

use super::error::PresentError;
use super::ids::{CanvasEpoch, ContextId};

/// How a present ended. Each one ends exactly once.
#[derive(Clone, Debug)]
pub struct PresentOutcome {
    /// The context presented to.
    pub context: ContextId,
    /// What [`Presenter::present`](crate::Presenter::present) returned.
    pub sequence: u64,
    /// The epoch it was given.
    pub epoch: CanvasEpoch,
    /// Presented, superseded or failed.
    pub end: PresentEnd,
}

/// The end of a present.
#[derive(Clone, Debug)]
pub enum PresentEnd {
    /// It became what the canvas shows.
    Presented,
    /// A newer one took its place.
    Superseded,
    /// It failed; the error says what the canvas shows instead.
    Failed(PresentError),
}

/// What [`ContextMap::when_presented`](crate::ContextMap::when_presented) waited for.
#[derive(Clone, Debug)]
pub enum Awaited {
    /// It became what the canvas shows; the compositor was told.
    Presented {
        /// Its number, as returned by [`Presenter::present`](crate::Presenter::present).
        sequence: u64,
        /// Its epoch: the one asked for, or a higher one.
        epoch: CanvasEpoch,
    },
    /// A newer one took its place, which may still be on its way.
    Superseded {
        /// The number of the newer one.
        by: u64,
    },
    /// It failed; the error says what the canvas shows instead.
    Failed(PresentError),
    /// The context was destroyed before such a present began; or the map is gone, and there was no context.
    ContextGone,
    /// Time was up.
    TimedOut,
}
