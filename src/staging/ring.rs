//! The ring of one context: where its staging buffers rest between two frames, and how large they are.
//!
//! The presenter owns one [`StagingRing`] for each context, and calls it on the WebGPU thread only. The ring
//! has a slot for each of its buffer ids. A slot holds memory only while its buffer rests: a buffer that is
//! written or read is lent, and its slot keeps the id without the memory. Lent buffers return to the
//! [`Recycler`], on any thread, and the ring [collects](StagingRing::collect) them from there.
//!
//! # How large buffers are
//!
//! A canvas that keeps its size has buffers that are just large enough, in units of [`GRANULE`]. A canvas
//! that grows gets a quarter more ([`HEADROOM`]), unless it is huge, so that a window that is being resized
//! makes a buffer about every thirty frames instead of in each. A canvas that shrinks goes on using its
//! larger buffers, as long as they are not [`LARGEST_EXCESS`] times too large. Resting buffers that are
//! larger than everything that was requested lately are freed by [`StagingRing::shrink_to_demand`], within
//! two seconds after the canvas has stopped growing.

use std::sync::Arc;

use wgpu_core::id::{BufferId, DeviceId};

use super::buffer::{AvailableBuffer, MappingBuffer};
use super::recycler::{LARGEST_EXCESS, Loan, Recycler, ReturnedBuffer};
use crate::api::canvas::BufferIds;
use crate::api::error::PresentError;
use crate::gpu::{Gpu, GpuDevice, IdleMemory};

/// Buffer sizes are multiples of this many bytes.
const GRANULE: usize = 4096;

/// The headroom of a canvas that grows is the size of its request divided by this.
const HEADROOM: usize = 4;

/// Requests for more than this many bytes get no headroom: hardly any canvas is much larger than a screen.
const LARGEST_WITH_HEADROOM: usize = 64 << 20;

/// How many buffers a ring may have whose ids wgpu-core allocates. A context needs one for the frame that is
/// shown, one for what each renderer last locked, two in flight, and one more while its size changes. The
/// rest are for frames that snapshots hold or that renderers have yet to draw, and for copies in flight that
/// reads wait for and so cannot be superseded.
const LARGEST_RING: usize = 84;

/// The staging buffers of a context that rest, and the ids of all its staging buffers.
pub(crate) struct StagingRing {
    slots: Vec<Slot>,
    id_source: IdSource,
    recycler: Arc<Recycler>,
    /// The number of the next [`Loan`].
    next_loan: u64,
    demand: RecentDemand,
    /// Returned memory of more than this many bytes is freed instead of kept.
    largest_kept: usize,
    /// Empty between two calls of [`StagingRing::collect`]; kept for its capacity.
    returned: Vec<ReturnedBuffer>,
}

/// The largest requests of the last one to two seconds, in bytes.
#[derive(Clone, Copy, Default)]
struct RecentDemand {
    /// The largest request since [`StagingRing::shrink_to_demand`] was last called.
    current: usize,
    /// The largest request between the last two of those calls.
    previous: usize,
}

/// Where the ids of a ring's buffers come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IdSource {
    /// wgpu-core allocates an id with each buffer. A slot is removed with its buffer.
    Allocated,
    /// The engine provided a fixed set of ids. A slot stays when its buffer is dropped.
    Provided,
}

/// One buffer id, and the buffer if it rests.
enum Slot {
    /// An id of the engine's that names no buffer now.
    Unassigned(BufferId),
    /// A buffer that rests, to be lent again.
    Available { id: BufferId, device: DeviceId, memory: IdleMemory },
    /// A buffer that is in flight or inside a frame.
    Lent {
        id: BufferId,
        device: DeviceId,
        loan: Loan,
        /// The ring may drop the buffer in wgpu-core and use its id for another one while the memory is lent.
        survives_buffer_drop: bool,
    },
}

impl Slot {
    fn id(&self) -> BufferId {
        match self {
            Self::Unassigned(id) | Self::Available { id, .. } | Self::Lent { id, .. } => *id,
        }
    }

    fn is_loan(&self, wanted: Loan) -> bool {
        matches!(self, Self::Lent { loan, .. } if *loan == wanted)
    }
}

impl StagingRing {
    pub(crate) fn new(ids: BufferIds) -> Self {
        let (slots, id_source) = match ids {
            BufferIds::Allocated => (Vec::new(), IdSource::Allocated),
            BufferIds::Provided(ids) => (ids.into_iter().map(Slot::Unassigned).collect(), IdSource::Provided),
        };
        Self {
            slots,
            id_source,
            recycler: Arc::default(),
            next_loan: 0,
            demand: RecentDemand::default(),
            largest_kept: usize::MAX,
            returned: Vec::new(),
        }
    }

