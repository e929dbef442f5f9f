//! What became of each present, and when.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use webgpu_presentation::{ContextId, PresentEnd, PresentError, PresentOutcome};

use crate::failure::Failure;

/// No present of a living machine takes so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Counts of one canvas, over all of its lives.
#[derive(Clone, Default)]
pub struct Account {
    pub presented: usize,
    pub superseded: usize,
    pub failed: usize,
    /// From the call to the outcome, of what was presented.
    latencies: Vec<Duration>,
}

/// Presents that have not ended, and accounts of those that have.
pub struct Ledger {
    outcomes: Receiver<(PresentOutcome, Instant)>,
    /// By context and frame, which is the epoch.
    pending: HashMap<(ContextId, u32), Instant>,
    accounts: HashMap<ContextId, Account>,
    failures: Vec<(ContextId, u32, PresentError)>,
}

impl Ledger {
    /// A ledger, and where to tell it outcomes.
    pub fn new() -> (Sender<(PresentOutcome, Instant)>, Self) {
        let (sender, outcomes) = channel();
        let (pending, accounts, failures) = Default::default();
        (sender, Self { outcomes, pending, accounts, failures })
    }

    /// A present is about to be made in this frame.
    pub fn begin(&mut self, context: ContextId, frame: u32) {
        self.pending.insert((context, frame), Instant::now());
    }

    /// Waits until no present of this frame or an earlier one is pending.
    pub fn wait_through(&mut self, frame: u32) -> Result<(), Failure> {
        while let Ok(ended) = self.outcomes.try_recv() {
            self.end(ended);
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let missing = self.pending.keys().filter(|(_, pending)| *pending <= frame).count();
            if missing == 0 {
                return Ok(());
            }
            match self.outcomes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(ended) => self.end(ended),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(Failure::Late { what: "presents", seconds: PATIENCE.as_secs(), missing });
                }
            }
        }
    }

    /// Presents that failed since the last call: context, frame and error.
    pub fn take_failures(&mut self) -> Vec<(ContextId, u32, PresentError)> {
        std::mem::take(&mut self.failures)
    }

    pub fn account(&self, context: ContextId) -> Account {
        self.accounts.get(&context).cloned().unwrap_or_default()
    }

    fn end(&mut self, (outcome, when): (PresentOutcome, Instant)) {
        // Every epoch is a frame's number.
        let frame = outcome.epoch.0 as u32;
        let Some(begun) = self.pending.remove(&(outcome.context, frame)) else { return };
        let account = self.accounts.entry(outcome.context).or_default();
        match outcome.end {
            PresentEnd::Presented => {
                account.presented += 1;
                account.latencies.push(when - begun);
            }
            PresentEnd::Superseded => account.superseded += 1,
            PresentEnd::Failed(error) => {
                account.failed += 1;
                self.failures.push((outcome.context, frame, error));
            }
        }
    }
}

impl Account {
    /// The latency that this part of the presents does not exceed.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        sorted.get((last as f64 * part).round() as usize).copied()
    }
}
