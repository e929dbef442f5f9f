//! Devices of any backend, and portable memory: frame memory that belongs to wgpu-core.
//!
//! wgpu-core maps the buffers of portable memory, and frees them, mapped or not, when their device is
//! destroyed. So no pointer to them leaves this file. The bytes of a frame are copied out in pieces, each
//! under wgpu-core's guard of the buffer, for which a destruction waits.
//!
//! The WebGPU thread creates, unmaps, maps and drops the buffers; a poller's thread copies them out. The lock
//! of [`PortableBuffer::id`] keeps the two apart.
//!
//! Mapping is requested without a callback. Once the submission is done and the device was polled, the buffer
//! either is mapped or never will be, and the copying finds out which. So wgpu-core has no callback to lose
//! (<https://github.com/gfx-rs/wgpu/issues/9511>), nor one to call with news that do not hold any more.

use std::any::Any;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use rustc_hash::FxHashMap;
use wgpu_core::SubmissionIndex;
use wgpu_core::device::{DeviceError, HostMap};
use wgpu_core::global::Global;
use wgpu_core::id::{BufferId, CommandEncoderId, DeviceId, QueueId};
use wgpu_core::resource::{
    BufferAccessError, BufferDescriptor, BufferMapOperation, CreateBufferError as CoreError,
};
use wgpu_hal::{Api, Device as _};
use wgpu_types::{BufferUsages, PollType};

use super::memory::{HubMemory, Unmapped};
use super::waiting::judge_value;
use super::{
    CopySource, CopyTarget, CreateBufferError, GpuDevice, IdleMemory, ReadbackCopy, Submission,
    SubmissionIds, SubmitError, WaitResult, with_headroom,
};
use crate::api::error::PresentError;
use crate::api::report::FrameMemoryKind;
use crate::sync::{catch_panic, contain_panic};

/// Bytes that are copied under one guard. It takes tens of microseconds, for which a destruction may have to
/// wait.
const PIECE_LEN: usize = 256 << 10;

/// How long a wait sleeps after its first look at the fence. Each later sleep is twice as long as the one
/// before.
const FIRST_SLEEP: Duration = Duration::from_micros(50);

/// The longest sleep between two looks at the fence.
const LONGEST_SLEEP: Duration = Duration::from_millis(1);

/// wgpu-core's guard of a device or a fence. It holds no lock, and keeps the object alive even after
/// `device_drop` and after the `Global` was dropped.
pub(super) type Guard<T> = Arc<dyn Deref<Target = T> + Send + Sync>;

/// All portable buffers of a `Global`, whatever their devices.
#[derive(Default)]
pub(super) struct PortableBuffers(Mutex<FxHashMap<BufferId, Arc<PortableBuffer>>>);

/// A buffer that wgpu-core maps. Shared by [`PortableBuffers`] and by the memory that is read through it.
struct PortableBuffer {
    global: Arc<Global>,
    /// `None` once the buffer was dropped, because the id may name another buffer from then on. Locked while
    /// the buffer is read, mapped, unmapped or dropped.
    id: Mutex<Option<BufferId>>,
    /// Mapping was requested, and the buffer was not unmapped since. Accessed only on the WebGPU thread.
    mapping: AtomicBool,
    copy_piece: CopyPiece,
}

/// [`copy_piece`] for the backend of the buffer's device.
type CopyPiece = fn(&Global, BufferId, usize, usize, &mut Vec<u8>) -> Result<(), Unmapped>;

impl PortableBuffers {
    /// Returns whether `id` names a portable buffer.
    pub(super) fn has(&self, id: BufferId) -> bool {
        self.0.lock().contains_key(&id)
    }

    /// Makes the bytes of a buffer unreadable, before its id is dropped. Waits for a piece that is being
    /// copied.
    pub(super) fn forget(&self, id: BufferId) {
        let buffer = self.0.lock().remove(&id);
        if let Some(buffer) = buffer {
            *buffer.id.lock() = None;
        }
    }

