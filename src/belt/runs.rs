//! Runs: writes to one buffer, each of which begins where the write before it ended. A run becomes one copy.
//!
//! Small writes gather here, in memory of the belt's, so that a thousand adjacent writes cost one copy and
//! one access to the memory of a chunk. `intake` appends writes to runs and has them placed in chunks at a
//! flush, or when too much has gathered. Accessed only on the thread of the belt.

use rustc_hash::FxHashMap;
use wgpu_core::id::BufferId;

use super::BeltError;
use super::active_chunks::ActiveChunks;
use super::device::Device;

/// Most bytes that gather in all runs together before they are placed in chunks.
const MAX_GATHERED: u64 = 1 << 20;

/// Most bytes that gather while a single run has any. More would win nothing, and this many stay in the CPU's
/// cache.
const MAX_GATHERED_ALONE: u64 = 64 << 10;

/// Most bytes of memory that all runs together keep for the next flush, however many destinations there were.
const MAX_KEPT: u64 = 2 * MAX_GATHERED;

/// The destination buffers of the writes since the last flush, each with its open run.
///
/// Different buffers do not overlap, so their copies may be recorded in any order. The copies of one buffer
/// keep the order of its writes, because its open run is placed before the next one begins.
#[derive(Default)]
pub(super) struct Runs {
    /// The first `live` belong to destinations of this flush. The others only keep their memory for the next.
    runs: Vec<Run>,
    live: usize,
    /// The position in `runs` of each destination of this flush.
    index: FxHashMap<BufferId, usize>,
    /// The position of the destination of the latest write.
    latest: usize,
    /// Bytes of all open runs that are not placed yet.
    gathered: u64,
    /// The most destinations of a flush since the last [`shrink`](Self::shrink).
    most_live: usize,
}

/// A destination buffer and its open run.
struct Run {
    target: BufferId,
    /// Where in the destination the run ends, in bytes: a write that begins here extends it. `u64::MAX` if
    /// there is no run yet.
    end: u64,
    /// The last bytes of the run. Those before them are placed in chunks already.
    bytes: Vec<u8>,
    /// The largest end of a write to the destination, or 0 if none succeeded yet.
    furthest: u64,
    size: SizeBounds,
    /// The most bytes that were placed at once since the last [`shrink`](Runs::shrink).
    most_bytes: usize,
}

/// What is known of the size of a buffer. wgpu-core does not tell it, but refuses writes that end outside.
#[derive(Clone, Copy)]
struct SizeBounds {
    /// The largest offset at which a write is known to be allowed to end.
    inside: u64,
    /// The smallest offset at which a write is known not to be allowed to end.
    outside: u64,
}

impl SizeBounds {
    const UNKNOWN: Self = Self { inside: 0, outside: u64::MAX };

