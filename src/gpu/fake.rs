//! A GPU for tests, which completes, fails and loses submissions on command.
//!
//! A submission does nothing until [`FakeGpu::finish`] lets it, so that a frame that is read too early has
//! the wrong bytes. Each texture has a single color. The fake is as strict as wgpu-core: unknown ids panic,
//! and portable memory is readable only after a poll. It can be used on any thread.

use std::any::Any;
use std::collections::{HashMap, HashSet, VecDeque};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use euclid::default::Size2D;
use parking_lot::{Condvar, Mutex};
use wgpu_core::SubmissionIndex;
use wgpu_core::id::{BufferId, CommandBufferId, CommandEncoderId, DeviceId, Id, QueueId, TextureId};
use wgpu_core::resource::{CreateTextureError, TextureDescriptor};
use wgpu_hal::DeviceError;

use super::memory::{HostMemory, HubMemory, ImageLayout, Unmapped};
use super::waiting::judge;
use super::{
    Completed, CopySource, CopyTarget, CreateBufferError, Gpu, GpuDevice, IdleMemory, ImageShape, PollResult,
    ReadbackCopy, Submission, SubmissionIds, SubmitError, WaitResult,
};
use crate::api::error::PresentError;
use crate::api::ids::EncoderIds;
use crate::api::report::{FrameMemoryKind, ReadbackReason};

/// Returns the id of a device, which need not be created first.
pub(crate) fn device(index: u32) -> DeviceId {
    Id::zip(index, 1)
}

/// Returns the id of the queue of [`device(index)`](device).
pub(crate) fn queue(index: u32) -> QueueId {
    Id::zip(index, 1)
}

/// Returns a buffer id, for a buffer that is to be created with it.
pub(crate) fn buffer(index: u32) -> BufferId {
    Id::zip(index, 1)
}

/// Returns ids for a command encoder and a command buffer.
pub(crate) fn encoder_ids(index: u32) -> EncoderIds {
    EncoderIds {
        command_encoder: CommandEncoderId::zip(index, 1),
        command_buffer: CommandBufferId::zip(index, 1),
    }
}

/// Returns idle memory that belongs to no buffer and holds `bytes`, as if they had been copied to it already.
pub(crate) fn memory(bytes: &[u8]) -> IdleMemory {
    let memory = Arc::new(FakeMemory::new(bytes.len(), Arc::default()));
    memory.write(0, bytes);
    IdleMemory::owned(Box::new(FakeBuffer { memory, image: None }))
}

/// Returns the first submission to device 0.
pub(crate) fn submission() -> Submission {
    Submission { device: device(0), index: 1 }
}

/// Returns proof that [`submission`] is done, whether or not it was made.
pub(crate) fn completed() -> Completed {
    Completed { device: device(0), index: 1 }
}

/// A `Global` with its devices. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct FakeGpu(Arc<FakeGpuShared>);

#[derive(Default)]
struct FakeGpuShared {
    /// The kind of memory of all buffers.
    memory: FrameMemoryKind,
    state: Mutex<FakeGpuState>,
    /// Submissions were finished, or a device was lost.
    changed: Condvar,
    panics: Arc<ReadPanics>,
}

/// How many of the next accesses to frame memory panic.
#[derive(Default)]
struct ReadPanics {
    /// When a copy that is done is made readable.
    completions: AtomicUsize,
    /// When the bytes of owned memory are read or edited.
    reads: AtomicUsize,
}

impl ReadPanics {
    /// Panics, if that was asked for.
    fn enter(count: &AtomicUsize) {
        let panics = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
        assert!(panics.is_err(), "on purpose");
    }
}

