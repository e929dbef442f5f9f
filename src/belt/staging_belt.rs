//! The belt itself: the calls of the engine, in the order of a frame.
//!
//! Each call checks what needs no state, passes the rest to `intake` or `pool`, and clears the belt if the
//! device turns out to be lost. Accessed only on the thread that makes the wgpu-core calls of the device.

use std::fmt;
use std::sync::Arc;

use wgpu_core::SubmissionIndex;
use wgpu_core::global::Global;
use wgpu_core::id::{BufferId, CommandEncoderId, DeviceId, QueueId, TextureId};
use wgpu_types::{
    COPY_BUFFER_ALIGNMENT, Extent3d, TexelCopyBufferLayout, TexelCopyTextureInfo, TextureFormat,
};

use super::chunk::{Counts, Ledger, ProvidedIds};
use super::device::Device;
use super::intake::Intake;
use super::texture::TextureWrite;
use super::{
    Allocation, BeltDescriptor, BeltError, BeltStats, ClosedChunks, FlushStats, RecallError, RecallMistake,
    WriteView,
};

/// Uploads writes to the buffers and textures of one device, in few copies. [The module](super) says how a
/// frame goes.
///
/// Accessed only on the thread that makes the wgpu-core calls of its device. It is `Send`, so that it may move
/// to another thread together with the device. No call waits for the GPU.
/// Dropping the belt frees its chunks, except [`ClosedChunks`] that still exist: those are freed when they
/// are dropped.
///
/// # What the engine promises
///
/// - The ids of wgpu-core that are passed to a call are live during the call, and the device is live during
///   every call except dropping. Otherwise wgpu-core panics.
/// - A destination stays live under its id from a write to the next [`flush`](Self::flush) or
///   [`finish`](Self::finish). The engine flushes, or [forgets](Self::forget_buffer) the destination, before
///   it drops it. Otherwise wgpu-core panics in the flush, and everything that was written and not flushed is
///   discarded.
/// - The engine flushes, and submits, before it maps or destroys a destination. Otherwise copies are refused,
///   or the submission fails.
/// - The chunks belong to the belt, including those that [`allocate`](Self::allocate) names: see the safety
///   section of [`new`](Self::new).
pub struct StagingBelt {
    ledger: Arc<Ledger>,
    intake: Intake,
    descriptor: BeltDescriptor,
    /// What was recorded since the last [`finish`](Self::finish).
    flushed: FlushStats,
    /// The number of successful calls of [`finish`](Self::finish).
    frames: u64,
}

impl StagingBelt {
    /// Creates a belt whose chunks have ids that wgpu-core allocates. It has no chunk yet.
    ///
    /// # Errors
    ///
    /// [`BeltError::UnsupportedBackend`].
    ///
    /// # Safety
    ///
    /// The belt copies bytes to the mapped memory of its chunks. As long as the belt or one of its
    /// [`ClosedChunks`] exists, nothing else, on any thread, may pass the id of a chunk to wgpu-core, except to
    /// commands that copy from an [allocation](Self::allocate). In particular:
    ///
    /// - Nothing unmaps a chunk: with OpenGL ES and Direct3D 12 the memory may be gone then while the belt writes
    ///   to it, and with every backend submissions may read it meanwhile.
    /// - Nothing drops a chunk, and creates another buffer under its id: the belt could write to the memory of the
    ///   first one, which is freed.
    ///
    /// Where pages choose the ids that their commands name, the engine refuses those for which
    /// [`is_chunk`](Self::is_chunk) returns true. Destroying the device is allowed at any time, on any thread.
    /// So is destroying a chunk, which counts as the loss of the device.
    pub unsafe fn new(
        global: Arc<Global>,
        device: DeviceId,
        queue: QueueId,
        descriptor: &BeltDescriptor,
    ) -> Result<Self, BeltError> {
        Self::with_ids(global, device, queue, descriptor, None)
    }

