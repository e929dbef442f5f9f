//! What became of every present, and how long it took.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use webgpu_presentation::{CanvasEpoch, ContextId, PresentEnd, PresentError, PresentOutcome};

/// An outcome and the time of the call that told it.
pub type Told = (PresentOutcome, Instant);

#[derive(Default)]
pub struct Ledger {
    epochs: u64,
    /// Presents that have not ended. No two presents have the same epoch, whatever their contexts.
    open: HashMap<CanvasEpoch, Instant>,
    tallies: HashMap<ContextId, Tally>,
}

#[derive(Default)]
pub struct Tally {
    pub presented: usize,
    pub superseded: usize,
    pub failed: usize,
    /// How long each present took that was shown.
    latencies: Vec<Duration>,
}

impl Ledger {
    /// Starts the clock of a present, which follows at once with this epoch.
    pub fn begin(&mut self) -> CanvasEpoch {
        self.epochs += 1;
        let epoch = CanvasEpoch(self.epochs);
        self.open.insert(epoch, Instant::now());
        epoch
    }

    /// Returns how many presents have not ended.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Enters an outcome. Returns it as an error if nothing that happens on this page explains it.
    pub fn enter(&mut self, (outcome, told): Told) -> Result<(), PresentOutcome> {
        let began = self.open.remove(&outcome.epoch);
        let tally = self.tallies.entry(outcome.context).or_default();
        match &outcome.end {
            PresentEnd::Presented => {
                tally.presented += 1;
                tally.latencies.extend(began.map(|began| told.saturating_duration_since(began)));
            }
            PresentEnd::Superseded => tally.superseded += 1,
            PresentEnd::Failed(error) => {
                tally.failed += 1;
                // The page destroys canvases while presents of them are in flight.
                if !matches!(error, PresentError::ContextDestroyed) {
                    return Err(outcome);
                }
            }
        }
        // An outcome of a present that is not open was told twice.
        if began.is_none() { Err(outcome) } else { Ok(()) }
    }

    pub fn tally(&self, context: ContextId) -> Option<&Tally> {
        self.tallies.get(&context)
    }
}

impl Tally {
    /// Returns the latency that `share` of the presents, from 0 to 1, did not exceed.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let index = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(index.saturating_sub(1)).copied()
    }
}
