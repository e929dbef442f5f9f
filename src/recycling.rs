//! How much memory may rest in the rings of an owner, for the next frame.

use rustc_hash::FxHashMap;

use crate::gpu::Gpu;
use crate::submission::Entry;
use crate::{ContextId, OwnerId};

/// So many bytes of an owner may rest beyond as many as are in use. A canvas that is presented in each frame shows one buffer
/// and fills another, so what rests is about what is in use; this is for the third of a 4K canvas or two, when a frame is
/// late, and spares pages with small canvases altogether. (In unit tests a thousandth: the fake GPU fills what it makes.)
pub(crate) const MOST_RESTING: usize = if cfg!(test) { 64 << 10 } else { 64 << 20 };

/// Bytes of the contexts of an owner.
#[derive(Default)]
struct Memory {
    /// Kept for the next frames.
    resting: usize,
    /// In flight, or inside a frame.
    lent: usize,
}

impl Memory {
    fn is_too_much(&self) -> bool {
        self.resting > self.lent.saturating_add(MOST_RESTING)
    }
}

/// Frees what rests of owners that have too much of it, the largest buffers first.
pub(crate) fn bound(contexts: &mut FxHashMap<ContextId, Entry>, gpu: &dyn Gpu) {
    let mut owners = FxHashMap::<OwnerId, Memory>::default();
    for entry in contexts.values() {
        let owner = owners.entry(entry.data.owner()).or_default();
        owner.resting += entry.ring.resting().sum::<usize>();
        owner.lent += entry.ring.tray().lent().iter().map(|lent| lent.in_flight + lent.frames).sum::<usize>();
    }
    owners.retain(|_, memory| memory.is_too_much());
    if owners.is_empty() {
        return;
    }
    let of_them = contexts.iter().filter(|(_, entry)| owners.contains_key(&entry.data.owner()));
    let mut resting: Vec<_> =
        of_them.flat_map(|(id, entry)| entry.ring.resting().map(|len| (len, *id))).collect();
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
