//! The ring of staging buffers of one context. Only the WebGPU thread touches it.

use std::sync::Arc;

use wgpu_core::id::{BufferId, DeviceId};

use super::buffer::{AvailableBuffer, MappingBuffer};
use super::recycler::{LARGEST_EXCESS, Loan, Recycler, Returned};
use crate::api::canvas::BufferIds;
use crate::api::error::PresentError;
use crate::gpu::{Gpu, GpuDevice, IdleMemory};

/// Buffers are whole numbers of this many bytes.
///
/// How large they are: just large enough, as long as a canvas keeps its size. One that grows gets a quarter more
/// ([`HEADROOM`]), if it is not huge, so that a window that is being resized makes a buffer every thirty frames, not in each. What rests and is
/// larger than all that was asked for lately is freed, by [`StagingRing::settle`], within two seconds of standing still or of
/// growing smaller. Meanwhile a canvas that has shrunk uses its larger buffers, unless they are
/// [`LARGEST_EXCESS`] times too large.
const GRANULE: usize = 4096;

/// A canvas that grows gets one part in so many more than it needs now.
const HEADROOM: usize = 4;

/// Nobody needs much more than a screen. What does gets no headroom.
const MOST_WITH_HEADROOM: usize = 64 << 20;

/// How many buffers a ring whose ids wgpu-core allocates may have. A context needs the shown frame, what each
/// renderer last locked, two in flight and one more while its size changes; the rest are held by snapshots, or in flight because
/// somebody waits for each.
const LARGEST_RING: usize = 20;

/// The staging buffers of a context, and its ids.
pub(crate) struct StagingRing {
    slots: Vec<Slot>,
    ids: Ids,
    recycler: Arc<Recycler>,
    next_loan: u64,
    demand: RecentDemand,
    /// What returns and is larger is freed.
    largest: usize,
    /// Kept for its capacity.
    returned: Vec<Returned>,
}

/// The most bytes that were asked for at a time.
#[derive(Clone, Copy, Default)]
struct RecentDemand {
    /// Since [`StagingRing::settle`] was called last.
    lately: usize,
    /// Between that and the time before.
    before: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ids {
    Allocated,
    Provided,
}

/// What rests in the ring. A buffer that is written or read is not here: its slot holds its id alone.
enum Slot {
    /// An id of the engine's that wgpu-core does not know.
    Unassigned(BufferId),
    Available {
        id: BufferId,
        device: DeviceId,
        memory: IdleMemory,
    },
    Lent {
        id: BufferId,
        device: DeviceId,
        loan: Loan,
        /// Its id can be taken away from it.
        detachable: bool,
    },
}

impl StagingRing {
    pub(crate) fn new(ids: BufferIds) -> Self {
        let (slots, ids) = match ids {
            BufferIds::Allocated => (Vec::new(), Ids::Allocated),
            BufferIds::Provided(ids) => (ids.into_iter().map(Slot::Unassigned).collect(), Ids::Provided),
        };
        Self {
            slots,
            ids,
            recycler: Arc::default(),
            next_loan: 0,
            demand: RecentDemand::default(),
            largest: usize::MAX,
            returned: Vec::new(),
        }
    }

    /// A buffer of `device` with at least `bytes` bytes that nobody uses.
    pub(crate) fn acquire(
        &mut self,
        gpu: &dyn Gpu,
        device: &dyn GpuDevice,
        bytes: usize,
    ) -> Result<AvailableBuffer, PresentError> {
        self.collect(gpu);
        let most = self.demand.lately.max(self.demand.before);
        if bytes > most {
            // What it gets now may be needed for a while.
            self.largest = usize::MAX;
        }
        let grows = most > 0 && bytes > most && bytes <= MOST_WITH_HEADROOM;
        self.demand.lately = self.demand.lately.max(bytes);
        if let Some(index) = self.best_fit(device.id(), bytes)
            && let Some((id, memory)) = self.take_available(index)
        {
            return Ok(self.lend(index, id, device.id(), memory));
        }
        let index = self.vacate(gpu)?;
        let given = match self.slots.get(index) {
            Some(Slot::Unassigned(id)) => Some(*id),
            _ => None,
        };
        let exact = bytes.next_multiple_of(GRANULE);
        let room = if grows { (bytes + bytes / HEADROOM).next_multiple_of(GRANULE) - exact } else { 0 };
        let (id, memory) = device.create_buffer(exact, room, given)?;
        Ok(self.lend(index, id, device.id(), memory))
    }

