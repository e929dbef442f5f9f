//! The recycler of a ring: where lent buffers return to, and where the bytes that are lent are counted.
//!
//! A [`StagingRing`](super::StagingRing) shares one [`Recycler`] with every buffer that it lends. Buffers are
//! dropped on any thread: a renderer's, a poller's, or one that reads a snapshot. The recycler is what they
//! reach from there; the WebGPU thread moves its content back into the ring. It outlives the ring: after
//! [`close`](Recycler::close) whatever returns is freed at once.
//!
//! No memory is freed while the recycler's mutex is held, and until it is closed, giving memory back frees
//! none. A renderer's thread, which must not spend milliseconds on freeing a frame, relies on the second.

use std::sync::Arc;

use wgpu_core::id::DeviceId;

use crate::gpu::IdleMemory;
use crate::sync::{Mutex, rank};

/// How many spares survive [`Recycler::collect`]: one to copy into while one frame is shown and another is
/// locked.
const KEPT_SPARES: usize = 2;

/// A request is served by memory of at most this many times its size, so that a canvas that shrinks a lot
/// gives its memory back at once.
pub(super) const LARGEST_EXCESS: usize = 4;

/// Names one lending of one buffer. A ring never uses the same number twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loan(pub(super) u64);

/// The memory that has returned to a ring and was not collected yet, and the count of what is still lent.
#[derive(Default)]
pub(crate) struct Recycler(Mutex<rank::Leaf, RecyclerState>);

#[derive(Default)]
struct RecyclerState {
    /// The ring is gone, so nothing is kept any more.
    closed: bool,
    returned: Vec<ReturnedBuffer>,
    /// Vectors for the bytes of portable or converted frames. Any number of them may return;
    /// [`Recycler::collect`] frees all but [`KEPT_SPARES`].
    spares: Vec<Vec<u8>>,
    lent: Vec<DeviceEntry>,
    next_serial: u64,
}

/// A buffer that is no longer lent.
pub(super) struct ReturnedBuffer {
    pub(super) loan: Loan,
    /// `None` if the memory cannot be used again, because the GPU may still be writing it or its bytes were
    /// lost.
    pub(super) memory: Option<IdleMemory>,
}

/// How many bytes of one device are lent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LentBytes {
    /// Bytes of buffers that the GPU writes, or that were acquired to be submitted.
    pub(crate) in_flight: usize,
    /// Bytes of frames: shown, about to be shown, locked by a renderer, or held by snapshots.
    pub(crate) frames: usize,
    /// The device was destroyed or dropped. Frames in owned memory keep alive what is left of it.
    pub(crate) device_gone: bool,
}

/// The lent bytes of one device, from the first byte that is lent until the last one returns.
struct DeviceEntry {
    /// Names the entry for its guards: a device's id may be given to another device while bytes are lent.
    serial: u64,
    device: DeviceId,
    bytes: LentBytes,
}

/// What lent bytes are counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LentKind {
    InFlight,
    Frame,
}

impl Recycler {
    /// Takes a buffer back.
    pub(super) fn put(&self, returned: ReturnedBuffer) {
        let mut state = self.0.lock();
        if !state.closed {
            state.returned.push(returned);
        }
        // If the recycler is closed, `returned` is freed here: a parameter is dropped after the guard of the
        // mutex.
    }

    /// Moves everything that has returned into `into`. Frees the spares with more than `largest` bytes, and
    /// of the others all but [`KEPT_SPARES`].
    pub(super) fn collect(&self, into: &mut Vec<ReturnedBuffer>, largest: usize) {
        let mut state = self.0.lock();
        into.append(&mut state.returned);
        let too_large = |spare: &mut Vec<u8>| spare.capacity() > largest;
        let mut surplus: Vec<_> = state.spares.extract_if(.., too_large).collect();
        let kept = state.spares.len().min(KEPT_SPARES);
        surplus.extend(state.spares.drain(kept..));
        drop(state);
        drop(surplus);
    }

    /// Frees all spares.
    pub(super) fn free_spares(&self) {
        let spares = std::mem::take(&mut self.0.lock().spares);
        drop(spares);
    }

    /// Returns the capacity of each spare in bytes.
    pub(super) fn spare_sizes(&self) -> Vec<usize> {
        self.0.lock().spares.iter().map(Vec::capacity).collect()
    }

    /// Frees one spare with a capacity of exactly `bytes`, if there still is one.
    pub(super) fn free_spare(&self, bytes: usize) {
        let mut state = self.0.lock();
        let index = state.spares.iter().position(|spare| spare.capacity() == bytes);
        let spare = index.map(|index| state.spares.swap_remove(index));
        drop(state);
        drop(spare);
    }

    /// Takes a spare back.
    pub(super) fn put_spare(&self, bytes: Vec<u8>) {
        let mut state = self.0.lock();
        if !state.closed {
            state.spares.push(bytes);
        }
    }

    /// Returns the smallest spare that holds `len` bytes without being far too large. If none does, frees all
    /// spares, which are of the wrong size for what is presented now, and returns an empty vector.
    pub(super) fn take_spare(&self, len: usize) -> Vec<u8> {
        let fits = len..=len.saturating_mul(LARGEST_EXCESS);
        let mut state = self.0.lock();
        let fitting = state.spares.iter().enumerate().filter(|(_, spare)| fits.contains(&spare.capacity()));
        // A canvas of half floats uses spares of two sizes, one for the copied and one for the converted
        // pixels. The smaller request must leave the larger spare to the larger one.
        match fitting.min_by_key(|(_, spare)| spare.capacity()).map(|(index, _)| index) {
            Some(index) => state.spares.swap_remove(index),
            None => {
                let unfit = std::mem::take(&mut state.spares);
                drop(state);
                drop(unfit);
                Vec::new()
            }
        }
    }

