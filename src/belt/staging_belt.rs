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
use super::landing::Landing;
use super::pool::Pool;
use super::runs::{Destination, Runs};
use super::texture::{Piece, TextureWrite};
use super::writes::Copy;
use super::{
    Allocation, Batch, BeltDescriptor, BeltError, BeltStats, FlushStats, RecallError, RecallMistake,
    WriteView,
};

/// A write of so many bytes is put into a chunk at once.
const LARGE: usize = 64 << 10;

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
    pool: Pool,
    runs: Runs,
    landing: Landing,
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
            pool: Pool::new(ledger.clone(), descriptor),
            runs: Runs::default(),
            landing: Landing::new(ledger.clone()),
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
        if data.is_empty()
            || data.len() < LARGE && self.runs.append(target, offset, data, self.landing.room())
        {
            return Ok(());
        }
        self.write_at(target, offset, data)
    }

    /// A write that is not just appended.
    fn write_at(&mut self, target: BufferId, offset: u64, data: &[u8]) -> Result<(), BeltError> {
        let destination = self.destination(target, offset, data.len() as u64)?;
        if data.len() < LARGE {
            self.runs.extend(destination, data.len()).extend_from_slice(data);
            Ok(())
        } else {
            let passed = self.runs.pass(&mut self.landing, destination, data);
            self.unless_lost(passed)
        }
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
        let destination = self.destination(target, offset, size)?;
        // Room for them was found, so they can be counted.
        let size = size as usize;
        let run = self.runs.extend(destination, size);
        let start = run.len();
        run.resize(start + size, 0);
        Ok(WriteView::new(&mut run[start..]))
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
        let written = self.write_pieces(&write);
        self.unless_lost(written)
    }

    fn write_pieces(&mut self, write: &TextureWrite<'_>) -> Result<(), BeltError> {
        self.ledger.device.check_texture(write.whole())?;
        let pieces = write.pieces(self.descriptor.max_chunk_size)?;
        // A single one that finds no room has done nothing.
        if pieces.clone().nth(1).is_none() {
            return self.put_pieces(write, pieces);
        }
        // What gathered goes first: then all that comes behind the mark is of this write.
        self.runs.put(&mut self.landing)?;
        let mark = self.landing.mark()?;
        let put = self.put_pieces(write, pieces);
        if put.is_err() {
            self.landing.go_back(mark).into_iter().for_each(|chunk| self.pool.rest(chunk));
        }
        put
    }

    fn put_pieces(
        &mut self,
        write: &TextureWrite<'_>,
        pieces: impl Iterator<Item = Piece>,
    ) -> Result<(), BeltError> {
        for piece in pieces {
            let (copy, bytes) = write.copy(piece);
            self.make_piece(bytes, write.alignment)?;
            if let Some((chunk, offset, bytes)) = self.landing.reserve(bytes, write.alignment) {
                write.fill(piece, bytes);
                self.landing.copies.push(Copy::Texture(chunk, offset, copy));
            }
        }
        Ok(())
    }

    /// Discards what was written to a buffer and not flushed: to be called before its id is dropped.
    pub fn forget_buffer(&mut self, target: BufferId) {
        self.runs.forget(target);
        self.landing.forget_buffer(target);
    }

    /// Discards what was written to a texture and not flushed: to be called before its id is dropped.
    pub fn forget_texture(&mut self, target: TextureId) {
        self.landing.forget_texture(target);
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
        let made = self.make_piece(size, alignment);
        self.unless_lost(made)?;
        match self.landing.reserve(size, alignment) {
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
        let recorded = self.record(encoder);
        let stats = self.unless_lost(recorded)?;
        self.flushed += stats;
        Ok(stats)
    }

    fn record(&mut self, encoder: CommandEncoderId) -> Result<FlushStats, BeltError> {
        self.runs.put(&mut self.landing)?;
        self.landing.upload()?;
        // Taken out: should wgpu-core panic, because a destination was dropped, the next flush does not meet it again.
        let mut runs = std::mem::take(&mut self.runs);
        let mut copies = std::mem::take(&mut self.landing.copies);
        let recorded = self.record_copies(encoder, &runs, &copies);
        if recorded.is_ok() {
            runs.clear();
            copies.clear();
        }
        (self.runs, self.landing.copies) = (runs, copies);
        recorded
    }

    fn record_copies(
        &self,
        encoder: CommandEncoderId,
        runs: &Runs,
        copies: &[Copy],
    ) -> Result<FlushStats, BeltError> {
        let ledger = &self.ledger;
        let mut refused = runs.refused(&ledger.device)?;
        refused.sort_unstable();
        let mut stats = FlushStats::default();
        for copy in copies {
            let usable = match copy {
                Copy::Buffer(copy) => refused.binary_search(&copy.target).is_err(),
                Copy::Texture(_, _, copy) => match ledger.device.check_texture(copy) {
                    Err(BeltError::DeviceLost) => return Err(BeltError::DeviceLost),
                    checked => checked.is_ok(),
                },
            };
            if usable {
                ledger.device.record(encoder, copy)?;
                stats.copies += 1;
                stats.bytes += copy.bytes();
            } else {
                stats.refused += 1;
            }
        }
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
        let closed = self.landing.close();
        let chunks = self.unless_lost(closed)?;
        self.frames += 1;
        self.pool.end_frame();
        if self.frames.is_multiple_of(u64::from(self.descriptor.idle_frames)) {
            self.runs.shrink();
            self.landing.shrink();
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
        batch.take().into_iter().for_each(|chunk| self.pool.recall(chunk));
        device.poll();
        Ok(())
    }

    /// Gives a batch up, because its encoders are not submitted: as dropping it, its chunks are freed and never used again.
    pub fn abandon(&mut self, batch: Batch) {
        drop(batch);
    }

    /// Frees all chunks that rest, and memory of the belt's own, without waiting for [`BeltDescriptor::idle_frames`].
    pub fn trim(&mut self) {
        self.pool.trim();
        self.runs.shrink();
        self.landing.shrink();
    }

    /// What the belt holds.
    pub fn stats(&self) -> BeltStats {
        let ledger = &self.ledger;
        BeltStats {
            frames: self.frames,
            bytes: ledger.bytes.get(),
            active: self.landing.chunks(),
            finished: ledger.finished.get(),
            recalled: self.pool.recalled(),
            free: self.pool.free(),
            created: ledger.created.get(),
            freed: ledger.freed.get(),
        }
    }

    /// Checks a write to a buffer, and makes all ready for it.
    fn destination(&mut self, target: BufferId, offset: u64, size: u64) -> Result<Destination, BeltError> {
        if !offset.is_multiple_of(COPY_BUFFER_ALIGNMENT) {
            return Err(BeltError::UnalignedOffset(offset));
        }
        if !size.is_multiple_of(COPY_BUFFER_ALIGNMENT) {
            return Err(BeltError::UnalignedSize(size));
        }
        let end = offset.checked_add(size).ok_or(BeltError::OutOfBounds)?;
        let found = self.runs.destination(&self.ledger.device, target, end);
        let ready = found.and_then(|destination| {
            if self.runs.is_full(destination, size) {
                self.runs.put(&mut self.landing)?;
            }
            self.make_room(size)?;
            self.runs.turn_to(&mut self.landing, destination, offset)?;
            Ok(destination)
        });
        if ready.is_err() {
            self.runs.forget_unwritten(target);
        }
        self.unless_lost(ready)
    }

    /// Makes room for `size` bytes besides those that gathered.
    fn make_room(&mut self, size: u64) -> Result<(), BeltError> {
        let needed = self.runs.gathered().saturating_add(size);
        let (mut room, mut held) = (self.landing.room(), self.landing.held());
        let mut chunks = Vec::new();
        while room < needed {
            let missing = (needed - room).min(self.descriptor.max_chunk_size);
            match self.pool.acquire(missing, held) {
                Ok(chunk) => {
                    room += chunk.capacity;
                    held += chunk.capacity;
                    chunks.push(chunk);
                }
                Err(error) => {
                    chunks.into_iter().for_each(|chunk| self.pool.rest(chunk));
                    return Err(error);
                }
            }
        }
        chunks.into_iter().for_each(|chunk| self.landing.add(chunk));
        Ok(())
    }

    /// Makes room for bytes in one piece.
    fn make_piece(&mut self, size: u64, alignment: u64) -> Result<(), BeltError> {
        if !self.landing.fits(size, alignment, self.runs.gathered()) {
            // What gathered goes into the chunks that were made for it. The others are free then.
            self.runs.put(&mut self.landing)?;
            if !self.landing.fits(size, alignment, 0) && !self.landing.turn_to_spare(size)? {
                let chunk = self.pool.acquire(size, self.landing.held())?;
                self.landing.turn_to(chunk)?;
            }
        }
        self.landing.make_tail(size)
    }

    /// A lost device takes everything along.
    fn unless_lost<T>(&mut self, result: Result<T, BeltError>) -> Result<T, BeltError> {
        if let Err(BeltError::DeviceLost) = result {
            self.runs.clear();
            self.landing.clear();
            self.pool.clear();
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
