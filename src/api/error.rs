//! One error type per operation.

use euclid::default::Size2D;
use thiserror::Error;
use wgpu_core::command::CommandEncoderError;
use wgpu_types::TextureFormat;

use super::ids::ContextId;

/// No such context at this presenter: never created, destroyed, or another presenter's.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("no context {0:?} at this presenter")]
pub struct UnknownContext(pub ContextId);

/// Why a context could not be created.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CreateContextError {
    /// The map has a context of this id, perhaps another presenter's. It is untouched.
    #[error("context {0:?} exists already")]
    Duplicate(ContextId),
    /// [`BufferIds::Provided`](crate::BufferIds::Provided) was empty.
    #[error("a context needs at least one staging buffer id")]
    NoBufferIds,
    /// The same id was given twice.
    #[error("a staging buffer id was given twice")]
    RepeatedBufferId,
}

/// Why a texture was not presented.
///
/// Except where a variant says otherwise the canvas keeps its last good frame, and the compositor gets an update that
/// carries the present's epoch.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum PresentError {
    /// Nothing is shown, nobody can be told of the epoch.
    #[error(transparent)]
    UnknownContext(#[from] UnknownContext),
    /// Only `Bgra8Unorm`, `Rgba8Unorm` and `Rgba16Float` can be presented.
    #[error("canvas format {0:?} is not supported")]
    UnsupportedFormat(TextureFormat),
    /// The bytes of an image must number less than 2³¹ (WebRender counts them in an `i32`), and its sides are bounded by the
    /// device's limit: the texture is an error texture, or could not be shown. The canvas shows the cleared frame.
    #[error("a canvas of {}×{} pixels is too large", .0.width, .0.height)]
    TooLarge(Size2D<u32>),
    /// This crate was built without the feature of the device's backend.
    #[error("the device's backend is not supported")]
    UnsupportedBackend,
    /// No memory for a staging buffer, or for the copy.
    #[error("out of memory")]
    OutOfMemory,
    /// More copies are in flight than a context may have, or has ids for, each one awaited by a `get_image`.
    #[error("too many copies of this canvas are in flight")]
    RingExhausted,
    /// The device was lost or destroyed before the copy was done.
    #[error("the device is lost")]
    DeviceLost,
    /// The texture or the queue belongs to another device.
    #[error("the texture belongs to another device")]
    WrongDevice,
    /// An error texture: the canvas shows the cleared frame
    /// ([WebGPU](https://www.w3.org/TR/webgpu/#abstract-opdef-get-a-copy-of-the-image-contents-of-a-context)).
    #[error("the texture is invalid")]
    TextureInvalid,
    /// The texture was destroyed before the present: the canvas shows the cleared frame. An engine that wants the
    /// specification's result defers script's `destroy()` to the present.
    #[error("the texture was destroyed before it was presented")]
    TextureDestroyed,
    /// wgpu-core refused the copy: the texture is not what its configuration says.
    #[error("the copy was refused")]
    Refused(#[source] Box<CommandEncoderError>),
    /// The context was destroyed before the copy was done.
    #[error("the context was destroyed")]
    ContextDestroyed,
}

impl PresentError {
    /// Whether the canvas shows the cleared frame instead of keeping its last good one.
    pub(crate) fn shows_cleared(&self) -> bool {
        matches!(self, Self::TextureInvalid | Self::TextureDestroyed | Self::TooLarge(_))
    }
}

/// Why pixels were not copied. Nothing was written.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CopyPixelsError {
    /// Rows would overlap.
    #[error("a row has {needed} bytes, which is more than the stride")]
    StrideTooSmall {
        /// Bytes of a row.
        needed: usize,
    },
    /// The rows do not fit, or their end cannot be counted.
    #[error("the memory is too small: {needed} bytes are needed")]
    TooShort {
        /// Bytes of all rows; the last one need not be padded.
        needed: usize,
    },
}

/// Why there is no image.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum GetImageError {
    /// No such context at this presenter, or it was destroyed while its frame was awaited.
    #[error(transparent)]
    UnknownContext(#[from] UnknownContext),
    /// The given texture could not be copied.
    #[error("the texture could not be read")]
    Texture(#[source] PresentError),
    /// The drawing buffer is a cleared one, of 2³¹ bytes or more.
    #[error("a canvas of {}×{} pixels is too large", .0.width, .0.height)]
    TooLarge(Size2D<u32>),
}
