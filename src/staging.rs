//! Staging buffers: the memory that the GPU copies canvas textures to, and that frames are read from.
//!
//! The presenter owns one [`StagingRing`] for each context and borrows buffers from it on the WebGPU thread.
//! A borrowed buffer travels with its copy and then with its frame, and is dropped on whatever thread lets go
//! of it last. Dropping it gives it back to the ring's [`Recycler`], from where the ring collects it. A
//! buffer is therefore in exactly one place at any time: in its ring, in flight, inside a frame, or in the
//! recycler.
//!
//! The folder hands out the ring, the recycler and one buffer type for each state outside the ring. It may
//! import `gpu`, `api` and `sync`.

mod buffer;
mod recycler;
mod ring;

#[cfg(test)]
pub(crate) mod testing;

pub(crate) use self::buffer::{
    AvailableBuffer, CountedBytes, MappedBuffer, MappingBuffer, NotMapped, PooledBytes,
};

pub(crate) use self::recycler::Recycler;
pub(crate) use self::ring::StagingRing;
pub(crate) use crate::gpu::Completed;
