//! Medians and other percentiles.

use std::time::Duration;

/// The durations that one side took.
pub struct Samples {
    pub side: &'static str,
    durations: Vec<Duration>,
}

impl Samples {
    pub fn of(side: &'static str) -> Self {
        Self { side, durations: Vec::new() }
    }

    pub fn push(&mut self, duration: Duration) {
        self.durations.push(duration);
    }

    pub fn median(&self) -> Duration {
        self.percentile(50)
    }

    pub fn percentile(&self, percent: usize) -> Duration {
        assert!(!self.durations.is_empty(), "nothing was measured");
        let mut sorted = self.durations.clone();
        sorted.sort_unstable();
        sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
    }
}
