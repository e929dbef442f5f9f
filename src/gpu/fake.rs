//! A GPU that completes, fails and loses on command. As strict as wgpu-core: unknown ids panic.
//!
//! Textures have one colour. A submission does nothing until [`FakeGpu::finish`] lets it, so a frame that is read too early
//! shows.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use parking_lot::{Condvar, Mutex};
use wgpu_core::SubmissionIndex;
use wgpu_core::id::{BufferId, CommandBufferId, CommandEncoderId, DeviceId, Id, QueueId, TextureId};

use super::memory::{HostMemory, HubMemory, Unmapped};
use super::{
    Completed, CreateBufferError, Gpu, GpuDevice, IdleMemory, Polled, Submission, SubmitError, TextureCopy,
    Waited,
};
use crate::api::error::PresentError;
use crate::api::ids::EncoderIds;
use crate::api::report::FrameMemoryKind;

pub(crate) fn device(index: u32) -> DeviceId {
    Id::zip(index, 1)
}

pub(crate) fn queue(index: u32) -> QueueId {
    Id::zip(index, 1)
}

pub(crate) fn buffer(index: u32) -> BufferId {
    Id::zip(index, 1)
}

pub(crate) fn encoder_ids(index: u32) -> EncoderIds {
    EncoderIds {
        command_encoder: CommandEncoderId::zip(index, 1),
        command_buffer: CommandBufferId::zip(index, 1),
    }
}

/// Idle memory that has these bytes already.
pub(crate) fn memory(bytes: &[u8]) -> IdleMemory {
    let memory = Arc::new(FakeMemory::new(bytes.len()));
    memory.write(0, bytes);
    IdleMemory::owned(Box::new(FakeBuffer(memory)))
}

/// The first submission to device 0.
pub(crate) fn submission() -> Submission {
    Submission { device: device(0), index: 1 }
}

/// Proof that [`submission`] is done.
pub(crate) fn completed() -> Completed {
    Completed { device: device(0), index: 1 }
}

#[derive(Clone, Default)]
pub(crate) struct FakeGpu(Arc<Shared>);

#[derive(Default)]
struct Shared {
    memory: FrameMemoryKind,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    next_id: u32,
    buffers: HashMap<BufferId, (DeviceId, Arc<FakeMemory>)>,
    textures: HashMap<TextureId, Texture>,
    devices: HashMap<DeviceId, Device>,
    encoders: HashSet<EncoderIds>,
    fail_next_creations: usize,
    fail_next_submit: Option<SubmitError>,
    fail_next_mappings: usize,
    submits: usize,
    created: usize,
}

#[derive(Clone)]
struct Texture {
    device: DeviceId,
    pixel: Pixel,
    fault: Option<Fault>,
}

/// 4 or 8 bytes.
type Pixel = ArrayVec<u8, 8>;

/// What is wrong with a texture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Invalid,
    Destroyed,
}

/// A copy that was submitted: where, what, and the colour of the texture at that time.
type Resolved = (Arc<FakeMemory>, TextureCopy, Pixel);

#[derive(Default)]
struct Device {
    submitted: SubmissionIndex,
    done: SubmissionIndex,
    /// What was done at the last poll, which maps.
    polled: SubmissionIndex,
    polls: u64,
    running: VecDeque<(SubmissionIndex, Vec<Resolved>)>,
    lost: bool,
    destroyed: bool,
    dropped: bool,
}

impl FakeGpu {
    pub(crate) fn new(memory: FrameMemoryKind) -> Self {
        Self(Arc::new(Shared { memory, ..Shared::default() }))
    }

    /// A texture on the device in which every pixel is `pixel`.
    pub(crate) fn texture(&self, device: DeviceId, pixel: [u8; 4], fault: Option<Fault>) -> TextureId {
        self.texture_of(device, &pixel, fault)
    }

    /// The same, of pixels of any number of bytes.
    pub(crate) fn texture_of(&self, device: DeviceId, pixel: &[u8], fault: Option<Fault>) -> TextureId {
        let pixel = pixel.iter().copied().collect();
        let mut state = self.0.state.lock();
        state.next_id += 1;
        let id = TextureId::zip(state.next_id, 1);
        state.textures.insert(id, Texture { device, pixel, fault });
        id
    }

    /// Lets everything that was submitted to a device finish, in order.
    pub(crate) fn finish(&self, id: DeviceId) {
        let mut state = self.0.state.lock();
        let device = state.devices.entry(id).or_default();
        while let Some((index, copies)) = device.running.pop_front() {
            for (memory, copy, pixel) in copies {
                for row in 0..copy.size.height as usize {
                    memory.write(row * copy.stride as usize, &pixel.repeat(copy.size.width as usize));
                }
                memory.written.store(index, Ordering::Relaxed);
            }
            device.done = index;
        }
        self.0.changed.notify_all();
    }

