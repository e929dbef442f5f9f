//! The path of a write from the engine's call to the next flush.
//!
//! Small writes gather in runs; runs and large writes are placed in the active chunks; these come from the
//! pool. `staging_belt` calls in here for every write, and to record the copies. Accessed only on the thread
//! of the belt.

use std::sync::Arc;

use wgpu_core::id::{BufferId, CommandEncoderId, TextureId};
use wgpu_types::COPY_BUFFER_ALIGNMENT;

use super::active_chunks::ActiveChunks;
use super::chunk::Ledger;
use super::copies::PendingCopy;
use super::pool::Pool;
use super::runs::{Destination, Runs};
use super::strided::Strided;
use super::texture::{Piece, TextureWrite};
use super::{BeltDescriptor, BeltError, FlushStats};

/// Writes of at least this many bytes do not gather in a run but are placed in a chunk at once.
const LARGE: usize = 64 << 10;

/// Everything that was written and not flushed, and the chunks that it may use.
///
/// A method that fails has had no effect, except with [`BeltError::DeviceLost`]: then everything must be
/// [cleared](Self::clear).
pub(super) struct Intake {
    ledger: Arc<Ledger>,
    pub(super) pool: Pool,
    runs: Runs,
    pub(super) active: ActiveChunks,
    /// The largest chunk in bytes.
    max_chunk_size: u64,
}

impl Intake {
    pub(super) fn new(ledger: Arc<Ledger>, descriptor: BeltDescriptor) -> Self {
        Self {
            pool: Pool::new(ledger.clone(), descriptor),
            runs: Runs::default(),
            active: ActiveChunks::new(ledger.clone()),
            max_chunk_size: descriptor.max_chunk_size,
            ledger,
        }
    }

    /// Does a write if it only continues the open run of its buffer, and returns whether it did.
    #[inline]
    pub(super) fn append(&mut self, target: BufferId, offset: u64, data: &[u8]) -> bool {
        data.len() < LARGE && self.runs.append(target, offset, data, self.active.room())
    }

    /// Does a write of any kind to a buffer. Offset and size are in bytes.
    pub(super) fn write(&mut self, target: BufferId, offset: u64, data: &[u8]) -> Result<(), BeltError> {
        let destination = self.destination(target, offset, data.len() as u64)?;
        if data.len() < LARGE {
            self.runs.extend(destination, data.len()).extend_from_slice(data);
            Ok(())
        } else {
            self.runs.write_through(&mut self.active, destination, data)
        }
    }

    /// Extends the open run of a destination by `size` zeros and returns them, to be written by the caller.
    ///
    /// Precondition: [`destination`](Self::destination) has just made the destination ready for them.
    pub(super) fn extend_with_zeros(&mut self, destination: Destination, size: u64) -> &mut [u8] {
        // The size fits a `usize`, because room in chunks was found for it.
        let size = size as usize;
        let run = self.runs.extend(destination, size);
        let start = run.len();
        run.resize(start + size, 0);
        &mut run[start..]
    }

    /// Writes to a texture: all pieces, each with a copy of its own, or none.
    pub(super) fn write_texture(&mut self, write: &TextureWrite<'_>) -> Result<(), BeltError> {
        self.ledger.device.check_texture(write.whole())?;
        let pieces = write.pieces(self.max_chunk_size)?;
        // A single piece needs no savepoint: if there is no room for it, nothing was placed.
        if pieces.clone().nth(1).is_none() {
            return self.place_pieces(write, pieces);
        }
        // What has gathered is placed before the savepoint, so that everything behind it belongs to this
        // write.
        self.runs.place_all(&mut self.active)?;
        let savepoint = self.active.savepoint()?;
        let placed = self.place_pieces(write, pieces);
        if placed.is_err() {
            self.active.roll_back(savepoint).into_iter().for_each(|chunk| self.pool.put_back(chunk));
        }
        placed
    }

    /// Places pieces until one finds no room. Those before it stay placed.
    fn place_pieces(
        &mut self,
        write: &TextureWrite<'_>,
        pieces: impl Iterator<Item = Piece>,
    ) -> Result<(), BeltError> {
        for piece in pieces {
            let (copy, bytes) = write.copy(piece);
            self.make_contiguous_room(bytes, write.alignment)?;
            if let Some((chunk, chunk_offset, bytes)) = self.active.reserve(bytes, write.alignment) {
                write.fill(piece, bytes);
                self.active.copies.push(PendingCopy::Texture { chunk, chunk_offset, copy });
            }
        }
        Ok(())
    }

    /// Checks a write of `size` bytes to a buffer, and makes its destination ready to be extended by them:
    /// there is room in chunks, and the open run ends at `offset`.
    pub(super) fn destination(
        &mut self,
        target: BufferId,
        offset: u64,
        size: u64,
    ) -> Result<Destination, BeltError> {
        if !offset.is_multiple_of(COPY_BUFFER_ALIGNMENT) {
            return Err(BeltError::UnalignedOffset(offset));
        }
        if !size.is_multiple_of(COPY_BUFFER_ALIGNMENT) {
            return Err(BeltError::UnalignedSize(size));
        }
        let end = offset.checked_add(size).ok_or(BeltError::OutOfBounds)?;
        let found = self.runs.destination(&self.ledger.device, target, end);
        let ready = found.and_then(|destination| {
            if self.runs.would_overflow(destination, size) {
                self.runs.place_all(&mut self.active)?;
            }
            self.make_room(size)?;
            self.runs.start_at(&mut self.active, destination, offset)?;
            Ok(destination)
        });
        if ready.is_err() {
            self.runs.forget_unwritten(target);
        }
        ready
    }