    /// Returns the portable buffers among the destinations of `copies`.
    fn written_by<'a>(
        &'a self,
        copies: &'a [ReadbackCopy],
    ) -> impl Iterator<Item = Arc<PortableBuffer>> + 'a {
        copies.iter().filter_map(|copy| match &copy.target {
            CopyTarget::Hub(id) => self.0.lock().get(id).cloned(),
            CopyTarget::Owned(_) | CopyTarget::InPlace(_) | CopyTarget::Shared(_) => None,
        })
    }

    /// Unmaps the destinations of `copies` before they are submitted: wgpu-core refuses to submit copies to a
    /// buffer that is mapped, or whose mapping is requested.
    ///
    /// A buffer that wgpu-core maps at this moment, in a poll on another thread, cannot be unmapped:
    /// wgpu-core treats it as not mapped until that poll is over. Only one poll maps at a time, so after
    /// another one it can be.
    fn unmap(&self, global: &Global, device: DeviceId, copies: &[ReadbackCopy]) {
        let missed = self.written_by(copies).filter(|buffer| !buffer.unmap()).count();
        if missed > 0 {
            // The poll runs closures of the engine's, which may panic. Its result is of no use: the
            // submission will tell whether the device is lost.
            contain_panic(|| drop(global.device_poll(device, PollType::Poll)));
            for buffer in self.written_by(copies) {
                // A buffer that still is not mapped never will be.
                buffer.unmap();
            }
        }
    }

    /// Requests that the destinations of `copies` be mapped, after these were submitted. It must be done even
    /// if the submission failed: a buffer may be in flight for an earlier one, whose mapping
    /// [`unmap`](Self::unmap) has ended.
    fn map(&self, copies: &[ReadbackCopy]) {
        for buffer in self.written_by(copies) {
            if let Some(id) = *buffer.id.lock() {
                buffer.mapping.store(true, Ordering::Relaxed);
                let read = BufferMapOperation { host: HostMap::Read, callback: None };
                // An error, for example of a device that is gone, is not handled: `copy_out` finds the buffer
                // unmapped.
                if let Err(error) = buffer.global.buffer_map_async(id, 0, None, read) {
                    log::debug!("webgpu-presentation: mapping {id:?}: {error}");
                }
            }
        }
    }
}

impl PortableBuffer {
    /// Unmaps the buffer. Returns `false` if mapping was requested and wgpu-core says that the buffer is not
    /// mapped.
    fn unmap(&self) -> bool {
        let id = self.id.lock();
        let Some(id) = *id else { return true };
        let unmapped = self.global.buffer_unmap(id);
        let mapping = self.mapping.swap(false, Ordering::Relaxed);
        !(mapping && matches!(unmapped, Err(BufferAccessError::NotMapped)))
    }
}

/// A device of the backend `A`, whose frames are read from portable memory.
pub(super) struct PortableDevice<A: Api> {
    pub(super) global: Arc<Global>,
    pub(super) id: DeviceId,
    pub(super) device: Guard<A::Device>,
    pub(super) fence: Guard<A::Fence>,
    largest_texture: u32,
    buffers: Arc<PortableBuffers>,
    /// A portable buffer was created, so the device must be polled from now on. A Vulkan device with enough
    /// owned memory never creates one.
    has_portable: AtomicBool,
    /// The buffers of one submission, with `None` for each texture that is presented in place. Empty between calls; kept for its capacity. Accessed only on the WebGPU
    /// thread.
    submitted: Mutex<Vec<Option<BufferId>>>,
}

impl<A: Api> PortableDevice<A> {
    /// Opens a device, or returns `None` if its backend is not `A`.
    pub(super) fn open(global: &Arc<Global>, buffers: &Arc<PortableBuffers>, id: DeviceId) -> Option<Self> {
        // SAFETY: wgpu-core demands that the raw handles are not destroyed by hand. This crate only calls
        // methods of the device that leave both alive.
        let (device, fence) =
            unsafe { (global.device_as_hal::<A>(id)?, global.device_fence_as_hal::<A>(id)?) };
        let largest_texture = global.device_limits(id).max_texture_dimension_2d;
        let (device, fence) = (Arc::new(device), Arc::new(fence));
        let (global, buffers) = (global.clone(), buffers.clone());
        let (has_portable, submitted) = (AtomicBool::new(false), Mutex::default());
        Some(Self { global, id, device, fence, largest_texture, buffers, has_portable, submitted })
    }