#[derive(Default)]
struct FakeGpuState {
    next_id: u32,
    /// The hub's buffers: those of portable memory, and during a submission those of owned memory.
    buffers: HashMap<BufferId, (DeviceId, Arc<FakeMemory>)>,
    /// All owned memory.
    owned: Vec<Weak<FakeMemory>>,
    textures: HashMap<TextureId, FakeTexture>,
    /// Devices have images, as those of CPU adapters do.
    has_images: bool,
    devices: HashMap<DeviceId, DeviceState>,
    encoders: HashSet<EncoderIds>,
    /// How many of the next buffers cannot be created.
    fail_next_creations: usize,
    fail_next_submit: Option<SubmitError>,
    /// How many of the next reads of portable memory find it unmapped.
    fail_next_mappings: usize,
    /// How many of the next waits return this instead of waiting, whether or not the work is done.
    next_waits: Option<(Result<bool, DeviceError>, usize)>,
    /// How often a device was waited for.
    waits: usize,
    /// Waits for an index that was never submitted panic, as with wgpu-hal's pools of fences.
    has_fence_pool: bool,
    /// How many submissions were accepted.
    submits: usize,
    /// How many buffers were created.
    created: usize,
}

#[derive(Clone)]
struct FakeTexture {
    device: DeviceId,
    pixel: Pixel,
    fault: Option<Fault>,
    /// The image that it is drawn in, until it is destroyed.
    image: Option<Arc<FakeMemory>>,
}

/// The bytes of one pixel: 4, or 8 of half floats.
type Pixel = ArrayVec<u8, 8>;

/// What is wrong with a texture: a submission that copies it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Invalid,
    Destroyed,
}

/// A copy in flight: its destination, its extent and stride, and the color that the texture had when it was
/// submitted.
type SubmittedCopy = (Arc<FakeMemory>, Size2D<u32>, u32, Pixel);

#[derive(Default)]
struct DeviceState {
    /// The last submission.
    submitted: SubmissionIndex,
    /// The last submission that is done.
    done: SubmissionIndex,
    /// The last submission that was done at the last poll, which mapped the portable memory that it wrote.
    polled: SubmissionIndex,
    /// How often the device was polled.
    polls: u64,
    /// The submissions that are not done, in order.
    running: VecDeque<(SubmissionIndex, Vec<SubmittedCopy>)>,
    lost: bool,
    has_no_queue: bool,
    destroyed: bool,
    dropped: bool,
}

impl FakeGpu {
    pub(crate) fn new(memory: FrameMemoryKind) -> Self {
        Self(Arc::new(FakeGpuShared { memory, ..FakeGpuShared::default() }))
    }

    /// Creates a texture whose pixels all are `pixel`.
    pub(crate) fn texture(&self, device: DeviceId, pixel: [u8; 4], fault: Option<Fault>) -> TextureId {
        self.texture_of(device, &pixel, fault)
    }

    /// Creates a texture whose pixels all are `pixel`, which has 4 or 8 bytes.
    pub(crate) fn texture_of(&self, device: DeviceId, pixel: &[u8], fault: Option<Fault>) -> TextureId {
        let pixel = pixel.iter().copied().collect();
        let mut state = self.0.state.lock();
        state.next_id += 1;
        let id = TextureId::zip(state.next_id, 1);
        state.textures.insert(id, FakeTexture { device, pixel, fault, image: None });
        id
    }

    /// Lets devices with owned memory have images.
    pub(crate) fn have_images(&self) {
        self.0.state.lock().has_images = true;
    }

    /// Draws all pixels of a texture that is not destroyed. A frame that lies in its image would change too.
    pub(crate) fn draw(&self, id: TextureId, pixel: &[u8]) {
        let mut state = self.0.state.lock();
        let texture = state.textures.get_mut(&id).unwrap_or_else(|| panic!("{id:?} is not in the hub"));
        assert_eq!(texture.fault, None, "{id:?} cannot be drawn");
        texture.pixel = pixel.iter().copied().collect();
        let Some(memory) = texture.image.clone() else { return };
        let pixel = texture.pixel.clone();
        memory.write(0, &pixel.iter().copied().cycle().take(memory.len).collect::<Vec<_>>());
    }

    /// Finishes all submissions to a device, in order.
    pub(crate) fn finish(&self, id: DeviceId) {
        let mut state = self.0.state.lock();
        let device = state.devices.entry(id).or_default();
        while let Some((index, copies)) = device.running.pop_front() {
            for (memory, size, stride, pixel) in copies {
                for row in 0..size.height as usize {
                    memory.write(row * stride as usize, &pixel.repeat(size.width as usize));
                }
                memory.written.store(index, Ordering::Relaxed);
            }
            device.done = index;
        }
        self.0.changed.notify_all();
    }

