//! A device of any backend: frame memory that belongs to wgpu-core, and is copied out before anybody sees it.
//!
//! The buffers are wgpu-core's own and are mapped by it, which frees them, mapped or not, when their device is destroyed. So no
//! pointer of theirs leaves this file: the bytes are copied in pieces, each under wgpu-core's guard of the buffer, which keeps
//! a destruction waiting meanwhile.
//!
//! Mapping is asked for without a callback: after the submission is done and the device was polled the buffer is mapped, or
//! never will be. There is no callback that wgpu-core could lose (gfx-rs/wgpu#9511) or call with stale news.

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
use wgpu_core::id::{BufferId, DeviceId, QueueId};
use wgpu_core::resource::{
    BufferAccessError, BufferDescriptor, BufferMapOperation, CreateBufferError as CoreError,
};
use wgpu_hal::{Api, Device as _};
use wgpu_types::{BufferUsages, PollType};

use super::memory::{HubMemory, Unmapped};
use super::{
    Completed, CreateBufferError, GpuDevice, IdleMemory, Submission, SubmitError, TextureCopy, Waited,
    with_room,
};
use crate::api::ids::EncoderIds;
use crate::api::report::FrameMemoryKind;
use crate::sync::contain_panic;

/// So many bytes are copied at a time: tens of microseconds, for which a destruction may have to wait.
const PIECE: usize = 256 << 10;

/// How long a wait sleeps between two looks at the fence: doubled from the first to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(1));

/// wgpu-core's guard of a hal object: it holds no lock and keeps the object alive, past `device_drop` and past `Global`.
pub(super) type Guard<T> = Arc<dyn Deref<Target = T> + Send + Sync>;

/// The buffers that wgpu-core maps for us, of all devices of a `Global`.
#[derive(Default)]
pub(super) struct PortableBuffers(Mutex<FxHashMap<BufferId, Arc<PortableBuffer>>>);

/// A buffer in the hub, while its id is ours.
struct PortableBuffer {
    global: Arc<Global>,
    /// `None` once it was dropped: the id may name another one. Locked while the buffer is read, unmapped or dropped.
    id: Mutex<Option<BufferId>>,
    /// It was to be mapped, and was not unmapped since. Of the WebGPU thread alone.
    mapping: AtomicBool,
    copy_piece: CopyPiece,
}

type CopyPiece = fn(&Global, BufferId, usize, usize, &mut Vec<u8>) -> Result<(), Unmapped>;

impl PortableBuffers {
    /// The id is about to be dropped. Waits for a piece that is being copied.
    pub(super) fn forget(&self, id: BufferId) {
        let buffer = self.0.lock().remove(&id);
        if let Some(buffer) = buffer {
            *buffer.id.lock() = None;
        }
    }

    fn of<'a>(&'a self, copies: &'a [TextureCopy]) -> impl Iterator<Item = Arc<PortableBuffer>> + 'a {
        copies.iter().filter_map(|copy| self.0.lock().get(&copy.buffer).cloned())
    }

    /// Before a submission that copies to them: wgpu-core refuses what is mapped, or about to be.
    ///
    /// A buffer that wgpu-core maps at this very moment, in a poll on another thread, counts as not mapped until that is over.
    /// Only one poll maps at a time: ours comes after it.
    pub(super) fn unmap(&self, global: &Global, device: DeviceId, copies: &[TextureCopy]) {
        let missed = self.of(copies).filter(|buffer| !buffer.unmap()).count();
        if missed > 0 {
            // What a lost device says of itself is known. The engine's closures run in it, and may panic.
            contain_panic(|| drop(global.device_poll(device, PollType::Poll)));
            for buffer in self.of(copies) {
                // What is not mapped now never will be.
                buffer.unmap();
            }
        }
    }

    /// After it, successful or not: a buffer that was in flight before still is.
    pub(super) fn map(&self, copies: &[TextureCopy]) {
        for buffer in self.of(copies) {
            if let Some(id) = *buffer.id.lock() {
                buffer.mapping.store(true, Ordering::Relaxed);
                let read = BufferMapOperation { host: HostMap::Read, callback: None };
                // Its submission may be over, its device gone: `copy_out` finds out.
                if let Err(error) = buffer.global.buffer_map_async(id, 0, None, read) {
                    log::debug!("webgpu-presentation: mapping {id:?}: {error}");
                }
            }
        }
    }
}

