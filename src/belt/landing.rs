//! Where bytes are put: the chunks being written, one after the other.

use std::collections::VecDeque;
use std::rc::Rc;

use wgpu_core::id::{BufferId, TextureId};

use super::BeltError;
use super::chunk::{Chunk, Ledger};
use super::writes::{BufferCopy, Copy};

/// The tail is uploaded when it would grow larger. Many small pieces are gathered in fast memory, and wgpu-core is asked for
/// the chunk's memory once for all of them.
const TAIL: usize = 64 << 10;

/// What is at least this large does not go through the tail.
const DIRECT: usize = 16 << 10;

/// Chunks are filled from the front: those in `full` are done with, `open` is next, then come the `spares`. Room is made first
/// ([`add`](Self::add)); putting bytes into it then fails only if the device is lost.
pub(super) struct Landing {
    ledger: Rc<Ledger>,
    full: Vec<Chunk>,
    open: Option<Open>,
    spares: VecDeque<Chunk>,
    /// Bytes that fit `open` and the spares.
    room: u64,
    /// Bytes of all these chunks.
    held: u64,
    /// The last bytes put into `open`: they are not uploaded yet.
    tail: Vec<u8>,
    /// The largest tail of this frame.
    peak: usize,
    pub(super) copies: Vec<Copy>,
}

/// How far a [`Landing`] was filled.
pub(super) struct Mark {
    full: usize,
    /// Of the open chunk, if there was one.
    used: Option<u64>,
    copies: usize,
}

struct Open {
    chunk: Chunk,
    used: u64,
}

