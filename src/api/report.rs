//! What a presenter counts for its engine: presents, buffers, and bytes of memory.
//!
//! [`Presenter::statistics`](crate::Presenter::statistics) and
//! [`Presenter::memory_report`](crate::Presenter::memory_report) return these types on the WebGPU thread.
//! They are copies: they do not change afterwards.

use std::time::Duration;

use wgpu_core::id::DeviceId;

use super::error::PresentError;
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
    /// Why they failed.
    pub failures: Failures,
    /// Copies of presents and of snapshots that have not completed.
    pub in_flight: usize,
    /// Staging buffers, and images of direct frames: those that rest, those in flight, and those that frames are read from.
    pub buffers: usize,
    /// The kind of memory that the latest completed copy was read from; `None` before the first one.
    pub frame_memory: Option<FrameMemoryKind>,
    /// Presents whose frame was copied to host memory.
    pub copied: u64,
    /// Presents whose texture became the frame without a copy.
    pub direct: u64,
    /// Presents whose frame is a copy in an image that the renderer samples.
    pub shared: u64,
    /// Bytes of the pixels of the frames that `copied`, `direct` and `shared` count, in the formats of their canvases. Padding of rows is
    /// left out.
    pub bytes: u64,
    /// How long the newest frames took; `None` before the first one.
    pub latency: Option<Latency>,
    /// Why the latest present of a texture is a copy to host memory; `None` if it is direct or shared, and before the
    /// first one. Presents of cleared contents are counted in `presented` alone, and leave this as it is.
    pub readback: Option<ReadbackReason>,
}

/// How long frames of one context took: from the present of a texture until its frame became what the canvas shows, just before the
/// [`ImageSink`](crate::ImageSink) is told of it.
///
/// The newest 128 presents of textures count that ended as [`Presented`](crate::PresentEnd::Presented). The times are whole microseconds, and
/// those of frames that exist: a percentile is the smallest time that so many percent of the frames did not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Latency {
    /// Number of frames: 128 at most.
    pub frames: usize,
    /// The time of the fastest frame.
    pub minimum: Duration,
    /// The time that half of the frames did not exceed.
    pub median: Duration,
    /// The time that 99 percent of the frames did not exceed. Of 128 frames this is the second longest.
    pub percentile_99: Duration,
}

/// Counts of the presents of one context that failed, by the variant of [`PresentError`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Failures {
    /// Presents that failed as [`PresentError::UnsupportedFormat`].
    pub unsupported_format: u64,
    /// Presents that failed as [`PresentError::TooLarge`].
    pub too_large: u64,
    /// Presents that failed as [`PresentError::UnsupportedBackend`].
    pub unsupported_backend: u64,
    /// Presents that failed as [`PresentError::OutOfMemory`].
    pub out_of_memory: u64,
    /// Presents that failed as [`PresentError::DeviceLost`].
    pub device_lost: u64,
    /// Presents that failed as [`PresentError::WrongDevice`].
    pub wrong_device: u64,
    /// Presents that failed as [`PresentError::TextureInvalid`].
    pub texture_invalid: u64,
    /// Presents that failed as [`PresentError::TextureDestroyed`].
    pub texture_destroyed: u64,
    /// Presents that failed as [`PresentError::Refused`].
    pub refused: u64,
    /// Presents that failed as [`PresentError::ContextDestroyed`].
    pub context_destroyed: u64,
    /// Presents that failed as [`PresentError::TimedOut`].
    pub timed_out: u64,
    /// Presents that failed as [`PresentError::Panicked`].
    pub panicked: u64,
}

impl Failures {
    /// Counts a present that failed.
    pub(crate) fn count(&mut self, error: &PresentError) {
        let count = match error {
            PresentError::UnsupportedFormat { .. } => &mut self.unsupported_format,
            PresentError::TooLarge { .. } => &mut self.too_large,
            PresentError::UnsupportedBackend => &mut self.unsupported_backend,
            PresentError::OutOfMemory => &mut self.out_of_memory,
            PresentError::DeviceLost => &mut self.device_lost,
            PresentError::WrongDevice => &mut self.wrong_device,
            PresentError::TextureInvalid => &mut self.texture_invalid,
            PresentError::TextureDestroyed => &mut self.texture_destroyed,
            PresentError::Refused { .. } => &mut self.refused,
            PresentError::ContextDestroyed => &mut self.context_destroyed,
            PresentError::TimedOut => &mut self.timed_out,
            PresentError::Panicked => &mut self.panicked,
        };
        *count += 1;
    }
}

/// Why a present is a copy to host memory, and not a [direct](crate::Presenter::create_canvas_texture) frame.
///
/// Why a frame is not shared is not told here: see [`ExternalImages`](crate::ExternalImages).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum ReadbackReason {
    /// The texture was not made by [`Presenter::create_canvas_texture`](crate::Presenter::create_canvas_texture) for this
    /// context, was presented before, or is older than the four that the presenter remembers.
    OrdinaryTexture,
    /// The device is none on which textures can be drawn where frames are read: it is not a Vulkan device of a CPU
    /// adapter, its frames are in portable memory, or it was destroyed.
    Device,
    /// The driver has no textures of this size, format and usage that can be drawn in such memory; or the
    /// texture's descriptor is none of a canvas texture.
    Texture,
    /// As many images of the canvas as there may be are drawn in, shown, locked by renderers, or held by
    /// snapshots.
    ImagesInUse,
    /// Memory for another image was missing.
    OutOfMemory,
    /// The configuration that the texture was presented with is not the one that it has.
    Configuration,
    /// A copy of the texture, for a read, was waiting for room when the texture was presented.
    ReadsWait,
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
    /// Bytes of the staging buffers and images in them. [`MemoryReport`] tells which contexts have them.
    pub used: usize,
}

/// The purpose for which a context holds memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum MemoryKind {
    /// Unused memory that is kept for the next present. [`Presenter::trim`](crate::Presenter::trim) frees it.
    Recycled,
    /// Canvas textures that are drawn in memory which frames are read from. (wgpu-core has those that are not.)
    CanvasTextures,
    /// Memory that the GPU copies to, or in which it finishes a texture that was presented.
    InFlight,
    /// Frames that are shown, are about to be shown, are locked by a renderer, or belong to snapshots; and longer copies of frames, for
    /// renderers that lag far behind. (Zeros that a renderer has locked cost no memory.)
    Frames,
    /// Frames whose device was destroyed or dropped. If they are in owned memory, what is left of the device
    /// lives as long as they do.
    FramesOfLostDevices,
}
