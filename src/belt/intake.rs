//! What is written until it is flushed: small writes gather in runs, which land in chunks, which come from the pool.

use std::rc::Rc;

use wgpu_core::id::{BufferId, CommandEncoderId, TextureId};
use wgpu_types::COPY_BUFFER_ALIGNMENT;

use super::chunk::Ledger;
use super::landing::Landing;
use super::pool::Pool;
use super::runs::{Destination, Runs};
use super::texture::{Piece, TextureWrite};
use super::writes::Copy;
use super::{BeltDescriptor, BeltError, FlushStats};

/// A write of so many bytes is put into a chunk at once.
const LARGE: usize = 64 << 10;

/// Whatever fails here has done nothing, but on a lost device: then all must be [cleared](Self::clear).
pub(super) struct Intake {
    ledger: Rc<Ledger>,
    pub(super) pool: Pool,
    runs: Runs,
    pub(super) landing: Landing,
    max_chunk_size: u64,
}

impl Intake {
    pub(super) fn new(ledger: Rc<Ledger>, descriptor: BeltDescriptor) -> Self {
        Self {
            pool: Pool::new(ledger.clone(), descriptor),
            runs: Runs::default(),
            landing: Landing::new(ledger.clone()),
            max_chunk_size: descriptor.max_chunk_size,
            ledger,
        }
    }

    /// Whether a write only goes on where the last one to its buffer ended; then it is done.
    #[inline]
    pub(super) fn append(&mut self, target: BufferId, offset: u64, data: &[u8]) -> bool {
        data.len() < LARGE && self.runs.append(target, offset, data, self.landing.room())
    }

    /// A write that is not just appended.
    pub(super) fn write(&mut self, target: BufferId, offset: u64, data: &[u8]) -> Result<(), BeltError> {
        let destination = self.destination(target, offset, data.len() as u64)?;
        if data.len() < LARGE {
            self.runs.extend(destination, data.len()).extend_from_slice(data);
            Ok(())
        } else {
            self.runs.pass(&mut self.landing, destination, data)
        }
    }

    /// Zeros that are written to a destination that was made ready for them.
    pub(super) fn zeros(&mut self, destination: Destination, size: u64) -> &mut [u8] {
        // Room for them was found, so they can be counted.
        let size = size as usize;
        let run = self.runs.extend(destination, size);
        let start = run.len();
        run.resize(start + size, 0);
        &mut run[start..]
    }

    /// Each piece is a copy of its own. If one fails, all do.
    pub(super) fn write_texture(&mut self, write: &TextureWrite<'_>) -> Result<(), BeltError> {
        self.ledger.device.check_texture(write.whole())?;
        let pieces = write.pieces(self.max_chunk_size)?;
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

    /// Checks a write to a buffer, and makes all ready for it.
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
        ready
    }

    /// Makes room for `size` bytes besides those that gathered.
    fn make_room(&mut self, size: u64) -> Result<(), BeltError> {
        let needed = self.runs.gathered().saturating_add(size);
        let (mut room, mut held) = (self.landing.room(), self.landing.held());
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
                    chunks.into_iter().for_each(|chunk| self.pool.rest(chunk));
                    return Err(error);
                }
            }
        }
        chunks.into_iter().for_each(|chunk| self.landing.add(chunk));
        Ok(())
    }

    /// Makes room for bytes in one piece.
    pub(super) fn make_piece(&mut self, size: u64, alignment: u64) -> Result<(), BeltError> {
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

    /// Records copies of all that was written.
    pub(super) fn record(&mut self, encoder: CommandEncoderId) -> Result<FlushStats, BeltError> {
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

    pub(super) fn forget_buffer(&mut self, target: BufferId) {
        self.runs.forget(target);
        self.landing.forget_buffer(target);
    }

    pub(super) fn forget_texture(&mut self, target: TextureId) {
        self.landing.forget_texture(target);
    }

    /// Frees memory of the belt's own.
    pub(super) fn shrink(&mut self) {
        self.runs.shrink();
        self.landing.shrink();
    }

    /// All is gone with the device.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.landing.clear();
        self.pool.clear();
    }
}
