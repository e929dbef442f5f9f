//! The errors of the presenting side, one type for each operation.
//!
//! Presenter, batch and snapshot return them, and outcomes carry them to the engine. The upload belt has
//! errors of its own.

use euclid::default::{Box2D, Size2D};
use thiserror::Error;
use wgpu_core::command::CommandEncoderError;
use wgpu_core::id::QueueId;
use wgpu_types::TextureFormat;

use super::ids::ContextId;

/// A presenter has no context of this id: it was never created, was destroyed, or belongs to another
/// presenter.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("no context {0:?} at this presenter")]
pub struct UnknownContext(pub ContextId);

/// A queue is not known together with its device. See [`Presenter::add_device`](crate::Presenter::add_device).
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the device of the queue {0:?} is not known")]
pub struct UnknownQueue(pub QueueId);

/// Why a context could not be created.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CreateContextError {
    /// The map has a context of this id already, perhaps another presenter's. That context is not affected.
    #[error("context {0:?} exists already")]
    Duplicate(ContextId),
    /// [`BufferIds::Provided`](crate::BufferIds::Provided) was empty.
    #[error("a context needs at least one staging buffer id")]
    NoBufferIds,
    /// [`BufferIds::Provided`](crate::BufferIds::Provided) contained an id twice, or one that
    /// another context still has.
    #[error("a staging buffer id was given twice")]
    RepeatedBufferId,
}

/// Why a context was not displayed under an image key.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetImageKeyError {
    /// The presenter has no such context.
    #[error(transparent)]
    UnknownContext(#[from] UnknownContext),
    /// This context of the same map is displayed under the key, perhaps by another presenter, or it was until it ended and its
    /// image is not deleted yet.
    #[error("context {0:?} is displayed under this image key")]
    KeyInUse(ContextId),
}

/// Why a texture was not presented.
///
/// Unless a variant says otherwise, the canvas keeps its last good frame, and the compositor gets an image
/// update whose epoch is no lower than the present's.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum PresentError {
    /// The format is none of `Bgra8Unorm`, `Rgba8Unorm` and `Rgba16Float`.
    #[error("canvas format {0:?} is not supported")]
    UnsupportedFormat(TextureFormat),
    /// The image has 2³¹ bytes or more (WebRender counts them in an `i32`), or a side beyond the device's
    /// limit for textures. The canvas shows the cleared frame.
    ///
    /// Such a texture is an error texture, or WebRender could not show it.
    #[error("a canvas of {}×{} pixels is too large", .0.width, .0.height)]
    TooLarge(Size2D<u32>),
    /// The crate was built without the feature of the device's backend.
    #[error("the device's backend is not supported")]
    UnsupportedBackend,
    /// Memory for a staging buffer, for the copy or for the converted frame was missing.
    #[error("out of memory")]
    OutOfMemory,
    /// The device was lost or destroyed. If that was before the present, the canvas shows the cleared frame:
    /// what is drawn on a lost device is blank. If the copy was in flight, the last good frame stays.
    ///
    /// A present of what [`Presenter::destroy_device`](crate::Presenter::destroy_device) has kept succeeds; a read of
    /// its texture fails with this error.
    #[error("the device is lost")]
    DeviceLost,
    /// The texture or the queue belongs to another device.
    #[error("the texture belongs to another device")]
    WrongDevice,
    /// The texture is an error texture. The canvas shows the cleared frame, as
    /// [WebGPU](https://www.w3.org/TR/webgpu/#abstract-opdef-get-a-copy-of-the-image-contents-of-a-context)
    /// says.
    #[error("the texture is invalid")]
    TextureInvalid,
    /// The texture was destroyed before it was presented. The canvas shows the cleared frame.
    ///
    /// According to the specification the canvas would show what was drawn: an engine gets that by deferring
    /// script's `destroy()` until after the present.
    #[error("the texture was destroyed before it was presented")]
    TextureDestroyed,
    /// wgpu-core refused the copy, because the texture is not what its configuration says.
    #[error("the copy was refused")]
    Refused(#[source] Box<CommandEncoderError>),
    /// The context was destroyed before the copy was completed.
    #[error("the context was destroyed")]
    ContextDestroyed,
    /// The GPU had not made the copy when its time was up: see
    /// [`PresenterOptions::copy_timeout`](crate::PresenterOptions::copy_timeout).
    #[error("the GPU did not make the copy in time")]
    TimedOut,
    /// wgpu-core panicked while the copy was made, for example at an id that it does not know; or a closure of
    /// the engine did that it ran meanwhile. The log has the panic's message.
    #[error("wgpu-core panicked")]
    Panicked,
}

impl PresentError {
    /// Returns whether the canvas shows the cleared frame instead of keeping its last good one.
    pub(crate) fn shows_cleared(&self) -> bool {
        matches!(self, Self::TextureInvalid | Self::TextureDestroyed | Self::TooLarge(_))
    }
}

/// Why the pixels of a snapshot were not copied. Nothing was written.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CopyPixelsError {
    /// The stride is smaller than a row, so rows would overlap.
    #[error("a row has {needed} bytes, which is more than the stride")]
    StrideTooSmall {
        /// The size of a row in bytes.
        needed: usize,
    },
    /// The memory ends before the last row does.
    #[error("the memory is too small: {needed} bytes are needed")]
    TooShort {
        /// The size of all rows in bytes, without padding behind the last one; `usize::MAX` if a `usize`
        /// cannot count them.
        needed: usize,
    },
    /// Memory for the pixels cannot be had. A page chooses how large an image is.
    #[error("out of memory")]
    OutOfMemory,
}

/// A region does not lie inside the image that it is to be a part of, or its corners are exchanged.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{region:?} does not lie inside an image of {}×{} pixels", .size.width, .size.height)]
pub struct RegionOutside {
    /// The region, in pixels.
    pub region: Box2D<u32>,
    /// The size of the image, in pixels.
    pub size: Size2D<u32>,
}

impl RegionOutside {
    /// Checks that a region lies inside an image. It may be empty.
    pub(crate) fn check(region: Box2D<u32>, size: Size2D<u32>) -> Result<(), Self> {
        let Box2D { min, max } = region;
        let lies_inside = min.x <= max.x && max.x <= size.width && min.y <= max.y && max.y <= size.height;
        if lies_inside { Ok(()) } else { Err(Self { region, size }) }
    }
}

/// Why `get_image` or `take_image` has no image.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum GetImageError {
    /// The presenter has no such context, or the context was destroyed while the reply waited for a frame.
    #[error(transparent)]
    UnknownContext(#[from] UnknownContext),
    /// The texture to be read, or the frame whose present was to be read, could not be copied.
    #[error("the texture could not be read")]
    Texture(#[source] PresentError),
    /// The region to be read does not lie inside the image.
    #[error(transparent)]
    Region(#[from] RegionOutside),
    /// More than a thousand reads of this canvas wait for copies already.
    #[error("too many reads of this canvas wait")]
    TooManyReads,
    /// The drawing buffer is cleared and has 2³¹ bytes or more.
    #[error("a canvas of {}×{} pixels is too large", .0.width, .0.height)]
    TooLarge(Size2D<u32>),
}
