//! Chunks: the staging buffers of a belt.
//!
//! A chunk is in one place at a time, and the place says what it is:
//! ```text
//!            ┌──────────── Landing: mapped, being written
//!            │                 │ finish (unmapped)
//!   acquire  │                 ▼
//!            │              Batch: copies from it are recorded ── dropped, abandoned ──▶ freed
//!            │                 │ recall (asked to be mapped again)
//!            │                 ▼
//!            │              Pool, recalled: the GPU may read it
//!            │                 │ mapped
//!            │                 ▼
//!            └──────────── Pool, free ── idle ──▶ freed
//! ```

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wgpu_core::id::BufferId;

use super::device::Device;
use super::{BeltError, FlushStats};
use wgpu_core::SubmissionIndex;

/// What all chunks of a belt have in common. It lives as long as one of them, or the belt.
pub(super) struct Ledger {
    pub(super) device: Device,
    /// Bytes of all chunks.
    pub(super) bytes: Cell<u64>,
    /// Chunks in batches.
    pub(super) finished: Cell<usize>,
    pub(super) created: Cell<u64>,
    pub(super) freed: Cell<u64>,
    ids: Option<Ids>,
}

/// Buffer ids of the engine's.
pub(super) struct Ids {
    pub(super) unused: RefCell<Vec<BufferId>>,
    pub(super) hand_back: Box<dyn Fn(BufferId)>,
}

impl Ledger {
    pub(super) fn new(device: Device, ids: Option<Ids>) -> Rc<Self> {
        let (bytes, finished, created, freed) = Default::default();
        Rc::new(Self { device, bytes, finished, created, freed, ids })
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if let Some(Ids { unused, hand_back }) = &self.ids {
            unused.take().into_iter().for_each(hand_back);
        }
    }
}

/// A staging buffer. Dropping it frees its id, and its memory once no command buffer needs it.
pub(super) struct Chunk {
    ledger: Rc<Ledger>,
    pub(super) id: BufferId,
    pub(super) capacity: u64,
}

impl Chunk {
    /// A mapped one.
    pub(super) fn create(ledger: &Rc<Ledger>, capacity: u64) -> Result<Self, BeltError> {
        let id = match &ledger.ids {
            Some(ids) => Some(ids.unused.borrow_mut().pop().ok_or(BeltError::NoBufferIds)?),
            None => None,
        };
        match ledger.device.create_mapped(capacity, id) {
            Ok(id) => {
                ledger.bytes.set(ledger.bytes.get() + capacity);
                ledger.created.set(ledger.created.get() + 1);
                Ok(Self { ledger: ledger.clone(), id, capacity })
            }
            Err(error) => {
                if let (Some(ids), Some(id)) = (&ledger.ids, id) {
                    ids.unused.borrow_mut().push(id);
                }
                Err(error)
            }
        }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let ledger = &self.ledger;
        ledger.device.drop_buffer(self.id);
        ledger.bytes.set(ledger.bytes.get() - self.capacity);
        ledger.freed.set(ledger.freed.get() + 1);
        if let Some(ids) = &ledger.ids {
            ids.unused.borrow_mut().push(self.id);
        }
    }
}

/// What was written up to a [`finish`](super::StagingBelt::finish): the chunks that the recorded copies read.
///
/// Once its encoders are submitted, [`recall`](super::StagingBelt::recall) makes the chunks usable again. Dropping it frees
/// them: it is always right, whether or not the encoders were or will be submitted, but new chunks must then be made. A
/// batch that is kept keeps its chunks, and they count against
/// [`BeltDescriptor::max_bytes`](super::BeltDescriptor::max_bytes). Those of a dropped one do not, though wgpu-core keeps their
/// memory until the GPU is done with it.
#[must_use = "its chunks are freed unless it is recalled once its encoders are submitted"]
pub struct Batch {
    pub(super) ledger: Rc<Ledger>,
    chunks: Vec<Chunk>,
    /// The latest submission when it was finished.
    pub(super) after: SubmissionIndex,
    stats: FlushStats,
}

impl Batch {
    pub(super) fn new(ledger: Rc<Ledger>, chunks: Vec<Chunk>, stats: FlushStats) -> Self {
        // First: it runs closures of the engine's, and one may panic.
        let after = ledger.device.last_submission();
        ledger.finished.set(ledger.finished.get() + chunks.len());
        Self { after, ledger, chunks, stats }
    }

    /// What was recorded since the batch before it was finished.
    pub fn stats(&self) -> FlushStats {
        self.stats
    }

    pub(super) fn take(&mut self) -> Vec<Chunk> {
        self.ledger.finished.set(self.ledger.finished.get() - self.chunks.len());
        std::mem::take(&mut self.chunks)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (chunks, after) = (self.chunks.len(), self.after);
        f.debug_struct("Batch").field("chunks", &chunks).field("after", &after).finish_non_exhaustive()
    }
}
