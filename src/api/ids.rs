//! The names of things: contexts, owners, transactions and epochs, and the ids of wgpu-core that travel with
//! a present.
//!
//! The engine chooses all of them; this crate compares them and hands them back, and makes none.

use webrender_api::ExternalImageId;
use wgpu_core::id::{BufferId, CommandBufferId, CommandEncoderId, TextureId};

/// Names a canvas context and its external image: WebRender asks for `ExternalImageId(context.0)`.
///
/// The engine chooses it. It is unique in a [`ContextMap`](crate::ContextMap) while the context lives, and
/// may be used again after [`destroy_context`](crate::Presenter::destroy_context) or
/// [`destroy_owner`](crate::ContextMap::destroy_owner).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ContextId(pub u64);

impl From<ContextId> for ExternalImageId {
    fn from(id: ContextId) -> Self {
        Self(id.0)
    }
}

/// Names a group of contexts that end together, such as those of a process or of a page.
///
/// The engine chooses it; an owner exists as soon as a context names it.
/// [`Presenter::destroy_owner`](crate::Presenter::destroy_owner) ends the contexts of an owner that one presenter
/// has, [`ContextMap::destroy_owner`](crate::ContextMap::destroy_owner) those that all presenters of the map have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OwnerId(pub u64);

/// Numbers the transactions of a compositor.
///
/// The engine counts them: within one namespace of image keys they rise. See
/// [`Presenter::destroy_context_after`](crate::Presenter::destroy_context_after).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TransactionId(pub u64);

/// The engine's own count of canvas updates, handed back with the image update that satisfies it.
///
/// It may repeat or fall. Frames are ordered by the sequence number that
/// [`Presenter::present`](crate::Presenter::present) returns, never by their epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CanvasEpoch(pub u64);

/// The ids for recording one copy, in an engine that allocates ids itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EncoderIds {
    /// The id of the command encoder. Precondition: it is not in use in wgpu-core.
    pub command_encoder: CommandEncoderId,
    /// The id of the command buffer. Precondition: it is not in use in wgpu-core.
    pub command_buffer: CommandBufferId,
}

/// An id that the engine had handed in and may use again.
///
/// An engine that lets wgpu-core allocate ids receives those of contexts and dropped textures too, and ignores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ReturnedId {
    /// One of [`BufferIds::Provided`](crate::BufferIds::Provided).
    Buffer(BufferId),
    /// [`EncoderIds::command_encoder`].
    CommandEncoder(CommandEncoderId),
    /// [`EncoderIds::command_buffer`].
    CommandBuffer(CommandBufferId),
    /// A texture that [`Batch::drop_texture`](crate::Batch::drop_texture) held back: it is dropped now.
    Texture(TextureId),
    /// A context that has ended, for its compositor too: after
    /// [`destroy_context_after`](crate::Presenter::destroy_context_after) this comes once the transaction is done.
    Context(ContextId),
}
