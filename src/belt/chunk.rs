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
//! Everything here is accessed only on the thread of the belt, except that [`ClosedChunks`] may be dropped on
//! another: therefore the ledger has a lock, which no write takes unless it needs another chunk.

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashSet;
use wgpu_core::id::BufferId;

use super::device::Device;
use super::{BeltError, FlushStats};
use wgpu_core::SubmissionIndex;

/// What all chunks of one belt share: the device, the counts, and the ids.
///
/// It lives as long as the belt or the last of its chunks.
pub(super) struct Ledger {
    pub(super) device: Device,
    inventory: Mutex<Inventory>,
}

/// The chunks of a belt, as numbers and ids.
struct Inventory {
    counts: Counts,
    /// The ids that name a chunk.
    named: FxHashSet<BufferId>,
    /// `None` if wgpu-core allocates the ids of chunks.
    provided: Option<ProvidedIds>,
}

/// The counts of a belt's chunks.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    /// The capacity of all chunks that exist, in bytes.
    pub(super) bytes: u64,
    /// The number of chunks in [`ClosedChunks`].
    pub(super) closed: usize,
    /// The number of chunks created since the belt was.
    pub(super) created: u64,
    /// The number of chunks freed since the belt was created.
    pub(super) freed: u64,
}

/// Buffer ids that the engine allocated.
pub(super) struct ProvidedIds {
    /// The ids that name no chunk.
    pub(super) unused: Vec<BufferId>,
    /// Receives each id once, when the ledger is dropped.
    pub(super) hand_back: Box<dyn FnMut(BufferId) + Send>,
}

impl Ledger {
    pub(super) fn new(device: Device, provided: Option<ProvidedIds>) -> Arc<Self> {
        let inventory = Inventory { counts: Counts::default(), named: FxHashSet::default(), provided };
        Arc::new(Self { device, inventory: Mutex::new(inventory) })
    }

    pub(super) fn counts(&self) -> Counts {
        self.inventory.lock().counts
    }

    /// Returns whether an id names a chunk, or is provided for one.
    pub(super) fn has_id(&self, id: BufferId) -> bool {
        let inventory = self.inventory.lock();
        let unused = inventory.provided.as_ref().is_some_and(|ids| ids.unused.contains(&id));
        unused || inventory.named.contains(&id)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if let Some(ProvidedIds { unused, hand_back }) = self.inventory.get_mut().provided.take() {
            unused.into_iter().for_each(hand_back);
        }
    }
}

/// A staging buffer. Dropping it frees its id at once, and its memory when no command buffer needs it any
/// more.
pub(super) struct Chunk {
    ledger: Arc<Ledger>,
    pub(super) id: BufferId,
    /// Size in bytes.
    pub(super) capacity: u64,
}

impl Chunk {
    /// Creates a chunk of `capacity` zeroed bytes, mapped for writing.
    pub(super) fn create(ledger: &Arc<Ledger>, capacity: u64) -> Result<Self, BeltError> {
        let id = match &mut ledger.inventory.lock().provided {
            Some(ids) => Some(ids.unused.pop().ok_or(BeltError::NoBufferIds)?),
            None => None,
        };
        let created = ledger.device.create_mapped(capacity, id);
        let mut inventory = ledger.inventory.lock();
        match created {
            Ok(id) => {
                inventory.counts.bytes += capacity;
                inventory.counts.created += 1;
                inventory.named.insert(id);
                Ok(Self { ledger: ledger.clone(), id, capacity })
            }
            Err(error) => {
                if let (Some(ids), Some(id)) = (&mut inventory.provided, id) {
                    ids.unused.push(id);
                }
                Err(error)
            }
        }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.ledger.device.drop_buffer(self.id);
        let mut inventory = self.ledger.inventory.lock();
        inventory.counts.bytes -= self.capacity;
        inventory.counts.freed += 1;
        inventory.named.remove(&self.id);
        if let Some(ids) = &mut inventory.provided {
            ids.unused.push(self.id);
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
/// Dropped ones do not, though wgpu-core keeps their memory until the GPU is done with it. They may be dropped
/// on any thread.
#[must_use = "the chunks are freed unless they are recalled once their encoders are submitted"]
pub struct ClosedChunks {
    pub(super) ledger: Arc<Ledger>,
    chunks: Vec<Chunk>,
    /// The latest submission when the chunks were closed. Only a later one can contain copies from them.
    pub(super) after: SubmissionIndex,
    stats: FlushStats,
}

impl ClosedChunks {
    pub(super) fn new(ledger: Arc<Ledger>, chunks: Vec<Chunk>, stats: FlushStats) -> Self {
        // This polls, and a closure of the engine may panic in the poll: so it comes before the chunks are
        // counted.
        let after = ledger.device.last_submission();
        ledger.inventory.lock().counts.closed += chunks.len();
        Self { after, ledger, chunks, stats }
    }

    /// Returns what was recorded for these chunks by `finish` and by each `flush` since the `finish` before.
    pub fn stats(&self) -> FlushStats {
        self.stats
    }

    /// Takes the chunks out and leaves none.
    pub(super) fn take(&mut self) -> Vec<Chunk> {
        self.ledger.inventory.lock().counts.closed -= self.chunks.len();
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
