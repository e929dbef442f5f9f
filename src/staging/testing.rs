//! Staging buffers for tests: they belong to no ring, and their memory is the fake GPU's.
//!
//! The tests of frames, of contexts and of orders of threads make their buffers here. Every buffer belongs to
//! device 0.

use std::sync::Arc;

use super::buffer::{AvailableBuffer, MappedBuffer, MappingBuffer};
use super::recycler::Recycler;
use crate::gpu::{IdleMemory, fake};

/// Returns a buffer in flight that holds `bytes` once [`fake::completed`] covers it. It returns to
/// `recycler`.
pub(crate) fn mapping_buffer(recycler: &Arc<Recycler>, bytes: &[u8]) -> MappingBuffer {
    lend(recycler, fake::memory(bytes)).submitted(fake::submission())
}

/// Returns a mapped buffer that holds `bytes`.
pub(crate) fn mapped_buffer(bytes: &[u8]) -> MappedBuffer {
    let buffer = mapping_buffer(&Arc::default(), bytes).complete(&fake::completed(), bytes.len());
    buffer.unwrap_or_else(|_| panic!("the submission is done"))
}

/// Does what a ring and the GPU do with returned memory: lends it again, and lets a submission overwrite all
/// its bytes.
#[cfg(loom)]
pub(crate) fn overwrite_returned(recycler: &Recycler, byte: u8) {
    for memory in recycler.take_all().memory {
        let len = memory.len();
        let mapping = lend(&Arc::default(), memory).submitted(fake::submission());
        let Ok(mut mapped) = mapping.complete(&fake::completed(), len) else {
            panic!("the submission is done")
        };
        mapped.edit(|bytes| bytes.fill(byte));
    }
}

fn lend(recycler: &Arc<Recycler>, memory: IdleMemory) -> AvailableBuffer {
    AvailableBuffer::lent(recycler.clone(), fake::device(0), memory)
}
