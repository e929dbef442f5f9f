//! The one place of the belt where bytes are copied to memory that wgpu-core mapped.
//!
//! wgpu-core frees that memory when the device is destroyed, on whatever thread polls next. Therefore no
//! pointer to it outlives [`upload_piece`], and none is handed out: callers of the belt write to memory of
//! the belt's own. `device` calls [`upload`], on the thread of the belt.

use wgpu_core::api;
use wgpu_core::global::Global;
use wgpu_core::id::{BufferId, DeviceId};
use wgpu_hal::Api;
use wgpu_types::Backend;

use crate::gpu::each_backend;

/// Runs an action while wgpu-core cannot free the memory of a buffer. Returns `false` without running it if
/// the memory is freed already.
pub(super) type GuardedCall = fn(&Global, BufferId, &mut dyn FnMut()) -> bool;

/// Returns the backend of a device, and how its buffers are guarded, or `None` if the crate was built without
/// the feature of the backend.
pub(super) fn guarded_call_for(global: &Global, device: DeviceId) -> Option<(Backend, GuardedCall)> {
    macro_rules! try_backend {
        ($api:ident) => {
            // SAFETY: the raw device is only asked for, never used, so nothing is done to it.
            if unsafe { global.device_as_hal::<api::$api>(device) }.is_some() {
                return Some((<api::$api as Api>::VARIANT, |global, buffer, action| {
                    // SAFETY: the raw buffer is only kept, never used, so nothing is done to it.
                    let guard = unsafe { global.buffer_as_hal::<api::$api>(buffer) };
                    guard.as_ref().is_some_and(|_| {
                        action();
                        true
                    })
                }));
            }
        };
    }
    each_backend!(try_backend);
    None
}

/// Most bytes that are copied under one guard, which is a lock that other threads wait for.
const PIECE: usize = 256 << 10;

/// Copies `bytes` to `offset`, in bytes, in a buffer that is mapped for writing as a whole.
///
/// Returns `None` if the buffer is not mapped any more, because it or the device was destroyed. Some bytes may
/// have been copied then.
pub(super) fn upload(
    global: &Global,
    guarded: GuardedCall,
    buffer: BufferId,
    offset: u64,
    bytes: &[u8],
) -> Option<()> {
    // Each piece asks for the pointer and the guard anew, because the memory may be freed between two pieces.
    bytes
        .chunks(PIECE)
        .zip((offset..).step_by(PIECE))
        .try_for_each(|(bytes, offset)| upload_piece(global, guarded, buffer, offset, bytes))
}

/// Copies `bytes` like [`upload`], under a single guard.
fn upload_piece(
    global: &Global,
    guarded: GuardedCall,
    buffer: BufferId,
    offset: u64,
    bytes: &[u8],
) -> Option<()> {
    let (pointer, len) = global.buffer_get_mapped_range(buffer, 0, None).ok()?;
    let end = offset.checked_add(bytes.len() as u64)?;
    if end > len {
        return None;
    }
    let offset = usize::try_from(offset).ok()?;
    guarded(global, buffer, &mut || {
        // SAFETY:
        // - `pointer` is valid for writes of `len` bytes. The buffer was mapped as a whole when wgpu-core
        //   returned the pointer, and its memory exists while the guard lives: wgpu-core frees it only after
        //   taking the raw buffer away, for which it needs the lock that the guard holds. A raw buffer that
        //   was taken never comes back. So the guard, which was acquired after the pointer, proves that the
        //   memory was not freed in between.
        // - `offset + bytes.len() <= len` was checked above.
        // - Pointer and guard are those of the same buffer, and nothing else accesses or unmaps its memory:
        //   the safety section of `StagingBelt::new` forbids the use of a chunk's id to everything but the belt.
        //   The belt has the chunk mapped as long as it may write it; the submissions that read it were over
        //   before wgpu-core mapped it; and `&mut StagingBelt` excludes a second writer.
        // - `bytes` is memory of this process that wgpu-core does not own, so it does not overlap the chunk.
        //   Bytes have no alignment and no invalid values.
        unsafe { pointer.as_ptr().add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    })
    .then_some(())
}
