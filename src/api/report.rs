//! What a presenter counts: presents, buffers, and bytes.

use super::ids::{ContextId, OwnerId};

/// Counts of one context: what ended since it was created, and what there is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Statistics {
    /// Presents that became what the canvas shows.
    pub presented: u64,
    /// Presents that a newer one overtook.
    pub superseded: u64,
    /// Presents that failed.
    pub failed: u64,
    /// Presents and snapshots whose copy has not completed.
    pub in_flight: usize,
    /// Staging buffers that wgpu-core knows.
    pub buffers: usize,
    /// What the newest frame was read from; `None` before the first one.
    pub frame_memory: Option<FrameMemoryKind>,
}

/// Memory that the GPU copies frames to, and where they are read.
///
/// Both keep what is shown readable when its device is destroyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum FrameMemoryKind {
    /// This crate's own, which is read where it is: no copy on the CPU, and what is in flight when a device is destroyed still
    /// arrives. On Vulkan, if it has cached host memory.
    #[default]
    Owned,
    /// wgpu-core's, which is copied out by the device's poller. On every backend.
    Portable,
}

/// Bytes of one kind that a context holds: what an engine tells its users of memory (about:memory). See
/// [`Presenter::memory_report`](crate::Presenter::memory_report).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MemoryReport {
    /// Whose context it is, or was.
    pub owner: OwnerId,
    /// The context; if it has ended its id may name another one.
    pub context: ContextId,
    /// What for.
    pub kind: MemoryKind,
    /// How many.
    pub bytes: usize,
}

/// What memory of a context is held for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum MemoryKind {
    /// Nobody uses it; it is kept for the next present. [`Presenter::trim`](crate::Presenter::trim) frees it.
    Recycled,
    /// The GPU copies to it.
    InFlight,
    /// Frames: shown, about to be, locked by a renderer, or in snapshots.
    Frames,
    /// Frames whose device was destroyed or dropped. What is left of the device lives as long as they do, if they are of owned
    /// memory.
    FramesOfLostDevices,
}
