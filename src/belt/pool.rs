//! Chunks that are not being written: those that the GPU may still read, and those that are free.
//!
//! `intake` acquires chunks here when a write needs room, and the belt recalls closed chunks to here after
//! their submission. Time is counted in frames: calls of [`StagingBelt::finish`](super::StagingBelt::finish).
//! Accessed only on the thread of the belt.

use std::collections::VecDeque;
use std::sync::Arc;

use super::chunk::{Chunk, Ledger};
use super::{BeltDescriptor, BeltError};

/// A recalled chunk that is not mapped after this many frames, nor after [`BeltDescriptor::idle_frames`] if
/// those are more, is freed. No GPU lags so far behind, so it would never be mapped; and freeing a chunk is
/// right in any case.
const MAX_FRAMES_TO_MAP: u64 = 64;

/// The chunks at rest of one belt.
pub(super) struct Pool {
    ledger: Arc<Ledger>,
    descriptor: BeltDescriptor,
    /// The number of frames that have ended.
    frame: u64,
    /// Chunks that wgpu-core was asked to map, in the order of the recalls, each with the frame of its
    /// recall.
    recalled: VecDeque<(Chunk, u64)>,
    /// Mapped chunks, each with the frame in which it was recalled or put back. Those that were used last
    /// come last.
    free: Vec<(Chunk, u64)>,
}

impl Pool {
    pub(super) fn new(ledger: Arc<Ledger>, descriptor: BeltDescriptor) -> Self {
        Self { ledger, descriptor, frame: 0, recalled: VecDeque::new(), free: Vec::new() }
    }

    /// Returns a mapped chunk of at least `needed` bytes, for a frame that has `held` bytes in chunks already.
    ///
    /// A new chunk has the smallest of the usual sizes that holds `needed` bytes, and as many as the frame has
    /// already: so a frame of many bytes has few chunks, and a frame that grows needs a larger chunk only when
    /// it has doubled. A free chunk that is larger than the new one would be is left to age, so that the
    /// memory of a burst returns although small frames follow it. Of the chunks that fit, the smallest is
    /// taken, and among equal ones the one that was used last: what is not needed is not touched.
    pub(super) fn acquire(&mut self, needed: u64, held: u64) -> Result<Chunk, BeltError> {
        let BeltDescriptor { max_chunk_size, max_bytes, .. } = self.descriptor;
        if needed > max_chunk_size {
            return Err(BeltError::TooLarge { size: needed, max_chunk_size });
        }
        self.collect_mapped();
        let usual = self.descriptor.usual_chunk_size(needed.max(held));
        if let Some(chunk) = self.take_free(needed, usual) {
            return Ok(chunk);
        }
        if self.left() >= needed {
            match self.create(usual) {
                Err(BeltError::NoBufferIds | BeltError::OutOfMemory) => (),
                made => return made,
            }
        }
        // There is no memory or no id for a chunk of a good size. A free one of any size will do; otherwise all
        // free ones are too small, and are freed as far as the new one needs their share.
        if let Some(chunk) = self.take_free(needed, u64::MAX) {
            return Ok(chunk);
        }
        while self.left() < needed {
            if self.free.pop().is_none() {
                return Err(BeltError::BudgetExceeded { needed, max_bytes });
            }
        }
        loop {
            match self.create(usual) {
                Err(BeltError::NoBufferIds | BeltError::OutOfMemory) if self.free.pop().is_some() => (),
                made => return made,
            }
        }
    }

    /// Takes the smallest free chunk of `at_least` to `at_most` bytes.
    fn take_free(&mut self, at_least: u64, at_most: u64) -> Option<Chunk> {
        let sizes = at_least..=at_most;
        let fitting = self.free.iter().enumerate().filter(|(_, (chunk, _))| sizes.contains(&chunk.capacity));
        let best = fitting.min_by_key(|(index, (chunk, _))| (chunk.capacity, usize::MAX - index));
        best.map(|(index, _)| index).map(|index| self.free.remove(index).0)
    }

    /// Returns the bytes that the budget leaves for another chunk.
    fn left(&self) -> u64 {
        self.descriptor.max_bytes.saturating_sub(self.ledger.counts().bytes) & !15
    }

    /// Creates a chunk of `size` bytes, or of what is left of the budget.
    fn create(&self, size: u64) -> Result<Chunk, BeltError> {
        Chunk::create(&self.ledger, size.min(self.left()))
    }

    /// Takes back a mapped chunk that was acquired and is not needed after all.
    ///
    /// It may have been written to: whoever acquires it next writes every byte that is copied from it.
    pub(super) fn put_back(&mut self, chunk: Chunk) {
        self.free.push((chunk, self.frame));
    }

    /// Takes a chunk whose copies were submitted, and asks for it to be mapped again. If it cannot be mapped
    /// it is freed.
    pub(super) fn recall(&mut self, chunk: Chunk) {
        match self.ledger.device.map(chunk.id) {
            Ok(()) => self.recalled.push_back((chunk, self.frame)),
            Err(error) => log::debug!("webgpu-presentation: a belt's chunk cannot be mapped: {error}"),
        }
    }

    /// Ends a frame, and frees the chunks that were idle for too many.
    pub(super) fn end_frame(&mut self) {
        self.frame += 1;
        let frame = self.frame;
        let idle = u64::from(self.descriptor.idle_frames);
        for (chunk, since) in std::mem::take(&mut self.recalled) {
            if self.ledger.device.is_mapped(chunk.id) {
                self.free.push((chunk, since));
            } else if frame - since < MAX_FRAMES_TO_MAP.max(idle) {
                self.recalled.push_back((chunk, since));
            }
        }
        self.free.retain(|&(_, since)| frame - since < idle);
    }

    /// Frees all chunks that the GPU does not read any more.
    pub(super) fn trim(&mut self) {
        self.collect_mapped();
        self.free.clear();
    }

    /// Frees all chunks, because the device is lost.
    pub(super) fn clear(&mut self) {
        self.recalled.clear();
        self.free.clear();
    }

    /// Returns the number of chunks that the GPU may still read.
    pub(super) fn recalled(&self) -> usize {
        self.recalled.len()
    }

    /// Returns the number of free chunks.
    pub(super) fn free(&self) -> usize {
        self.free.len()
    }

    /// Moves chunks that are mapped again from `recalled` to `free`.
    ///
    /// The GPU is done with them in the order of the recalls, so the search stops at the first that is not
    /// mapped. If that one never is, the others are found when the frame ends.
    fn collect_mapped(&mut self) {
        while let Some((chunk, since)) = self.recalled.pop_front() {
            if !self.ledger.device.is_mapped(chunk.id) {
                self.recalled.push_front((chunk, since));
                break;
            }
            self.free.push((chunk, since));
        }
    }
}
