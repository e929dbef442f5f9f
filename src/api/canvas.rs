//! What an engine tells a presenter, and what it hears back.

use euclid::default::Size2D;
use webrender_api::ExternalImageId;
use wgpu_core::id::{BufferId, CommandBufferId, CommandEncoderId, DeviceId, QueueId, TextureId};
use wgpu_types::TextureFormat;

use super::error::PresentError;
use crate::pixels::{AlphaMode, ColorSpace};

/// Names a canvas context, and its external image: WebRender asks for `ExternalImageId(context.0)`.
///
/// Chosen by the engine, unique in a [`ContextMap`](crate::ContextMap) while the context lives; it may be used
/// again after [`destroy_context`](crate::Presenter::destroy_context) or
/// [`destroy_owner`](crate::ContextMap::destroy_owner).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ContextId(pub u64);

impl From<ContextId> for ExternalImageId {
    fn from(id: ContextId) -> Self {
        Self(id.0)
    }
}

/// Groups contexts that end together: those of a process, or of a page.
///
/// Chosen by the engine; nothing is done to make one. See
/// [`ContextMap::destroy_owner`](crate::ContextMap::destroy_owner).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OwnerId(pub u64);

/// A transaction of a compositor, as the engine counts them: those of one namespace of image keys rise. See
/// [`Presenter::destroy_context_after`](crate::Presenter::destroy_context_after).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TransactionId(pub u64);

/// The engine's own count of canvas updates, handed back with the image update that satisfies it.
///
/// It may repeat or fall: frames are ordered by the sequence number that [`Presenter::present`](crate::Presenter::present)
/// returns, never by this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CanvasEpoch(pub u64);

/// [`GPUCanvasConfiguration`](https://www.w3.org/TR/webgpu/#dictdef-gpucanvasconfiguration), as it was when the texture was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ContextConfiguration {
    /// The device of the texture.
    pub device_id: DeviceId,
    /// The queue of that device.
    pub queue_id: QueueId,
    /// `Bgra8Unorm`, `Rgba8Unorm` or `Rgba16Float`.
    pub format: TextureFormat,
    /// What the colours mean. WebRender is given sRGB. (There is no tone mapping mode: `standard`, which clamps colours brighter
    /// than white, is all that WebRender can show.)
    pub color_space: ColorSpace,
    /// How alpha is understood.
    pub alpha_mode: AlphaMode,
    /// Size of the texture in pixels.
    pub size: Size2D<u32>,
}

/// A pair of ids for recording one copy, when the engine allocates ids itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EncoderIds {
    /// Id of the encoder, not in use in wgpu-core.
    pub command_encoder: CommandEncoderId,
    /// Id of the command buffer, not in use in wgpu-core.
    pub command_buffer: CommandBufferId,
}

/// A canvas texture on its way to the screen, or to a snapshot.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PendingTexture {
    /// The texture: single-sampled, two-dimensional, usable as `COPY_SRC`.
    pub texture_id: TextureId,
    /// Ids to record with, or `None` when wgpu-core allocates ids. Handed back through
    /// [`PresenterOptions::on_id`](crate::PresenterOptions::on_id), whatever happens.
    pub encoder_ids: Option<EncoderIds>,
    /// What the texture is.
    pub configuration: ContextConfiguration,
}

/// What a present shows.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Contents {
    /// What was drawn into a texture.
    Texture(PendingTexture),
    /// Nothing was drawn: a cleared drawing buffer of this size (in pixels, zero allowed), transparent black or
    /// opaque black.
    Cleared {
        /// Size in pixels.
        size: Size2D<u32>,
        /// Transparent or opaque.
        alpha_mode: AlphaMode,
    },
}

/// Where the ids of a context's staging buffers come from. All ids of one `Global` must come from the same side.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum BufferIds {
    /// wgpu-core allocates them.
    Allocated,
    /// The engine does: this context uses these, and nobody else does, until it is destroyed and hands them back.
    /// Five let every buffer be reused. One is enough to be right with owned memory; portable memory needs one for each copy
    /// in flight, or else presents fail with [`RingExhausted`](crate::PresentError::RingExhausted) while some are awaited.
    Provided(Vec<BufferId>),
}

/// What a new context is.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ContextDescriptor {
    /// Whose it is. An engine that does not care gives all the same.
    pub owner: OwnerId,
    /// Size of the canvas in pixels: that of its transparent black until something is presented.
    pub size: Size2D<u32>,
    /// Ids for its staging buffers.
    pub buffer_ids: BufferIds,
}

/// An id that the engine handed in and may use again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ReturnedId {
    /// From [`BufferIds::Provided`].
    Buffer(BufferId),
    /// From [`EncoderIds`].
    CommandEncoder(CommandEncoderId),
    /// From [`EncoderIds`].
    CommandBuffer(CommandBufferId),
}

/// How a present ended. Each one ends exactly once.
#[derive(Clone, Debug)]
pub struct PresentOutcome {
    /// The context presented to.
    pub context: ContextId,
    /// What [`Presenter::present`](crate::Presenter::present) returned.
    pub sequence: u64,
    /// The epoch it was given.
    pub epoch: CanvasEpoch,
    /// Presented, superseded or failed.
    pub end: PresentEnd,
}

/// The end of a present.
#[derive(Clone, Debug)]
pub enum PresentEnd {
    /// It became what the canvas shows.
    Presented,
    /// A newer one took its place.
    Superseded,
    /// It failed; the error says what the canvas shows instead.
    Failed(PresentError),
}

/// What [`ContextMap::when_presented`](crate::ContextMap::when_presented) waited for.
#[derive(Clone, Debug)]
pub enum Awaited {
    /// It became what the canvas shows; the compositor was told.
    Presented {
        /// Its number, as returned by [`Presenter::present`](crate::Presenter::present).
        sequence: u64,
        /// Its epoch: the one asked for, or a higher one.
        epoch: CanvasEpoch,
    },
    /// A newer one took its place, which may still be on its way.
    Superseded {
        /// The number of the newer one.
        by: u64,
    },
    /// It failed; the error says what the canvas shows instead.
    Failed(PresentError),
    /// The context was destroyed before such a present began; or the map is gone, and there was no context.
    ContextGone,
    /// Time was up.
    TimedOut,
}

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