    /// Loses a device: waits for its submissions fail from now on.
    pub(crate) fn lose(&self, id: DeviceId) {
        self.0.state.lock().devices.entry(id).or_default().lost = true;
        self.0.changed.notify_all();
    }

    pub(crate) fn is_lost(&self, id: DeviceId) -> bool {
        self.0.state.lock().devices.get(&id).is_some_and(|device| device.lost)
    }

    /// Lets the next `count` creations of buffers fail for want of memory.
    pub(crate) fn fail_next_creations(&self, count: usize) {
        self.0.state.lock().fail_next_creations = count;
    }

    /// Lets the next submission that would be accepted fail.
    pub(crate) fn fail_next_submit(&self, reason: PresentError, may_be_in_flight: bool) {
        self.0.state.lock().fail_next_submit = Some(SubmitError { reason, may_be_in_flight });
    }

    /// Lets the next `count` waits return at once, with success (which may be a lie) or with an error.
    pub(crate) fn end_next_waits(&self, waited: Result<bool, DeviceError>, count: usize) {
        self.0.state.lock().next_waits = Some((waited, count));
        self.0.changed.notify_all();
    }

    /// Returns how often devices were waited for.
    pub(crate) fn waits(&self) -> usize {
        self.0.state.lock().waits
    }

    /// Lets waits for unknown submissions panic.
    pub(crate) fn have_fence_pool(&self) {
        self.0.state.lock().has_fence_pool = true;
    }

    /// Lets the next `count` reads of portable memory fail, as if wgpu-core had not mapped it.
    pub(crate) fn fail_next_mappings(&self, count: usize) {
        self.0.state.lock().fail_next_mappings = count;
    }

    /// Lets the next copying out of portable memory panic.
    pub(crate) fn panic_in_next_completion(&self) {
        self.0.panics.completions.store(1, Ordering::Relaxed);
    }

    /// Lets the next access to the bytes of owned memory panic.
    pub(crate) fn panic_in_next_read(&self) {
        self.0.panics.reads.store(1, Ordering::Relaxed);
    }

    /// Returns how many submissions were accepted.
    pub(crate) fn submits(&self) -> usize {
        self.0.state.lock().submits
    }

    /// Returns how often a device was polled.
    pub(crate) fn polls(&self, id: DeviceId) -> u64 {
        self.0.state.lock().devices.get(&id).map_or(0, |device| device.polls)
    }

    /// Returns whether the queue of a device was not dropped.
    pub(crate) fn has_queue(&self, id: DeviceId) -> bool {
        !self.0.state.lock().devices.get(&id).is_some_and(|device| device.has_no_queue)
    }

    /// Returns how many buffers were created.
    pub(crate) fn created(&self) -> usize {
        self.0.state.lock().created
    }

    /// Returns the size of the largest staging buffer, in bytes.
    pub(crate) fn largest_buffer(&self) -> usize {
        let state = self.0.state.lock();
        let owned = state.owned.iter().filter_map(Weak::upgrade).map(|memory| memory.len);
        owned.chain(state.buffers.values().map(|(_, memory)| memory.len)).max().unwrap_or(0)
    }

    /// Returns how many staging buffers there are.
    pub(crate) fn staging_buffers(&self) -> usize {
        let state = self.0.state.lock();
        let owned = state.owned.iter().filter(|memory| memory.strong_count() > 0).count();
        owned + state.buffers.len()
    }

    /// Returns how many buffers are in the hub.
    pub(crate) fn buffers(&self) -> usize {
        self.0.state.lock().buffers.len()
    }

    /// Returns how many textures are in the hub.
    pub(crate) fn textures(&self) -> usize {
        self.0.state.lock().textures.len()
    }
}

impl FakeGpuState {
    /// Puts a buffer into the hub.
    fn register(&mut self, device: DeviceId, memory: Arc<FakeMemory>, id: Option<BufferId>) -> BufferId {
        self.next_id += 1;
        let id = id.unwrap_or(BufferId::zip(self.next_id, 1));
        let before = self.buffers.insert(id, (device, memory));
        assert!(before.is_none(), "{id:?} is in the hub already");
        id
    }
}

