//! Buffers of canvases that change their size. The policy is told in `staging/ring.rs`.

use std::sync::Arc;

use super::world::*;
use crate::gpu::fake::FakeGpu;
use crate::gpu::{Gpu, GpuDevice};
use crate::staging::{Reclaimer, StagingRing};
use crate::{BufferIds, PresentError};

const KIB: usize = 1 << 10;

struct Ring {
    gpu: FakeGpu,
    device: Arc<dyn GpuDevice>,
    ring: StagingRing,
    made: usize,
}

impl Ring {
    fn new(memory: FrameMemoryKind) -> Self {
        let gpu = FakeGpu::new(memory);
        let device = gpu.open(device(0)).unwrap();
        Self { gpu, device, ring: StagingRing::new(BufferIds::Allocated, Reclaimer::default()), made: 0 }
    }

    /// Acquires a buffer for a frame of so many bytes and lets it go. Returns the size of the buffer.
    fn frame(&mut self, bytes: usize) -> usize {
        self.frames(&[bytes])[0]
    }

    /// Acquires buffers for several frames that are there at the same time.
    fn frames(&mut self, bytes: &[usize]) -> Vec<usize> {
        let before = self.gpu.created();
        let buffers: Vec<_> = bytes
            .iter()
            .map(|bytes| self.ring.acquire(&self.gpu, &*self.device, *bytes).unwrap().unwrap())
            .collect();
        self.made += self.gpu.created() - before;
        buffers.iter().map(|lent| lent.buffer.len()).collect()
    }

    fn shrink_to_demand(&mut self) {
        self.ring.shrink_to_demand(&self.gpu);
    }

    fn resting(&mut self) -> Vec<usize> {
        self.ring.collect(&self.gpu);
        self.ring.recycler().resting()
    }
}

#[rstest]
fn a_canvas_that_keeps_its_size_has_buffers_of_that_size(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut ring = Ring::new(memory);
    for _ in 0..5 {
        assert_eq!(ring.frames(&[100 * KIB, 100 * KIB]), [100 * KIB, 100 * KIB]);
        ring.shrink_to_demand();
    }
    assert_eq!(ring.made, 2);
}

// A canvas that follows the size of its window must not make a buffer in each frame.
#[rstest]
fn a_canvas_that_grows_in_each_frame_makes_a_buffer_now_and_then(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut ring = Ring::new(memory);
    for step in 0..100 {
        let bytes = (256 + step) * (256 + step) * 4;
        assert!(ring.frame(bytes) <= bytes * 5 / 4 + 4 * KIB);
    }
    // The sides grow by a factor of 1.4, the area by 1.9: each new buffer has a quarter more.
    assert!(ring.made <= 5, "{} buffers", ring.made);
}

#[rstest]
fn headroom_is_freed_once_a_canvas_stands_still(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut ring = Ring::new(memory);
    ring.frame(100 * KIB);
    assert_eq!(ring.frame(120 * KIB), 152 * KIB, "a quarter more, in whole pages");
    ring.shrink_to_demand();
    assert_eq!(ring.frame(120 * KIB), 152 * KIB, "it has just grown");
    ring.shrink_to_demand();
    assert_eq!(ring.frame(120 * KIB), 120 * KIB);
    ring.shrink_to_demand();
    assert_eq!(ring.resting(), [120 * KIB]);
}

#[rstest]
fn what_a_canvas_that_has_shrunk_does_not_need_is_freed(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut ring = Ring::new(memory);
    ring.frames(&[100 * KIB, 100 * KIB]);
    ring.shrink_to_demand();
    assert_eq!(ring.frame(50 * KIB), 100 * KIB, "it may grow again");
    ring.shrink_to_demand();
    assert_eq!(ring.resting().len(), 2, "so much was needed lately");
    ring.frame(50 * KIB);
    ring.shrink_to_demand();
    assert!(ring.resting().is_empty());
    assert_eq!(ring.frame(50 * KIB), 52 * KIB);
    // A buffer that is far too large is given up at once.
    assert_eq!(ring.frame(4 * KIB), 4 * KIB);
}

#[rstest]
fn canvases_that_go_to_and_fro_make_no_buffers(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    for (small, large) in [(100, 120), (100, 399), (4, 400)] {
        let mut ring = Ring::new(memory);
        let mut made = 0;
        for step in 0..400 {
            ring.frames(&[small * KIB, large * KIB]);
            ring.frames(&[large * KIB]);
            ring.frames(&[small * KIB]);
            if step % 60 == 0 {
                ring.shrink_to_demand();
            }
            if step == 130 {
                made = ring.made;
            }
        }
        assert_eq!(ring.made, made, "{small} and {large} KiB");
    }
}

#[rstest]
fn without_room_for_headroom_what_is_needed_is_made(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut ring = Ring::new(memory);
    ring.frame(100 * KIB);
    ring.gpu.fail_next_creations(1);
    assert_eq!(ring.frame(120 * KIB), 120 * KIB);
    ring.gpu.fail_next_creations(2);
    let error = ring.ring.acquire(&ring.gpu, &*ring.device, 200 * KIB).err();
    assert!(matches!(error, Some(PresentError::OutOfMemory)), "{error:?}");
}
