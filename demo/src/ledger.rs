//! What became of every present, and how long it took.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use webgpu_presentation::{CanvasEpoch, ContextId, PresentEnd, PresentError, PresentOutcome};

/// An outcome and when it was told.
pub type Told = (PresentOutcome, Instant);

#[derive(Default)]
pub struct Ledger {
    epochs: u64,
    /// Presents that have not ended. Epochs are unique, also across the lives of a context.
    open: HashMap<CanvasEpoch, Instant>,
    tallies: HashMap<ContextId, Tally>,
}

#[derive(Default)]
pub struct Tally {
    pub presented: usize,
    pub superseded: usize,
    pub failed: usize,
    /// Of those presented.
    latencies: Vec<Duration>,
}

impl Ledger {
    /// To be called right before a present.
    pub fn begin(&mut self) -> CanvasEpoch {
        self.epochs += 1;
        let epoch = CanvasEpoch(self.epochs);
        self.open.insert(epoch, Instant::now());
        epoch
    }

    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Enters an outcome. Says so if it is one that nothing on this page excuses.
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
                // A canvas that is destroyed takes what it has in flight with it.
                if !matches!(error, PresentError::ContextDestroyed) {
                    return Err(outcome);
                }
            }
        }
        // An outcome nobody waits for was told twice.
        if began.is_none() { Err(outcome) } else { Ok(()) }
    }

    pub fn tally(&self, context: ContextId) -> Option<&Tally> {
        self.tallies.get(&context)
    }
}

impl Tally {
    /// The latency that `share` of the presents did not exceed.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let index = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(index.saturating_sub(1)).copied()
    }
}
