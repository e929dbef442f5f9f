//! Chunks, the staging buffers of a belt, and the ledger that counts them.
//!
//! All chunks of a belt share its device and its [`Ledger`]. A chunk moves from container to container, and
//! the container that holds it says what is true of it:
//!
//! ```text
//!            ┌──────────── ActiveChunks: mapped, being written
//!            │                 │ finish (unmapped)
//!   acquire  │                 ▼
//!            │              ClosedChunks: recorded copies read it ── dropped or abandoned ──▶ freed
//!            │                 │ recall (asked to be mapped again)
//!            │                 ▼
//!            │              Pool, recalled: the GPU may read it
//!            │                 │ mapped
//!            │                 ▼
//!            └──────────── Pool, free ── idle too long ──▶ freed
//! ```
//!
//! Everything here is accessed only on the thread of the belt.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wgpu_core::id::BufferId;

use super::device::Device;
use super::{BeltError, FlushStats};
use wgpu_core::SubmissionIndex;

/// What all chunks of one belt share: the device, the counts, and the ids that the engine provided.
///
/// It lives as long as the belt or the last of its chunks.
pub(super) struct Ledger {
    pub(super) device: Device,
    /// The capacity of all chunks that exist, in bytes.
    pub(super) bytes: Cell<u64>,
    /// The number of chunks in [`ClosedChunks`].
    pub(super) closed: Cell<usize>,
    /// The number of chunks created since the belt was.
    pub(super) created: Cell<u64>,
    /// The number of chunks freed since the belt was created.
    pub(super) freed: Cell<u64>,
    /// `None` if wgpu-core allocates the ids of chunks.
    ids: Option<ProvidedIds>,
}

/// Buffer ids that the engine allocated.
pub(super) struct ProvidedIds {
    /// The ids that name no chunk.
    pub(super) unused: RefCell<Vec<BufferId>>,
    /// Receives each id once, when the ledger is dropped.
    pub(super) hand_back: Box<dyn Fn(BufferId)>,
}

impl Ledger {
    pub(super) fn new(device: Device, ids: Option<ProvidedIds>) -> Rc<Self> {
        let (bytes, closed, created, freed) = Default::default();
        Rc::new(Self { device, bytes, closed, created, freed, ids })
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if let Some(ProvidedIds { unused, hand_back }) = &self.ids {
            unused.take().into_iter().for_each(hand_back);
        }
    }
}

/// A staging buffer. Dropping it frees its id at once, and its memory when no command buffer needs it any
/// more.
pub(super) struct Chunk {
    ledger: Rc<Ledger>,
    pub(super) id: BufferId,
    /// Size in bytes.
    pub(super) capacity: u64,
}

impl Chunk {
    /// Creates a chunk of `capacity` zeroed bytes, mapped for writing.
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

/// The chunks that the copies of one frame read: those written up to a
/// [`finish`](super::StagingBelt::finish).
///
/// Once the frame's encoders are submitted, [`recall`](super::StagingBelt::recall) makes the chunks usable
/// again. Dropping them instead frees them, which is right in any case, whether or not the encoders were or
/// will be submitted; but the belt must create new ones then.
///
/// Closed chunks that are kept count against [`BeltDescriptor::max_bytes`](super::BeltDescriptor::max_bytes).
/// Dropped ones do not, though wgpu-core keeps their memory until the GPU is done with it.
#[must_use = "the chunks are freed unless they are recalled once their encoders are submitted"]
pub struct ClosedChunks {
    pub(super) ledger: Rc<Ledger>,
    chunks: Vec<Chunk>,
    /// The latest submission when the chunks were closed. Only a later one can contain copies from them.
    pub(super) after: SubmissionIndex,
    stats: FlushStats,
}

impl ClosedChunks {
    pub(super) fn new(ledger: Rc<Ledger>, chunks: Vec<Chunk>, stats: FlushStats) -> Self {
        // This polls, and a closure of the engine may panic in the poll: so it comes before the chunks are
        // counted.
        let after = ledger.device.last_submission();
        ledger.closed.set(ledger.closed.get() + chunks.len());
        Self { after, ledger, chunks, stats }
    }

    /// Returns what was recorded for these chunks by `finish` and by each `flush` since the `finish` before.
    pub fn stats(&self) -> FlushStats {
        self.stats
    }

    /// Takes the chunks out and leaves none.
    pub(super) fn take(&mut self) -> Vec<Chunk> {
        self.ledger.closed.set(self.ledger.closed.get() - self.chunks.len());
        std::mem::take(&mut self.chunks)
    }
}

impl Drop for ClosedChunks {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl std::fmt::Debug for ClosedChunks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (chunks, after) = (self.chunks.len(), self.after);
        f.debug_struct("ClosedChunks").field("chunks", &chunks).field("after", &after).finish_non_exhaustive()
    }
}
