//! How much memory may rest in the rings of an owner, for the next frame.

use rustc_hash::FxHashMap;

use super::entries::ContextEntry;
use crate::api::ids::{ContextId, OwnerId};
use crate::gpu::Gpu;

/// So many bytes of an owner may rest beyond as many as are in use. A canvas that is presented in each frame shows one buffer
/// and fills another, so what rests is about what is in use; this is for the third of a 4K canvas or two, when a frame is
/// late, and spares pages with small canvases altogether. (In unit tests a thousandth: the fake GPU fills what it makes.)
pub(crate) const MOST_RESTING: usize = if cfg!(test) { 64 << 10 } else { 64 << 20 };

/// Bytes of the contexts of an owner.
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

/// Frees what rests of owners that have too much of it, the largest buffers first.
pub(crate) fn enforce(contexts: &mut FxHashMap<ContextId, ContextEntry>, gpu: &dyn Gpu) {
    let mut owners = FxHashMap::<OwnerId, OwnerMemory>::default();
    // Looked at once: renderers' threads give memory back meanwhile.
    let mut resting = Vec::new();
    for (id, entry) in contexts.iter() {
        let owner = owners.entry(entry.data.owner()).or_default();
        for len in entry.ring.resting() {
            owner.resting += len;
            resting.push((len, *id));
        }
        owner.lent +=
            entry.ring.recycler().lent().iter().map(|lent| lent.in_flight + lent.frames).sum::<usize>();
    }
    if !owners.values().any(OwnerMemory::is_too_much) {
        return;
    }
    resting.sort_unstable_by(|a, b| b.cmp(a));
    for (len, id) in resting {
        let Some(entry) = contexts.get_mut(&id) else { continue };
        let Some(owner) = owners.get_mut(&entry.data.owner()) else { continue };
        if owner.is_too_much() {
            entry.ring.free(gpu, len);
            owner.resting -= len;
        }
    }
}