    /// Lends a buffer of `device` with at least `bytes` bytes: a resting one that fits, or a new one. Returns `None` if all buffers are lent and
    /// none of their ids can be taken away.
    pub(crate) fn acquire(
        &mut self,
        gpu: &dyn Gpu,
        device: &dyn GpuDevice,
        bytes: usize,
    ) -> Result<Option<AvailableBuffer>, PresentError> {
        self.collect(gpu);
        let largest_recent = self.demand.current.max(self.demand.previous);
        if bytes > largest_recent {
            // The canvas grows, so its largest buffers may be needed soon.
            self.largest_kept = usize::MAX;
        }
        let grows = largest_recent > 0 && bytes > largest_recent && bytes <= LARGEST_WITH_HEADROOM;
        self.demand.current = self.demand.current.max(bytes);
        if let Some(index) = self.best_fit(device.id(), bytes)
            && let Some((id, memory)) = self.take_available(index)
        {
            return Ok(Some(self.lend(index, id, device.id(), memory)));
        }
        let Some(index) = self.vacate(gpu) else { return Ok(None) };
        let provided = match self.slots.get(index) {
            Some(Slot::Unassigned(id)) => Some(*id),
            _ => None,
        };
        let exact = bytes.next_multiple_of(GRANULE);
        let headroom = if grows { (bytes + bytes / HEADROOM).next_multiple_of(GRANULE) - exact } else { 0 };
        let (id, memory) = device.create_buffer(exact, headroom, provided)?;
        Ok(Some(self.lend(index, id, device.id(), memory)))
    }

    /// Frees the resting buffers that are larger than every recent request, and lent buffers of such a size
    /// as soon as they return. Called about once a second; requests since the call before the last one are
    /// recent. Frees nothing while the canvas grows.
    pub(crate) fn shrink_to_demand(&mut self, gpu: &dyn Gpu) {
        let RecentDemand { current, previous } = self.demand;
        self.demand = RecentDemand { current: 0, previous: current };
        if current > previous {
            // The canvas grows, or was presented for the first time: its buffers may be needed at once.
            return;
        }
        let largest = previous.next_multiple_of(GRANULE);
        self.largest_kept = largest;
        self.collect(gpu);
        self.unassign_where(
            gpu,
            |slot| matches!(slot, Slot::Available { memory, .. } if memory.len() > largest),
        );
    }

    /// Returns whether a lent buffer still has its id, so that another copy to it can be submitted.
    pub(crate) fn owns(&self, buffer: &MappingBuffer) -> bool {
        self.slots.iter().any(|slot| slot.is_loan(buffer.loan()))
    }

    /// Moves the buffers that have returned to the recycler back into their slots, and frees those that
    /// cannot be used again or are too large.
    pub(crate) fn collect(&mut self, gpu: &dyn Gpu) {
        let mut returned = std::mem::take(&mut self.returned);
        self.recycler.collect(&mut returned, self.largest_kept);
        for ReturnedBuffer { loan, memory } in returned.drain(..) {
            let lent = self.slots.iter().enumerate().find_map(|(index, slot)| match slot {
                Slot::Lent { id, device, loan: its, .. } if *its == loan => Some((index, *id, *device)),
                _ => None,
            });
            // Without a slot the buffer was dropped in wgpu-core while it was lent, and `memory` is freed
            // here.
            let Some((index, id, device)) = lent else { continue };
            match memory.filter(|memory| memory.len() <= self.largest_kept) {
                Some(memory) => self.slots[index] = Slot::Available { id, device, memory },
                None => self.unassign(gpu, index),
            }
        }
        self.returned = returned;
    }

    /// Frees all resting buffers and all spares.
    pub(crate) fn trim(&mut self, gpu: &dyn Gpu) {
        self.collect(gpu);
        self.recycler.free_spares();
        self.unassign_where(gpu, |slot| matches!(slot, Slot::Available { .. }));
    }

    /// Frees one resting buffer or spare of exactly `bytes` bytes, if there still is one.
    /// [`StagingRing::resting`] lists the sizes.
    pub(crate) fn free(&mut self, gpu: &dyn Gpu, bytes: usize) {
        let rests = |slot: &Slot| matches!(slot, Slot::Available { memory, .. } if memory.len() == bytes);
        match self.slots.iter().position(rests) {
            Some(index) => self.unassign(gpu, index),
            None => self.recycler.free_spare(bytes),
        }
    }

    /// Drops all buffers of a device that is being destroyed or dropped. Those that are lent keep their
    /// memory until they return, but are not used for another copy.
    pub(crate) fn forget_device(&mut self, gpu: &dyn Gpu, gone: DeviceId) {
        self.collect(gpu);
        self.recycler.forget_device(gone);
        self.unassign_where(gpu, |slot| match slot {
            Slot::Unassigned(_) => false,
            Slot::Available { device, .. } | Slot::Lent { device, .. } => *device == gone,
        });
    }

    /// Drops all buffers in wgpu-core and returns the ids that the engine provided. Frames live on. The
    /// caller closes the recycler, which is empty now, once no compositor shows the context any more.
    pub(crate) fn destroy(mut self, gpu: &dyn Gpu) -> Vec<BufferId> {
        self.trim(gpu);
        self.unassign_where(gpu, |slot| !matches!(slot, Slot::Unassigned(_)));
        self.slots.iter().map(Slot::id).collect()
    }