    /// Frees what is larger than what the canvas needs now, as soon as it rests. To be called once a second or so.
    pub(crate) fn settle(&mut self, gpu: &dyn Gpu) {
        let RecentDemand { lately, before } = self.demand;
        self.demand = RecentDemand { lately: 0, before: lately };
        if lately > before {
            // It grows, or has just begun: what it has may be needed at once.
            return;
        }
        let largest = before.next_multiple_of(GRANULE);
        self.largest = largest;
        self.collect(gpu);
        self.unassign_where(
            gpu,
            |slot| matches!(slot, Slot::Available { memory, .. } if memory.len() > largest),
        );
    }

    /// Whether the id of a buffer in flight is still its own, so that it can be copied to again.
    pub(crate) fn owns(&self, buffer: &MappingBuffer) -> bool {
        self.slots.iter().any(|slot| matches!(slot, Slot::Lent { loan, .. } if *loan == buffer.loan()))
    }

    /// Takes back what has returned.
    pub(crate) fn collect(&mut self, gpu: &dyn Gpu) {
        let mut returned = std::mem::take(&mut self.returned);
        self.recycler.collect(&mut returned, self.largest);
        for Returned { loan, memory } in returned.drain(..) {
            let position =
                self.slots.iter().position(|slot| matches!(slot, Slot::Lent { loan: l, .. } if *l == loan));
            // Without a slot its id was needed for another buffer: only its memory has returned, and is freed here.
            let Some(index) = position else { continue };
            let Slot::Lent { id, device, .. } = self.slots[index] else { continue };
            match memory.filter(|memory| memory.len() <= self.largest) {
                Some(memory) => self.slots[index] = Slot::Available { id, device, memory },
                None => self.unassign(gpu, index),
            }
        }
        self.returned = returned;
    }

    /// Frees the memory of all buffers that nobody uses.
    pub(crate) fn trim(&mut self, gpu: &dyn Gpu) {
        self.collect(gpu);
        self.recycler.trim();
        self.unassign_where(gpu, |slot| matches!(slot, Slot::Available { .. }));
    }

    /// Frees something of this size that nobody uses.
    pub(crate) fn free(&mut self, gpu: &dyn Gpu, bytes: usize) {
        let resting = |slot: &Slot| matches!(slot, Slot::Available { memory, .. } if memory.len() == bytes);
        match self.slots.iter().position(resting) {
            Some(index) => self.unassign(gpu, index),
            None => self.recycler.free_spare(bytes),
        }
    }

    /// The device goes: none of its buffers is used again, and wgpu-core forgets them.
    pub(crate) fn forget_device(&mut self, gpu: &dyn Gpu, gone: DeviceId) {
        self.collect(gpu);
        self.recycler.forget_device(gone);
        self.unassign_where(gpu, |slot| match slot {
            Slot::Unassigned(_) => false,
            Slot::Available { device, .. } | Slot::Lent { device, .. } => *device == gone,
        });
    }

    /// Drops everything that wgpu-core knows and gives the engine's ids back. Frames live on; the recycler, which is empty, is to
    /// be closed when nobody shows them any more.
    pub(crate) fn destroy(mut self, gpu: &dyn Gpu) -> Vec<BufferId> {
        self.trim(gpu);
        self.unassign_where(gpu, |slot| !matches!(slot, Slot::Unassigned(_)));
        self.slots
            .into_iter()
            .filter_map(|slot| match slot {
                Slot::Unassigned(id) => Some(id),
                Slot::Available { .. } | Slot::Lent { .. } => None,
            })
            .collect()
    }

    /// What is lent, and what has ended with its context.
    pub(crate) fn recycler(&self) -> &Arc<Recycler> {
        &self.recycler
    }

    /// Bytes that nobody uses, but for those in the recycler.
    pub(crate) fn available(&self) -> usize {
        let available = |slot: &Slot| match slot {
            Slot::Available { memory, .. } => memory.len(),
            Slot::Unassigned(_) | Slot::Lent { .. } => 0,
        };
        self.slots.iter().map(available).sum()
    }