    /// Creates a buffer that wgpu-core allocates and will map.
    fn create_portable(&self, bytes: usize, id: Option<BufferId>) -> Result<IdleMemory, CreateBufferError> {
        let descriptor = BufferDescriptor {
            label: Some("canvas frame".into()),
            size: bytes as u64,
            usage: BufferUsages::COPY_DST | BufferUsages::MAP_READ,
            mapped_at_creation: false,
        };
        let create = || self.global.device_create_buffer(self.id, &descriptor, id);
        let (id, error) = create_in_hub(&self.global, id, create).ok_or(CreateBufferError::Panicked)?;
        if let Some(error) = error {
            // wgpu-core has put an invalid buffer under the id.
            self.global.buffer_drop(id);
            if let CoreError::Device(DeviceError::Lost) = error {
                return Err(CreateBufferError::DeviceLost);
            }
            // A page chooses how large a canvas is, so it can cause this.
            log::debug!("webgpu-presentation: no staging buffer of {bytes} bytes: {error}");
            return Err(CreateBufferError::OutOfMemory);
        }
        self.has_portable.store(true, Ordering::Relaxed);
        let buffer = Arc::new(PortableBuffer {
            global: self.global.clone(),
            id: Mutex::new(Some(id)),
            mapping: AtomicBool::new(false),
            copy_piece: copy_piece::<A>,
        });
        self.buffers.0.lock().insert(id, buffer.clone());
        Ok(IdleMemory::portable(Box::new(PortableMemory { buffer, id, len: bytes })))
    }

    /// Submits copies, of which `register` puts the buffers of owned memory and of shared images into the hub. They have left
    /// it when this returns.
    pub(super) fn submit_with(
        &self,
        queue: QueueId,
        ids: SubmissionIds,
        copies: &[ReadbackCopy],
        register: impl Fn(&Arc<dyn Any + Send + Sync>, Option<BufferId>) -> Result<BufferId, PresentError>,
        record_shared: impl Fn(CommandEncoderId) -> Result<(), PresentError>,
    ) -> Result<Submission, SubmitError> {
        let mut buffers = std::mem::take(&mut *self.submitted.lock());
        let registered = copies.iter().try_for_each(|copy| {
            buffers.push(match &copy.target {
                // Raw commands name it by itself.
                CopyTarget::Owned(_) if copy.is_shared() => None,
                // The buffers before this one must be dropped, whatever happens.
                CopyTarget::Owned(memory) | CopyTarget::Shared(memory) => {
                    let registered = create_in_hub(&self.global, copy.id, || register(memory, copy.id));
                    Some(registered.unwrap_or(Err(PresentError::Panicked))?)
                }
                CopyTarget::Hub(id) => Some(*id),
                CopyTarget::InPlace(_) => None,
            });
            Ok(())
        });
        let submit =
            || super::copy::submit(&self.global, self.id, queue, ids, copies, &buffers, &record_shared);
        let submitted = match registered {
            Ok(()) if self.must_poll() => {
                // wgpu-core panics if the engine has dropped a portable buffer. What was registered must leave the hub all the same.
                catch_panic("wgpu-core", || self.buffers.unmap(&self.global, self.id, copies));
                let submitted = submit();
                catch_panic("wgpu-core", || self.buffers.map(copies));
                submitted
            }
            Ok(()) => submit(),
            Err(reason) => Err(SubmitError { reason, may_be_in_flight: false }),
        };
        let mut submitted = submitted;
        // After an error of `register` there are fewer buffers than copies.
        for (copy, buffer) in copies.iter().zip(buffers.drain(..)) {
            match (&copy.target, buffer) {
                (CopyTarget::Owned(_) | CopyTarget::Shared(_), Some(buffer)) => {
                    catch_panic("wgpu-core", || self.global.buffer_drop(buffer));
                }
                (CopyTarget::InPlace(_), _) if submitted.is_ok() => {
                    let CopySource::Texture(texture) = copy.source else { continue };
                    let destroyed = catch_panic("wgpu-core", || self.global.texture_destroy(texture));
                    // If it is not, the GPU may be told to draw in the image again, so it must not become a frame.
                    let error = SubmitError { reason: PresentError::Panicked, may_be_in_flight: true };
                    submitted = submitted.and_then(|submission| destroyed.map(|()| submission).ok_or(error));
                }
                _ => {}
            }
        }
        *self.submitted.lock() = buffers;
        submitted
    }
}

