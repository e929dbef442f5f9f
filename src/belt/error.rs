//! The errors of a belt, and the conversion of wgpu-core's errors to them.
//!
//! Every call of [`StagingBelt`](super::StagingBelt) returns its error to the engine.
//! [`BeltError::DeviceLost`] also clears the belt.

use thiserror::Error;
use wgpu_core::command::TransferError;
use wgpu_core::device::DeviceError;
use wgpu_core::device::queue::QueueWriteError;
use wgpu_core::resource::{BufferAccessError, CreateBufferError};
use wgpu_types::{BufferTextureCopyInfoError, TextureFormat};

use super::ClosedChunks;

/// Why something was not written, not allocated or not recorded.
///
/// A call that fails has had no effect, unless the variant says otherwise.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum BeltError {
    /// An offset in a buffer is not a multiple of 4 bytes (`COPY_BUFFER_ALIGNMENT`).
    #[error("offset {0} is not a multiple of 4")]
    UnalignedOffset(u64),
    /// The size of a write to a buffer, or of an allocation, is not a multiple of 4 bytes.
    #[error("size {0} is not a multiple of 4")]
    UnalignedSize(u64),
    /// An alignment is not a power of two.
    #[error("alignment {0} is not a power of two")]
    InvalidAlignment(u64),
    /// An allocation has no bytes. (Writes of no bytes are allowed and do nothing.)
    #[error("an allocation has at least 4 bytes")]
    EmptyAllocation,
    /// Something that must lie in one chunk is larger than
    /// [`BeltDescriptor::max_chunk_size`](super::BeltDescriptor::max_chunk_size): an allocation, a row of
    /// texels, or a layer of a depth or stencil texture.
    #[error("{size} bytes do not fit a chunk of at most {max_chunk_size}")]
    TooLarge {
        /// Its size in bytes, or `u64::MAX` if a `u64` cannot count them, or if a row is too long for a copy.
        size: u64,
        /// The limit in bytes.
        max_chunk_size: u64,
    },
    /// All chunks together would take more than
    /// [`BeltDescriptor::max_bytes`](super::BeltDescriptor::max_bytes).
    ///
    /// Chunks that the GPU still reads count, and so do closed chunks that were not recalled: recall them,
    /// poll the device and try again.
    #[error("no {needed} bytes more within the budget of {max_bytes}")]
    BudgetExceeded {
        /// The size of the chunk that was missing, in bytes.
        needed: u64,
        /// The limit in bytes.
        max_bytes: u64,
    },
    /// All ids given to [`StagingBelt::with_buffer_ids`](super::StagingBelt::with_buffer_ids) name chunks
    /// already.
    #[error("no buffer id is left for another chunk")]
    NoBufferIds,
    /// wgpu-core found no memory, most often for a chunk.
    #[error("out of memory")]
    OutOfMemory,
    /// The device was lost or destroyed. Everything that was written and not finished is discarded, and
    /// nothing can be written any more.
    #[error("the device is lost")]
    DeviceLost,
    /// The crate was built without the feature of the device's backend.
    #[error("the device's backend is not supported")]
    UnsupportedBackend,
    /// The destination belongs to another device.
    #[error("the destination belongs to another device")]
    WrongDevice,
    /// The destination is an error buffer or an error texture. (For an error texture another error may be
    /// found first.)
    #[error("the destination is invalid")]
    DestinationInvalid,
    /// The destination was destroyed.
    #[error("the destination was destroyed")]
    DestinationDestroyed,
    /// The destination is mapped, or is about to be.
    #[error("the destination is mapped")]
    DestinationMapped,
    /// The destination does not have the usage `COPY_DST`.
    #[error("the destination cannot be copied to")]
    DestinationUsage,
    /// The write would end outside its destination, or the texture has no such mip level.
    #[error("the write ends outside its destination")]
    OutOfBounds,
    /// The aspect of the destination cannot be written in this format.
    #[error("{0:?} cannot be written")]
    UnsupportedFormat(TextureFormat),
    /// The layout does not describe rows and images of the size that is written, as
    /// `GPUTexelCopyBufferLayout` must.
    #[error("the layout of the texels is invalid: {0:?}")]
    TextureLayout(BufferTextureCopyInfoError),
    /// The layout lacks `bytes_per_row`, which more than one row needs, or `rows_per_image`, which more than
    /// one layer needs.
    #[error("the layout leaves out what the size needs")]
    IncompleteLayout,
    /// The layout reaches beyond the end of the data.
    #[error("{needed} bytes of texels are described, {given} are given")]
    DataTooShort {
        /// The bytes that the layout reaches, from the beginning of the data.
        needed: u64,
        /// The bytes of the data.
        given: u64,
    },
    /// wgpu-core refused the write for another reason. Most often the texture does not have the given format
    /// and size.
    #[error("the write was refused")]
    Refused(#[source] Box<QueueWriteError>),
    /// The encoder was finished already. What was written waits for another encoder.
    #[error("the encoder was finished already")]
    EncoderEnded,
}

/// Chunks that were not recalled, and the reason.
#[derive(Debug, Error)]
#[error("chunks were not recalled")]
pub struct RecallError {
    /// The chunks, handed back. The right belt can still recall them with the right index; dropping them
    /// frees them.
    pub chunks: ClosedChunks,
    /// The reason.
    #[source]
    pub reason: RecallMistake,
}

/// Why chunks were not recalled.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecallMistake {
    /// The index names no submission made since the chunks were closed, so their encoders cannot be part of
    /// it.
    #[error("no such submission since the chunks were closed")]
    NotSubmitted,
    /// Another belt closed the chunks.
    #[error("the chunks belong to another belt")]
    ForeignChunks,
}

impl From<DeviceError> for BeltError {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::OutOfMemory => Self::OutOfMemory,
            DeviceError::DeviceMismatch(_) => Self::WrongDevice,
            _ => Self::DeviceLost,
        }
    }
}

impl From<CreateBufferError> for BeltError {
    fn from(error: CreateBufferError) -> Self {
        match error {
            CreateBufferError::Device(error) => error.into(),
            CreateBufferError::AccessError(error) => error.into(),
            // The other errors say that the descriptor is invalid, which that of a chunk should never be.
            error => {
                log::warn!("webgpu-presentation: no chunk: {error}");
                Self::OutOfMemory
            }
        }
    }
}

impl From<BufferAccessError> for BeltError {
    fn from(error: BufferAccessError) -> Self {
        match error {
            BufferAccessError::Device(error) => error.into(),
            // Only chunks are accessed this way. One that cannot be was destroyed with its device.
            _ => Self::DeviceLost,
        }
    }
}

impl From<QueueWriteError> for BeltError {
    fn from(error: QueueWriteError) -> Self {
        match error {
            QueueWriteError::Queue(error) => error.into(),
            QueueWriteError::InvalidResource(_) => Self::DestinationInvalid,
            QueueWriteError::DestroyedResource(_) => Self::DestinationDestroyed,
            QueueWriteError::Transfer(
                TransferError::BufferStartOffsetOverrun { .. }
                | TransferError::BufferEndOffsetOverrun { .. }
                | TransferError::TextureOverrun { .. }
                | TransferError::InvalidTextureMipLevel { .. },
            ) => Self::OutOfBounds,
            QueueWriteError::Transfer(TransferError::BufferNotAvailable) => Self::DestinationMapped,
            QueueWriteError::Transfer(
                TransferError::MissingBufferUsage(_) | TransferError::MissingTextureUsage(_),
            ) => Self::DestinationUsage,
            error => Self::Refused(Box::new(error)),
        }
    }
}
