//! How presents end, and the answers to waits for them.
//!
//! A presenter passes a [`PresentOutcome`] to
//! [`PresenterOptions::on_outcome`](crate::PresenterOptions::on_outcome), and an [`Awaited`] to each callback
//! of [`ContextMap::when_presented`](crate::ContextMap::when_presented), on any thread.

use super::error::PresentError;
use super::ids::{CanvasEpoch, ContextId};

/// How a present ended. Each present ends exactly once.
#[derive(Clone, Debug)]
pub struct PresentOutcome {
    /// The context that was presented to.
    pub context: ContextId,
    /// The present's number in its context, from 1: what [`Presenter::present`](crate::Presenter::present)
    /// returned.
    pub sequence: u64,
    /// The epoch that the engine gave to the present.
    pub epoch: CanvasEpoch,
    /// What became of the present.
    pub end: PresentEnd,
}

/// What became of a present.
#[derive(Clone, Debug)]
pub enum PresentEnd {
    /// Its frame became what the canvas shows.
    Presented,
    /// A newer present took its place, so its frame is not shown.
    Superseded,
    /// It failed. The error says what the canvas shows instead.
    Failed(PresentError),
}

/// The answer to a wait of [`ContextMap::when_presented`](crate::ContextMap::when_presented).
#[derive(Clone, Debug)]
pub enum Awaited {
    /// The frame of the present became what the canvas shows, and the image sink was told of it.
    Presented {
        /// The number of the present in its context, as returned by
        /// [`Presenter::present`](crate::Presenter::present).
        sequence: u64,
        /// The epoch of the present: the one that was waited for, or a higher one.
        epoch: CanvasEpoch,
    },
    /// A newer present, whose copy may still be in flight, took the place of the present.
    Superseded {
        /// The number of the newer present in its context.
        by: u64,
    },
    /// The present failed. The error says what the canvas shows instead.
    Failed(PresentError),
    /// The context was destroyed before such a present began, or the map was dropped without such a context.
    ContextGone,
    /// The wait's time-out passed first.
    TimedOut,
}
