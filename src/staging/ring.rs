//! The ring of one context: the staging buffers that it lends, their ids, and how large they are.
//!
//! The presenter owns one [`StagingRing`] for each context, and calls it on the WebGPU thread only. The ring
//! lends memory for a copy, or allocates it. Lent memory returns to the [`Recycler`] on any thread, rests
//! there, and is lent again.
//!
//! # Ids
//!
//! Owned memory is known to wgpu-core only while a copy is submitted, under any id that the ring has left: one
//! id serves any number of buffers, one submission after the other. Portable memory is a buffer in wgpu-core's
//! hub for as long as it exists, so it occupies an id. A ring with ids of the engine's has at most as many
//! portable buffers, and frees a resting one if a copy needs its id.
//!
//! # How large buffers are
//!
//! A canvas that keeps its size has buffers that are just large enough, in units of [`GRANULE`]. A canvas
//! that grows gets a quarter more ([`HEADROOM`]), unless it is huge, so that a window that is being resized
//! makes a buffer about every thirty frames instead of in each. A canvas that shrinks goes on using its
//! larger buffers, as long as they are not [`LARGEST_EXCESS`] times too large. Resting buffers that are
//! larger than everything that was requested lately are freed by [`StagingRing::shrink_to_demand`], within
//! two seconds after the canvas has stopped growing.

use std::any::Any;
use std::sync::{Arc, Weak};

use euclid::default::Size2D;
use wgpu_core::id::{BufferId, DeviceId};
use wgpu_types::TextureFormat;

use super::buffer::AvailableBuffer;
use super::reclaimer::Reclaimer;
use super::recycler::{Freed, Recycler};
use crate::api::canvas::BufferIds;
use crate::api::error::PresentError;
use crate::api::report::ReadbackReason;
use crate::gpu::{CopyTarget, Gpu, GpuDevice, IdleMemory, ImageShape};

/// Buffer sizes are multiples of this many bytes.
const GRANULE: usize = 4096;

/// The headroom of a canvas that grows is the size of its request divided by this.
const HEADROOM: usize = 4;

/// Requests for more than this many bytes get no headroom: hardly any canvas is much larger than a screen.
const LARGEST_WITH_HEADROOM: usize = 64 << 20;

/// Upper bound of the images of a context: one that script draws in, two in flight or about to be shown, and one that is
/// shown. Whatever else holds images, such as snapshots, takes of these.
const MOST_IMAGES: usize = 4;

/// The staging buffers of a context.
pub(crate) struct StagingRing {
    recycler: Arc<Recycler>,
    /// The buffers of portable memory in the hub, resting or lent, with their devices.
    hub_buffers: Vec<(BufferId, DeviceId)>,
    ids: IdSource,
    demand: RecentDemand,
    /// All images that exist: resting, lent, or kept alive by a texture that is not presented.
    images: Vec<Weak<dyn Any + Send + Sync>>,
}

/// A buffer that was lent for a copy.
pub(crate) struct LentBuffer {
    pub(crate) buffer: AvailableBuffer,
    /// Its memory was allocated for this copy.
    pub(crate) is_new: bool,
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
enum IdSource {
    /// wgpu-core allocates an id whenever one is needed.
    Allocated,
    /// The engine provided a fixed set of ids. These name no buffer now.
    Provided(Vec<BufferId>),
}

impl StagingRing {
    pub(crate) fn new(ids: BufferIds, reclaimer: Reclaimer) -> Self {
        let ids = match ids {
            BufferIds::Allocated => IdSource::Allocated,
            BufferIds::Provided(ids) => IdSource::Provided(ids),
        };
        let recycler = Arc::new(Recycler::new(reclaimer));
        Self { recycler, hub_buffers: Vec::new(), ids, demand: RecentDemand::default(), images: Vec::new() }
    }

