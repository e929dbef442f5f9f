//! The one place where bytes go to memory that wgpu-core mapped.
//!
//! wgpu-core frees that memory when the device is destroyed, from whatever thread polls next. So no pointer to it outlives
//! [`upload_piece`], and nobody gets to see one: the belt's users write to memory of ours.

use wgpu_core::api;
use wgpu_core::global::Global;
use wgpu_core::id::{BufferId, DeviceId};

use crate::gpu::each_backend;

/// Runs the action while wgpu-core cannot free the memory of the buffer. `false`, without running it: it is freed already.
pub(super) type Guarded = fn(&Global, BufferId, &mut dyn FnMut()) -> bool;

/// How buffers of the device are guarded. `None`: its backend is unknown to this crate.
pub(super) fn guard_of(global: &Global, device: DeviceId) -> Option<Guarded> {
    macro_rules! look {
        ($api:ident) => {
            // SAFETY: the handle is not touched.
            if unsafe { global.device_as_hal::<api::$api>(device) }.is_some() {
                return Some(|global, buffer, action| {
                    // SAFETY: the handle is not touched.
                    let guard = unsafe { global.buffer_as_hal::<api::$api>(buffer) };
                    guard.as_ref().is_some_and(|_| {
                        action();
                        true
                    })
                });
            }
        };
    }
    each_backend!(look);
    None
}

/// So many bytes are copied under one guard: it is a lock that other threads wait for.
const PIECE: usize = 256 << 10;

/// Copies `bytes` to `offset` in a buffer that is mapped for writing as a whole. `None`: it is not mapped any more, or not
/// that large: the device was destroyed, or somebody else used our id.
pub(super) fn upload(
    global: &Global,
    guarded: Guarded,
    buffer: BufferId,
    offset: u64,
    bytes: &[u8],
) -> Option<()> {
    // Pointer and guard are asked for anew each time: in between the memory may be freed.
    bytes
        .chunks(PIECE)
        .zip((offset..).step_by(PIECE))
        .try_for_each(|(bytes, offset)| upload_piece(global, guarded, buffer, offset, bytes))
}

fn upload_piece(
    global: &Global,
    guarded: Guarded,
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
        // - `pointer` is valid for writes of `len` bytes: the buffer was mapped as a whole when wgpu-core gave it to us, and
        //   its memory is there while the guard lives. wgpu-core frees it only after taking the raw buffer away, for which it
        //   needs the lock that the guard holds; the raw buffer never comes back once taken, so the guard, which was given
        //   after the pointer, proves that the memory was not freed in between.
        // - `offset + bytes.len() <= len`, checked above.
        // - Nobody else accesses it: a chunk is mapped only while the belt writes it (its ids are the belt's, which is what
        //   the engine promises), the GPU's submissions that read it were over before wgpu-core mapped it, and the belt is
        //   on one thread.
        // - `bytes` is ours, thus no part of it; bytes have no alignment and no invalid values.
        unsafe { pointer.as_ptr().add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    })
    .then_some(())
}
