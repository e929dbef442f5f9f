//! The recycler of a ring: where its memory rests between two frames, and where what is lent is counted.
//!
//! A [`StagingRing`](super::StagingRing) shares one [`Recycler`] with every buffer that it lends. Buffers are
//! dropped on any thread: a renderer's, a poller's, or one that reads a snapshot. The recycler is what they
//! reach from there, and the ring takes memory from it on the WebGPU thread. It outlives the ring: after
//! [`close`](Recycler::close) whatever returns is freed at once.
//!
//! No memory is freed while the recycler's mutex is held, and until it is closed, giving memory back frees
//! none. A renderer's thread, which must not spend milliseconds on freeing a frame, relies on the second.
//! Memory that rests too long is freed by the [`Reclaimer`], except portable memory, which is a buffer in
//! wgpu-core's hub and is dropped on the WebGPU thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use euclid::default::Size2D;
use wgpu_core::id::{BufferId, DeviceId};
use wgpu_types::TextureFormat;

use super::reclaimer::Reclaimer;
use crate::gpu::{IdleMemory, ImageShape};
use crate::sync::{Mutex, rank};

/// How many spares survive [`Recycler::collect`]: one to copy into while one frame is shown and another is
/// locked.
const KEPT_SPARES: usize = 2;

/// A request is served by memory of at most this many times its size, so that a canvas that shrinks a lot
/// gives its memory back at once.
const LARGEST_EXCESS: usize = 4;

/// A request counts as one for at least this many bytes when [`LARGEST_EXCESS`] is applied.
const SMALLEST: usize = 4096;

/// Time for which memory rests without being requested, and time without a request after which a recycler
/// keeps no spares.
pub(crate) const IDLE: Duration = Duration::from_secs(1);

/// The memory of a ring that rests, and the count of what is lent.
#[derive(Default)]
pub(crate) struct Recycler {
    state: Mutex<rank::Leaf, RecyclerState>,
    /// `None` in tests that free nothing by time.
    reclaimer: Option<Reclaimer>,
}

struct RecyclerState {
    /// The ring is gone, so nothing is kept any more.
    closed: bool,
    /// Memory for the next copies.
    resting: Vec<RestingMemory>,
    /// Memory that has returned and is to be freed: it is too large, or its device is gone. What is portable
    /// among it is still in the hub.
    surplus: Vec<IdleMemory>,
    /// Ids of buffers in the hub whose memory cannot be used again.
    lost: Vec<BufferId>,
    /// Vectors for the bytes of portable or converted frames. Any number of them may return;
    /// [`Recycler::collect`] frees all but [`KEPT_SPARES`].
    spares: Vec<Vec<u8>>,
    lent: Vec<DeviceEntry>,
    /// How many buffers are lent.
    lent_buffers: usize,
    next_serial: u64,
    /// Returned memory of more than this many bytes becomes surplus.
    largest_kept: usize,
    /// When memory was last requested.
    last_request: Instant,
    /// The reclaimer will look at this recycler.
    is_watched: bool,
}

/// Memory of a device, for copies of that device.
struct RestingMemory {
    device: DeviceId,
    memory: IdleMemory,
    /// When it came to rest.
    since: Instant,
}

/// What a ring takes out of its recycler in order to free it.
#[derive(Default)]
pub(super) struct Freed {
    pub(super) memory: Vec<IdleMemory>,
    /// Ids of buffers in the hub whose memory is gone already.
    pub(super) lost: Vec<BufferId>,
    /// Dropped without another look.
    _spares: Vec<Vec<u8>>,
}

/// How many bytes of one device are lent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LentBytes {
    /// Bytes of buffers that the GPU writes, or that were acquired to be submitted.
    pub(crate) in_flight: usize,
    /// Bytes of images that are the memory of canvas textures.
    pub(crate) drawn: usize,
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
    Drawn,
    Frame,
}

impl Default for RecyclerState {
    fn default() -> Self {
        Self {
            closed: false,
            resting: Vec::new(),
            surplus: Vec::new(),
            lost: Vec::new(),
            spares: Vec::new(),
            lent: Vec::new(),
            lent_buffers: 0,
            next_serial: 0,
            largest_kept: usize::MAX,
            last_request: Instant::now(),
            is_watched: false,
        }
    }
}

impl Recycler {
    pub(crate) fn new(reclaimer: Reclaimer) -> Self {
        Self { state: Mutex::default(), reclaimer: Some(reclaimer) }
    }

