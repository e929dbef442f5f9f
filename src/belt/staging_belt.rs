//! The belt itself: what is called, in the order of a frame.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use wgpu_core::SubmissionIndex;
use wgpu_core::global::Global;
use wgpu_core::id::{BufferId, CommandEncoderId, DeviceId, QueueId, TextureId};
use wgpu_types::{
    COPY_BUFFER_ALIGNMENT, Extent3d, TexelCopyBufferLayout, TexelCopyTextureInfo, TextureFormat,
};

use super::chunk::{Ids, Ledger};
use super::device::Device;
use super::intake::Intake;
use super::texture::TextureWrite;
use super::{
    Allocation, Batch, BeltDescriptor, BeltError, BeltStats, FlushStats, RecallError, RecallMistake,
    WriteView,
};

/// Uploads to one device, see [the module](super).
///
/// It belongs to the thread that makes the wgpu-core calls of its device, and never waits for the GPU. Dropping it frees its
/// chunks, except those of batches that are still around: they go with their batch.
///
/// # What the engine promises
///
/// wgpu-core's ids are live during the call, and the device during every call but dropping (wgpu-core panics otherwise).
/// Destinations stay live under the same id until the [`flush`](Self::flush) or [`finish`](Self::finish) after the write: flush,
/// or [forget](Self::forget_buffer), before one is dropped. (Otherwise wgpu-core panics there; all that was written and not
/// flushed is discarded then.) Flush, and submit, before one is mapped or destroyed.
///
/// The buffers that [`allocate`](Self::allocate) names are the belt's: they are copied from, not mapped, destroyed or dropped.
pub struct StagingBelt {
    ledger: Rc<Ledger>,
    intake: Intake,
    descriptor: BeltDescriptor,
    /// What was recorded since the last batch.
    flushed: FlushStats,
    frames: u64,
}

impl StagingBelt {
    /// A belt whose chunks have ids of wgpu-core's. It makes no chunk yet.
    ///
    /// # Errors
    ///
    /// [`BeltError::UnsupportedBackend`].
    pub fn new(
        global: Arc<Global>,
        device: DeviceId,
        queue: QueueId,
        descriptor: &BeltDescriptor,
    ) -> Result<Self, BeltError> {
        Self::with_ids(global, device, queue, descriptor, None)
    }

    /// A belt whose chunks have ids of the engine's, at most as many as there are ids. (All ids of one `Global` must come from
    /// the same side.)
    ///
    /// Each id is given to `hand_back` once, when the belt and all its batches are gone.
    ///
    /// # Errors
    ///
    /// [`BeltError::UnsupportedBackend`]; the ids were handed back.
    pub fn with_buffer_ids(
        global: Arc<Global>,
        device: DeviceId,
        queue: QueueId,
        descriptor: &BeltDescriptor,
        ids: Vec<BufferId>,
        hand_back: impl Fn(BufferId) + 'static,
    ) -> Result<Self, BeltError> {
        let ids = Ids { unused: ids.into(), hand_back: Box::new(hand_back) };
        Self::with_ids(global, device, queue, descriptor, Some(ids))
    }

    fn with_ids(
        global: Arc<Global>,
        device: DeviceId,
        queue: QueueId,
        descriptor: &BeltDescriptor,
        ids: Option<Ids>,
    ) -> Result<Self, BeltError> {
        let device = Device::new(global, device, queue)?;
        let descriptor = descriptor.checked(device.largest_buffer());
        let ledger = Ledger::new(device, ids);
        Ok(Self {
            intake: Intake::new(ledger.clone(), descriptor),
            ledger,
            descriptor,
            flushed: FlushStats::default(),
            frames: 0,
        })
    }

    /// Copies `data` to `offset`, in bytes, of a buffer. Offset and size are multiples of 4. No data: nothing is done.
    ///
    /// # Errors
    ///
    /// As [the module](super#errors) says; nothing of this write is done then.
    // The usual write is a few instructions, fewer still where the caller knows its size.
    #[inline]
    pub fn write_buffer(&mut self, target: BufferId, offset: u64, data: &[u8]) -> Result<(), BeltError> {
        if data.is_empty() || self.intake.append(target, offset, data) {
            return Ok(());
        }
        let written = self.intake.write(target, offset, data);
        self.unless_lost(written)
    }