impl Gpu for FakeGpu {
    fn open(&self, device: DeviceId) -> Option<Arc<dyn GpuDevice>> {
        self.0.state.lock().devices.entry(device).or_default();
        Some(Arc::new(FakeDevice { gpu: self.clone(), id: device }))
    }

    fn drop_buffer(&self, id: BufferId) {
        self.0.state.lock().buffers.remove(&id).unwrap_or_else(|| panic!("{id:?} is not in the hub"));
    }

    fn has_buffer(&self, id: BufferId) -> bool {
        self.0.state.lock().buffers.contains_key(&id)
    }

    fn create_texture(
        &self,
        device: DeviceId,
        descriptor: &TextureDescriptor<'_>,
        id: Option<TextureId>,
    ) -> (TextureId, Option<CreateTextureError>) {
        let pixel = vec![0; descriptor.format.block_copy_size(None).unwrap_or(4) as usize];
        let new = self.texture_of(device, &pixel, None);
        let Some(id) = id else { return (new, None) };
        let mut state = self.0.state.lock();
        let texture = state.textures.remove(&new).expect("it was created");
        assert!(state.textures.insert(id, texture).is_none(), "{id:?} is in the hub already");
        (id, None)
    }

    fn destroy_texture(&self, id: TextureId) {
        let mut state = self.0.state.lock();
        let texture = state.textures.get_mut(&id).unwrap_or_else(|| panic!("{id:?} is not in the hub"));
        texture.fault.get_or_insert(Fault::Destroyed);
        texture.image = None;
    }

    fn drop_texture(&self, id: TextureId) {
        self.0.state.lock().textures.remove(&id).unwrap_or_else(|| panic!("{id:?} is not in the hub"));
    }

    fn destroy_device(&self, id: DeviceId) {
        self.0.state.lock().devices.entry(id).or_default().destroyed = true;
    }

    fn drop_device(&self, id: DeviceId) {
        self.0.state.lock().devices.entry(id).or_default().dropped = true;
    }

    fn drop_queue(&self, id: QueueId) {
        let mut state = self.0.state.lock();
        let device = state.devices.entry(device(id.unzip().0)).or_default();
        assert!(device.running.is_empty() || device.lost, "wgpu-core would wait for the device of {id:?}");
        device.has_no_queue = true;
    }

    fn last_submission(&self, device: DeviceId) -> Option<SubmissionIndex> {
        let mut state = self.0.state.lock();
        let device = state.devices.entry(device).or_default();
        assert!(!device.dropped, "it was dropped");
        Some(device.submitted)
    }

    fn poll(&self, id: DeviceId) -> PollResult {
        let mut state = self.0.state.lock();
        let device = state.devices.entry(id).or_default();
        assert!(!device.dropped, "{id:?} was dropped");
        device.polled = device.done;
        device.polls += 1;
        // Without a queue wgpu-core does not know that a device is idle.
        if device.running.is_empty() && !device.has_no_queue { PollResult::Idle } else { PollResult::Busy }
    }
}

/// A device that was opened.
struct FakeDevice {
    gpu: FakeGpu,
    id: DeviceId,
}

impl FakeDevice {
    fn create(&self, bytes: usize, id: Option<BufferId>) -> Result<IdleMemory, CreateBufferError> {
        let mut state = self.gpu.0.state.lock();
        if state.fail_next_creations > 0 {
            state.fail_next_creations -= 1;
            return Err(CreateBufferError::OutOfMemory);
        }
        state.created += 1;
        let memory = Arc::new(FakeMemory::new(bytes, self.gpu.0.panics.clone()));
        let buffer = FakeBuffer { memory: memory.clone(), image: None };
        if self.gpu.0.memory == FrameMemoryKind::Owned {
            state.owned.retain(|memory| memory.strong_count() > 0);
            state.owned.push(Arc::downgrade(&memory));
            return Ok(IdleMemory::owned(Box::new(buffer)));
        }
        let id = state.register(self.id, memory, id);
        Ok(IdleMemory::portable(Box::new(FakeHubBuffer {
            gpu: self.gpu.clone(),
            device: self.id,
            id,
            buffer,
        })))
    }
}