    /// Makes room in chunks for `size` bytes besides those that have gathered.
    fn make_room(&mut self, size: u64) -> Result<(), BeltError> {
        let needed = self.runs.gathered().saturating_add(size);
        let (mut room, mut held) = (self.active.room(), self.active.held());
        let mut chunks = Vec::new();
        while room < needed {
            let missing = (needed - room).min(self.max_chunk_size);
            match self.pool.acquire(missing, held) {
                Ok(chunk) => {
                    room += chunk.capacity;
                    held += chunk.capacity;
                    chunks.push(chunk);
                }
                Err(error) => {
                    chunks.into_iter().for_each(|chunk| self.pool.put_back(chunk));
                    return Err(error);
                }
            }
        }
        chunks.into_iter().for_each(|chunk| self.active.add(chunk));
        Ok(())
    }

    /// Makes room in the open chunk for `size` contiguous bytes at a multiple of `alignment`, to be
    /// [reserved](ActiveChunks::reserve) next.
    pub(super) fn make_contiguous_room(&mut self, size: u64, alignment: u64) -> Result<(), BeltError> {
        if !self.active.fits(size, alignment, self.runs.gathered()) {
            // What has gathered is placed in the chunks that were acquired for it. The room behind it is free
            // then.
            self.runs.place_all(&mut self.active)?;
            if !self.active.fits(size, alignment, 0) && !self.active.open_spare(size)? {
                let chunk = self.pool.acquire(size, self.active.held())?;
                self.active.open(chunk)?;
            }
        }
        self.active.make_tail_room(size)
    }

    /// Records the copies of everything that was written since the last flush.
    pub(super) fn record(&mut self, encoder: CommandEncoderId) -> Result<FlushStats, BeltError> {
        self.runs.place_all(&mut self.active)?;
        self.active.upload_tail()?;
        // wgpu-core panics if a destination was dropped. Runs and copies are taken out, so that the next
        // flush does not meet it again.
        let mut runs = std::mem::take(&mut self.runs);
        let mut copies = std::mem::take(&mut self.active.copies);
        let recorded = self.record_copies(encoder, &runs, &copies);
        if recorded.is_ok() {
            runs.clear();
            copies.clear();
        }
        (self.runs, self.active.copies) = (runs, copies);
        recorded
    }

    /// Records copies, except those whose destination cannot be copied to any more.
    fn record_copies(
        &self,
        encoder: CommandEncoderId,
        runs: &Runs,
        copies: &[PendingCopy],
    ) -> Result<FlushStats, BeltError> {
        let ledger = &self.ledger;
        let mut refused = runs.refused(&ledger.device)?;
        refused.sort_unstable();
        let mut stats = FlushStats::default();
        let mut rest = copies;
        while let Some(copy) = rest.first() {
            let strided = ledger.device.largest_texture.and_then(|_| Strided::leading(rest));
            let (now, later) = rest.split_at(strided.as_ref().map_or(1, |strided| strided.count));
            rest = later;
            // These copies have the same destination.
            let usable = match copy {
                PendingCopy::Buffer(copy) => refused.binary_search(&copy.target).is_err(),
                PendingCopy::Texture { copy, .. } => match ledger.device.check_texture(copy) {
                    Err(BeltError::DeviceLost) => return Err(BeltError::DeviceLost),
                    checked => checked.is_ok(),
                },
            };
            if usable {
                stats.copies += self.record_usable(encoder, now, strided)?;
                stats.bytes += now.iter().map(PendingCopy::bytes).sum::<u64>();
            } else {
                stats.refused += now.len();
            }
        }
        Ok(stats)
    }

    /// Records copies, those that are strided by way of textures where that wins something. Returns the number
    /// of copies that were recorded.
    fn record_usable(
        &self,
        encoder: CommandEncoderId,
        mut copies: &[PendingCopy],
        strided: Option<Strided>,
    ) -> Result<usize, BeltError> {
        let device = &self.ledger.device;
        let mut recorded = 0;
        if let (Some(strided), Some(largest_texture)) = (strided, device.largest_texture) {
            for block in strided.blocks(largest_texture) {
                let Some(count) = device.record_block(encoder, &block)? else { break };
                recorded += count;
                copies = &copies[block.count()..];
            }
        }
        copies.iter().try_for_each(|copy| device.record(encoder, copy))?;
        Ok(recorded + copies.len())
    }

    /// Discards what was written to a buffer and not flushed.
    pub(super) fn forget_buffer(&mut self, target: BufferId) {
        self.runs.forget(target);
        self.active.forget_buffer(target);
    }

    /// Discards what was written to a texture and not flushed.
    pub(super) fn forget_texture(&mut self, target: TextureId) {
        self.active.forget_texture(target);
    }

    /// Frees memory of the belt's own that was not needed since the last call. Chunks are not affected.
    pub(super) fn shrink(&mut self) {
        self.runs.shrink();
        self.active.shrink();
    }

    /// Discards all writes and frees all chunks, because the device is lost.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.active.clear();
        self.pool.clear();
    }
}