impl Landing {
    pub(super) fn new(ledger: Rc<Ledger>) -> Self {
        Self {
            ledger,
            full: Vec::new(),
            open: None,
            spares: VecDeque::new(),
            room: 0,
            held: 0,
            tail: Vec::new(),
            peak: 0,
            copies: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn room(&self) -> u64 {
        self.room
    }

    pub(super) fn held(&self) -> u64 {
        self.held
    }

    pub(super) fn chunks(&self) -> usize {
        self.full.len() + usize::from(self.open.is_some()) + self.spares.len()
    }

    /// The buffer that the last copy goes to.
    pub(super) fn last_target(&self) -> Option<BufferId> {
        match self.copies.last()? {
            Copy::Buffer(copy) => Some(copy.target),
            Copy::Texture(..) => None,
        }
    }

    /// More room, behind what there is.
    pub(super) fn add(&mut self, chunk: Chunk) {
        self.room += chunk.capacity;
        self.held += chunk.capacity;
        match self.open {
            None => self.open = Some(Open { chunk, used: 0 }),
            Some(_) => self.spares.push_back(chunk),
        }
    }

    /// Puts a copy's bytes down, in as few pieces as the chunks allow. There must be room.
    pub(super) fn put(
        &mut self,
        target: BufferId,
        mut offset: u64,
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
            let copy = BufferCopy { chunk: open.chunk.id, source: open.used, target, offset, size };
            if self.tail.len() + now.len() > TAIL || now.len() >= DIRECT {
                self.upload()?;
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
                Some(Copy::Buffer(last)) if copy.continues(last) => last.size += size,
                _ => self.copies.push(Copy::Buffer(copy)),
            }
            (offset, bytes) = (offset + size, later);
        }
        Ok(())
    }

    /// Leaves out the copies to a buffer.
    pub(super) fn forget_buffer(&mut self, target: BufferId) {
        self.copies.retain(|copy| !matches!(copy, Copy::Buffer(copy) if copy.target == target));
    }

    /// Leaves out the copies to a texture.
    pub(super) fn forget_texture(&mut self, target: TextureId) {
        self.copies
            .retain(|copy| !matches!(copy, Copy::Texture(_, _, copy) if copy.destination.texture == target));
    }

    /// Whether the open chunk has `size` bytes in one piece at a multiple of `alignment`, with `others` bytes of room left.
    pub(super) fn fits(&self, size: u64, alignment: u64, others: u64) -> bool {
        let Some(open) = &self.open else { return false };
        let end = open.used.checked_next_multiple_of(alignment).and_then(|start| start.checked_add(size));
        end.is_some_and(|end| end <= open.chunk.capacity && others <= self.room - (end - open.used))
    }

    /// Keeps the tail from growing too large with `size` bytes more.
    pub(super) fn make_tail(&mut self, size: u64) -> Result<(), BeltError> {
        if self.tail.len() as u64 + size > TAIL as u64 { self.upload() } else { Ok(()) }
    }

    /// Zeroed bytes that [`fit`](Self::fits), and where they will be. They are to be written before the next call.
    pub(super) fn reserve(&mut self, size: u64, alignment: u64) -> Option<(BufferId, u64, &mut [u8])> {
        let open = self.open.as_mut()?;
        let start = open.used.next_multiple_of(alignment);
        let padding = start - open.used;
        self.room -= padding + size;
        open.used = start + size;
        // What is left out between two pieces is uploaded too, as zeros.
        let first = self.tail.len() + padding as usize;
        self.tail.resize(first + size as usize, 0);
        self.peak = self.peak.max(self.tail.len());
        Some((open.chunk.id, start, &mut self.tail[first..]))
    }

    /// Where to [go back](Self::go_back) to.
    pub(super) fn mark(&mut self) -> Result<Mark, BeltError> {
        self.upload()?;
        let used = self.open.as_ref().map(|open| open.used);
        Ok(Mark { full: self.full.len(), used, copies: self.copies.len() })
    }

    /// Forgets what was put down since the mark, and returns the chunks behind it.
    pub(super) fn go_back(&mut self, mark: Mark) -> VecDeque<Chunk> {
        self.tail.clear();
        self.copies.truncate(mark.copies);
        let mut behind: VecDeque<Chunk> = self.full.drain(mark.full.min(self.full.len())..).collect();
        behind.extend(self.open.take().map(|open| open.chunk));
        behind.append(&mut self.spares);
        self.open = mark.used.and_then(|used| Some(Open { chunk: behind.pop_front()?, used }));
        self.room = self.open.as_ref().map_or(0, |open| open.chunk.capacity - open.used);
        self.held -= behind.iter().map(|chunk| chunk.capacity).sum::<u64>();
        behind
    }

    /// Opens the next spare if it has `size` bytes, and leaves the rest of the open chunk unused. Whether it has.
    pub(super) fn turn_to_spare(&mut self, size: u64) -> Result<bool, BeltError> {
        let has = self.spares.front().is_some_and(|chunk| chunk.capacity >= size);
        if has {
            self.advance()?;
        }
        Ok(has)
    }

    /// Opens `chunk`, and leaves the rest of the open one unused.
    pub(super) fn turn_to(&mut self, chunk: Chunk) -> Result<(), BeltError> {
        self.room += chunk.capacity;
        self.held += chunk.capacity;
        self.spares.push_front(chunk);
        self.advance()
    }

    fn advance(&mut self) -> Result<(), BeltError> {
        self.upload()?;
        if let Some(Open { chunk, used }) = self.open.take() {
            self.room -= chunk.capacity - used;
            self.full.push(chunk);
        }
        self.open = self.spares.pop_front().map(|chunk| Open { chunk, used: 0 });
        Ok(())
    }

    /// Nothing is in our memory alone any more.
    pub(super) fn upload(&mut self) -> Result<(), BeltError> {
        if let (Some(open), false) = (&self.open, self.tail.is_empty()) {
            let start = open.used - self.tail.len() as u64;
            self.ledger.device.upload(open.chunk.id, start, &self.tail)?;
            self.tail.clear();
        }
        Ok(())
    }

    /// The chunks, ready to be read by submissions. Everything was uploaded.
    pub(super) fn close(&mut self) -> Result<Vec<Chunk>, BeltError> {
        let mut chunks = std::mem::take(&mut self.full);
        chunks.extend(self.open.take().map(|open| open.chunk));
        chunks.extend(self.spares.drain(..));
        (self.room, self.held) = (0, 0);
        chunks.iter().try_for_each(|chunk| self.ledger.device.unmap(chunk.id))?;
        Ok(chunks)
    }

    /// After the device was lost: nothing here is of use.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.ledger.clone());
    }

    /// Keeps no more memory of its own than was needed since the last call.
    pub(super) fn shrink(&mut self) {
        let peak = std::mem::take(&mut self.peak);
        if self.tail.is_empty() {
            self.tail.shrink_to(peak.max(TAIL));
        }
        if self.copies.is_empty() {
            self.copies.shrink_to(1024);
        }
    }
}