impl GpuDevice for FakeDevice {
    fn id(&self) -> DeviceId {
        self.id
    }

    fn memory(&self) -> Option<FrameMemoryKind> {
        Some(self.gpu.0.memory)
    }

    fn largest_texture(&self) -> u32 {
        u32::MAX
    }

    fn allocate(
        &self,
        bytes: usize,
        headroom: usize,
        id: Option<BufferId>,
    ) -> Result<IdleMemory, CreateBufferError> {
        super::with_headroom(bytes, headroom, |bytes| self.create(bytes, id))
    }

    fn allocate_image(&self, shape: &ImageShape) -> Result<IdleMemory, ReadbackReason> {
        let mut state = self.gpu.0.state.lock();
        if !state.has_images || self.gpu.0.memory != FrameMemoryKind::Owned {
            return Err(ReadbackReason::Device);
        }
        if state.fail_next_creations > 0 {
            state.fail_next_creations -= 1;
            return Err(ReadbackReason::OutOfMemory);
        }
        state.created += 1;
        let row = shape.size.width * shape.format.block_copy_size(None).unwrap_or(4);
        // As on lavapipe.
        let stride = row.next_multiple_of(64);
        let len = stride as usize * shape.size.height as usize;
        let memory = Arc::new(FakeMemory::new(len, self.gpu.0.panics.clone()));
        state.owned.retain(|memory| memory.strong_count() > 0);
        state.owned.push(Arc::downgrade(&memory));
        let image = Some(ImageLayout { shape: *shape, stride });
        Ok(IdleMemory::owned(Box::new(FakeBuffer { memory, image })))
    }

    fn create_texture_in(
        &self,
        image: &IdleMemory,
        descriptor: &TextureDescriptor<'_>,
        id: Option<TextureId>,
    ) -> Option<(TextureId, Option<CreateTextureError>)> {
        let CopyTarget::InPlace(memory) = image.target() else { return None };
        let memory: Arc<FakeMemory> = memory.downcast().expect("it is memory of the fake GPU");
        memory.write(0, &vec![0; memory.len]);
        let (id, error) = self.gpu.create_texture(self.id, descriptor, id);
        let mut state = self.gpu.0.state.lock();
        state.textures.get_mut(&id)?.image = Some(memory);
        Some((id, error))
    }

    fn is_drawn_in(&self, texture: TextureId, image: &CopyTarget) -> bool {
        let CopyTarget::InPlace(memory) = image else { return false };
        let state = self.gpu.0.state.lock();
        let texture = state.textures.get(&texture).filter(|texture| texture.device == self.id);
        let drawn = texture.and_then(|texture| texture.image.as_ref());
        drawn.is_some_and(|drawn| std::ptr::addr_eq(Arc::as_ptr(drawn), Arc::as_ptr(memory)))
    }

    fn submit(
        &self,
        queue: QueueId,
        ids: SubmissionIds,
        copies: &[ReadbackCopy],
    ) -> Result<Submission, SubmitError> {
        let mut state = self.gpu.0.state.lock();
        let state = &mut *state;
        assert_eq!(queue, self::queue(self.id.unzip().0), "not the queue of {:?}", self.id);
        for ids in [ids.first, ids.second].into_iter().flatten() {
            assert!(!state.encoders.contains(&ids), "{ids:?} are in use");
        }
        let buffers: Vec<_> = copies
            .iter()
            .map(|copy| match &copy.target {
                CopyTarget::Hub(id) => Some(*id),
                CopyTarget::Owned(memory) => {
                    let memory = memory.clone().downcast().expect("it is memory of the fake GPU");
                    Some(state.register(self.id, memory, copy.id))
                }
                CopyTarget::InPlace(_) => None,
                CopyTarget::Shared(_) => panic!("the fake GPU shares no images"),
            })
            .collect();
        let submitted = self.submit_to(state, copies, &buffers);
        for (copy, buffer) in copies.iter().zip(buffers) {
            match (&copy.target, buffer) {
                (CopyTarget::Owned(_), Some(buffer)) => drop(state.buffers.remove(&buffer)),
                (CopyTarget::InPlace(_), _) if submitted.is_ok() => {
                    let CopySource::Texture(id) = copy.source else {
                        panic!("an image is not presented in place")
                    };
                    let texture = state.textures.get_mut(&id).expect("it was submitted");
                    texture.fault = Some(Fault::Destroyed);
                    texture.image = None;
                }
                _ => {}
            }
        }
        submitted
    }

