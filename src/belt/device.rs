//! The device of a belt: every call of wgpu-core that the belt makes, except those of
//! [`upload`](super::upload).
//!
//! Accessed only on the thread of the belt, which is the one that makes the wgpu-core calls of the device.

use std::sync::Arc;
use std::time::Duration;

use wgpu_core::SubmissionIndex;
use wgpu_core::device::{HostMap, WaitIdleError};
use wgpu_core::global::Global;
use wgpu_core::id::{BufferId, CommandEncoderId, DeviceId, QueueId};
use wgpu_core::resource::{BufferAccessError, BufferDescriptor, BufferMapOperation, TextureDescriptor};
use wgpu_types as wgt;

use super::BeltError;
use super::copies::{PendingCopy, TextureCopy};
use super::strided::Block;
use super::upload::{GuardedCall, guarded_call_for, upload};

/// A device and its queue. Precondition of every call, except [`drop_buffer`](Self::drop_buffer): the engine
/// has not dropped them.
pub(super) struct Device {
    global: Arc<Global>,
    id: DeviceId,
    queue: QueueId,
    guarded: GuardedCall,
    /// The largest width and height of a texture that stands for strided copies, or `None` if they are all
    /// recorded as they are.
    pub(super) largest_texture: Option<u32>,
}

impl Device {
    /// `allocates_ids` says whether wgpu-core allocates ids: a texture needs one.
    pub(super) fn new(
        global: Arc<Global>,
        id: DeviceId,
        queue: QueueId,
        allocates_ids: bool,
    ) -> Result<Self, BeltError> {
        let (backend, guarded) = guarded_call_for(&global, id).ok_or(BeltError::UnsupportedBackend)?;
        // Whether a copy from a texture leaves the bytes between its rows alone was tested on Vulkan only.
        let by_texture = allocates_ids && backend == wgt::Backend::Vulkan;
        let largest_texture = by_texture.then(|| global.device_limits(id).max_texture_dimension_2d);
        Ok(Self { global, id, queue, guarded, largest_texture })
    }

    /// Returns the size of the largest buffer that the device allows, in bytes.
    pub(super) fn largest_buffer(&self) -> u64 {
        self.global.device_limits(self.id).max_buffer_size
    }

    /// Creates a zeroed buffer of `size` bytes that is mapped for writing. After an error `id` is free again.
    pub(super) fn create_mapped(&self, size: u64, id: Option<BufferId>) -> Result<BufferId, BeltError> {
        let descriptor = BufferDescriptor {
            label: Some("belt chunk".into()),
            size,
            usage: wgt::BufferUsages::MAP_WRITE | wgt::BufferUsages::COPY_SRC,
            mapped_at_creation: true,
        };
        let (id, error) = self.global.device_create_buffer(self.id, &descriptor, id);
        match error {
            None => Ok(id),
            Some(error) => {
                // wgpu-core has put an invalid entry under the id, which would keep it in use.
                self.global.buffer_drop(id);
                Err(error.into())
            }
        }
    }

    /// Drops a buffer. Command buffers may still read it: wgpu-core keeps its memory as long as one needs it.
    pub(super) fn drop_buffer(&self, id: BufferId) {
        self.global.buffer_drop(id);
    }

    /// Copies `bytes` to `offset`, in bytes, in a chunk. Fails with [`BeltError::DeviceLost`] if the chunk is
    /// not mapped any more.
    pub(super) fn upload(&self, chunk: BufferId, offset: u64, bytes: &[u8]) -> Result<(), BeltError> {
        upload(&self.global, self.guarded, chunk, offset, bytes).ok_or(BeltError::DeviceLost)
    }

    /// Unmaps a chunk, so that submissions may read it.
    pub(super) fn unmap(&self, chunk: BufferId) -> Result<(), BeltError> {
        Ok(self.global.buffer_unmap(chunk)?)
    }

    /// Asks wgpu-core to map a chunk for writing once the submissions that read it are over.
    ///
    /// [`is_mapped`](Self::is_mapped) tells when it is. No callback is used, because wgpu-core may lose one.
    pub(super) fn map(&self, chunk: BufferId) -> Result<(), BeltError> {
        let operation = BufferMapOperation { host: HostMap::Write, callback: None };
        self.global.buffer_map_async(chunk, 0, None, operation)?;
        Ok(())
    }

    /// Returns whether a chunk is mapped.
    pub(super) fn is_mapped(&self, chunk: BufferId) -> bool {
        self.global.buffer_get_mapped_range(chunk, 0, None).is_ok()
    }

    /// Polls the device once without waiting, which runs the closures that are due, the engine's included.
    pub(super) fn poll(&self) {
        if let Err(error) = self.global.device_poll(self.id, wgt::PollType::Poll) {
            log::warn!("webgpu-presentation: polling {:?}: {error}", self.id);
        }
    }

    /// Returns the index of the latest submission that the queue accepted. Polls the device without waiting.
    ///
    /// wgpu-core has no call for this. It is asked to wait for a submission that cannot exist, and its error
    /// names the latest one. wgpu-core 30 returns that error before it would wait: `Device::maintain` first
    /// compares the index with that of the last submission. The time-out is zero in case that a later version
    /// asks the driver instead, which would wait without end for an index that is never reached.
    pub(super) fn last_submission(&self) -> SubmissionIndex {
        let timeout = Some(Duration::ZERO);
        let impossible = wgt::PollType::Wait { submission_index: Some(SubmissionIndex::MAX), timeout };
        match self.global.device_poll(self.id, impossible) {
            Err(WaitIdleError::WrongSubmissionIndex(_, last)) => last,
            _ => 0,
        }
    }