    /// Creates a belt whose chunks have ids that the engine allocated. It has at most as many chunks as there
    /// are ids, and none yet.
    ///
    /// Each id is passed to `hand_back` once, when the belt and all its [`ClosedChunks`] are dropped, on the
    /// thread that drops the last of them.
    /// Precondition: all ids of one wgpu-core `Global` come from the same side, either wgpu-core or the
    /// engine.
    ///
    /// # Errors
    ///
    /// [`BeltError::UnsupportedBackend`]. `hand_back` is not called then: the ids are still the engine's.
    ///
    /// # Safety
    ///
    /// What [`new`](Self::new) demands, from now on until each id is handed back, whether or not it names a chunk
    /// at the moment.
    pub unsafe fn with_buffer_ids(
        global: Arc<Global>,
        device: DeviceId,
        queue: QueueId,
        descriptor: &BeltDescriptor,
        ids: Vec<BufferId>,
        hand_back: impl FnMut(BufferId) + Send + 'static,
    ) -> Result<Self, BeltError> {
        let ids = ProvidedIds { unused: ids, hand_back: Box::new(hand_back) };
        Self::with_ids(global, device, queue, descriptor, Some(ids))
    }

    fn with_ids(
        global: Arc<Global>,
        device: DeviceId,
        queue: QueueId,
        descriptor: &BeltDescriptor,
        ids: Option<ProvidedIds>,
    ) -> Result<Self, BeltError> {
        let device = Device::new(global, device, queue, ids.is_none())?;
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

    /// Writes `data` at `offset`, in bytes, to a buffer. Offset and size must be multiples of 4. Without data
    /// nothing is done.
    ///
    /// # Errors
    ///
    /// Those that [the module](super#errors) describes. Nothing of this write is done then.
    // Inlined, because the usual write is a few instructions, and fewer still where the caller knows its
    // size.
    #[inline]
    pub fn write_buffer(&mut self, target: BufferId, offset: u64, data: &[u8]) -> Result<(), BeltError> {
        if data.is_empty() || self.intake.append(target, offset, data) {
            return Ok(());
        }
        let written = self.intake.write(target, offset, data);
        self.unless_lost(written)
    }

    /// Writes `size` bytes at `offset` to a buffer, like [`write_buffer`](Self::write_buffer), and returns
    /// them to be filled in. What is not filled in is zero.
    ///
    /// # Errors
    ///
    /// Those of [`write_buffer`](Self::write_buffer).
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
        Ok(WriteView::new(self.intake.extend_with_zeros(destination, size)))
    }

    /// Writes texels to a texture like `GPUQueue.writeTexture`, but in the order of the encoder.
    ///
    /// `format` is the format of the texture. `layout` and `size` mean what they mean in
    /// `GPUQueue.writeTexture`: `offset` and `bytes_per_row` need not be multiples of anything. Without
    /// texels in `size` nothing is done.
    ///
    /// In the chunk rows are padded to multiples of 256 bytes. A write that does not fit a chunk is copied in
    /// pieces.
    ///
    /// # Errors
    ///
    /// Those that [the module](super#errors) describes. Nothing of this write is done then. If the texture
    /// has another format than `format`, that is noticed only if its rows are longer, or if it has more of
    /// them.
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

    /// Discards what was written to a buffer and not flushed, so that the engine may drop the buffer.
    pub fn forget_buffer(&mut self, target: BufferId) {
        self.intake.forget_buffer(target);
    }

    /// Discards what was written to a texture and not flushed, so that the engine may drop the texture.
    pub fn forget_texture(&mut self, target: TextureId) {
        self.intake.forget_texture(target);
    }

