//! The names of things: contexts, owners, epochs, and wgpu-core's ids that travel with a present.

use webrender_api::ExternalImageId;
use wgpu_core::id::{BufferId, CommandBufferId, CommandEncoderId};

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

/// A pair of ids for recording one copy, when the engine allocates ids itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EncoderIds {
    /// Id of the encoder, not in use in wgpu-core.
    pub command_encoder: CommandEncoderId,
    /// Id of the command buffer, not in use in wgpu-core.
    pub command_buffer: CommandBufferId,
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