    /// Checks whether a write may end at `end`, and asks wgpu-core if that is not known.
    ///
    /// It is asked a few times for each buffer, not once for each write: the question looks ahead twice as
    /// far each time, and once it has met the end, halves the distance that is uncertain.
    fn check(&mut self, device: &Device, target: BufferId, end: u64) -> Result<(), BeltError> {
        if end <= self.inside {
            return Ok(());
        }
        if end >= self.outside {
            return Err(BeltError::OutOfBounds);
        }
        let ahead = match (self.inside, self.outside) {
            (0, _) => end,
            (_, u64::MAX) => end.saturating_mul(2),
            (_, outside) => end + (outside - end) / 2,
        } & !3;
        if ahead > end {
            match device.check_buffer(target, ahead) {
                Ok(()) => {
                    self.inside = ahead;
                    return Ok(());
                }
                Err(BeltError::OutOfBounds) => self.outside = ahead,
                Err(error) => return Err(error),
            }
        }
        match device.check_buffer(target, end) {
            Ok(()) => self.inside = end,
            Err(BeltError::OutOfBounds) => {
                self.outside = end;
                return Err(BeltError::OutOfBounds);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// The position of a destination in [`Runs`]. Valid until a destination is forgotten or all are cleared.
#[derive(Clone, Copy)]
pub(super) struct Destination(usize);

impl Runs {
    /// Returns the bytes of all open runs that are not placed in chunks yet.
    pub(super) fn gathered(&self) -> u64 {
        self.gathered
    }

    /// Appends a write to its open run if nothing else has to be done, and returns whether it did.
    ///
    /// That is so if the run ends at `offset`, the buffer is known to be large enough, and the `room` in
    /// chunks suffices for all that has gathered. Of many small writes nearly all end here.
    #[inline]
    pub(super) fn append(&mut self, target: BufferId, offset: u64, data: &[u8], room: u64) -> bool {
        let Some(index) = self.find(target) else { return false };
        let run = &mut self.runs[index];
        let size = data.len() as u64;
        let (end, gathered) = (offset.saturating_add(size), self.gathered + size);
        if run.end != offset || end > run.size.inside || gathered > room || !size.is_multiple_of(4) {
            return false;
        }
        let alone = self.gathered == run.bytes.len() as u64;
        if gathered > if alone { MAX_GATHERED_ALONE } else { MAX_GATHERED } {
            return false;
        }
        run.bytes.extend_from_slice(data);
        run.end = end;
        run.furthest = run.furthest.max(end);
        self.gathered = gathered;
        self.latest = index;
        true
    }

    /// Returns the position of a destination of this flush. Most writes go where the write before them went,
    /// so that place is looked at first.
    #[inline]
    fn find(&self, target: BufferId) -> Option<usize> {
        match self.runs[..self.live].get(self.latest) {
            Some(run) if run.target == target => Some(self.latest),
            _ => self.index.get(&target).copied(),
        }
    }

    /// Returns whether `size` bytes more for the destination would be too many, so that what has gathered
    /// must be placed first.
    pub(super) fn would_overflow(&self, destination: Destination, size: u64) -> bool {
        let alone = self.gathered == self.runs[destination.0].bytes.len() as u64;
        self.gathered.saturating_add(size) > if alone { MAX_GATHERED_ALONE } else { MAX_GATHERED }
    }

    /// Returns the destination of a write that ends at `end`, if the buffer can take it. A new destination
    /// has no run yet.
    pub(super) fn destination(
        &mut self,
        device: &Device,
        target: BufferId,
        end: u64,
    ) -> Result<Destination, BeltError> {
        let index = match self.find(target) {
            Some(index) => {
                let run = &mut self.runs[index];
                run.size.check(device, target, end)?;
                index
            }
            None => {
                let mut size = SizeBounds::UNKNOWN;
                size.check(device, target, end)?;
                let bytes =
                    self.runs.get_mut(self.live).map_or_else(Vec::new, |run| std::mem::take(&mut run.bytes));
                let most_bytes = self.runs.get(self.live).map_or(0, |run| run.most_bytes);
                let run = Run { target, end: u64::MAX, bytes, furthest: 0, size, most_bytes };
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

    /// Makes the open run of the destination end at `offset`. A run that ends elsewhere is placed, and a new
    /// one begins.
    pub(super) fn start_at(
        &mut self,
        chunks: &mut ActiveChunks,
        destination: Destination,
        offset: u64,
    ) -> Result<(), BeltError> {
        let run = &mut self.runs[destination.0];
        if run.end != offset {
            self.gathered -= run.bytes.len() as u64;
            run.place(chunks)?;
            run.end = offset;
        }
        Ok(())
    }

    /// Extends the open run of the destination by `size` bytes, which the caller appends to the returned
    /// memory.
    pub(super) fn extend(&mut self, destination: Destination, size: usize) -> &mut Vec<u8> {
        let run = &mut self.runs[destination.0];
        run.end += size as u64;
        run.furthest = run.furthest.max(run.end);
        self.gathered += size as u64;
        &mut run.bytes
    }

    /// Extends the open run of the destination by data that is too large to be gathered: places it in chunks
    /// at once, behind what the run has gathered.
    pub(super) fn write_through(
        &mut self,
        chunks: &mut ActiveChunks,
        destination: Destination,
        data: &[u8],
    ) -> Result<(), BeltError> {
        let run = &mut self.runs[destination.0];
        self.gathered -= run.bytes.len() as u64;
        run.place(chunks)?;
        chunks.place(run.target, run.end, data)?;
        run.end += data.len() as u64;
        run.furthest = run.furthest.max(run.end);
        Ok(())
    }

    /// Places in chunks what all runs have gathered. The runs stay open.
    pub(super) fn place_all(&mut self, chunks: &mut ActiveChunks) -> Result<(), BeltError> {
        self.gathered = 0;
        // The run that continues the last copy goes first: then it extends that copy instead of needing one
        // of its own.
        if let Some(index) = chunks.last_target().and_then(|target| self.find(target)) {
            self.runs[index].place(chunks)?;
        }
        self.runs[..self.live].iter_mut().try_for_each(|run| run.place(chunks))
    }

    /// Returns the destinations that cannot be copied to any more.
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

    /// Forgets a destination, and discards what was gathered for it.
    pub(super) fn forget(&mut self, target: BufferId) {
        let Some(index) = self.index.remove(&target) else { return };
        self.most_live = self.most_live.max(self.live);
        self.live -= 1;
        self.runs.swap(index, self.live);
        if index < self.live {
            self.index.insert(self.runs[index].target, index);
        }
        let bytes = &mut self.runs[self.live].bytes;
        self.gathered -= bytes.len() as u64;
        bytes.clear();
    }

    /// Forgets a destination if no write to it succeeded, so that the engine may drop it before the next
    /// flush.
    pub(super) fn forget_unwritten(&mut self, target: BufferId) {
        if self.find(target).is_some_and(|index| self.runs[index].furthest == 0) {
            self.forget(target);
        }
    }

    /// Forgets all destinations, and discards what was gathered.
    pub(super) fn clear(&mut self) {
        self.most_live = self.most_live.max(self.live);
        let mut kept = 0;
        for run in &mut self.runs {
            run.bytes.clear();
            let capacity = run.bytes.capacity() as u64;
            if kept + capacity > MAX_KEPT {
                run.bytes = Vec::new();
            } else {
                kept += capacity;
            }
        }
        (self.live, self.latest, self.gathered) = (0, 0, 0);
        self.index.clear();
    }

    /// Frees memory that was not needed since the last call.
    pub(super) fn shrink(&mut self) {
        self.runs.truncate(std::mem::take(&mut self.most_live).max(self.live));
        for run in &mut self.runs {
            run.bytes.shrink_to(std::mem::take(&mut run.most_bytes));
        }
        self.index.shrink_to(self.runs.len());
    }
}

impl Run {
    /// Places the gathered bytes in chunks. The run stays open.
    fn place(&mut self, chunks: &mut ActiveChunks) -> Result<(), BeltError> {
        if !self.bytes.is_empty() {
            chunks.place(self.target, self.end - self.bytes.len() as u64, &self.bytes)?;
            self.most_bytes = self.most_bytes.max(self.bytes.len());
            self.bytes.clear();
            // Only a large view of `write_buffer_with` grows a run beyond the limit. Its memory is not kept.
            if self.bytes.capacity() as u64 > MAX_GATHERED {
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
            bytes: Vec::with_capacity(MAX_GATHERED as usize / 2),
            furthest: 0,
            size: SizeBounds::UNKNOWN,
            most_bytes: 0,
        };
        let mut runs = Runs { runs: (0..50).map(run).collect(), live: 20, ..Runs::default() };
        runs.clear();
        let kept: usize = runs.runs.iter().map(|run| run.bytes.capacity()).sum();
        assert_eq!(kept as u64, MAX_KEPT);
    }
}