    /// Takes the smallest resting buffer of a device that has room for `bytes` bytes and is not far too large.
    /// Among equal ones it takes the one that came last, so that what is not needed is left to age.
    pub(super) fn take(&self, device: DeviceId, bytes: usize) -> Option<IdleMemory> {
        let fits = bytes..=bytes.max(SMALLEST).saturating_mul(LARGEST_EXCESS);
        let mut state = self.state.lock();
        state.last_request = Instant::now();
        let fitting = state
            .resting
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, resting)| resting.device == device && fits.contains(&resting.memory.len()))
            .filter(|(_, resting)| !resting.memory.is_image());
        let index = fitting.min_by_key(|(_, resting)| resting.memory.len()).map(|(index, _)| index)?;
        Some(state.resting.remove(index).memory)
    }

    /// Takes a resting image of a device and a shape: the one that came last, whose bytes a core may still have.
    pub(super) fn take_image(&self, device: DeviceId, shape: &ImageShape) -> Option<IdleMemory> {
        let mut state = self.state.lock();
        state.last_request = Instant::now();
        let fits = |resting: &RestingMemory| {
            resting.device == device && resting.memory.image().is_some_and(|image| image.shape == *shape)
        };
        let index = state.resting.iter().rposition(fits)?;
        Some(state.resting.remove(index).memory)
    }

    /// Takes a resting shared image of a device, a size and a format: the one that has rested longest, because a renderer may
    /// have let go of the others just now.
    pub(super) fn take_shared(
        &self,
        device: DeviceId,
        shape: (Size2D<u32>, TextureFormat),
    ) -> Option<IdleMemory> {
        let mut state = self.state.lock();
        state.last_request = Instant::now();
        let fits = |resting: &RestingMemory| {
            resting.device == device && resting.memory.shared_shape() == Some(shape)
        };
        let index = state.resting.iter().position(fits)?;
        Some(state.resting.remove(index).memory)
    }

    /// Takes out all resting images.
    pub(super) fn take_images(&self) -> Vec<IdleMemory> {
        let mut state = self.state.lock();
        let is_image = |resting: &mut RestingMemory| resting.memory.is_image();
        state.resting.extract_if(.., is_image).map(|resting| resting.memory).collect()
    }

    /// Lets memory rest that was taken.
    pub(super) fn put_back(self: &Arc<Self>, device: DeviceId, memory: IdleMemory) {
        let mut state = self.state.lock();
        state.resting.push(RestingMemory { device, memory, since: Instant::now() });
        // The reclaimer may have looked in between, and found nothing.
        let is_new = state.watch();
        drop(state);
        self.watch(is_new);
    }

    /// Takes the buffer that has rested longest, of any size and device. With `in_hub`, takes portable memory
    /// alone.
    pub(super) fn take_oldest(&self, in_hub: bool) -> Option<IdleMemory> {
        let mut state = self.state.lock();
        let wanted = |resting: &RestingMemory| match in_hub {
            true => resting.memory.hub_id().is_some(),
            false => !resting.memory.is_image(),
        };
        let index = state.resting.iter().position(wanted)?;
        Some(state.resting.remove(index).memory)
    }

    /// Takes out what is to be freed: surplus memory, and of the spares all but [`KEPT_SPARES`].
    pub(super) fn collect(&self) -> Freed {
        let mut state = self.state.lock();
        let kept = state.spares.len().min(KEPT_SPARES);
        let mut freed = Freed { _spares: state.spares.drain(kept..).collect(), ..Freed::default() };
        state.take_surplus(&mut freed);
        freed
    }

    /// Makes memory of more than `largest` bytes surplus, now and when it returns. `usize::MAX` keeps all.
    pub(super) fn limit(&self, largest: usize) {
        let mut spares = Vec::new();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.largest_kept = largest;
        let too_large = |resting: &mut RestingMemory| resting.memory.len() > largest;
        state.surplus.extend(state.resting.extract_if(.., too_large).map(|resting| resting.memory));
        spares.extend(state.spares.extract_if(.., |spare| spare.capacity() > largest));
        drop(guard);
        drop(spares);
    }

    /// Takes out all that rests.
    pub(super) fn take_all(&self) -> Freed {
        self.state.lock().take_all()
    }

    /// Takes out one resting memory or spare of exactly `bytes` bytes, if there still is one.
    /// [`Recycler::resting`] lists the sizes.
    pub(super) fn take_sized(&self, bytes: usize) -> Freed {
        let mut freed = Freed::default();
        let mut state = self.state.lock();
        if let Some(index) = state.resting.iter().position(|resting| resting.memory.len() == bytes) {
            freed.memory.push(state.resting.remove(index).memory);
        } else if let Some(index) = state.spares.iter().position(|spare| spare.capacity() == bytes) {
            freed._spares.push(state.spares.swap_remove(index));
        }
        freed
    }

    /// Returns the sizes, in bytes, of all resting memory and of all spares. Surplus memory is not included.
    pub(crate) fn resting(&self) -> Vec<usize> {
        let state = self.state.lock();
        let memory = state.resting.iter().map(|resting| resting.memory.len());
        memory.chain(state.spares.iter().map(Vec::capacity)).collect()
    }

    /// Takes a spare back.
    pub(super) fn put_spare(self: &Arc<Self>, bytes: Vec<u8>) {
        let mut state = self.state.lock();
        if state.closed {
            // `bytes` is freed when this returns: a parameter is dropped after the guard of the mutex.
            return;
        }
        state.spares.push(bytes);
        let is_new = state.watch();
        drop(state);
        self.watch(is_new);
    }

    /// Returns the smallest spare that holds `len` bytes without being far too large. If none does, frees all
    /// spares, which are of the wrong size for what is presented now, and returns an empty vector.
    pub(super) fn take_spare(&self, len: usize) -> Vec<u8> {
        let fits = len..=len.saturating_mul(LARGEST_EXCESS);
        let mut state = self.state.lock();
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

    /// Returns how many bytes rest, or are about to be freed.
    pub(crate) fn recycled(&self) -> usize {
        let state = self.state.lock();
        let resting = state.resting.iter().map(|resting| resting.memory.len()).sum::<usize>();
        let surplus = state.surplus.iter().map(IdleMemory::len).sum::<usize>();
        resting + surplus + state.spares.iter().map(Vec::capacity).sum::<usize>()
    }

    /// Returns how many staging buffers there are: those that rest and those that are lent.
    pub(crate) fn buffers(&self) -> usize {
        let state = self.state.lock();
        state.resting.len() + state.surplus.len() + state.lent_buffers
    }

    /// Returns how many bytes are in flight, or about to be.
    pub(crate) fn in_flight(&self) -> usize {
        self.state.lock().lent.iter().map(|lent| lent.bytes.in_flight).sum()
    }

    /// Returns how many bytes are lent, for each device that has any.
    pub(crate) fn lent(&self) -> Vec<LentBytes> {
        self.state.lock().lent.iter().map(|entry| entry.bytes).collect()
    }

    /// Notes that a device was destroyed or dropped: its memory is not used again. Bytes that are lent later
    /// are not counted in its entry, because its id may name another device then. Returns its resting memory,
    /// to be freed.
    pub(crate) fn forget_device(&self, gone: DeviceId) -> Vec<IdleMemory> {
        let mut state = self.state.lock();
        for entry in state.lent.iter_mut().filter(|entry| entry.device == gone) {
            entry.bytes.device_gone = true;
        }
        let of_device = |resting: &mut RestingMemory| resting.device == gone;
        state.resting.extract_if(.., of_device).map(|resting| resting.memory).collect()
    }

    /// Returns whether whatever returns is freed, because the ring is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Frees what has returned, and from now on whatever returns.
    pub(crate) fn close(&self) {
        let freed = {
            let mut state = self.state.lock();
            state.closed = true;
            state.take_all()
        };
        drop(freed);
    }

    /// Frees what need not rest any longer and is not in the hub. Returns whether there is more to look after
    /// later. Called by the reclaimer, on its thread.
    pub(super) fn reclaim(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        let mut freed = Freed::default();
        let is_ours = |memory: &IdleMemory| memory.hub_id().is_none();
        let is_idle = |since: Instant| now.saturating_duration_since(since) >= IDLE;
        freed.memory.extend(state.surplus.extract_if(.., |memory| is_ours(memory)));
        let idle = |resting: &mut RestingMemory| is_idle(resting.since) && is_ours(&resting.memory);
        freed.memory.extend(state.resting.extract_if(.., idle).map(|resting| resting.memory));
        if is_idle(state.last_request) {
            freed._spares.append(&mut state.spares);
        }
        state.is_watched = !state.spares.is_empty() || state.resting.iter().any(|it| is_ours(&it.memory));
        let is_watched = state.is_watched;
        drop(state);
        drop(freed);
        is_watched
    }

    /// Lets the reclaimer look after this recycler, if it `is_new` to it.
    fn watch(self: &Arc<Self>, is_new: bool) {
        if let (true, Some(reclaimer)) = (is_new, &self.reclaimer) {
            reclaimer.watch(Arc::downgrade(self));
        }
    }
}

