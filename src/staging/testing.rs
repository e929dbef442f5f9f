//! Staging buffers that belong to no ring, for tests.

use std::sync::Arc;

use super::buffer::{AvailableBuffer, MappedBuffer, MappingBuffer};
use super::recycler::{Loan, Recycler};
use crate::gpu::fake;

/// A buffer in flight that has these bytes once [`fake::completed`] covers it, and then returns to the recycler.
pub(crate) fn mapping_buffer(recycler: &Arc<Recycler>, bytes: &[u8]) -> MappingBuffer {
    let available = AvailableBuffer::lent(
        recycler.clone(),
        Loan(0),
        fake::buffer(0),
        fake::device(0),
        fake::memory(bytes),
    );
    available.submitted(fake::submission())
}

/// A mapped buffer with these bytes.
pub(crate) fn mapped_buffer(bytes: &[u8]) -> MappedBuffer {
    let buffer = mapping_buffer(&Arc::default(), bytes).complete(&fake::completed(), bytes.len());
    buffer.unwrap_or_else(|_| panic!("the submission is done"))
}
