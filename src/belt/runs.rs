//! Runs: writes to one buffer that go on where the write before ended. A run becomes one copy.

use rustc_hash::FxHashMap;
use wgpu_core::id::BufferId;

use super::BeltError;
use super::device::Device;
use super::landing::Landing;

/// So many bytes gather in our memory before they are put into chunks.
const GATHERED: u64 = 1 << 20;

/// So many, as long as only one run is open: then nothing is won by waiting, and these stay in the CPU's cache.
const WINDOW: u64 = 64 << 10;

/// All runs together keep so many bytes of memory for the next flush, however many destinations there were.
const KEPT: u64 = 2 * GATHERED;

/// The destinations of the writes since the last flush, each with its open run.
///
/// Different buffers do not overlap, so their copies may be recorded in any order; those of one buffer keep theirs, because
/// its open run is put down before the next one begins.
#[derive(Default)]
pub(super) struct Runs {
    /// The first `live` are of this flush; the others only keep their memory for the next.
    runs: Vec<Run>,
    live: usize,
    index: FxHashMap<BufferId, usize>,
    /// The destination of the write before this one.
    latest: usize,
    /// Bytes of all open runs.
    gathered: u64,
    /// The most destinations since the last [`shrink`](Self::shrink).
    peak: usize,
}

struct Run {
    target: BufferId,
    /// Where in the destination the run ends.
    end: u64,
    /// Its last bytes; those before were put down already.
    bytes: Vec<u8>,
    /// The largest end of a write to the destination. 0: nothing was written yet.
    furthest: u64,
    bounds: Bounds,
    /// Most bytes since the last [`shrink`](Runs::shrink).
    peak: usize,
}

/// What is known of a buffer's size, which wgpu-core does not tell.
#[derive(Clone, Copy)]
struct Bounds {
    /// A write may end here.
    good: u64,
    /// No write may end here.
    bad: u64,
}

impl Bounds {
    const UNKNOWN: Self = Self { good: 0, bad: u64::MAX };