    /// Lends a buffer of `device` with at least `bytes` bytes: a resting one that fits, or a new one. Returns
    /// `None` if all ids are those of lent portable buffers.
    pub(crate) fn acquire(
        &mut self,
        gpu: &dyn Gpu,
        device: &dyn GpuDevice,
        bytes: usize,
    ) -> Result<Option<LentBuffer>, PresentError> {
        self.collect(gpu);
        let largest_recent = self.request(bytes);
        let grows = largest_recent > 0 && bytes > largest_recent && bytes <= LARGEST_WITH_HEADROOM;
        if let Some(memory) = self.recycler.take(device.id(), bytes) {
            if memory.hub_id().is_none() && !self.vacate_id(gpu) {
                self.recycler.put_back(device.id(), memory);
                return Ok(None);
            }
            return Ok(Some(LentBuffer { buffer: self.lend(device.id(), memory), is_new: false }));
        }
        // A resting buffer that does not fit is of another size or device than what is presented now: one of
        // them goes.
        if let Some(memory) = self.recycler.take_oldest(false) {
            self.free(gpu, memory);
        }
        if !self.vacate_id(gpu) {
            return Ok(None);
        }
        let exact = bytes.next_multiple_of(GRANULE);
        let headroom = if grows { (bytes + bytes / HEADROOM).next_multiple_of(GRANULE) - exact } else { 0 };
        let memory = device.allocate(exact, headroom, self.unused_id())?;
        if let Some(id) = memory.hub_id() {
            self.hub_buffers.push((id, device.id()));
            if let IdSource::Provided(unused) = &mut self.ids {
                unused.pop();
            }
        }
        Ok(Some(LentBuffer { buffer: self.lend(device.id(), memory), is_new: true }))
    }

    /// Lends an image of `device` that a texture of this shape can be drawn in: a resting one, or a new one.
    pub(crate) fn acquire_image(
        &mut self,
        gpu: &dyn Gpu,
        device: &dyn GpuDevice,
        shape: &ImageShape,
    ) -> Result<AvailableBuffer, ReadbackReason> {
        self.collect(gpu);
        let memory = match self.recycler.take_image(device.id(), shape) {
            Some(memory) => memory,
            None => self.new_image(|| device.allocate_image(shape))?,
        };
        self.request(memory.len());
        Ok(self.lend(device.id(), memory))
    }

    /// Lends a shared image of `device` that textures of this size and format can be copied to: a resting one, or a new one. An id is
    /// left for the copy.
    pub(crate) fn acquire_shared(
        &mut self,
        gpu: &dyn Gpu,
        device: &dyn GpuDevice,
        size: Size2D<u32>,
        format: TextureFormat,
    ) -> Result<LentBuffer, ReadbackReason> {
        self.collect(gpu);
        if !self.vacate_id(gpu) {
            return Err(ReadbackReason::ImagesInUse);
        }
        let resting = self.recycler.take_shared(device.id(), (size, format));
        let is_new = resting.is_none();
        let memory = match resting {
            Some(memory) => memory,
            None => {
                let sibling = self.images.iter().find_map(Weak::upgrade);
                self.new_image(|| device.allocate_shared(size, format, sibling))?
            }
        };
        self.request(memory.len());
        Ok(LentBuffer { buffer: self.lend(device.id(), memory), is_new })
    }

    /// Allocates an image, unless there are as many as there may be. Frees the resting ones: they are of another shape or device
    /// than what is wanted now.
    fn new_image(
        &mut self,
        allocate: impl FnOnce() -> Result<IdleMemory, ReadbackReason>,
    ) -> Result<IdleMemory, ReadbackReason> {
        drop(self.recycler.take_images());
        self.images.retain(|image| image.strong_count() > 0);
        if self.images.len() >= MOST_IMAGES {
            return Err(ReadbackReason::ImagesInUse);
        }
        let memory = allocate()?;
        if let CopyTarget::InPlace(image) | CopyTarget::Shared(image) = memory.target() {
            self.images.push(Arc::downgrade(&image));
        }
        Ok(memory)
    }

    /// Notes a request for memory. Returns the largest recent one before it.
    fn request(&mut self, bytes: usize) -> usize {
        let largest_recent = self.demand.current.max(self.demand.previous);
        if bytes > largest_recent {
            // The canvas grows, so its largest buffers may be needed soon.
            self.recycler.limit(usize::MAX);
        }
        self.demand.current = self.demand.current.max(bytes);
        largest_recent
    }

    /// Returns whether a copy to `target` can be submitted now: an id is left for it, or it needs none. Nothing can be
    /// copied to an image.
    pub(crate) fn can_submit(&self, target: &CopyTarget) -> bool {
        match (target, &self.ids) {
            (CopyTarget::Owned(_), IdSource::Provided(unused)) => !unused.is_empty(),
            (CopyTarget::Owned(_), IdSource::Allocated) | (CopyTarget::Hub(_), _) => true,
            (CopyTarget::InPlace(_) | CopyTarget::Shared(_), _) => false,
        }
    }

    /// Returns the id for the next copy to owned memory, or for the next portable buffer; `None` if wgpu-core
    /// is to allocate one. It stays unused until then.
    pub(crate) fn unused_id(&self) -> Option<BufferId> {
        match &self.ids {
            IdSource::Allocated => None,
            IdSource::Provided(unused) => unused.last().copied(),
        }
    }