    /// Checks whether a write to a buffer may end at `end`, by writing no bytes there.
    pub(super) fn check_buffer(&self, target: BufferId, end: u64) -> Result<(), BeltError> {
        // A write of no bytes does not fail for a destroyed buffer, and copying to one makes the encoder
        // invalid: so the mapped range is asked for too. It is asked for first, because a lost device, which
        // the write does notice, destroys its buffers.
        let range = self.global.buffer_get_mapped_range(target, 0, Some(0));
        self.global.queue_write_buffer(self.queue, target, end, &[])?;
        match range {
            Err(BufferAccessError::DestroyedResource(_)) => Err(BeltError::DestinationDestroyed),
            _ => Ok(()),
        }
    }

    /// Checks whether a copy to a texture would be accepted, by writing no layers behind the last one of the
    /// copy.
    pub(super) fn check_texture(&self, copy: &TextureCopy) -> Result<(), BeltError> {
        let TextureCopy { mut destination, size, row_bytes, rows, .. } = *copy;
        let layers = size.depth_or_array_layers;
        destination.origin.z = destination.origin.z.checked_add(layers).ok_or(BeltError::OutOfBounds)?;
        // This layout fits the copy exactly, so wgpu-core refuses it if the format of the texture has longer
        // rows, or more of them.
        let layout = wgt::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(row_bytes),
            rows_per_image: Some(rows),
        };
        let nothing = wgt::Extent3d { depth_or_array_layers: 0, ..size };
        let checked = self.global.queue_write_texture(self.queue, &destination, &[], &layout, &nothing);
        Ok(checked?)
    }

    /// Records a copy. Fails if the encoder was finished.
    pub(super) fn record(&self, encoder: CommandEncoderId, copy: &PendingCopy) -> Result<(), BeltError> {
        let recorded = match copy {
            PendingCopy::Buffer(copy) => self.global.command_encoder_copy_buffer_to_buffer(
                encoder,
                copy.chunk,
                copy.chunk_offset,
                copy.target,
                copy.target_offset,
                Some(copy.size),
            ),
            PendingCopy::Texture { chunk, chunk_offset, copy } => {
                let layout = wgt::TexelCopyBufferLayout {
                    offset: *chunk_offset,
                    bytes_per_row: Some(copy.stride),
                    rows_per_image: Some(copy.rows),
                };
                let source = wgt::TexelCopyBufferInfo { buffer: *chunk, layout };
                let (destination, size) = (&copy.destination, &copy.size);
                self.global.command_encoder_copy_buffer_to_texture(encoder, &source, destination, size)
            }
        };
        recorded.map_err(|_| BeltError::EncoderEnded)
    }

    /// Records the copies of a block by way of a texture, and returns how many they are: `None` if there is no
    /// memory for the texture, and nothing is recorded then. Fails if the encoder was finished.
    pub(super) fn record_block(
        &self,
        encoder: CommandEncoderId,
        block: &Block,
    ) -> Result<Option<usize>, BeltError> {
        let global = &self.global;
        let size = wgt::Extent3d {
            width: block.columns * block.column_width,
            height: block.rows,
            depth_or_array_layers: 1,
        };
        let descriptor = TextureDescriptor {
            label: Some("belt scatter".into()),
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgt::TextureDimension::D2,
            format: block.format,
            usage: wgt::TextureUsages::COPY_DST | wgt::TextureUsages::COPY_SRC,
            view_formats: Vec::new(),
        };
        let (texture, error) = global.device_create_texture(self.id, &descriptor, None);
        // Recorded commands keep the texture, and so does a submission of them until the GPU is done.
        let texture = scopeguard::guard(texture, |texture| global.texture_drop(texture));
        if let Some(error) = error {
            log::debug!("webgpu-presentation: no texture for scattered writes: {error}");
            return Ok(None);
        }
        let layout = |offset, stride| wgt::TexelCopyBufferLayout {
            offset,
            bytes_per_row: Some(stride),
            rows_per_image: None,
        };
        let mut whole = wgt::TexelCopyTextureInfo {
            texture: *texture,
            mip_level: 0,
            origin: wgt::Origin3d::ZERO,
            aspect: wgt::TextureAspect::All,
        };
        let source = wgt::TexelCopyBufferInfo {
            buffer: block.chunk,
            layout: layout(block.chunk_offset, block.chunk_stride),
        };
        global
            .command_encoder_copy_buffer_to_texture(encoder, &source, &whole, &size)
            .map_err(|_| BeltError::EncoderEnded)?;
        let column = wgt::Extent3d { width: block.column_width, ..size };
        for index in 0..block.columns {
            whole.origin.x = index * block.column_width;
            let offset = block.target_offset + u64::from(index) * block.column_distance;
            let target = wgt::TexelCopyBufferInfo {
                buffer: block.target,
                layout: layout(offset, block.target_stride),
            };
            global
                .command_encoder_copy_texture_to_buffer(encoder, &whole, &target, &column)
                .map_err(|_| BeltError::EncoderEnded)?;
        }
        Ok(Some(1 + block.columns as usize))
    }
}
