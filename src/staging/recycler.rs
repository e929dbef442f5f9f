//! Where lent staging buffers return to, and what is counted of them meanwhile.

use std::sync::Arc;

use wgpu_core::id::DeviceId;

use crate::gpu::IdleMemory;
use crate::sync::Mutex;

/// So many spares are kept: one to copy into while one frame is shown and another one is still locked.
const MOST_SPARES: usize = 2;

/// Memory serves for what is no smaller than this part of it, so that a shrunken canvas gives its memory back.
pub(crate) const LARGEST_EXCESS: usize = 4;

/// Names one lending of a buffer, never another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loan(pub(crate) u64);

/// Outlives its ring: what returns later is freed.
#[derive(Default)]
pub(crate) struct Recycler(Mutex<State>);

#[derive(Default)]
struct State {
    closed: bool,
    returned: Vec<Returned>,
    /// More than are kept, until one is taken or the ring collects: a renderer's thread frees nothing.
    spares: Vec<Vec<u8>>,
    /// By device.
    lent: Vec<Lent>,
    next_serial: u64,
}

/// A buffer that is not lent any more; without memory if the GPU may still be writing that.
pub(crate) struct Returned {
    pub(crate) loan: Loan,
    pub(crate) memory: Option<IdleMemory>,
}

/// Bytes that are lent, of one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LentBytes {
    /// Being written, or about to be.
    pub(crate) in_flight: usize,
    /// Of frames: shown, about to be shown, locked, or in snapshots.
    pub(crate) frames: usize,
    /// The device was destroyed or dropped. Frames of owned memory keep what is left of it.
    pub(crate) device_gone: bool,
}

struct Lent {
    serial: u64,
    device: DeviceId,
    bytes: LentBytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    InFlight,
    Frame,
}

impl Recycler {
    pub(crate) fn put(&self, returned: Returned) {
        let mut state = self.0.lock();
        if !state.closed {
            state.returned.push(returned);
        }
        // Otherwise `returned` is freed here, after the lock is released: it was declared before.
    }

    /// Moves everything that has returned into `into`. Of spares it frees those that are too many, or larger than `largest`.
    pub(crate) fn collect(&self, into: &mut Vec<Returned>, largest: usize) {
        let mut state = self.0.lock();
        into.append(&mut state.returned);
        let large = |spare: &mut Vec<u8>| spare.capacity() > largest;
        let mut surplus: Vec<_> = state.spares.extract_if(.., large).collect();
        let kept = state.spares.len().min(MOST_SPARES);
        surplus.extend(state.spares.drain(kept..));
        drop(state);
        drop(surplus);
    }

    /// Frees what nobody uses.
    pub(crate) fn trim(&self) {
        let spares = std::mem::take(&mut self.0.lock().spares);
        drop(spares);
    }

    /// The sizes of spares.
    pub(crate) fn spares(&self) -> Vec<usize> {
        self.0.lock().spares.iter().map(Vec::capacity).collect()
    }

    pub(crate) fn free_spare(&self, bytes: usize) {
        let mut state = self.0.lock();
        let index = state.spares.iter().position(|spare| spare.capacity() == bytes);
        let spare = index.map(|index| state.spares.swap_remove(index));
        drop(state);
        drop(spare);
    }

    pub(crate) fn put_spare(&self, bytes: Vec<u8>) {
        let mut state = self.0.lock();
        if !state.closed {
            state.spares.push(bytes);
        }
    }

    /// A vector with room for so many bytes, if there is one; otherwise an empty one, and those that do not fit are freed.
    pub(crate) fn take_spare(&self, len: usize) -> Vec<u8> {
        let fits = len..=len.saturating_mul(LARGEST_EXCESS);
        let mut state = self.0.lock();
        let fitting = state.spares.iter().enumerate().filter(|(_, spare)| fits.contains(&spare.capacity()));
        // The smallest: a canvas of half floats has spares of two sizes.
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

    /// Bytes that have returned, and of spares.
    pub(crate) fn recycled(&self) -> usize {
        let state = self.0.lock();
        let returned = state.returned.iter().filter_map(|returned| returned.memory.as_ref());
        let spares = state.spares.iter().map(Vec::capacity).sum::<usize>();
        returned.map(IdleMemory::len).sum::<usize>() + spares
    }

    pub(crate) fn lent(&self) -> Vec<LentBytes> {
        self.0.lock().lent.iter().map(|lent| lent.bytes).collect()
    }

    /// The device was destroyed or dropped: its id may name another one.
    pub(crate) fn forget_device(&self, gone: DeviceId) {
        for lent in self.0.lock().lent.iter_mut().filter(|lent| lent.device == gone) {
            lent.bytes.device_gone = true;
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.lock().closed
    }

    /// The ring is gone.
    pub(crate) fn close(&self) {
        let freed = {
            let mut state = self.0.lock();
            state.closed = true;
            (std::mem::take(&mut state.returned), std::mem::take(&mut state.spares))
        };
        drop(freed);
    }
}

impl State {
    fn lent_of(&mut self, device: DeviceId) -> &mut Lent {
        let living = |lent: &Lent| lent.device == device && !lent.bytes.device_gone;
        let index = self.lent.iter().position(living).unwrap_or_else(|| {
            self.next_serial += 1;
            self.lent.push(Lent { serial: self.next_serial, device, bytes: LentBytes::default() });
            self.lent.len() - 1
        });
        &mut self.lent[index]
    }
}

impl LentBytes {
    fn of(&mut self, used: Use) -> &mut usize {
        match used {
            Use::InFlight => &mut self.in_flight,
            Use::Frame => &mut self.frames,
        }
    }
}

/// Bytes that are counted as lent for as long as this lives.
pub(crate) struct Counted {
    recycler: Arc<Recycler>,
    serial: u64,
    used: Use,
    bytes: usize,
}

impl Counted {
    pub(crate) fn new(recycler: Arc<Recycler>, device: DeviceId, used: Use, bytes: usize) -> Self {
        let mut state = recycler.0.lock();
        let lent = state.lent_of(device);
        *lent.bytes.of(used) += bytes;
        let serial = lent.serial;
        drop(state);
        Self { recycler, serial, used, bytes }
    }

    pub(crate) fn recycler(&self) -> &Arc<Recycler> {
        &self.recycler
    }

    /// More bytes of the same device, which may be gone.
    pub(crate) fn more(&self, used: Use, bytes: usize) -> Self {
        self.change(|lent| *lent.of(used) += bytes);
        Self { recycler: self.recycler.clone(), serial: self.serial, used, bytes }
    }

    fn change(&self, change: impl FnOnce(&mut LentBytes)) {
        let mut state = self.recycler.0.lock();
        if let Some(index) = state.lent.iter().position(|lent| lent.serial == self.serial) {
            let bytes = &mut state.lent[index].bytes;
            change(bytes);
            if (bytes.in_flight, bytes.frames) == (0, 0) {
                state.lent.swap_remove(index);
            }
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.change(|lent| *lent.of(self.used) -= self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A canvas of half floats in portable memory has spares of two sizes.
    #[test]
    fn the_smallest_spare_that_fits_is_taken() {
        let recycler = Recycler::default();
        for size in [800, 400, 801] {
            recycler.put_spare(Vec::with_capacity(size));
        }
        assert_eq!(recycler.take_spare(300).capacity(), 400);
        assert_eq!(recycler.take_spare(400).capacity(), 800);
        assert_eq!(recycler.spares(), [801]);
    }
}