    /// Whether wgpu-core allocates ids, for lack of ids of the engine's.
    pub(crate) fn allocates_ids(&self) -> bool {
        matches!(self.ids, IdSource::Allocated)
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
        self.recycler.limit(previous.next_multiple_of(GRANULE));
        self.collect(gpu);
    }

    /// Frees the memory that has returned and cannot be used again, or is too large.
    pub(crate) fn collect(&mut self, gpu: &dyn Gpu) {
        let freed = self.recycler.collect();
        self.free_all(gpu, freed);
    }

    /// Frees all that rests.
    pub(crate) fn trim(&mut self, gpu: &dyn Gpu) {
        let freed = self.recycler.take_all();
        self.free_all(gpu, freed);
    }

    /// Frees one resting buffer or spare of exactly `bytes` bytes, if there still is one.
    pub(crate) fn free_sized(&mut self, gpu: &dyn Gpu, bytes: usize) {
        let freed = self.recycler.take_sized(bytes);
        self.free_all(gpu, freed);
    }

    /// Frees the resting buffers of a device that is being destroyed or dropped. Those that are lent keep their
    /// memory until they return, but are not used for another copy.
    pub(crate) fn forget_device(&mut self, gpu: &dyn Gpu, gone: DeviceId) {
        // Of this device no buffer in the hub becomes surplus or lost from here on. Those that are must be dropped first, or they would be
        // dropped twice, and the second time the id could name another buffer.
        let resting = self.recycler.forget_device(gone);
        self.collect(gpu);
        let of_device = |(_, device): &mut (BufferId, DeviceId)| *device == gone;
        let dropped: Vec<_> = self.hub_buffers.extract_if(.., of_device).collect();
        dropped.into_iter().for_each(|(id, _)| self.drop_in_hub(gpu, id));
        drop(resting);
    }

    /// Drops all buffers in wgpu-core and returns the ids that the engine provided. Frames live on. The
    /// caller closes the recycler, which is empty now, once no compositor shows the context any more.
    pub(crate) fn destroy(mut self, gpu: &dyn Gpu) -> Vec<BufferId> {
        self.trim(gpu);
        let buffers = std::mem::take(&mut self.hub_buffers);
        buffers.into_iter().for_each(|(id, _)| self.drop_in_hub(gpu, id));
        match self.ids {
            IdSource::Allocated => Vec::new(),
            IdSource::Provided(unused) => unused,
        }
    }

    /// Returns the recycler of this ring. It counts what rests and what is lent, and outlives the ring.
    pub(crate) fn recycler(&self) -> &Arc<Recycler> {
        &self.recycler
    }

    fn lend(&self, device: DeviceId, memory: IdleMemory) -> AvailableBuffer {
        AvailableBuffer::lent(self.recycler.clone(), device, memory)
    }

    /// Makes sure that an id is left, and frees a resting portable buffer for it if necessary. Returns whether
    /// one is left.
    fn vacate_id(&mut self, gpu: &dyn Gpu) -> bool {
        if let IdSource::Provided(unused) = &self.ids
            && unused.is_empty()
        {
            match self.recycler.take_oldest(true) {
                Some(memory) => self.free(gpu, memory),
                None => return false,
            }
        }
        true
    }

    fn free_all(&mut self, gpu: &dyn Gpu, freed: Freed) {
        freed.memory.into_iter().for_each(|memory| self.free(gpu, memory));
        freed.lost.into_iter().for_each(|id| self.forget_hub_buffer(gpu, id));
    }

    fn free(&mut self, gpu: &dyn Gpu, memory: IdleMemory) {
        if let Some(id) = memory.hub_id() {
            self.forget_hub_buffer(gpu, id);
        }
    }

    /// Drops a portable buffer in wgpu-core.
    fn forget_hub_buffer(&mut self, gpu: &dyn Gpu, id: BufferId) {
        match self.hub_buffers.iter().position(|(known, _)| *known == id) {
            Some(index) => {
                self.hub_buffers.swap_remove(index);
                self.drop_in_hub(gpu, id);
            }
            // wgpu-core would panic.
            None => {
                log::error!("webgpu-presentation: {id:?} names no buffer that could be dropped");
                debug_assert!(false, "a buffer is dropped once");
            }
        }
    }

    fn drop_in_hub(&mut self, gpu: &dyn Gpu, id: BufferId) {
        gpu.drop_buffer(id);
        if let IdSource::Provided(unused) = &mut self.ids {
            unused.push(id);
        }
    }
}
