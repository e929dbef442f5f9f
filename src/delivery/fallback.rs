//! What the contexts of one map share of renderers: how many there are, and zeros to answer with when a renderer holds a descriptor that no
//! frame fits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::HandlerId;
use crate::sync::{Mutex, rank};

/// Zeros are transparent black. Fresh zeros cost address space, not memory, until they are written.
pub(crate) type Zeros = Arc<Vec<u8>>;

/// Growth granularity in bytes.
const STEP: usize = 4 << 20;

/// The zeros of one map, as many as the largest image has bytes that any context ever had: descriptors outlive contexts. And the renderers that
/// may hold such descriptors.
#[derive(Default)]
pub(crate) struct Fallback {
    zeros: Mutex<rank::Leaf, Zeros>,
    /// Number of handlers that got a name.
    named: AtomicU64,
    /// Number of handlers that exist.
    renderers: AtomicUsize,
}

impl Fallback {
    /// Makes sure that there are at least `len` zeros. Called before an image of so many bytes is described to the compositor.
    pub(crate) fn cover(&self, len: usize) {
        let mut zeros = self.zeros.lock();
        if zeros.len() < len {
            *zeros = Arc::new(vec![0; len.next_multiple_of(STEP)]);
        }
    }

    pub(crate) fn get(&self) -> Zeros {
        self.zeros.lock().clone()
    }

    /// Names a new handler.
    pub(crate) fn add_renderer(&self) -> HandlerId {
        self.renderers.fetch_add(1, Ordering::Relaxed);
        HandlerId(self.named.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn remove_renderer(&self) {
        self.renderers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Number of handlers, each of which belongs to a renderer.
    pub(crate) fn renderers(&self) -> usize {
        self.renderers.load(Ordering::Relaxed)
    }
}
