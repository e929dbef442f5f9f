//! What an engine tells a presenter: contexts, textures, and what a present shows.

use euclid::default::Size2D;
use wgpu_core::id::{BufferId, DeviceId, QueueId, TextureId};
use wgpu_types::TextureFormat;

use super::ids::{EncoderIds, OwnerId};
use crate::pixels::{AlphaMode, PredefinedColorSpace};

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
    pub color_space: PredefinedColorSpace,
    /// How alpha is understood.
    pub alpha_mode: AlphaMode,
    /// Size of the texture in pixels.
    pub size: Size2D<u32>,
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