impl RecyclerState {
    /// Notes that the reclaimer looks at this recycler. Returns whether it has not before.
    fn watch(&mut self) -> bool {
        !std::mem::replace(&mut self.is_watched, true)
    }

    fn take_surplus(&mut self, into: &mut Freed) {
        into.memory.append(&mut self.surplus);
        into.lost.append(&mut self.lost);
    }

    fn take_all(&mut self) -> Freed {
        let mut freed = Freed { _spares: std::mem::take(&mut self.spares), ..Freed::default() };
        freed.memory.extend(self.resting.drain(..).map(|resting| resting.memory));
        self.take_surplus(&mut freed);
        freed
    }

    /// Takes the memory of a buffer back, or what is known of a buffer without memory. Returns memory that the
    /// caller drops without the lock.
    fn put(
        &mut self,
        serial: u64,
        memory: Option<IdleMemory>,
        hub_id: Option<BufferId>,
    ) -> Option<IdleMemory> {
        self.lent_buffers -= 1;
        let entry = self.lent.iter().find(|entry| entry.serial == serial);
        let living = entry.filter(|entry| !entry.bytes.device_gone).map(|entry| entry.device);
        let Some(memory) = memory else {
            // A closed ring, or one that forgot the device, has dropped all its buffers in the hub.
            self.lost.extend(hub_id.filter(|_| living.is_some() && !self.closed));
            return None;
        };
        match living {
            _ if self.closed => return Some(memory),
            Some(device) if memory.len() <= self.largest_kept => {
                self.resting.push(RestingMemory { device, memory, since: Instant::now() });
            }
            // The ring has dropped the buffer in the hub, so what is left of it is a few bytes.
            None if hub_id.is_some() => return Some(memory),
            _ => self.surplus.push(memory),
        }
        None
    }

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
            LentKind::Drawn => &mut self.drawn,
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
    /// Counts a buffer that is about to be in flight. [`give_back`](Self::give_back) must follow.
    pub(super) fn of_buffer(recycler: Arc<Recycler>, device: DeviceId, bytes: usize) -> Self {
        let mut state = recycler.state.lock();
        state.lent_buffers += 1;
        let entry = state.entry(device);
        entry.bytes.in_flight += bytes;
        let serial = entry.serial;
        drop(state);
        Self { recycler, serial, kind: LentKind::InFlight, bytes }
    }