    /// Loses a device: nothing that runs will finish.
    pub(crate) fn lose(&self, id: DeviceId) {
        self.0.state.lock().devices.entry(id).or_default().lost = true;
        self.0.changed.notify_all();
    }

    pub(crate) fn is_lost(&self, id: DeviceId) -> bool {
        self.0.state.lock().devices.get(&id).is_some_and(|device| device.lost)
    }

    pub(crate) fn fail_next_creations(&self, count: usize) {
        self.0.state.lock().fail_next_creations = count;
    }

    pub(crate) fn fail_next_submit(&self, reason: PresentError, may_be_running: bool) {
        self.0.state.lock().fail_next_submit = Some(SubmitError { reason, may_be_running });
    }

    /// The mappings of portable memory that are asked for next never come.
    pub(crate) fn fail_next_mappings(&self, count: usize) {
        self.0.state.lock().fail_next_mappings = count;
    }

    /// How many submissions were accepted.
    pub(crate) fn submits(&self) -> usize {
        self.0.state.lock().submits
    }

    /// How often a device was polled.
    pub(crate) fn polls(&self, id: DeviceId) -> u64 {
        self.0.state.lock().devices.get(&id).map_or(0, |device| device.polls)
    }

    /// How many buffers were made.
    pub(crate) fn created(&self) -> usize {
        self.0.state.lock().created
    }

    /// Bytes of the largest buffer in the hub.
    pub(crate) fn largest_buffer(&self) -> usize {
        let state = self.0.state.lock();
        state.buffers.values().map(|(_, memory)| memory.len).max().unwrap_or(0)
    }

    /// How many buffers are in the hub.
    pub(crate) fn buffers(&self) -> usize {
        self.0.state.lock().buffers.len()
    }

    /// How many textures are in the hub.
    pub(crate) fn textures(&self) -> usize {
        self.0.state.lock().textures.len()
    }
}

impl Gpu for FakeGpu {
    fn open(&self, device: DeviceId) -> Arc<dyn GpuDevice> {
        self.0.state.lock().devices.entry(device).or_default();
        Arc::new(FakeDevice { gpu: self.clone(), id: device })
    }

    fn drop_buffer(&self, id: BufferId) {
        self.0.state.lock().buffers.remove(&id).unwrap_or_else(|| panic!("{id:?} is not in the hub"));
    }

