//! What an engine tells a presenter about canvases: their contexts, their textures, and the contents of a
//! present.
//!
//! The engine fills these types in and passes them to [`Presenter`](crate::Presenter) and
//! [`Batch`](crate::Batch) on the WebGPU thread. Sizes are in pixels.

use euclid::default::Size2D;
use wgpu_core::id::{BufferId, DeviceId, QueueId, TextureId};
use wgpu_types::TextureFormat;

use super::ids::{EncoderIds, OwnerId};
use crate::pixels::{AlphaMode, PredefinedColorSpace};

/// The configuration of a canvas context at the time when a texture was made.
///
/// Corresponds to [`GPUCanvasConfiguration`](https://www.w3.org/TR/webgpu/#dictdef-gpucanvasconfiguration).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ContextConfiguration {
    /// The device that the texture belongs to.
    pub device_id: DeviceId,
    /// The queue of that device, to which the copy is submitted.
    pub queue_id: QueueId,
    /// The format of the texture: `Bgra8Unorm`, `Rgba8Unorm` or `Rgba16Float`. Others cannot be presented.
    pub format: TextureFormat,
    /// The space that the colors are in. WebRender is given sRGB, whatever this is.
    ///
    /// A tone mapping mode is missing on purpose: `standard`, which clamps colors brighter than white, is
    /// all that WebRender can show.
    pub color_space: PredefinedColorSpace,
    /// How the alpha channel is treated.
    pub alpha_mode: AlphaMode,
    /// The size of the texture in pixels.
    pub size: Size2D<u32>,
}

/// A canvas texture on its way to the screen, or to a snapshot.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PendingTexture {
    /// The texture. It is single-sampled and two-dimensional, and has the usage `COPY_SRC`.
    pub texture_id: TextureId,
    /// Ids for recording the copy, or `None` if wgpu-core allocates ids.
    ///
    /// They are handed back through [`PresenterOptions::on_id`](crate::PresenterOptions::on_id), whatever
    /// becomes of the copy.
    pub encoder_ids: Option<EncoderIds>,
    /// The configuration that the texture was made with.
    pub configuration: ContextConfiguration,
}

/// What a present shows.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Contents {
    /// What was drawn into this texture.
    Texture(PendingTexture),
    /// A cleared drawing buffer, because nothing was drawn.
    Cleared {
        /// Its size in pixels. Either side may be 0.
        size: Size2D<u32>,
        /// Whether it is transparent black (`Premultiplied`) or opaque black (`Opaque`).
        alpha_mode: AlphaMode,
    },
}

/// The source of the ids of a context's staging buffers.
///
/// Precondition: all ids of one wgpu-core `Global` come from the same side, either wgpu-core or the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum BufferIds {
    /// wgpu-core allocates the ids.
    Allocated,
    /// The engine allocated these ids, at least one. Only this context uses them, until it ends and hands
    /// them back.
    ///
    /// One id suffices for owned memory, which wgpu-core knows only while a copy is submitted. Portable memory
    /// needs an id for each copy in flight and is reused if it keeps its id, so five serve it well; with fewer,
    /// copies that reads wait for are made one after the other.
    Provided(Vec<BufferId>),
}

/// The properties of a new context.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ContextDescriptor {
    /// The owner of the context, with which it ends. An engine that does not group contexts gives all the
    /// same owner.
    pub owner: OwnerId,
    /// The size of the canvas in pixels. Until something is presented, the canvas is transparent black of
    /// this size.
    pub size: Size2D<u32>,
    /// The ids of its staging buffers.
    pub buffer_ids: BufferIds,
}