/// Calls `create`, which puts a buffer into the hub under `id`. Returns `None` if wgpu-core panics.
///
/// It does so if `id` names another buffer, which the new one has replaced by then. Nothing may be left under
/// the id: it would keep the memory of the new one, and name it when the engine has the id back.
fn create_in_hub<T>(global: &Global, id: Option<BufferId>, create: impl FnOnce() -> T) -> Option<T> {
    let created = catch_panic("wgpu-core", create);
    if created.is_none()
        && let Some(id) = id
    {
        catch_panic("wgpu-core", || global.buffer_drop(id));
    }
    created
}

impl<A: Api> GpuDevice for PortableDevice<A> {
    fn id(&self) -> DeviceId {
        self.id
    }

    fn memory(&self) -> Option<FrameMemoryKind> {
        Some(FrameMemoryKind::Portable)
    }

    fn largest_texture(&self) -> u32 {
        self.largest_texture
    }

    fn allocate(
        &self,
        bytes: usize,
        headroom: usize,
        id: Option<BufferId>,
    ) -> Result<IdleMemory, CreateBufferError> {
        with_headroom(bytes, headroom, |bytes| self.create_portable(bytes, id))
    }

    fn submit(
        &self,
        queue: QueueId,
        ids: SubmissionIds,
        copies: &[ReadbackCopy],
    ) -> Result<Submission, SubmitError> {
        self.submit_with(
            queue,
            ids,
            copies,
            |_, _| Err(PresentError::WrongDevice),
            |_| Err(PresentError::WrongDevice),
        )
    }

    fn wait(&self, index: SubmissionIndex, timeout: Duration) -> WaitResult {
        let start = Instant::now();
        let mut pause = FIRST_SLEEP;
        loop {
            // SAFETY: the fence was taken from this device, and their guards keep both alive.
            let value = unsafe { self.device.get_fence_value(&self.fence) };
            match judge_value(self.id, index, value) {
                WaitResult::TimedOut if start.elapsed() < timeout => thread::sleep(pause),
                judged => return judged,
            }
            pause = (pause * 2).min(LONGEST_SLEEP);
        }
    }

    fn must_poll(&self) -> bool {
        self.has_portable.load(Ordering::Relaxed)
    }
}

/// The memory of a [`PortableBuffer`]. It alone reads the buffer.
struct PortableMemory {
    buffer: Arc<PortableBuffer>,
    id: BufferId,
    /// Capacity in bytes.
    len: usize,
}

impl HubMemory for PortableMemory {
    fn len(&self) -> usize {
        self.len
    }

    fn id(&self) -> BufferId {
        self.id
    }

    fn copy_out(&self, len: usize, into: &mut Vec<u8>) -> Result<(), Unmapped> {
        let len = len.min(self.len);
        for start in (0..len).step_by(PIECE_LEN) {
            let id = self.buffer.id.lock();
            let known = id.as_ref().ok_or(Unmapped)?;
            (self.buffer.copy_piece)(&self.buffer.global, *known, start, PIECE_LEN.min(len - start), into)?;
            // A thread that waits for the lock gets it before the next piece is copied.
            MutexGuard::unlock_fair(id);
        }
        Ok(())
    }
}