    fn destroy_texture(&self, id: TextureId) {
        let mut state = self.0.state.lock();
        let texture = state.textures.get_mut(&id).unwrap_or_else(|| panic!("{id:?} is not in the hub"));
        texture.fault.get_or_insert(Fault::Destroyed);
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

    fn poll(&self, id: DeviceId) -> Polled {
        let mut state = self.0.state.lock();
        let device = state.devices.entry(id).or_default();
        assert!(!device.dropped, "{id:?} was dropped");
        device.polled = device.done;
        device.polls += 1;
        if device.running.is_empty() { Polled::Idle } else { Polled::Busy }
    }
}

struct FakeDevice {
    gpu: FakeGpu,
    id: DeviceId,
}

impl FakeDevice {
    fn create(
        &self,
        bytes: usize,
        id: Option<BufferId>,
    ) -> Result<(BufferId, IdleMemory), CreateBufferError> {
        let mut state = self.gpu.0.state.lock();
        if state.fail_next_creations > 0 {
            state.fail_next_creations -= 1;
            return Err(CreateBufferError::OutOfMemory);
        }
        state.created += 1;
        state.next_id += 1;
        let id = id.unwrap_or(BufferId::zip(state.next_id, 1));
        let memory = Arc::new(FakeMemory::new(bytes));
        let before = state.buffers.insert(id, (self.id, memory.clone()));
        assert!(before.is_none(), "{id:?} is in the hub already");
        let buffer = FakeBuffer(memory);
        let memory = match self.gpu.0.memory {
            FrameMemoryKind::Owned => IdleMemory::owned(Box::new(buffer)),
            FrameMemoryKind::Portable => IdleMemory::portable(Box::new(FakeHubBuffer {
                gpu: self.gpu.clone(),
                device: self.id,
                id,
                buffer,
            })),
        };
        Ok((id, memory))
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

    fn create_buffer(
        &self,
        bytes: usize,
        room: usize,
        id: Option<BufferId>,
    ) -> Result<(BufferId, IdleMemory), CreateBufferError> {
        super::with_room(bytes, room, |bytes| self.create(bytes, id))
    }

    fn submit(
        &self,
        queue: QueueId,
        encoder: Option<EncoderIds>,
        copies: &[TextureCopy],
    ) -> Result<Submission, SubmitError> {
        let refused = |reason| SubmitError { reason, may_be_running: false };
        let mut state = self.gpu.0.state.lock();
        let state = &mut *state;
        assert_eq!(queue, self::queue(self.id.unzip().0), "not the queue of {:?}", self.id);
        if let Some(ids) = encoder {
            assert!(!state.encoders.contains(&ids), "{ids:?} are in use");
        }
        let device = state.devices.entry(self.id).or_default();
        if device.lost || device.destroyed {
            return Err(refused(PresentError::DeviceLost));
        }
        // Refused or not, portable memory is unmapped first, and mapped again by a poll.
        for copy in copies {
            state.buffers[&copy.buffer].1.unmapped.store(device.polls, Ordering::Relaxed);
        }
        let mut resolved = Vec::new();
        for copy in copies {
            let texture = &state.textures[&copy.texture];
            let (owner, memory) = &state.buffers[&copy.buffer];
            if texture.device != self.id || *owner != self.id {
                return Err(refused(PresentError::WrongDevice));
            }
            match texture.fault {
                Some(Fault::Invalid) => return Err(refused(PresentError::TextureInvalid)),
                Some(Fault::Destroyed) => return Err(refused(PresentError::TextureDestroyed)),
                None => resolved.push((memory.clone(), *copy, texture.pixel.clone())),
            }
        }
        device.submitted += 1;
        let failed = state.fail_next_submit.take();
        if failed.as_ref().is_none_or(|error| error.may_be_running) {
            device.running.push_back((device.submitted, resolved));
        }
        match failed {
            Some(error) => {
                device.lost |= error.may_be_running;
                Err(error)
            }
            None => {
                state.submits += 1;
                Ok(Submission { device: self.id, index: device.submitted })
            }
        }
    }

    fn wait(&self, index: SubmissionIndex, timeout: Duration) -> Waited {
        let deadline = Instant::now() + timeout;
        let mut state = self.gpu.0.state.lock();
        loop {
            let device = state.devices.entry(self.id).or_default();
            if device.done >= index {
                return Waited::Done(Completed { device: self.id, index });
            }
            if device.lost {
                return Waited::Lost;
            }
            if self.gpu.0.changed.wait_until(&mut state, deadline).timed_out() {
                return Waited::TimedOut;
            }
        }
    }

    fn must_poll(&self) -> bool {
        self.gpu.0.memory == FrameMemoryKind::Portable
    }
}

/// A buffer that is wgpu-core's.
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

    /// Only what is in the hub, and was mapped by a poll of its device, which lives.
    fn copy_out(&self, len: usize, into: &mut Vec<u8>) -> Result<(), Unmapped> {
        let mut state = self.gpu.0.state.lock();
        let memory = &self.buffer.0;
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
        // SAFETY: as for a frame of owned memory: the submission that wrote is done, and `len` is no more than was made.
        into.extend_from_slice(unsafe {
            std::slice::from_raw_parts(memory.pointer.as_ptr(), len.min(memory.len))
        });
        Ok(())
    }
}

/// Bytes that the fake GPU writes and a frame reads, never at the same time.
struct FakeMemory {
    writing: Mutex<()>,
    pointer: NonNull<u8>,
    len: usize,
    /// The last submission that is done and wrote.
    written: AtomicU64,
    /// How often its device had been polled when a submission was tried that copies to it.
    unmapped: AtomicU64,
}

// SAFETY: the pointer is to a leaked allocation of its own, freed on drop; whoever reads or writes through it keeps the
// rules of `HostMemory`.
unsafe impl Send for FakeMemory {}
// SAFETY: as above.
unsafe impl Sync for FakeMemory {}

impl FakeMemory {
    fn new(len: usize) -> Self {
        let bytes = Box::leak(vec![0xEE; len].into_boxed_slice());
        let pointer = NonNull::from(bytes).cast();
        Self {
            writing: Mutex::new(()),
            pointer,
            len,
            written: AtomicU64::new(0),
            unmapped: AtomicU64::new(0),
        }
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.len, "a copy overruns its buffer");
        let _writing = self.writing.lock();
        // SAFETY: in bounds; the copy is one that was submitted, so nobody reads until it is done.
        unsafe { self.pointer.as_ptr().add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }
}

impl Drop for FakeMemory {
    fn drop(&mut self) {
        // SAFETY: leaked in `new`, with this length.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.pointer.as_ptr(), self.len)) });
    }
}

struct FakeBuffer(Arc<FakeMemory>);

// SAFETY: the allocation lives as long as the Arc; the fake GPU writes only for submitted copies, when they finish.
unsafe impl HostMemory for FakeBuffer {
    fn pointer(&self) -> NonNull<u8> {
        self.0.pointer
    }

    fn len(&self) -> usize {
        self.0.len
    }

    fn invalidate(&self) {}

    fn flush(&self) {}
}