    /// As [`write_buffer`](Self::write_buffer), for data that is not there yet: what is not written to the view is zero.
    ///
    /// # Errors
    ///
    /// As [`write_buffer`](Self::write_buffer).
    pub fn write_buffer_with(
        &mut self,
        target: BufferId,
        offset: u64,
        size: u64,
    ) -> Result<WriteView<'_>, BeltError> {
        if size == 0 {
            return Ok(WriteView::new(&mut []));
        }
        let destination = self.intake.destination(target, offset, size);
        let destination = self.unless_lost(destination)?;
        Ok(WriteView::new(self.intake.zeros(destination, size)))
    }

    /// Copies texels to a texture, as `GPUQueue.writeTexture` does, but in the encoder. `format` is the texture's; `layout` and
    /// `size` are as there: `offset` and `bytes_per_row` need not be multiples of anything. Size zero: nothing is done.
    ///
    /// Rows are padded to 256 bytes. What does not fit a chunk is copied in pieces.
    ///
    /// # Errors
    ///
    /// As [the module](super#errors) says; nothing of this write is done then. A texture of another format is noticed only
    /// if its rows are longer, or if it has more of them.
    pub fn write_texture(
        &mut self,
        destination: &TexelCopyTextureInfo<TextureId>,
        format: TextureFormat,
        data: &[u8],
        layout: &TexelCopyBufferLayout,
        size: Extent3d,
    ) -> Result<(), BeltError> {
        let Some(write) = TextureWrite::new(destination, format, data, layout, size)? else { return Ok(()) };
        let written = self.intake.write_texture(&write);
        self.unless_lost(written)
    }

    /// Discards what was written to a buffer and not flushed: to be called before its id is dropped.
    pub fn forget_buffer(&mut self, target: BufferId) {
        self.intake.forget_buffer(target);
    }

    /// Discards what was written to a texture and not flushed: to be called before its id is dropped.
    pub fn forget_texture(&mut self, target: TextureId) {
        self.intake.forget_texture(target);
    }

    /// Bytes in a staging buffer, for commands of the caller's own: it is usable as `COPY_SRC`. `size` is a multiple of 4,
    /// `alignment` a power of two; the bytes lie at a multiple of it and of 4. What is not written is zero.
    ///
    /// Commands that read the allocation go into encoders that are submitted after the next [`finish`](Self::finish) and before
    /// its batch is recalled.
    ///
    /// # Errors
    ///
    /// As [the module](super#errors) says, and [`BeltError::TooLarge`] beyond [`BeltDescriptor::max_chunk_size`].
    pub fn allocate(&mut self, size: u64, alignment: u64) -> Result<Allocation<'_>, BeltError> {
        if size == 0 {
            return Err(BeltError::EmptyAllocation);
        }
        if !size.is_multiple_of(COPY_BUFFER_ALIGNMENT) {
            return Err(BeltError::UnalignedSize(size));
        }
        if !alignment.is_power_of_two() {
            return Err(BeltError::InvalidAlignment(alignment));
        }
        let alignment = alignment.max(COPY_BUFFER_ALIGNMENT);
        let made = self.intake.make_piece(size, alignment);
        self.unless_lost(made)?;
        match self.intake.landing.reserve(size, alignment) {
            Some((buffer, offset, bytes)) => Ok(Allocation::new(buffer, offset, bytes)),
            None => Err(BeltError::DeviceLost),
        }
    }

    /// Records copies of all that was written. The belt can be written further; until [`finish`](Self::finish) the encoder must not
    /// be submitted (wgpu-core would refuse it: the chunks are still mapped).
    ///
    /// No pass is open on `encoder`, and it belongs to the belt's device.
    ///
    /// # Errors
    ///
    /// [`BeltError::EncoderEnded`]: what was written waits for another encoder. [`BeltError::DeviceLost`].
    pub fn flush(&mut self, encoder: CommandEncoderId) -> Result<FlushStats, BeltError> {
        let recorded = self.intake.record(encoder);
        let stats = self.unless_lost(recorded)?;
        self.flushed += stats;
        Ok(stats)
    }

    /// [Records](Self::flush) what is left to record, and ends the frame: the chunks written since the last `finish` go into the
    /// batch, and the encoders may be submitted.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub fn finish(&mut self, encoder: CommandEncoderId) -> Result<Batch, BeltError> {
        self.flush(encoder)?;
        let closed = self.intake.landing.close();
        let chunks = self.unless_lost(closed)?;
        self.frames += 1;
        self.intake.pool.end_frame();
        if self.frames.is_multiple_of(u64::from(self.descriptor.idle_frames)) {
            self.intake.shrink();
        }
        Ok(Batch::new(self.ledger.clone(), chunks, std::mem::take(&mut self.flushed)))
    }

    /// The chunks of a batch are used again once the GPU has read them. All encoders of the batch were submitted, the last one
    /// with `submission`, which is what `queue_submit` returned. (After an error of `queue_submit` drop the batch instead.)
    ///
    /// Polls the device once without waiting, which runs closures of the engine's that are due, as `queue_submit` does.
    ///
    /// # Errors
    ///
    /// The batch is handed back if there was no such submission since it was finished, or if it is another belt's. A later
    /// submission, without the batch's encoders, is not noticed: submitting those afterwards can then upload other bytes, or fail.
    pub fn recall(&mut self, mut batch: Batch, submission: SubmissionIndex) -> Result<(), RecallError> {
        let device = &self.ledger.device;
        if !Rc::ptr_eq(&self.ledger, &batch.ledger) {
            return Err(RecallError { batch, reason: RecallMistake::ForeignBatch });
        }
        if submission <= batch.after || submission > device.last_submission() {
            return Err(RecallError { batch, reason: RecallMistake::NotSubmitted });
        }
        batch.take().into_iter().for_each(|chunk| self.intake.pool.recall(chunk));
        device.poll();
        Ok(())
    }

    /// Gives a batch up, because its encoders are not submitted: as dropping it, its chunks are freed and never used again.
    pub fn abandon(&mut self, batch: Batch) {
        drop(batch);
    }

    /// Frees all chunks that rest, and memory of the belt's own, without waiting for [`BeltDescriptor::idle_frames`].
    pub fn trim(&mut self) {
        self.intake.pool.trim();
        self.intake.shrink();
    }

    /// What the belt holds.
    pub fn stats(&self) -> BeltStats {
        let ledger = &self.ledger;
        BeltStats {
            frames: self.frames,
            bytes: ledger.bytes.get(),
            active: self.intake.landing.chunks(),
            finished: ledger.finished.get(),
            recalled: self.intake.pool.recalled(),
            free: self.intake.pool.free(),
            created: ledger.created.get(),
            freed: ledger.freed.get(),
        }
    }

    /// A lost device takes everything along.
    fn unless_lost<T>(&mut self, result: Result<T, BeltError>) -> Result<T, BeltError> {
        if let Err(BeltError::DeviceLost) = result {
            self.intake.clear();
            self.flushed = FlushStats::default();
        }
        result
    }
}

impl fmt::Debug for StagingBelt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagingBelt").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