    fn wait(&self, index: SubmissionIndex, timeout: Duration) -> WaitResult {
        let deadline = Instant::now() + timeout;
        let mut state = self.gpu.0.state.lock();
        state.waits += 1;
        loop {
            let next = state.next_waits.as_mut().filter(|(_, count)| *count > 0).map(|(waited, count)| {
                *count -= 1;
                waited.clone()
            });
            let has_fence_pool = state.has_fence_pool;
            let device = state.devices.entry(self.id).or_default();
            if let Some(waited) = next {
                let value = if device.lost { Err(DeviceError::Lost) } else { Ok(device.done) };
                return judge(self.id, index, waited, || value);
            }
            assert!(!has_fence_pool || index <= device.submitted, "no signals reached {index}");
            if device.done >= index {
                return WaitResult::Done(Completed { device: self.id, index });
            }
            if device.lost {
                return WaitResult::Lost;
            }
            if self.gpu.0.changed.wait_until(&mut state, deadline).timed_out() {
                return WaitResult::TimedOut;
            }
        }
    }

    fn must_poll(&self) -> bool {
        self.gpu.0.memory == FrameMemoryKind::Portable
    }
}

impl FakeDevice {
    fn submit_to(
        &self,
        state: &mut FakeGpuState,
        copies: &[ReadbackCopy],
        buffers: &[Option<BufferId>],
    ) -> Result<Submission, SubmitError> {
        let refused = |reason| SubmitError { reason, may_be_in_flight: false };
        let device = state.devices.entry(self.id).or_default();
        if device.lost || device.destroyed {
            return Err(refused(PresentError::DeviceLost));
        }
        // As with wgpu-core, a submission unmaps portable memory even if it is refused then. A poll maps it
        // again.
        for buffer in buffers.iter().flatten() {
            state.buffers[buffer].1.unmapped.store(device.polls, Ordering::Relaxed);
        }
        let mut resolved = Vec::new();
        for (copy, buffer) in copies.iter().zip(buffers) {
            let CopySource::Texture(id) = copy.source else { panic!("the fake GPU shares no images") };
            let texture = &state.textures[&id];
            let (owner, memory) = match (buffer, &copy.target) {
                (Some(buffer), _) => state.buffers[buffer].clone(),
                (None, CopyTarget::InPlace(memory)) => {
                    let memory = memory.clone().downcast().expect("it is memory of the fake GPU");
                    (texture.device, memory)
                }
                (None, _) => panic!("a copy goes to a buffer"),
            };
            if texture.device != self.id || owner != self.id {
                return Err(refused(PresentError::WrongDevice));
            }
            match texture.fault {
                Some(Fault::Invalid) => return Err(refused(PresentError::TextureInvalid)),
                Some(Fault::Destroyed) => return Err(refused(PresentError::TextureDestroyed)),
                None => resolved.push((memory, copy.size, copy.stride, texture.pixel.clone())),
            }
        }
        device.submitted += 1;
        let failed = state.fail_next_submit.take();
        if failed.as_ref().is_none_or(|error| error.may_be_in_flight) {
            device.running.push_back((device.submitted, resolved));
        }
        match failed {
            Some(error) => {
                device.lost |= error.may_be_in_flight;
                Err(error)
            }
            None => {
                state.submits += 1;
                Ok(Submission { device: self.id, index: device.submitted })
            }
        }
    }
}

/// Portable memory, which can be read as long as its buffer is in the hub.
struct FakeHubBuffer {
    gpu: FakeGpu,
    device: DeviceId,
    id: BufferId,
    buffer: FakeBuffer,
}

impl HubMemory for FakeHubBuffer {
    fn len(&self) -> usize {
        self.buffer.len()
    }

    fn id(&self) -> BufferId {
        self.id
    }

