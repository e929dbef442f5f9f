//! Chunks that nobody writes: those the GPU may still read, and those at rest.

use std::collections::VecDeque;
use std::rc::Rc;

use super::chunk::{Chunk, Ledger};
use super::{BeltDescriptor, BeltError};

/// No GPU lags so many frames behind, nor as many as a chunk may be idle: one that is not mapped by then never is. It is freed,
/// which is right in any case.
const LATEST: u64 = 64;

pub(super) struct Pool {
    ledger: Rc<Ledger>,
    descriptor: BeltDescriptor,
    frame: u64,
    /// Asked to be mapped, oldest first, with the frame in which that was.
    recalled: VecDeque<(Chunk, u64)>,
    /// Mapped, with the frame in which they were recalled.
    free: Vec<(Chunk, u64)>,
}

impl Pool {
    pub(super) fn new(ledger: Rc<Ledger>, descriptor: BeltDescriptor) -> Self {
        Self { ledger, descriptor, frame: 0, recalled: VecDeque::new(), free: Vec::new() }
    }

    /// A mapped chunk of at least `need` bytes. If one must be made, it has room for as much as the frame has `used` already,
    /// so that a frame of many bytes has few chunks.
    ///
    /// The smallest that fits is taken, and of those the one used last: what a burst left behind is not touched again, and ages.
    pub(super) fn acquire(&mut self, need: u64, used: u64) -> Result<Chunk, BeltError> {
        let BeltDescriptor { chunk_size, max_chunk_size, max_bytes, .. } = self.descriptor;
        if need > max_chunk_size {
            return Err(BeltError::TooLarge { size: need, max_chunk_size });
        }
        self.settle();
        let fitting = self.free.iter().enumerate().filter(|(_, (chunk, _))| chunk.capacity >= need);
        let best = fitting.min_by_key(|(index, (chunk, _))| (chunk.capacity, usize::MAX - index));
        if let Some((index, _)) = best {
            return Ok(self.free.remove(index).0);
        }
        // All that rest are too small. They make room if they must.
        let mut left = max_bytes.saturating_sub(self.ledger.bytes.get()) & !15;
        while left < need && self.free.pop().is_some() {
            left = max_bytes.saturating_sub(self.ledger.bytes.get()) & !15;
        }
        if left < need {
            return Err(BeltError::BudgetExceeded { needed: need, max_bytes });
        }
        let wanted = need.max(used).div_ceil(chunk_size).saturating_mul(chunk_size);
        loop {
            match Chunk::create(&self.ledger, wanted.min(max_chunk_size).min(left)) {
                // One that rests gives its id, or its memory.
                Err(BeltError::NoBufferIds | BeltError::OutOfMemory) if self.free.pop().is_some() => (),
                made => return made,
            }
        }
    }

    /// An acquired chunk that is not needed after all. It may have been written to: whatever is copied from it is written anew.
    pub(super) fn rest(&mut self, chunk: Chunk) {
        self.free.push((chunk, self.frame));
    }

    /// A chunk whose copies were submitted. If it cannot be mapped it is freed.
    pub(super) fn recall(&mut self, chunk: Chunk) {
        match self.ledger.device.map(chunk.id) {
            Ok(()) => self.recalled.push_back((chunk, self.frame)),
            Err(error) => log::debug!("webgpu-presentation: a belt's chunk cannot be mapped: {error}"),
        }
    }

    /// Ends a frame, and frees what was idle for too many.
    pub(super) fn end_frame(&mut self) {
        self.frame += 1;
        let frame = self.frame;
        let idle = u64::from(self.descriptor.idle_frames);
        for (chunk, since) in std::mem::take(&mut self.recalled) {
            if self.ledger.device.is_mapped(chunk.id) {
                self.free.push((chunk, since));
            } else if frame - since < LATEST.max(idle) {
                self.recalled.push_back((chunk, since));
            }
        }
        self.free.retain(|&(_, since)| frame - since < idle);
    }

    /// Frees what rests.
    pub(super) fn trim(&mut self) {
        self.settle();
        self.free.clear();
    }

    /// After the device was lost: nothing here is of use.
    pub(super) fn clear(&mut self) {
        self.recalled.clear();
        self.free.clear();
    }

    pub(super) fn recalled(&self) -> usize {
        self.recalled.len()
    }

    pub(super) fn free(&self) -> usize {
        self.free.len()
    }

    /// Finds out which chunks the GPU is done with. It is in the order in which they were recalled: one that is not hides the
    /// others, until the frame ends.
    fn settle(&mut self) {
        while let Some((chunk, since)) = self.recalled.pop_front() {
            if !self.ledger.device.is_mapped(chunk.id) {
                self.recalled.push_front((chunk, since));
                break;
            }
            self.free.push((chunk, since));
        }
    }
}
