//! Staging buffers: the memory that the GPU copies canvas textures to, and that frames are read from.
//!
//! The presenter owns one [`StagingRing`] for each context and borrows buffers from it on the WebGPU thread.
//! A borrowed buffer travels with its copy and then with its frame, and is dropped on whatever thread lets go
//! of it last. Dropping it gives it back to the ring's [`Recycler`], where it rests. A buffer is therefore in
//! exactly one place at any time: resting, in flight, or inside a frame. A [`Reclaimer`] frees what rests for
//! too long.
//!
//! The folder hands out the ring, the recycler, the reclaimer and one buffer type for each state outside the
//! recycler. It may import `gpu`, `api` and `sync`.

mod buffer;
mod reclaimer;
mod recycler;
mod ring;

#[cfg(test)]
pub(crate) mod testing;

pub(crate) use self::buffer::{
    AvailableBuffer, CountedBytes, DrawnBuffer, MappedBuffer, MappingBuffer, NotMapped, PooledBytes,
};

pub(crate) use self::reclaimer::Reclaimer;
pub(crate) use self::recycler::{IDLE, Recycler};
pub(crate) use self::ring::{LentBuffer, StagingRing};
pub(crate) use crate::gpu::{Completed, CopySource, DeviceUuids, ImageLayout, SharedImage};