    /// Returns how many bytes rest in the recycler, in returned buffers and in spares.
    pub(crate) fn recycled(&self) -> usize {
        let state = self.0.lock();
        let returned = state.returned.iter().filter_map(|returned| returned.memory.as_ref());
        let spares = state.spares.iter().map(Vec::capacity).sum::<usize>();
        returned.map(IdleMemory::len).sum::<usize>() + spares
    }

    /// Returns how many bytes are in flight, or about to be.
    pub(crate) fn in_flight(&self) -> usize {
        self.0.lock().lent.iter().map(|lent| lent.bytes.in_flight).sum()
    }

    /// Returns how many bytes are lent, for each device that has any.
    pub(crate) fn lent(&self) -> Vec<LentBytes> {
        self.0.lock().lent.iter().map(|entry| entry.bytes).collect()
    }

    /// Notes that a device was destroyed or dropped. Bytes that are lent later are not counted in its entry,
    /// because its id may name another device then.
    pub(crate) fn forget_device(&self, gone: DeviceId) {
        for entry in self.0.lock().lent.iter_mut().filter(|entry| entry.device == gone) {
            entry.bytes.device_gone = true;
        }
    }

    /// Returns whether whatever returns is freed, because the ring is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.0.lock().closed
    }

    /// Frees what has returned, and from now on whatever returns.
    pub(crate) fn close(&self) {
        let freed = {
            let mut state = self.0.lock();
            state.closed = true;
            (std::mem::take(&mut state.returned), std::mem::take(&mut state.spares))
        };
        drop(freed);
    }
}

impl RecyclerState {
    /// Returns the entry of a living device, which is made if there is none.
    fn entry(&mut self, device: DeviceId) -> &mut DeviceEntry {
        let living = |entry: &DeviceEntry| entry.device == device && !entry.bytes.device_gone;
        let index = self.lent.iter().position(living).unwrap_or_else(|| {
            self.next_serial += 1;
            let entry = DeviceEntry { serial: self.next_serial, device, bytes: LentBytes::default() };
            self.lent.push(entry);
            self.lent.len() - 1
        });
        &mut self.lent[index]
    }
}

impl LentBytes {
    fn of(&mut self, kind: LentKind) -> &mut usize {
        match kind {
            LentKind::InFlight => &mut self.in_flight,
            LentKind::Frame => &mut self.frames,
        }
    }
}

/// Counts bytes of a device as lent until it is dropped. Usable on any thread.
pub(super) struct LentBytesGuard {
    recycler: Arc<Recycler>,
    /// The entry that the bytes are counted in. It exists as long as a guard counts bytes in it.
    serial: u64,
    kind: LentKind,
    bytes: usize,
}

impl LentBytesGuard {
    pub(super) fn new(recycler: Arc<Recycler>, device: DeviceId, kind: LentKind, bytes: usize) -> Self {
        let mut state = recycler.0.lock();
        let entry = state.entry(device);
        *entry.bytes.of(kind) += bytes;
        let serial = entry.serial;
        drop(state);
        Self { recycler, serial, kind, bytes }
    }

    pub(super) fn recycler(&self) -> &Arc<Recycler> {
        &self.recycler
    }

    /// Counts further bytes in the same entry, even if its device is gone.
    pub(super) fn count_more(&self, kind: LentKind, bytes: usize) -> Self {
        self.change(|lent| *lent.of(kind) += bytes);
        Self { recycler: self.recycler.clone(), serial: self.serial, kind, bytes }
    }

    /// Replaces what this guard counts.
    pub(super) fn recount(&mut self, kind: LentKind, bytes: usize) {
        self.change(|lent| {
            *lent.of(self.kind) -= self.bytes;
            *lent.of(kind) += bytes;
        });
        (self.kind, self.bytes) = (kind, bytes);
    }

    fn change(&self, change: impl FnOnce(&mut LentBytes)) {
        let mut state = self.recycler.0.lock();
        let Some(index) = state.lent.iter().position(|entry| entry.serial == self.serial) else {
            drop(state);
            if self.bytes > 0 {
                log::error!("webgpu-presentation: {} lent bytes were not counted", self.bytes);
                debug_assert!(false, "an entry exists as long as bytes are counted in it");
            }
            return;
        };
        let bytes = &mut state.lent[index].bytes;
        change(bytes);
        if (bytes.in_flight, bytes.frames) == (0, 0) {
            state.lent.swap_remove(index);
        }
    }
}

impl Drop for LentBytesGuard {
    fn drop(&mut self) {
        self.change(|lent| *lent.of(self.kind) -= self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_spare_that_fits_is_taken() {
        let recycler = Recycler::default();
        for size in [800, 400, 801] {
            recycler.put_spare(Vec::with_capacity(size));
        }
        assert_eq!(recycler.take_spare(300).capacity(), 400);
        assert_eq!(recycler.take_spare(400).capacity(), 800);
        assert_eq!(recycler.spare_sizes(), [801]);
    }
}
