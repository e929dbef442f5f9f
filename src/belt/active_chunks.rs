//! The chunks being written, and the copies from them that wait for the next flush.
//!
//! `intake` first makes room here, with chunks of the pool, and then has bytes placed in it, one after the
//! other. Accessed only on the thread of the belt.

use std::collections::VecDeque;
use std::sync::Arc;

use wgpu_core::id::{BufferId, TextureId};

use super::BeltError;
use super::chunk::{Chunk, Ledger};
use super::copies::{BufferCopy, PendingCopy};

/// The tail is uploaded before it would exceed this many bytes. Small pieces gather in fast memory, and
/// wgpu-core is asked for the memory of the chunk once for all of them.
const MAX_TAIL: usize = 64 << 10;

/// Pieces of at least this many bytes are uploaded directly instead of through the tail.
const DIRECT: usize = 16 << 10;

/// The chunks being written. All of them are mapped.
///
/// They are filled from front to back: nothing more is placed in those of `full`, the `open` one is next,
/// then the `spares`. Room is made first, by [`add`](Self::add); placing bytes in existing room fails only if
/// the device is lost.
pub(super) struct ActiveChunks {
    ledger: Arc<Ledger>,
    full: Vec<Chunk>,
    open: Option<OpenChunk>,
    spares: VecDeque<Chunk>,
    /// Bytes that still fit into `open` and the spares together.
    room: u64,
    /// The capacity of all these chunks, in bytes.
    held: u64,
    /// The last bytes that were placed in `open`, which are not uploaded to it yet.
    tail: Vec<u8>,
    /// The longest tail of reserved bytes since the last [`shrink`](Self::shrink).
    longest_tail: usize,
    /// The copies from these chunks since the last flush, in the order in which they are to be recorded.
    pub(super) copies: Vec<PendingCopy>,
}

/// A state of [`ActiveChunks`] that can be [restored](ActiveChunks::roll_back).
pub(super) struct Savepoint {
    /// The number of full chunks.
    full: usize,
    /// The bytes used in the open chunk, if there was one.
    used: Option<u64>,
    /// The number of copies.
    copies: usize,
}

/// The chunk that is being filled.
struct OpenChunk {
    chunk: Chunk,
    /// Bytes placed in it, including those in the tail.
    used: u64,
}

impl ActiveChunks {
    pub(super) fn new(ledger: Arc<Ledger>) -> Self {
        Self {
            ledger,
            full: Vec::new(),
            open: None,
            spares: VecDeque::new(),
            room: 0,
            held: 0,
            tail: Vec::new(),
            longest_tail: 0,
            copies: Vec::new(),
        }
    }

    /// Returns how many bytes can be placed before another chunk is needed.
    #[inline]
    pub(super) fn room(&self) -> u64 {
        self.room
    }

    /// Returns the capacity of all these chunks in bytes.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Returns the number of chunks.
    pub(super) fn len(&self) -> usize {
        self.full.len() + usize::from(self.open.is_some()) + self.spares.len()
    }

    /// Returns the buffer that the last copy goes to, if that is a copy to a buffer.
    pub(super) fn last_target(&self) -> Option<BufferId> {
        match self.copies.last()? {
            PendingCopy::Buffer(copy) => Some(copy.target),
            PendingCopy::Texture { .. } => None,
        }
    }

    /// Makes room: `chunk` is filled after all others.
    pub(super) fn add(&mut self, chunk: Chunk) {
        self.room += chunk.capacity;
        self.held += chunk.capacity;
        match self.open {
            None => self.open = Some(OpenChunk { chunk, used: 0 }),
            Some(_) => self.spares.push_back(chunk),
        }
    }

    /// Places the bytes of a write and queues their copies, in as few pieces as the chunks allow.
    ///
    /// Precondition: there is [`room`](Self::room).
    pub(super) fn place(
        &mut self,
        target: BufferId,
        mut target_offset: u64,
        mut bytes: &[u8],
    ) -> Result<(), BeltError> {
        while !bytes.is_empty() {
            let Some(open) = &mut self.open else { return Err(BeltError::DeviceLost) };
            let free = open.chunk.capacity - open.used;
            if free == 0 {
                self.advance()?;
                continue;
            }
            let (now, later) = bytes.split_at(bytes.len().min(usize::try_from(free).unwrap_or(usize::MAX)));
            let size = now.len() as u64;
            let copy =
                BufferCopy { chunk: open.chunk.id, chunk_offset: open.used, target, target_offset, size };
            if self.tail.len() + now.len() > MAX_TAIL || now.len() >= DIRECT {
                self.upload_tail()?;
            }
            let Some(open) = &mut self.open else { return Err(BeltError::DeviceLost) };
            if now.len() >= DIRECT {
                self.ledger.device.upload(open.chunk.id, open.used, now)?;
            } else {
                self.tail.extend_from_slice(now);
            }
            open.used += size;
            self.room -= size;
            match self.copies.last_mut() {
                Some(PendingCopy::Buffer(last)) if copy.continues(last) => last.size += size,
                _ => self.copies.push(PendingCopy::Buffer(copy)),
            }
            (target_offset, bytes) = (target_offset + size, later);
        }
        Ok(())
    }

    /// Discards the copies to a buffer. Their bytes stay in the chunks, unused.
    pub(super) fn forget_buffer(&mut self, target: BufferId) {
        self.copies.retain(|copy| !matches!(copy, PendingCopy::Buffer(copy) if copy.target == target));
    }

