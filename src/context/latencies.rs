//! How long the newest frames of a context took.

use std::time::Duration;

use arrayvec::ArrayVec;

use crate::api::report::Latency;

/// Number of frames that are remembered.
const FRAMES: usize = 128;

/// The latencies in microseconds of the newest frames of one context, in no order.
#[derive(Clone)]
pub(crate) struct NewestLatencies(ArrayVec<u32, FRAMES>);

/// The latencies of the frames of one context.
///
/// There may be thousands of contexts, many of which never show a frame. So memory is allocated with the first frame, half a kilobyte, and
/// never again.
#[derive(Default)]
pub(crate) struct Latencies {
    newest: Option<Box<NewestLatencies>>,
    /// The place of the oldest latency, once as many as fit are remembered: the next one takes it.
    oldest: usize,
}

impl Latencies {
    /// Adds the latency of a frame. The oldest one is forgotten, if there are too many.
    pub(crate) fn add(&mut self, latency: Duration) {
        let latency = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        let NewestLatencies(newest) = &mut **self.newest.get_or_insert_with(Box::default);
        if newest.try_push(latency).is_err() {
            newest[self.oldest] = latency;
            self.oldest = (self.oldest + 1) % FRAMES;
        }
    }

    /// Returns a copy, which can be [summarized](NewestLatencies::summary) without a lock. Allocates nothing.
    pub(crate) fn newest(&self) -> Option<NewestLatencies> {
        self.newest.as_deref().cloned()
    }
}

impl Default for NewestLatencies {
    fn default() -> Self {
        Self(ArrayVec::new_const())
    }
}

impl NewestLatencies {
    /// Returns the summary; `None` without a frame. Allocates nothing.
    pub(crate) fn summary(mut self) -> Option<Latency> {
        self.0.sort_unstable();
        let count = self.0.len();
        // The smallest latency that so many percent of the frames do not exceed.
        let percentile = |percent: usize| {
            let rank = (count * percent).div_ceil(100).max(1);
            self.0.get(rank - 1).map(|micros| Duration::from_micros((*micros).into()))
        };
        Some(Latency {
            frames: count,
            minimum: percentile(0)?,
            median: percentile(50)?,
            percentile_99: percentile(99)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns frames, minimum, median and 99th percentile in milliseconds of frames with these latencies in milliseconds.
    fn summary(latencies: impl IntoIterator<Item = u64>) -> Option<(usize, u128, u128, u128)> {
        let mut all = Latencies::default();
        latencies.into_iter().for_each(|latency| all.add(Duration::from_millis(latency)));
        let Latency { frames, minimum, median, percentile_99 } = all.newest()?.summary()?;
        Some((frames, minimum.as_millis(), median.as_millis(), percentile_99.as_millis()))
    }

    #[test]
    fn a_context_without_a_frame_has_no_latency() {
        assert_eq!(summary([]), None);
    }

    #[test]
    fn few_frames_are_summarized_by_the_nearest_rank() {
        assert_eq!(summary([7]), Some((1, 7, 7, 7)));
        // Of four the second is the smallest that half of them do not exceed.
        assert_eq!(summary([9, 3, 40, 5]), Some((4, 3, 5, 40)));
        assert_eq!(summary([9, 3, 40, 5, 6]), Some((5, 3, 6, 40)));
    }

    // The ranks of 100 latencies are their percents.
    #[test]
    fn of_a_hundred_frames_the_slowest_is_beyond_the_99th_percentile() {
        assert_eq!(summary((1..=100).rev()), Some((100, 1, 50, 99)));
    }

    // 128 are remembered, of 73 to 200 milliseconds. The ranks are 64 and 127 (126.72 rounded up).
    #[test]
    fn the_oldest_frames_are_forgotten() {
        assert_eq!(summary(1..=200), Some((128, 73, 136, 199)));
        assert_eq!(summary(1..=128), Some((128, 1, 64, 127)));
        assert_eq!(summary(1..=129), Some((128, 2, 65, 128)));
    }

    #[test]
    fn latencies_that_cannot_be_counted_are_very_long() {
        let mut latencies = Latencies::default();
        latencies.add(Duration::MAX);
        let longest = latencies.newest().and_then(NewestLatencies::summary).map(|latency| latency.minimum);
        assert_eq!(longest, Some(Duration::from_micros(u32::MAX.into())));
    }

    #[test]
    fn a_context_needs_two_words_and_half_a_kilobyte_once_it_has_a_frame() {
        assert_eq!(size_of::<Latencies>(), 2 * size_of::<usize>());
        assert_eq!(size_of::<NewestLatencies>(), 4 * FRAMES + 4);
    }
}