/// Appends `len` bytes of a mapped buffer to `into`, from the byte `start` on.
///
/// Preconditions: the caller holds the lock of [`PortableBuffer::id`], and the last submission that copies to
/// the buffer is done.
fn copy_piece<A: Api>(
    global: &Global,
    id: BufferId,
    start: usize,
    len: usize,
    into: &mut Vec<u8>,
) -> Result<(), Unmapped> {
    // The range is the whole buffer, because wgpu-core demands that its offset and size be aligned.
    let (pointer, mapped) = global.buffer_get_mapped_range(id, 0, None).map_err(|error| {
        log::debug!("webgpu-presentation: reading {id:?}: {error}");
        Unmapped
    })?;
    if usize::try_from(mapped).is_ok_and(|mapped| mapped < start + len) {
        return Err(Unmapped);
    }
    // SAFETY: wgpu-core demands that the raw handle is not destroyed by hand. It is not touched here.
    let guard = unsafe { global.buffer_as_hal::<A>(id) }.ok_or(Unmapped)?;
    // SAFETY: wgpu-core says that `pointer` is valid for reads of `mapped` initialized bytes, and `start +
    // len` is at most that. It stays so during the copy, because the buffer can neither be unmapped nor freed
    // meanwhile:
    // - Unmapping takes `buffer_unmap` or `buffer_drop`. For this id only this file's users call them, after
    //   taking the lock that the caller holds (`PortableBuffer::unmap`, `PortableBuffers::forget`).
    // - `device_destroy` frees the buffer, in a later poll or submission, after taking its raw handle. Taking
    //   that waits for the lock that `guard` holds. A handle that was taken before never comes back, so then
    //   there is no guard.
    //
    // The GPU does not write the bytes during the copy: the last submission that copies to the buffer is
    // done, for which `InFlightMemory::complete` demands proof, and another one cannot be made while that
    // function holds the memory. (The engine promises to use the ids of staging buffers for nothing else.)
    // That the buffer is mapped would prove nothing: if mapping was requested twice, the poll for the first
    // submission may map the buffer for the second one too, which is not done.
    into.extend_from_slice(unsafe { std::slice::from_raw_parts(pointer.as_ptr().add(start), len) });
    drop(guard);
    Ok(())
}

#[cfg(test)]
mod tests {
    use wgpu_core::api::Noop;
    use wgpu_core::id::TextureId;
    use wgpu_types as wgt;

    use super::*;

    /// A device of the no-op backend: it copies no textures, but maps buffers.
    fn device(buffers: &Arc<PortableBuffers>) -> PortableDevice<Noop> {
        let mut descriptor = wgt::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgt::Backends::NOOP;
        descriptor.backend_options.noop.enable = true;
        let global = Arc::new(Global::new("webgpu-presentation", descriptor, None));
        let options = wgt::RequestAdapterOptions::default();
        let adapter = global.request_adapter(&options, wgt::Backends::NOOP, None).unwrap();
        let (device, _) = global.adapter_request_device(adapter, &Default::default(), None, None).unwrap();
        PortableDevice::open(&global, buffers, device).unwrap()
    }

    /// wgpu-core fills a buffer with zeros when it maps it for the first time, which takes a while for so
    /// many bytes.
    const BYTES: usize = 8 << 20;

    #[test]
    fn what_is_being_mapped_on_another_thread_is_unmapped_too() {
        let buffers = Arc::default();
        let device = device(&buffers);
        let (global, id) = (device.global.clone(), device.id);
        for step in 0..8 {
            let memory = device.allocate(BYTES, 0, None).unwrap();
            let buffer = memory.hub_id().unwrap();
            let copies = [ReadbackCopy {
                source: CopySource::Texture(TextureId::zip(0, 1)),
                target: memory.target(),
                id: None,
                origin: Default::default(),
                size: Default::default(),
                stride: 0,
            }];
            buffers.map(&copies);
            thread::scope(|scope| {
                scope.spawn(|| global.device_poll(id, PollType::Poll).unwrap());
                thread::sleep(Duration::from_micros(200 * step));
                buffers.unmap(&global, id, &copies);
            });
            global.device_poll(id, PollType::Poll).unwrap();
            assert!(global.buffer_get_mapped_range(buffer, 0, None).is_err(), "it is mapped");
            buffers.forget(buffer);
            global.buffer_drop(buffer);
        }
    }
}