impl PortableBuffer {
    /// False if it should have been mapped, and was not.
    fn unmap(&self) -> bool {
        let id = self.id.lock();
        let Some(id) = *id else { return true };
        let unmapped = self.global.buffer_unmap(id);
        let mapping = self.mapping.swap(false, Ordering::Relaxed);
        !(mapping && matches!(unmapped, Err(BufferAccessError::NotMapped)))
    }
}

/// What a presenter keeps of a device of the backend `A`.
pub(super) struct PortableDevice<A: Api> {
    pub(super) global: Arc<Global>,
    pub(super) id: DeviceId,
    pub(super) device: Guard<A::Device>,
    pub(super) fence: Guard<A::Fence>,
    largest_texture: u32,
    buffers: Arc<PortableBuffers>,
    /// A buffer was made.
    used: AtomicBool,
}

impl<A: Api> PortableDevice<A> {
    /// `None` if the device is of another backend.
    pub(super) fn open(global: &Arc<Global>, buffers: &Arc<PortableBuffers>, id: DeviceId) -> Option<Self> {
        // SAFETY: neither handle is ever destroyed by us.
        let (device, fence) =
            unsafe { (global.device_as_hal::<A>(id)?, global.device_fence_as_hal::<A>(id)?) };
        let largest_texture = global.device_limits(id).max_texture_dimension_2d;
        let (device, fence) = (Arc::new(device), Arc::new(fence));
        let (global, buffers) = (global.clone(), buffers.clone());
        Some(Self { global, id, device, fence, largest_texture, buffers, used: AtomicBool::new(false) })
    }

    fn create_portable(
        &self,
        bytes: usize,
        id: Option<BufferId>,
    ) -> Result<(BufferId, IdleMemory), CreateBufferError> {
        let descriptor = BufferDescriptor {
            label: Some("canvas frame".into()),
            size: bytes as u64,
            usage: BufferUsages::COPY_DST | BufferUsages::MAP_READ,
            mapped_at_creation: false,
        };
        let (id, error) = self.global.device_create_buffer(self.id, &descriptor, id);
        if let Some(error) = error {
            // wgpu-core keeps an invalid entry under the id.
            self.global.buffer_drop(id);
            if let CoreError::Device(DeviceError::Lost) = error {
                return Err(CreateBufferError::DeviceLost);
            }
            log::warn!("webgpu-presentation: no staging buffer of {bytes} bytes: {error}");
            return Err(CreateBufferError::OutOfMemory);
        }
        self.used.store(true, Ordering::Relaxed);
        let buffer = Arc::new(PortableBuffer {
            global: self.global.clone(),
            id: Mutex::new(Some(id)),
            mapping: AtomicBool::new(false),
            copy_piece: copy_piece::<A>,
        });
        self.buffers.0.lock().insert(id, buffer.clone());
        Ok((id, IdleMemory::portable(Box::new(PortableMemory { buffer, len: bytes }))))
    }
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

    fn create_buffer(
        &self,
        bytes: usize,
        room: usize,
        id: Option<BufferId>,
    ) -> Result<(BufferId, IdleMemory), CreateBufferError> {
        with_room(bytes, room, |bytes| self.create_portable(bytes, id))
    }

    fn submit(
        &self,
        queue: QueueId,
        encoder: Option<EncoderIds>,
        copies: &[TextureCopy],
    ) -> Result<Submission, SubmitError> {
        if !self.must_poll() {
            return super::copy::submit(&self.global, self.id, queue, encoder, copies);
        }
        self.buffers.unmap(&self.global, self.id, copies);
        let submitted = super::copy::submit(&self.global, self.id, queue, encoder, copies);
        self.buffers.map(copies);
        submitted
    }

