//! How much memory may rest in the rings of one owner, for its next frames.

use rustc_hash::FxHashMap;

use super::entries::Entries;
use crate::api::ids::OwnerId;
use crate::gpu::Gpu;

/// Number of bytes that an owner's rings may keep beyond as many as are in use.
///
/// A canvas that is presented in each frame shows one buffer and fills another, so about as many bytes rest as are in use. The
/// allowance is for the third buffer of a 4K canvas or two, when a frame is late, and spares pages with small canvases the whole
/// business. (In unit tests it is a thousandth, because the fake GPU fills all memory that it makes.)
pub(crate) const MOST_RESTING: usize = if cfg!(test) { 64 << 10 } else { 64 << 20 };

/// Bytes of the contexts of one owner.
#[derive(Default)]
struct OwnerMemory {
    /// Kept for the next frames.
    resting: usize,
    /// In flight, or inside a frame.
    lent: usize,
}

impl OwnerMemory {
    fn is_too_much(&self) -> bool {
        self.resting > self.lent.saturating_add(MOST_RESTING)
    }
}

/// Frees resting buffers of owners that keep too much, the largest first.
pub(super) fn enforce(entries: &mut Entries, gpu: &dyn Gpu) {
    let mut owners = FxHashMap::<OwnerId, OwnerMemory>::default();
    // The sizes are collected once, because renderers give memory back meanwhile.
    let mut resting = Vec::new();
    for (id, entry) in entries.iter() {
        let owner = owners.entry(entry.data.owner()).or_default();
        for len in entry.ring.recycler().resting() {
            owner.resting += len;
            resting.push((len, id));
        }
        owner.lent += entry
            .ring
            .recycler()
            .lent()
            .iter()
            .map(|lent| lent.in_flight + lent.drawn + lent.frames)
            .sum::<usize>();
    }
    if !owners.values().any(OwnerMemory::is_too_much) {
        return;
    }
    resting.sort_unstable_by(|a, b| b.cmp(a));
    for (len, id) in resting {
        let Some(entry) = entries.get_mut(id) else { continue };
        let Some(owner) = owners.get_mut(&entry.data.owner()) else { continue };
        if owner.is_too_much() {
            entry.ring.free_sized(gpu, len);
            owner.resting -= len;
        }
    }
}
