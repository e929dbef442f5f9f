//! What is handed out to be written. Memory of ours: nothing of it belongs to wgpu-core.

use std::ops::{Deref, DerefMut};

use wgpu_core::id::BufferId;

/// Zeroed bytes to be written: those of a [`write_buffer_with`](super::StagingBelt::write_buffer_with). They are memory of the
/// belt's own, whatever happens to the device.
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

/// Zeroed bytes of a staging buffer, see [`StagingBelt::allocate`](super::StagingBelt::allocate).
#[derive(Debug)]
pub struct Allocation<'a> {
    buffer: BufferId,
    offset: u64,
    /// To be written.
    pub bytes: WriteView<'a>,
}

impl<'a> Allocation<'a> {
    pub(super) fn new(buffer: BufferId, offset: u64, bytes: &'a mut [u8]) -> Self {
        Self { buffer, offset, bytes: WriteView::new(bytes) }
    }

    /// The staging buffer, usable as `COPY_SRC`.
    pub fn buffer(&self) -> BufferId {
        self.buffer
    }

    /// Where in the staging buffer the bytes are.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}
