//! The memory that the belt hands out to be filled in by its caller.
//!
//! It is memory of the belt's own, which is uploaded to a chunk afterwards. None of it belongs to wgpu-core,
//! so it stays valid whatever happens to the device. Each view borrows the belt, and so stays on the belt's
//! thread.

use std::ops::{Deref, DerefMut};

use wgpu_core::id::BufferId;

/// Zeroed bytes to be written: those of a [`write_buffer_with`](super::StagingBelt::write_buffer_with) or of
/// an [`Allocation`].
///
/// They are memory of the belt's own and stay valid whatever happens to the device.
#[derive(Debug)]
pub struct WriteView<'a>(&'a mut [u8]);

impl<'a> WriteView<'a> {
    pub(super) fn new(bytes: &'a mut [u8]) -> Self {
        Self(bytes)
    }
}

impl Deref for WriteView<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl DerefMut for WriteView<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0
    }
}

/// A part of a staging buffer, made by [`StagingBelt::allocate`](super::StagingBelt::allocate).
#[derive(Debug)]
pub struct Allocation<'a> {
    buffer: BufferId,
    offset: u64,
    /// The bytes, zeroed and to be written.
    pub bytes: WriteView<'a>,
}

impl<'a> Allocation<'a> {
    pub(super) fn new(buffer: BufferId, offset: u64, bytes: &'a mut [u8]) -> Self {
        Self { buffer, offset, bytes: WriteView::new(bytes) }
    }

    /// Returns the staging buffer, which has the usage `COPY_SRC`.
    pub fn buffer(&self) -> BufferId {
        self.buffer
    }

    /// Returns where in the staging buffer the bytes begin, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}