    pub(super) fn recycler(&self) -> &Arc<Recycler> {
        &self.recycler
    }

    /// Returns whether the device was destroyed or dropped.
    pub(super) fn is_device_gone(&self) -> bool {
        let state = self.recycler.state.lock();
        state.lent.iter().any(|entry| entry.serial == self.serial && entry.bytes.device_gone)
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

    /// Gives a buffer back: with memory for another copy, or without any. `hub_id` names the buffer of portable
    /// memory.
    pub(super) fn give_back(self, memory: Option<IdleMemory>, hub_id: Option<BufferId>) {
        let recycler = self.recycler.clone();
        let mut state = recycler.state.lock();
        let freed = state.put(self.serial, memory, hub_id);
        let rests = !(state.resting.is_empty() && state.surplus.is_empty());
        let is_new = rests && state.watch();
        drop(state);
        drop(freed);
        recycler.watch(is_new);
    }

    fn change(&self, change: impl FnOnce(&mut LentBytes)) {
        let mut state = self.recycler.state.lock();
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
        if (bytes.in_flight, bytes.drawn, bytes.frames) == (0, 0, 0) {
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
        let recycler = Arc::new(Recycler::default());
        for size in [800, 400, 801] {
            recycler.put_spare(Vec::with_capacity(size));
        }
        assert_eq!(recycler.take_spare(300).capacity(), 400);
        assert_eq!(recycler.take_spare(400).capacity(), 800);
        assert_eq!(recycler.resting(), [801]);
    }
}
