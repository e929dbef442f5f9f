//! What a presenter counts for its engine: presents, buffers, and bytes of memory.
//!
//! [`Presenter::statistics`](crate::Presenter::statistics) and
//! [`Presenter::memory_report`](crate::Presenter::memory_report) return these types on the WebGPU thread.
//! They are copies: they do not change afterwards.

use wgpu_core::id::DeviceId;

use super::ids::{ContextId, OwnerId};

/// Counts of one context: the presents that ended since it was created, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Statistics {
    /// Presents whose frame became what the canvas shows.
    pub presented: u64,
    /// Presents whose place a newer one took.
    pub superseded: u64,
    /// Presents that failed.
    pub failed: u64,
    /// Copies of presents and of snapshots that have not completed.
    pub in_flight: usize,
    /// Staging buffers: those that rest, those in flight, and those that frames are read from.
    pub buffers: usize,
    /// The kind of memory that the latest completed copy was read from; `None` before the first one.
    pub frame_memory: Option<FrameMemoryKind>,
}

/// The memory that the GPU copies frames to.
///
/// With either kind a shown frame stays readable when its device is destroyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum FrameMemoryKind {
    /// Memory of this crate's own, on Vulkan devices with cached host memory.
    ///
    /// It is read where it is, without a copy on the CPU, and a frame in flight when its device is destroyed
    /// still arrives.
    #[default]
    Owned,
    /// Memory of wgpu-core's, on every backend. The device's poller copies each frame out of it.
    Portable,
}

/// The bytes that one context holds for one purpose, as an engine shows them to its users (about:memory).
///
/// See [`Presenter::memory_report`](crate::Presenter::memory_report).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MemoryReport {
    /// The owner of the context.
    pub owner: OwnerId,
    /// The context that holds the bytes. If it has ended, its id may name another context by now.
    pub context: ContextId,
    /// The purpose of the bytes.
    pub kind: MemoryKind,
    /// The number of bytes.
    pub bytes: usize,
}

/// What one device has taken of its driver for owned frame memory.
///
/// See [`Presenter::device_memory_report`](crate::Presenter::device_memory_report).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DeviceMemoryReport {
    /// The device.
    pub device: DeviceId,
    /// Number of memory objects of the driver. Half of what the driver allows (`maxMemoryAllocationCount`) is
    /// the most: further frames go to portable memory.
    pub objects: usize,
    /// Bytes of these objects.
    pub reserved: usize,
    /// Bytes of the staging buffers in them. [`MemoryReport`] tells which contexts have them.
    pub used: usize,
}

/// The purpose for which a context holds memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum MemoryKind {
    /// Unused memory that is kept for the next present. [`Presenter::trim`](crate::Presenter::trim) frees it.
    Recycled,
    /// Memory that the GPU copies to.
    InFlight,
    /// Frames that are shown, are about to be shown, are locked by a renderer, or belong to snapshots; and longer copies of frames, for
    /// renderers that lag far behind. (Zeros that a renderer has locked cost no memory.)
    Frames,
    /// Frames whose device was destroyed or dropped. If they are in owned memory, what is left of the device
    /// lives as long as they do.
    FramesOfLostDevices,
}
