//! Staging buffers: lent by the ring of a context, given back by whoever holds them last.

mod buffer;
mod recycler;
mod ring;

#[cfg(test)]
pub(crate) mod testing;

pub(crate) use self::buffer::{AvailableBuffer, MappedBuffer, MappingBuffer, NotMapped, PooledBytes};

pub(crate) use self::recycler::Recycler;
pub(crate) use self::ring::StagingRing;
pub(crate) use crate::gpu::Completed;