    fn wait(&self, index: SubmissionIndex, timeout: Duration) -> Waited {
        let start = Instant::now();
        let mut pause = BACK_OFF.0;
        loop {
            // SAFETY: the fence belongs to the device, and both are kept alive by their guards.
            match unsafe { self.device.get_fence_value(&self.fence) } {
                Ok(value) if value >= index => return Waited::Done(Completed { device: self.id, index }),
                Ok(_) if start.elapsed() >= timeout => return Waited::TimedOut,
                Ok(_) => thread::sleep(pause),
                Err(error) => {
                    log::warn!("webgpu-presentation: waiting for {:?}: {error}", self.id);
                    return Waited::Lost;
                }
            }
            pause = (pause * 2).min(BACK_OFF.1);
        }
    }

    fn must_poll(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }
}

struct PortableMemory {
    buffer: Arc<PortableBuffer>,
    len: usize,
}

impl HubMemory for PortableMemory {
    fn len(&self) -> usize {
        self.len
    }

    fn copy_out(&self, len: usize, into: &mut Vec<u8>) -> Result<(), Unmapped> {
        let len = len.min(self.len);
        for start in (0..len).step_by(PIECE) {
            let id = self.buffer.id.lock();
            let known = id.as_ref().ok_or(Unmapped)?;
            (self.buffer.copy_piece)(&self.buffer.global, *known, start, PIECE.min(len - start), into)?;
            // Between two pieces others have their turn.
            MutexGuard::unlock_fair(id);
        }
        Ok(())
    }
}

/// Appends a piece of a mapped buffer. The caller holds the lock of the buffer's id.
fn copy_piece<A: Api>(
    global: &Global,
    id: BufferId,
    start: usize,
    len: usize,
    into: &mut Vec<u8>,
) -> Result<(), Unmapped> {
    // From the beginning: wgpu-core wants offsets and sizes aligned.
    let (pointer, mapped) = global.buffer_get_mapped_range(id, 0, None).map_err(|error| {
        log::debug!("webgpu-presentation: reading {id:?}: {error}");
        Unmapped
    })?;
    if usize::try_from(mapped).is_ok_and(|mapped| mapped < start + len) {
        return Err(Unmapped);
    }
    // SAFETY: the handle is not touched at all.
    let guard = unsafe { global.buffer_as_hal::<A>(id) }.ok_or(Unmapped)?;
    // SAFETY: `pointer` is valid for reads of `mapped` bytes, which is not fewer, for as long as the buffer is mapped, and the
    // buffer is not destroyed. The first would take `buffer_unmap` or `buffer_drop`, which this crate alone calls for this id
    // and only with the lock that the caller holds. The second, by `device_destroy` and what follows it, takes the lock
    // that the guard holds; if it happened before, there was no guard. The GPU does not write: `InFlightMemory::complete`
    // asks for this only once the last submission that copies to the buffer is done, and nobody else can record one while it
    // has the memory. (That the buffer is mapped proves nothing: of two mappings that were asked for the first can map
    // for the second, whose submission is not done.)
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

    /// A device that does nothing, but maps.
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

    /// It takes wgpu-core a while to map so much for the first time: it fills it with zeros.
    const BYTES: usize = 8 << 20;

    #[test]
    fn what_is_being_mapped_on_another_thread_is_unmapped_too() {
        let buffers = Arc::default();
        let device = device(&buffers);
        let (global, id) = (device.global.clone(), device.id);
        for step in 0..8 {
            let (buffer, _memory) = device.create_buffer(BYTES, 0, None).unwrap();
            let copy =
                TextureCopy { texture: TextureId::zip(0, 1), buffer, size: Default::default(), stride: 0 };
            buffers.map(&[copy]);
            thread::scope(|scope| {
                scope.spawn(|| global.device_poll(id, PollType::Poll).unwrap());
                thread::sleep(Duration::from_micros(200 * step));
                buffers.unmap(&global, id, &[copy]);
            });
            global.device_poll(id, PollType::Poll).unwrap();
            assert!(global.buffer_get_mapped_range(buffer, 0, None).is_err(), "it is mapped");
            buffers.forget(buffer);
            global.buffer_drop(buffer);
        }
    }
}