    /// Discards the copies to a texture. Their bytes stay in the chunks, unused.
    pub(super) fn forget_texture(&mut self, target: TextureId) {
        self.copies.retain(
            |copy| !matches!(copy, PendingCopy::Texture { copy, .. } if copy.destination.texture == target),
        );
    }

    /// Returns whether the open chunk has `size` contiguous bytes at a multiple of `alignment`, and whether
    /// `others` more bytes of room remain then.
    pub(super) fn fits(&self, size: u64, alignment: u64, others: u64) -> bool {
        let Some(open) = &self.open else { return false };
        let end = open.used.checked_next_multiple_of(alignment).and_then(|start| start.checked_add(size));
        end.is_some_and(|end| end <= open.chunk.capacity && others <= self.room - (end - open.used))
    }

    /// Uploads the tail if it would grow too long with `size` bytes more.
    pub(super) fn make_tail_room(&mut self, size: u64) -> Result<(), BeltError> {
        if self.tail.len() as u64 + size > MAX_TAIL as u64 { self.upload_tail() } else { Ok(()) }
    }

    /// Reserves bytes in the open chunk. Returns the chunk, their offset in it, and zeroed memory that is
    /// uploaded to them later: it is to be written before the next call.
    ///
    /// Precondition: they [fit](Self::fits). `None` if no chunk is open.
    pub(super) fn reserve(&mut self, size: u64, alignment: u64) -> Option<(BufferId, u64, &mut [u8])> {
        let open = self.open.as_mut()?;
        let start = open.used.next_multiple_of(alignment);
        let padding = start - open.used;
        self.room -= padding + size;
        open.used = start + size;
        // The padding is uploaded too, as zeros, so that the tail stays contiguous.
        let first = self.tail.len() + padding as usize;
        self.tail.resize(first + size as usize, 0);
        self.longest_tail = self.longest_tail.max(self.tail.len());
        Some((open.chunk.id, start, &mut self.tail[first..]))
    }

    /// Uploads the tail, and returns the state to [roll back](Self::roll_back) to.
    pub(super) fn savepoint(&mut self) -> Result<Savepoint, BeltError> {
        self.upload_tail()?;
        let used = self.open.as_ref().map(|open| open.used);
        Ok(Savepoint { full: self.full.len(), used, copies: self.copies.len() })
    }

    /// Discards what was placed since the savepoint, and returns all chunks behind the one that was open
    /// then. The spares are among them.
    pub(super) fn roll_back(&mut self, to: Savepoint) -> VecDeque<Chunk> {
        self.tail.clear();
        self.copies.truncate(to.copies);
        let mut behind: VecDeque<Chunk> = self.full.drain(to.full.min(self.full.len())..).collect();
        behind.extend(self.open.take().map(|open| open.chunk));
        behind.append(&mut self.spares);
        self.open = to.used.and_then(|used| Some(OpenChunk { chunk: behind.pop_front()?, used }));
        self.room = self.open.as_ref().map_or(0, |open| open.chunk.capacity - open.used);
        self.held -= behind.iter().map(|chunk| chunk.capacity).sum::<u64>();
        behind
    }

    /// Opens the next spare and leaves the rest of the open chunk unused, if the spare has at least `size`
    /// bytes. Returns whether it has.
    pub(super) fn open_spare(&mut self, size: u64) -> Result<bool, BeltError> {
        let has = self.spares.front().is_some_and(|chunk| chunk.capacity >= size);
        if has {
            self.advance()?;
        }
        Ok(has)
    }

    /// Opens `chunk` and leaves the rest of the open one unused.
    pub(super) fn open(&mut self, chunk: Chunk) -> Result<(), BeltError> {
        self.room += chunk.capacity;
        self.held += chunk.capacity;
        self.spares.push_front(chunk);
        self.advance()
    }

    /// Ends the open chunk, and opens the next spare if there is one.
    fn advance(&mut self) -> Result<(), BeltError> {
        self.upload_tail()?;
        if let Some(OpenChunk { chunk, used }) = self.open.take() {
            self.room -= chunk.capacity - used;
            self.full.push(chunk);
        }
        self.open = self.spares.pop_front().map(|chunk| OpenChunk { chunk, used: 0 });
        Ok(())
    }

    /// Uploads the tail to the open chunk. Afterwards every byte that was placed is in a chunk.
    pub(super) fn upload_tail(&mut self) -> Result<(), BeltError> {
        if let (Some(open), false) = (&self.open, self.tail.is_empty()) {
            let start = open.used - self.tail.len() as u64;
            self.ledger.device.upload(open.chunk.id, start, &self.tail)?;
            self.tail.clear();
        }
        Ok(())
    }

    /// Unmaps all chunks, so that submissions may read them, and returns them.
    ///
    /// Precondition: the tail was uploaded.
    pub(super) fn close(&mut self) -> Result<Vec<Chunk>, BeltError> {
        let mut chunks = std::mem::take(&mut self.full);
        chunks.extend(self.open.take().map(|open| open.chunk));
        chunks.extend(self.spares.drain(..));
        (self.room, self.held) = (0, 0);
        chunks.iter().try_for_each(|chunk| self.ledger.device.unmap(chunk.id))?;
        Ok(chunks)
    }

    /// Frees all chunks and discards all copies, because the device is lost.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.ledger.clone());
    }

    /// Frees memory of the belt's own that was not needed since the last call.
    pub(super) fn shrink(&mut self) {
        let longest = std::mem::take(&mut self.longest_tail);
        if self.tail.is_empty() {
            self.tail.shrink_to(longest.max(MAX_TAIL));
        }
        if self.copies.is_empty() {
            self.copies.shrink_to(1024);
        }
    }
}