    /// Allocates bytes in a staging buffer, for commands of the engine's own that copy from it.
    ///
    /// `size`, in bytes, must be a multiple of 4, and `alignment` a power of two. The bytes lie at a multiple
    /// of `alignment` and of 4 in the staging buffer, which has the usage `COPY_SRC`. What is not filled in
    /// is zero.
    ///
    /// Commands that read the allocation go into encoders that are submitted after the next
    /// [`finish`](Self::finish), and before the chunks that it returns are recalled.
    ///
    /// # Errors
    ///
    /// Those that [the module](super#errors) describes, [`BeltError::EmptyAllocation`], and
    /// [`BeltError::TooLarge`] for more than [`BeltDescriptor::max_chunk_size`].
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
        let made = self.intake.make_contiguous_room(size, alignment);
        self.unless_lost(made)?;
        match self.intake.active.reserve(size, alignment) {
            Some((buffer, offset, bytes)) => Ok(Allocation::new(buffer, offset, bytes)),
            None => Err(BeltError::DeviceLost),
        }
    }

    /// Records the copies of everything that was written since the last flush.
    ///
    /// Writes may follow. The encoder must not be submitted before [`finish`](Self::finish): wgpu-core would
    /// refuse it, because the chunks are still mapped. Precondition: `encoder` belongs to the device of the
    /// belt, and no pass is open on it.
    ///
    /// # Errors
    ///
    /// [`BeltError::EncoderEnded`], and what was written waits for another encoder; or
    /// [`BeltError::DeviceLost`].
    pub fn flush(&mut self, encoder: CommandEncoderId) -> Result<FlushStats, BeltError> {
        let recorded = self.intake.record(encoder);
        let stats = self.unless_lost(recorded)?;
        self.flushed += stats;
        Ok(stats)
    }

    /// [Flushes](Self::flush) what is left, ends the frame, and returns the chunks that were written in it.
    /// The encoders may be submitted now.
    ///
    /// # Errors
    ///
    /// Those of [`flush`](Self::flush).
    pub fn finish(&mut self, encoder: CommandEncoderId) -> Result<ClosedChunks, BeltError> {
        self.flush(encoder)?;
        let closed = self.intake.active.close();
        let chunks = self.unless_lost(closed)?;
        self.frames += 1;
        self.intake.pool.end_frame();
        if self.frames.is_multiple_of(u64::from(self.descriptor.idle_frames)) {
            self.intake.shrink();
        }
        Ok(ClosedChunks::new(self.ledger.clone(), chunks, std::mem::take(&mut self.flushed)))
    }

    /// Takes chunks back, to be written again once the GPU has read them.
    ///
    /// All encoders that were given to `flush` and `finish` in the frame of the chunks must be submitted
    /// before. `submission` is what `queue_submit` returned for the last of them. (If `queue_submit` returned
    /// an error, the chunks are dropped instead.)
    ///
    /// The call polls the device without waiting, which runs the engine's closures that are due, as
    /// `queue_submit` does.
    ///
    /// # Errors
    ///
    /// The chunks are handed back if there was no such submission since they were closed, or if another belt
    /// closed them. A submission that is later but does not contain the encoders is not noticed: submitting
    /// the encoders afterwards can then upload other bytes, or fail.
    pub fn recall(
        &mut self,
        mut chunks: ClosedChunks,
        submission: SubmissionIndex,
    ) -> Result<(), RecallError> {
        let device = &self.ledger.device;
        if !Arc::ptr_eq(&self.ledger, &chunks.ledger) {
            return Err(RecallError { chunks, reason: RecallMistake::ForeignChunks });
        }
        if submission <= chunks.after || submission > device.last_submission() {
            return Err(RecallError { chunks, reason: RecallMistake::NotSubmitted });
        }
        chunks.take().into_iter().for_each(|chunk| self.intake.pool.recall(chunk));
        device.poll();
        Ok(())
    }

    /// Frees closed chunks, because their encoders will not be submitted. Dropping them does the same.
    pub fn abandon(&mut self, chunks: ClosedChunks) {
        drop(chunks);
    }

    /// Frees all chunks that are not in use, and memory of the belt's own, without waiting for
    /// [`BeltDescriptor::idle_frames`].
    pub fn trim(&mut self) {
        self.intake.pool.trim();
        self.intake.shrink();
    }

    /// Returns what the belt holds now, and what it did since it was created.
    pub fn stats(&self) -> BeltStats {
        let Counts { bytes, closed, created, freed } = self.ledger.counts();
        BeltStats {
            frames: self.frames,
            bytes,
            active: self.intake.active.len(),
            closed,
            recalled: self.intake.pool.recalled(),
            free: self.intake.pool.free(),
            created,
            freed,
        }
    }

    /// Returns whether a buffer is a chunk of this belt, or has an id that the engine provided for one.
    ///
    /// An engine whose pages choose the ids that their commands name refuses such a command with it, as
    /// [`new`](Self::new) demands. Chunks that were freed do not count.
    pub fn is_chunk(&self, buffer: BufferId) -> bool {
        self.ledger.has_id(buffer)
    }

    /// Passes a result on, and clears the belt if it says that the device is lost.
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
