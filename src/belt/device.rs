//! What the belt asks of wgpu-core: every call but that of [`upload`](super::upload).

use std::sync::Arc;

use wgpu_core::SubmissionIndex;
use wgpu_core::device::{HostMap, WaitIdleError};
use wgpu_core::global::Global;
use wgpu_core::id::{BufferId, CommandEncoderId, DeviceId, QueueId};
use wgpu_core::resource::{BufferAccessError, BufferDescriptor, BufferMapOperation};
use wgpu_types as wgt;

use super::BeltError;
use super::upload::{Guarded, guard_of, upload};
use super::writes::{Copy, TextureCopy};

/// A device and its queue.
pub(super) struct Device {
    global: Arc<Global>,
    id: DeviceId,
    queue: QueueId,
    guarded: Guarded,
}

impl Device {
    pub(super) fn new(global: Arc<Global>, id: DeviceId, queue: QueueId) -> Result<Self, BeltError> {
        let guarded = guard_of(&global, id).ok_or(BeltError::UnsupportedBackend)?;
        Ok(Self { global, id, queue, guarded })
    }

    pub(super) fn largest_buffer(&self) -> u64 {
        self.global.device_limits(self.id).max_buffer_size
    }

    /// A zeroed buffer that is mapped for writing. After an error `id` is free again.
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
                // wgpu-core keeps an invalid entry under the id.
                self.global.buffer_drop(id);
                Err(error.into())
            }
        }
    }

    /// The GPU may go on reading it: wgpu-core keeps the memory as long as a command buffer needs it.
    pub(super) fn drop_buffer(&self, id: BufferId) {
        self.global.buffer_drop(id);
    }

    pub(super) fn upload(&self, chunk: BufferId, offset: u64, bytes: &[u8]) -> Result<(), BeltError> {
        upload(&self.global, self.guarded, chunk, offset, bytes).ok_or(BeltError::DeviceLost)
    }

    /// Submissions may read it from now on.
    pub(super) fn unmap(&self, chunk: BufferId) -> Result<(), BeltError> {
        Ok(self.global.buffer_unmap(chunk)?)
    }

    /// Asks for the buffer to be mapped once the submissions that read it are over. No callback: wgpu-core may lose one, and
    /// [`is_mapped`](Self::is_mapped) tells.
    pub(super) fn map(&self, chunk: BufferId) -> Result<(), BeltError> {
        let operation = BufferMapOperation { host: HostMap::Write, callback: None };
        self.global.buffer_map_async(chunk, 0, None, operation)?;
        Ok(())
    }

    pub(super) fn is_mapped(&self, chunk: BufferId) -> bool {
        self.global.buffer_get_mapped_range(chunk, 0, None).is_ok()
    }

    /// Runs what is due, the engine's closures too.
    pub(super) fn poll(&self) {
        if let Err(error) = self.global.device_poll(self.id, wgt::PollType::Poll) {
            log::warn!("webgpu-presentation: polling {:?}: {error}", self.id);
        }
    }

    /// The index of the latest submission that the queue accepted. Waits for nothing: no submission has the index asked for, and
    /// wgpu-core's answer to that names the latest.
    pub(super) fn last_submission(&self) -> SubmissionIndex {
        let nonsense = wgt::PollType::Wait { submission_index: Some(SubmissionIndex::MAX), timeout: None };
        match self.global.device_poll(self.id, nonsense) {
            Err(WaitIdleError::WrongSubmissionIndex(_, last)) => last,
            _ => 0,
        }
    }

    /// Whether a write may end at `end`: what a write of nothing there checks.
    pub(super) fn check_buffer(&self, target: BufferId, end: u64) -> Result<(), BeltError> {
        // That check overlooks destroyed buffers, and copying to one kills the encoder. Asked before, because a lost device,
        // which the check does see, destroys its buffers.
        let asked = self.global.buffer_get_mapped_range(target, 0, Some(0));
        self.global.queue_write_buffer(self.queue, target, end, &[])?;
        match asked {
            Err(BufferAccessError::DestroyedResource(_)) => Err(BeltError::DestinationDestroyed),
            _ => Ok(()),
        }
    }

    /// Whether a copy would be accepted: what a write of no layers behind its last one checks.
    pub(super) fn check_texture(&self, copy: &TextureCopy) -> Result<(), BeltError> {
        let TextureCopy { mut destination, size, row_bytes, rows, .. } = *copy;
        let layers = size.depth_or_array_layers;
        destination.origin.z = destination.origin.z.checked_add(layers).ok_or(BeltError::OutOfBounds)?;
        // With these numbers wgpu-core finds fault with a format of larger rows, or of more of them, than ours.
        let layout = wgt::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(row_bytes),
            rows_per_image: Some(rows),
        };
        let nothing = wgt::Extent3d { depth_or_array_layers: 0, ..size };
        let checked = self.global.queue_write_texture(self.queue, &destination, &[], &layout, &nothing);
        Ok(checked?)
    }

    pub(super) fn record(&self, encoder: CommandEncoderId, copy: &Copy) -> Result<(), BeltError> {
        let recorded = match copy {
            Copy::Buffer(copy) => self.global.command_encoder_copy_buffer_to_buffer(
                encoder,
                copy.chunk,
                copy.source,
                copy.target,
                copy.offset,
                Some(copy.size),
            ),
            Copy::Texture(chunk, offset, copy) => {
                let layout = wgt::TexelCopyBufferLayout {
                    offset: *offset,
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
}
