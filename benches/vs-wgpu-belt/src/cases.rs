//! What is uploaded in each case: how many writes, how large, and where to.

use wgpu_core::id::BufferId;
use wgpu_types::BufferUsages;

use crate::raw::Device;

pub struct Case {
    pub name: &'static str,
    pub writes: usize,
    /// Bytes of one write.
    pub size: usize,
    /// How many buffers take the writes, in turn.
    pub buffers: usize,
    /// Bytes from one write to the next of the same buffer.
    pub stride: usize,
    /// How many frames of each side are measured, on all devices together.
    pub rounds: usize,
}

pub fn all() -> Vec<Case> {
    let case =
        |name, writes, size, buffers, stride, rounds| Case { name, writes, size, buffers, stride, rounds };
    vec![
        case("100 x 64 B, adjacent", 100, 64, 1, 64, 400),
        case("10,000 x 64 B, adjacent", 10_000, 64, 1, 64, 60),
        case("10,000 x 64 B, over 4 buffers in turn", 10_000, 64, 4, 64, 60),
        case("10,000 x 4 KiB, adjacent", 10_000, 4096, 1, 4096, 30),
        case("10,000 x 64 B, scattered", 10_000, 64, 1, 128, 40),
        case("200 x 64 B, scattered", 200, 64, 1, 128, 400),
        case("1 x 64 B", 1, 64, 1, 64, 400),
        case("1 x 8 MiB", 1, 8 << 20, 1, 8 << 20, 60),
    ]
}

impl Case {
    /// Returns the bytes that are written in a frame.
    pub fn bytes(&self) -> usize {
        self.writes * self.size
    }

    /// Returns the bytes of one buffer.
    pub fn buffer_size(&self) -> u64 {
        (self.writes.div_ceil(self.buffers) * self.stride) as u64
    }

    /// Creates the buffers that take the writes.
    pub fn targets(&self, device: &Device) -> Vec<BufferId> {
        let target = |_| device.buffer(self.buffer_size(), BufferUsages::COPY_DST, false);
        (0..self.buffers).map(target).collect()
    }

    /// Returns for each write the index of its buffer, its offset there, and its part of the data.
    pub fn writes<'a>(&self, data: &'a [u8]) -> impl Iterator<Item = (usize, u64, &'a [u8])> + use<'a> {
        let (buffers, stride) = (self.buffers, self.stride);
        let place = move |index: usize| (index % buffers, (index / buffers * stride) as u64);
        data.chunks(self.size).enumerate().map(move |(index, data)| {
            let (buffer, offset) = place(index);
            (buffer, offset, data)
        })
    }
}