    /// Returns the recycler of this ring. It counts what is lent, and outlives the ring.
    pub(crate) fn recycler(&self) -> &Arc<Recycler> {
        &self.recycler
    }

    /// Returns how many bytes rest in the ring. Bytes that rest in the recycler are not included.
    pub(crate) fn available(&self) -> usize {
        self.available_sizes().sum()
    }

    /// Returns how many of this ring's buffers exist in wgpu-core.
    pub(crate) fn buffers(&self) -> usize {
        self.slots.iter().filter(|slot| !matches!(slot, Slot::Unassigned(_))).count()
    }

    /// Returns the sizes, in bytes, of all resting buffers and of all spares. Buffers that have returned and
    /// were not [collected](Self::collect) are not included.
    pub(crate) fn resting(&self) -> impl Iterator<Item = usize> {
        self.available_sizes().chain(self.recycler.spare_sizes())
    }

    fn available_sizes(&self) -> impl Iterator<Item = usize> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Available { memory, .. } => Some(memory.len()),
            Slot::Unassigned(_) | Slot::Lent { .. } => None,
        })
    }

    /// Returns the index of the smallest resting buffer that is large enough and not far too large.
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

    /// Returns the index of a slot for a new buffer: that of an unassigned slot, or one past the end.
    fn vacate(&mut self, gpu: &dyn Gpu) -> Option<usize> {
        // A resting buffer did not fit, so it is of another size or device than what is presented now: it
        // goes first.
        if let Some(index) = self.slots.iter().position(|slot| matches!(slot, Slot::Available { .. })) {
            self.unassign(gpu, index);
        }
        if let Some(index) = self.slots.iter().position(|slot| matches!(slot, Slot::Unassigned(_))) {
            return Some(index);
        }
        if self.id_source == IdSource::Allocated && self.slots.len() < LARGEST_RING {
            return Some(self.slots.len());
        }
        // All buffers are lent. The one that was lent first is dropped in wgpu-core; its memory stays with
        // its frame and is freed afterwards instead of being used again. So a snapshot or a renderer that
        // holds on to frames cannot keep the canvas from being presented. Portable memory would lose its
        // bytes, but it is lent only while it is in flight, and no frame holds it.
        let (_, oldest) = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| match slot {
                Slot::Lent { loan, survives_buffer_drop: true, .. } => Some((loan.0, index)),
                _ => None,
            })
            .min()?;
        self.unassign(gpu, oldest);
        Some(match self.id_source {
            IdSource::Provided => oldest,
            IdSource::Allocated => self.slots.len(),
        })
    }

    /// Takes the memory out of the slot of a resting buffer. The slot looks unassigned until the caller lends
    /// its id.
    fn take_available(&mut self, index: usize) -> Option<(BufferId, IdleMemory)> {
        let slot = self.slots.get_mut(index)?;
        let id = slot.id();
        match std::mem::replace(slot, Slot::Unassigned(id)) {
            Slot::Available { memory, .. } => Some((id, memory)),
            other => {
                *slot = other;
                None
            }
        }
    }

    /// Lends a buffer and notes the loan in the slot `index`, which may be one past the end.
    fn lend(&mut self, index: usize, id: BufferId, device: DeviceId, memory: IdleMemory) -> AvailableBuffer {
        let loan = Loan(self.next_loan);
        self.next_loan += 1;
        let slot = Slot::Lent { id, device, loan, survives_buffer_drop: memory.survives_buffer_drop() };
        match self.slots.get_mut(index) {
            Some(place) => *place = slot,
            None => self.slots.push(slot),
        }
        AvailableBuffer::lent(self.recycler.clone(), loan, id, device, memory)
    }

    /// Drops the buffer of a slot in wgpu-core. Other slots may change their indices.
    ///
    /// Precondition: the slot is not unassigned.
    fn unassign(&mut self, gpu: &dyn Gpu, index: usize) {
        let slot = &self.slots[index];
        let id = slot.id();
        if matches!(slot, Slot::Unassigned(_)) {
            // wgpu-core would panic.
            log::error!("webgpu-presentation: {id:?} names no buffer that could be dropped");
            debug_assert!(false, "the slot is unassigned already");
            return;
        }
        gpu.drop_buffer(id);
        match self.id_source {
            IdSource::Provided => self.slots[index] = Slot::Unassigned(id),
            IdSource::Allocated => {
                self.slots.swap_remove(index);
            }
        }
    }

    fn unassign_where(&mut self, gpu: &dyn Gpu, condition: impl Fn(&Slot) -> bool) {
        // Backwards, because `unassign` may move the last slot to the index of a removed one.
        for index in (0..self.slots.len()).rev() {
            if condition(&self.slots[index]) {
                self.unassign(gpu, index);
            }
        }
    }
}