    /// Fails unless the buffer is in the hub, its device lives, and a poll has mapped it since it was last
    /// unmapped.
    fn copy_out(&self, len: usize, into: &mut Vec<u8>) -> Result<(), Unmapped> {
        ReadPanics::enter(&self.buffer.memory.panics.completions);
        let mut state = self.gpu.0.state.lock();
        let memory = &self.buffer.memory;
        let ours = state.buffers.get(&self.id).is_some_and(|(_, known)| Arc::ptr_eq(known, memory));
        let mapped = state.devices.get(&self.device).is_some_and(|device| {
            !device.destroyed
                && !device.lost
                && device.polled >= memory.written.load(Ordering::Relaxed)
                && device.polls > memory.unmapped.load(Ordering::Relaxed)
        });
        if !ours || !mapped {
            return Err(Unmapped);
        }
        if state.fail_next_mappings > 0 {
            state.fail_next_mappings -= 1;
            return Err(Unmapped);
        }
        // SAFETY: `len` is limited to the bytes that the allocation has, and `self` keeps it alive. The fake
        // writes them only when it finishes a submission that copies to this buffer, and
        // `InFlightMemory::complete` demands proof that the last one is done.
        into.extend_from_slice(unsafe {
            std::slice::from_raw_parts(memory.pointer.as_ptr(), len.min(memory.len))
        });
        Ok(())
    }
}

/// The bytes of a buffer. The fake GPU writes them and frames read them, never at the same time.
struct FakeMemory {
    /// Held while the fake GPU writes.
    writing: Mutex<()>,
    pointer: NonNull<u8>,
    len: usize,
    /// The last submission that is done and has written these bytes.
    written: AtomicU64,
    /// How often the device had been polled when a submission last unmapped the buffer. A later poll maps it
    /// again.
    unmapped: AtomicU64,
    panics: Arc<ReadPanics>,
}

// SAFETY: the pointer is to an allocation that this value owns, and any thread may access and free it.
// Accesses do not race, because the state machine of `memory.rs` keeps reading and writing apart.
unsafe impl Send for FakeMemory {}
// SAFETY: a shared reference lets the fake GPU write in `write` and a holder of memory read. The state
// machine of `memory.rs` keeps the two apart, and `writing` keeps two writes apart.
unsafe impl Sync for FakeMemory {}

impl FakeMemory {
    fn new(len: usize, panics: Arc<ReadPanics>) -> Self {
        let bytes = Box::leak(vec![0xEE; len].into_boxed_slice());
        let pointer = NonNull::from(bytes).cast();
        Self {
            writing: Mutex::new(()),
            pointer,
            len,
            written: AtomicU64::new(0),
            unmapped: AtomicU64::new(0),
            panics,
        }
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.len, "a copy overruns its buffer");
        let _writing = self.writing.lock();
        // SAFETY: the range is in bounds, as was asserted, and `bytes` is no part of it, because only this
        // file has the pointer. Nothing reads it meanwhile: either the copy was submitted and is not done, or
        // the memory is new.
        unsafe { self.pointer.as_ptr().add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }
}

impl Drop for FakeMemory {
    fn drop(&mut self) {
        // SAFETY: `new` leaked the allocation with this length, and this value, which owns it, is going away.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.pointer.as_ptr(), self.len)) });
    }
}

/// Owned memory: the bytes can be read where they are.
struct FakeBuffer {
    memory: Arc<FakeMemory>,
    image: Option<ImageLayout>,
}

// SAFETY: the allocation lives as long as the `Arc`, and is initialized. The fake GPU writes it only when it
// finishes a submission that copies to its buffer. Besides that only the holder of this value accesses it:
// `FakeHubBuffer`, which reads it too, holds one.
unsafe impl HostMemory for FakeBuffer {
    fn pointer(&self) -> NonNull<u8> {
        ReadPanics::enter(&self.memory.panics.reads);
        self.memory.pointer
    }

    fn len(&self) -> usize {
        self.memory.len
    }

    fn target(&self) -> Arc<dyn Any + Send + Sync> {
        self.memory.clone()
    }

    fn image(&self) -> Option<ImageLayout> {
        self.image
    }
}
