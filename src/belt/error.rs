//! Why the belt refuses.

use thiserror::Error;
use wgpu_core::command::TransferError;
use wgpu_core::device::DeviceError;
use wgpu_core::device::queue::QueueWriteError;
use wgpu_core::resource::{BufferAccessError, CreateBufferError};
use wgpu_types::{BufferTextureCopyInfoError, TextureFormat};

use super::Batch;

/// Why something was not written, not recorded or not recalled. What failed has had no effect, except where a variant says more.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum BeltError {
    /// Offsets in buffers are multiples of 4 (`COPY_BUFFER_ALIGNMENT`).
    #[error("offset {0} is not a multiple of 4")]
    UnalignedOffset(u64),
    /// Sizes of writes to buffers, and of allocations, are multiples of 4.
    #[error("size {0} is not a multiple of 4")]
    UnalignedSize(u64),
    /// Alignments are powers of two.
    #[error("alignment {0} is not a power of two")]
    InvalidAlignment(u64),
    /// An allocation of no bytes. (Writes of no bytes are fine: they do nothing.)
    #[error("an allocation has at least 4 bytes")]
    EmptyAllocation,
    /// What must lie in one chunk, an allocation or a row of texels (of a depth or stencil texture: a layer), is larger than
    /// [`BeltDescriptor::max_chunk_size`](super::BeltDescriptor::max_chunk_size).
    #[error("{size} bytes do not fit a chunk of at most {max_chunk_size}")]
    TooLarge {
        /// What was asked for, in bytes. `u64::MAX` if a `u64` cannot count them.
        size: u64,
        /// The limit.
        max_chunk_size: u64,
    },
    /// All chunks together would take more than [`BeltDescriptor::max_bytes`](super::BeltDescriptor::max_bytes). Chunks
    /// that the GPU still reads count, and so do those of batches that were not recalled: recall them, poll the device and try
    /// again.
    #[error("no {needed} bytes more within the budget of {max_bytes}")]
    BudgetExceeded {
        /// What was missing, in bytes.
        needed: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// All ids given to [`StagingBelt::with_buffer_ids`](super::StagingBelt::with_buffer_ids) name chunks.
    #[error("no buffer id is left for another chunk")]
    NoBufferIds,
    /// wgpu-core found no memory for a chunk.
    #[error("out of memory")]
    OutOfMemory,
    /// The device was lost or destroyed. All that was written and not finished is discarded, and nothing can be written any more.
    #[error("the device is lost")]
    DeviceLost,
    /// The belt does not know this device's backend: the crate was built without its feature.
    #[error("the device's backend is not supported")]
    UnsupportedBackend,
    /// The destination belongs to another device.
    #[error("the destination belongs to another device")]
    WrongDevice,
    /// The destination is an error buffer, or an error texture. (Of the latter something else may be found wrong first.)
    #[error("the destination is invalid")]
    DestinationInvalid,
    /// The destination was destroyed.
    #[error("the destination was destroyed")]
    DestinationDestroyed,
    /// The destination is mapped, or about to be.
    #[error("the destination is mapped")]
    DestinationMapped,
    /// The destination lacks the usage `COPY_DST`.
    #[error("the destination cannot be copied to")]
    DestinationUsage,
    /// The write would end behind the end of its destination. For textures also: no such mip level.
    #[error("the write ends outside its destination")]
    OutOfBounds,
    /// This aspect of this format cannot be written.
    #[error("{0:?} cannot be written")]
    UnsupportedFormat(TextureFormat),
    /// The layout does not describe rows and images of that size: see `GPUTexelCopyBufferLayout`.
    #[error("the layout of the texels is invalid: {0:?}")]
    TextureLayout(BufferTextureCopyInfoError),
    /// More than one row needs `bytes_per_row`, more than one layer needs `rows_per_image`.
    #[error("the layout leaves out what the size needs")]
    IncompleteLayout,
    /// The layout reaches further than the data.
    #[error("{needed} bytes of texels are described, {given} are given")]
    DataTooShort {
        /// In bytes, from the beginning of the data.
        needed: u64,
        /// In bytes.
        given: u64,
    },
    /// wgpu-core refuses the write for another reason: most often a texture is not what the format and the size say.
    #[error("the write was refused")]
    Refused(#[source] Box<QueueWriteError>),
    /// The encoder was finished already. What was written waits for another one.
    #[error("the encoder was finished already")]
    EncoderEnded,
}

/// A batch that was not recalled, with the reason. It is handed back: dropping it frees its chunks.
#[derive(Debug, Error)]
#[error("a batch was not recalled")]
pub struct RecallError {
    /// Still recallable, by the right belt with the right index.
    pub batch: Batch,
    /// What was wrong.
    #[source]
    pub reason: RecallMistake,
}

/// What was wrong with a recall.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecallMistake {
    /// The index names no submission made after the batch was finished: its encoder cannot have been submitted with it.
    #[error("no such submission since the batch was finished")]
    NotSubmitted,
    /// Another belt finished the batch.
    #[error("another belt's batch")]
    ForeignBatch,
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
