//! What the contexts of one map share of renderers: how many there are, and bytes to answer with when no frame fits the descriptor that a
//! renderer holds.
//!
//! Such a [`Substitute`] is zeros, or a frame and zeros behind it. A page chooses how long it is, so it is mapped only when a renderer asks for
//! it, with no lock held, and unmapped when the last renderer has let go of it. Zeros cost address space and no memory, and no time until they
//! are read. If there is no address space for them, the renderer gets no bytes at all, which is better than too few.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use memmap2::{MmapMut, MmapOptions};

use super::HandlerId;
use crate::frame::{CountedBytes, Frame, Place, SharedFrame};
use crate::sync::{Mutex, rank};

/// The lengths of zeros are multiples of this many bytes, so that renderers which lock images of several sizes can share them.
const STEP: usize = 4 << 20;

/// Bytes that a renderer may read.
#[derive(Clone)]
pub(crate) enum Locked {
    Frame(SharedFrame),
    Substitute(Arc<Substitute>),
}

/// Bytes that a renderer gets in the place of a frame: zeros, which are transparent black, or a copy of a frame and zeros behind it.
pub(crate) struct Substitute {
    memory: MmapMut,
    /// Counts the copy with the memory of its frame.
    _counted: Option<CountedBytes>,
}

/// What a context answers to a lock.
pub(crate) enum LockAnswer {
    Ready(Locked),
    /// A frame that is too short for a descriptor that the renderer may hold, and the length that is needed.
    TooShort(SharedFrame, usize),
    /// There is no frame. So many zeros are needed.
    Nothing(usize),
}

/// What the contexts of one map share of renderers.
#[derive(Default)]
pub(crate) struct Fallback {
    /// The zeros that were mapped last, as long as a renderer has locked them.
    zeros: Mutex<rank::Leaf, Weak<Substitute>>,
    /// Number of handlers that got a name.
    named: AtomicU64,
    /// Number of handlers that exist.
    renderers: AtomicUsize,
}

impl Locked {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Frame(frame) => frame.bytes(),
            Self::Substitute(substitute) => &substitute.memory,
        }
    }

    /// Whether it is an image, which a renderer samples as a texture.
    pub(crate) fn is_texture(&self) -> bool {
        matches!(self, Self::Frame(frame) if frame.layout().place() == Place::Texture)
    }

    /// Whether both are the same frame, or the same bytes in memory.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Frame(frame), Self::Frame(other)) => frame.is(other),
            (Self::Substitute(substitute), Self::Substitute(other)) => Arc::ptr_eq(substitute, other),
            (Self::Frame(_), Self::Substitute(_)) | (Self::Substitute(_), Self::Frame(_)) => false,
        }
    }

    /// Whether a renderer that reads `len` bytes can have it.
    pub(super) fn serves(&self, len: usize) -> bool {
        match self {
            Self::Frame(frame) => frame.serves(len),
            Self::Substitute(substitute) => substitute.memory.len() >= len,
        }
    }
}

impl LockAnswer {
    /// The answer is a frame, of which the renderer may read `len` bytes.
    pub(super) fn of(frame: SharedFrame, len: usize) -> Self {
        if frame.serves(len) { Self::Ready(Locked::Frame(frame)) } else { Self::TooShort(frame, len) }
    }
}

impl Substitute {
    fn zeros(len: usize) -> Option<Self> {
        // What is never written needs no swap space either.
        let memory = MmapOptions::new().len(len.max(1)).no_reserve_swap().map_anon();
        let memory = memory.inspect_err(|error| {
            log::debug!("webgpu-presentation: no {len} bytes for an image that no frame fits: {error}");
        });
        Some(Self { memory: memory.ok()?, _counted: None })
    }

    /// Precondition: the frame is no longer than `len`.
    fn padded(frame: &Frame, len: usize) -> Option<Self> {
        let mut padded = Self::zeros(len)?;
        let bytes = frame.bytes();
        padded.memory[..bytes.len()].copy_from_slice(bytes);
        Some(Self { _counted: frame.count_copy(), ..padded })
    }
}

impl Fallback {
    /// Returns what a renderer reads, whatever the context answered. It is never shorter than the answer demands; `None` if there is no address
    /// space for that. Precondition: no lock is held.
    pub(crate) fn provide(&self, answer: LockAnswer) -> Option<Locked> {
        match answer {
            LockAnswer::Ready(locked) => Some(locked),
            LockAnswer::TooShort(frame, len) => {
                Some(Locked::Substitute(Arc::new(Substitute::padded(&frame, len)?)))
            }
            LockAnswer::Nothing(len) => self.zeros(len),
        }
    }

    /// Returns at least `len` zeros, or `None` if there is no address space for them. Precondition: no lock is held.
    pub(crate) fn zeros(&self, len: usize) -> Option<Locked> {
        let locked = self.zeros.lock().upgrade();
        if let Some(zeros) = locked.filter(|zeros| zeros.memory.len() >= len) {
            return Some(Locked::Substitute(zeros));
        }
        let zeros = Arc::new(Substitute::zeros(len.next_multiple_of(STEP))?);
        *self.zeros.lock() = Arc::downgrade(&zeros);
        Some(Locked::Substitute(zeros))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_shared_while_they_are_locked_and_unmapped_afterwards() {
        let fallback = Fallback::default();
        let first = fallback.zeros(1 << 30).unwrap();
        assert!(first.bytes().len() >= 1 << 30 && first.bytes()[(1 << 30) - 1] == 0);
        assert!(fallback.zeros(1000).unwrap().is(&first));
        drop(first);
        assert!(fallback.zeros.lock().upgrade().is_none());
        assert!(fallback.zeros(1000).unwrap().bytes().len() < 1 << 30);
    }

    #[test]
    fn without_address_space_there_is_nothing() {
        assert!(Fallback::default().zeros(isize::MAX as usize / 2).is_none());
    }
}