    /// How many buffers have memory that wgpu-core knows.
    pub(crate) fn buffers(&self) -> usize {
        self.slots.iter().filter(|slot| !matches!(slot, Slot::Unassigned(_))).count()
    }

    /// The sizes of what nobody uses, as far as it was [collected](Self::collect).
    pub(crate) fn resting(&self) -> impl Iterator<Item = usize> {
        let available = |slot: &Slot| match slot {
            Slot::Available { memory, .. } => Some(memory.len()),
            Slot::Unassigned(_) | Slot::Lent { .. } => None,
        };
        self.slots.iter().filter_map(available).chain(self.recycler.spares())
    }

    /// The smallest resting buffer that is large enough and not too large.
    fn best_fit(&self, wanted: DeviceId, bytes: usize) -> Option<usize> {
        let limit = bytes.max(GRANULE).saturating_mul(LARGEST_EXCESS);
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| match slot {
                Slot::Available { device, memory, .. } if *device == wanted => Some((index, memory.len())),
                _ => None,
            })
            .filter(|&(_, len)| len >= bytes && len <= limit)
            .min_by_key(|&(_, len)| len)
            .map(|(index, _)| index)
    }

    /// The index of a slot to make a buffer in: an unassigned one, or one past the end.
    fn vacate(&mut self, gpu: &dyn Gpu) -> Result<usize, PresentError> {
        // A resting buffer that did not fit goes first: it is of another size or device than what is presented now.
        if let Some(index) = self.slots.iter().position(|slot| matches!(slot, Slot::Available { .. })) {
            self.unassign(gpu, index);
        }
        if let Some(index) = self.slots.iter().position(|slot| matches!(slot, Slot::Unassigned(_))) {
            return Ok(index);
        }
        if self.ids == Ids::Allocated && self.slots.len() < LARGEST_RING {
            return Ok(self.slots.len());
        }
        // All are lent. The one that was lent first loses its id: its memory stays with its frame and is freed, not
        // reused, afterwards. So whoever holds on to frames cannot keep a canvas from being presented. (Portable memory
        // is lent while in flight only, and needs its id for so long.)
        let oldest = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| match slot {
                Slot::Lent { loan, detachable: true, .. } => Some((loan.0, index)),
                _ => None,
            })
            .min()
            .ok_or(PresentError::RingExhausted)?;
        self.unassign(gpu, oldest.1);
        Ok(match self.ids {
            Ids::Provided => oldest.1,
            Ids::Allocated => self.slots.len(),
        })
    }

    fn take_available(&mut self, index: usize) -> Option<(BufferId, IdleMemory)> {
        let slot = self.slots.get_mut(index)?;
        let Slot::Available { id, .. } = *slot else { return None };
        match std::mem::replace(slot, Slot::Unassigned(id)) {
            Slot::Available { memory, .. } => Some((id, memory)),
            Slot::Unassigned(_) | Slot::Lent { .. } => None,
        }
    }

    fn lend(&mut self, index: usize, id: BufferId, device: DeviceId, memory: IdleMemory) -> AvailableBuffer {
        let loan = Loan(self.next_loan);
        self.next_loan += 1;
        let slot = Slot::Lent { id, device, loan, detachable: memory.outlives_its_buffer() };
        match self.slots.get_mut(index) {
            Some(place) => *place = slot,
            None => self.slots.push(slot),
        }
        AvailableBuffer::lent(self.recycler.clone(), loan, id, device, memory)
    }

    /// Makes wgpu-core forget the buffer of a slot that has one.
    fn unassign(&mut self, gpu: &dyn Gpu, index: usize) {
        let (Slot::Available { id, .. } | Slot::Lent { id, .. } | Slot::Unassigned(id)) = self.slots[index];
        gpu.drop_buffer(id);
        match self.ids {
            Ids::Provided => self.slots[index] = Slot::Unassigned(id),
            Ids::Allocated => {
                self.slots.swap_remove(index);
            }
        }
    }

    fn unassign_where(&mut self, gpu: &dyn Gpu, condition: impl Fn(&Slot) -> bool) {
        // Backwards, because a slot may be removed.
        for index in (0..self.slots.len()).rev() {
            if condition(&self.slots[index]) {
                self.unassign(gpu, index);
            }
        }
    }
}