    /// Asks wgpu-core a few times for each buffer, not once for each write: looks ahead, twice as far each time, and halves
    /// what is uncertain once it saw the end.
    fn check(&mut self, device: &Device, target: BufferId, end: u64) -> Result<(), BeltError> {
        if end <= self.good {
            return Ok(());
        }
        if end >= self.bad {
            return Err(BeltError::OutOfBounds);
        }
        let ahead = match (self.good, self.bad) {
            (0, _) => end,
            (_, u64::MAX) => end.saturating_mul(2),
            (_, bad) => end + (bad - end) / 2,
        } & !3;
        if ahead > end {
            match device.check_buffer(target, ahead) {
                Ok(()) => {
                    self.good = ahead;
                    return Ok(());
                }
                Err(BeltError::OutOfBounds) => self.bad = ahead,
                Err(error) => return Err(error),
            }
        }
        match device.check_buffer(target, end) {
            Ok(()) => self.good = end,
            Err(BeltError::OutOfBounds) => {
                self.bad = end;
                return Err(BeltError::OutOfBounds);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// A destination among those of a [`Runs`].
#[derive(Clone, Copy)]
pub(super) struct Destination(usize);

impl Runs {
    /// Bytes that are not put down yet.
    pub(super) fn gathered(&self) -> u64 {
        self.gathered
    }

    /// Appends a write to its open run, if nothing more has to be done: the run ends at `offset`, the buffer is known to be
    /// large enough, and `room` is. This is how nearly all of many small writes go.
    #[inline]
    pub(super) fn append(&mut self, target: BufferId, offset: u64, data: &[u8], room: u64) -> bool {
        let Some(index) = self.find(target) else { return false };
        let run = &mut self.runs[index];
        let size = data.len() as u64;
        let (end, gathered) = (offset.saturating_add(size), self.gathered + size);
        if run.end != offset || end > run.bounds.good || gathered > room || !size.is_multiple_of(4) {
            return false;
        }
        let alone = self.gathered == run.bytes.len() as u64;
        if gathered > if alone { WINDOW } else { GATHERED } {
            return false;
        }
        run.bytes.extend_from_slice(data);
        run.end = end;
        run.furthest = run.furthest.max(end);
        self.gathered = gathered;
        self.latest = index;
        true
    }

    #[inline]
    fn find(&self, target: BufferId) -> Option<usize> {
        match self.runs[..self.live].get(self.latest) {
            Some(run) if run.target == target => Some(self.latest),
            _ => self.index.get(&target).copied(),
        }
    }

    /// Whether `size` bytes more for the destination are too many to be held back.
    pub(super) fn is_full(&self, destination: Destination, size: u64) -> bool {
        let alone = self.gathered == self.runs[destination.0].bytes.len() as u64;
        self.gathered.saturating_add(size) > if alone { WINDOW } else { GATHERED }
    }

    /// The destination of a write that ends at `end`, if it may.
    pub(super) fn destination(
        &mut self,
        device: &Device,
        target: BufferId,
        end: u64,
    ) -> Result<Destination, BeltError> {
        let index = match self.find(target) {
            Some(index) => {
                let run = &mut self.runs[index];
                run.bounds.check(device, target, end)?;
                index
            }
            None => {
                let mut bounds = Bounds::UNKNOWN;
                bounds.check(device, target, end)?;
                let bytes =
                    self.runs.get_mut(self.live).map_or_else(Vec::new, |run| std::mem::take(&mut run.bytes));
                let peak = self.runs.get(self.live).map_or(0, |run| run.peak);
                let run = Run { target, end: u64::MAX, bytes, furthest: 0, bounds, peak };
                match self.runs.get_mut(self.live) {
                    Some(slot) => *slot = run,
                    None => self.runs.push(run),
                }
                self.index.insert(target, self.live);
                self.live += 1;
                self.live - 1
            }
        };
        self.latest = index;
        Ok(Destination(index))
    }

    /// Makes sure that the open run of the destination ends at `offset`: another one is put down.
    pub(super) fn turn_to(
        &mut self,
        landing: &mut Landing,
        destination: Destination,
        offset: u64,
    ) -> Result<(), BeltError> {
        let run = &mut self.runs[destination.0];
        if run.end != offset {
            self.gathered -= run.bytes.len() as u64;
            run.put(landing)?;
            run.end = offset;
        }
        Ok(())
    }

    /// The open run of the destination, which is about to grow by `size` bytes.
    pub(super) fn extend(&mut self, destination: Destination, size: usize) -> &mut Vec<u8> {
        let run = &mut self.runs[destination.0];
        run.end += size as u64;
        run.furthest = run.furthest.max(run.end);
        self.gathered += size as u64;
        &mut run.bytes
    }

    /// As [`extend`](Self::extend), with data that is too large to be gathered.
    pub(super) fn pass(
        &mut self,
        landing: &mut Landing,
        destination: Destination,
        data: &[u8],
    ) -> Result<(), BeltError> {
        let run = &mut self.runs[destination.0];
        self.gathered -= run.bytes.len() as u64;
        run.put(landing)?;
        landing.put(run.target, run.end, data)?;
        run.end += data.len() as u64;
        run.furthest = run.furthest.max(run.end);
        Ok(())
    }

    /// Puts down what was gathered. The runs stay open.
    pub(super) fn put(&mut self, landing: &mut Landing) -> Result<(), BeltError> {
        self.gathered = 0;
        // The one that continues the last copy goes first: then it is no copy of its own.
        if let Some(index) = landing.last_target().and_then(|target| self.find(target)) {
            self.runs[index].put(landing)?;
        }
        self.runs[..self.live].iter_mut().try_for_each(|run| run.put(landing))
    }

    /// The destinations that cannot be copied to any more.
    pub(super) fn refused(&self, device: &Device) -> Result<Vec<BufferId>, BeltError> {
        let mut refused = Vec::new();
        for run in &self.runs[..self.live] {
            match device.check_buffer(run.target, run.furthest) {
                Ok(()) => (),
                Err(BeltError::DeviceLost) => return Err(BeltError::DeviceLost),
                Err(_) => refused.push(run.target),
            }
        }
        Ok(refused)
    }

    /// Forgets a destination, and what was gathered for it.
    pub(super) fn forget(&mut self, target: BufferId) {
        let Some(index) = self.index.remove(&target) else { return };
        self.peak = self.peak.max(self.live);
        self.live -= 1;
        self.runs.swap(index, self.live);
        if index < self.live {
            self.index.insert(self.runs[index].target, index);
        }
        let bytes = &mut self.runs[self.live].bytes;
        self.gathered -= bytes.len() as u64;
        bytes.clear();
    }

    /// Forgets a destination to which no write succeeded: it need not stay.
    pub(super) fn forget_unwritten(&mut self, target: BufferId) {
        if self.find(target).is_some_and(|index| self.runs[index].furthest == 0) {
            self.forget(target);
        }
    }

    /// Forgets all destinations, and what was gathered.
    pub(super) fn clear(&mut self) {
        self.peak = self.peak.max(self.live);
        let mut kept = 0;
        for run in &mut self.runs {
            run.bytes.clear();
            let capacity = run.bytes.capacity() as u64;
            if kept + capacity > KEPT {
                run.bytes = Vec::new();
            } else {
                kept += capacity;
            }
        }
        (self.live, self.latest, self.gathered) = (0, 0, 0);
        self.index.clear();
    }

    /// Keeps no more memory than was needed since the last call.
    pub(super) fn shrink(&mut self) {
        self.runs.truncate(std::mem::take(&mut self.peak).max(self.live));
        for run in &mut self.runs {
            run.bytes.shrink_to(std::mem::take(&mut run.peak));
        }
        self.index.shrink_to(self.runs.len());
    }
}

impl Run {
    fn put(&mut self, landing: &mut Landing) -> Result<(), BeltError> {
        if !self.bytes.is_empty() {
            landing.put(self.target, self.end - self.bytes.len() as u64, &self.bytes)?;
            self.peak = self.peak.max(self.bytes.len());
            self.bytes.clear();
            // Of a large view.
            if self.bytes.capacity() as u64 > GATHERED {
                self.bytes = Vec::new();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_is_kept_however_many_destinations_there_were() {
        let run = |index| Run {
            target: BufferId::zip(index, 1),
            end: 0,
            bytes: Vec::with_capacity(GATHERED as usize / 2),
            furthest: 0,
            bounds: Bounds::UNKNOWN,
            peak: 0,
        };
        let mut runs = Runs { runs: (0..50).map(run).collect(), live: 20, ..Runs::default() };
        runs.clear();
        let kept: usize = runs.runs.iter().map(|run| run.bytes.capacity()).sum();
        assert_eq!(kept as u64, KEPT);
    }
}
