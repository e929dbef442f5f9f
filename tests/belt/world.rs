//! A device with buffers, encoders and submissions, for all tests of the belt.

use webgpu_presentation::belt::*;
use wgpu_core::device::HostMap;
use wgpu_core::device::queue::QueueSubmitError;
use wgpu_core::id::{BufferId, CommandEncoderId};
use wgpu_core::resource::{BufferDescriptor, BufferMapOperation};
use wgpu_types as wgt;
use wgpu_types::BufferUsages;

use crate::MIB;
use crate::support::gpu::{Device, Gpu, assert_no_validation_errors};

pub struct World {
    pub gpu: Gpu,
    pub device: Device,
    pub noop: bool,
}

/// Runs a test on the noop backend, and on Vulkan if there is an adapter.
pub fn on_all(test: impl Fn(&World)) {
    for gpu in [Some((Gpu::noop(), true)), Gpu::for_test().map(|gpu| (gpu, false))] {
        let Some((gpu, noop)) = gpu else { continue };
        let device = gpu.device();
        test(&World { gpu, device, noop });
    }
    assert_no_validation_errors();
}

/// Runs a test on Vulkan alone, because the noop backend does not copy textures.
pub fn on_vulkan(test: impl Fn(&World)) {
    if let Some(gpu) = Gpu::for_test() {
        let device = gpu.device();
        test(&World { gpu, device, noop: false });
        assert_no_validation_errors();
    }
}

impl World {
    pub fn belt(&self, descriptor: BeltDescriptor) -> StagingBelt {
        belt_of(self, self.device, &descriptor)
    }

    pub fn buffer_of(&self, device: Device, size: u64, usage: BufferUsages) -> BufferId {
        let descriptor = BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        let (id, error) = self.gpu.global.device_create_buffer(device.id, &descriptor, None);
        assert!(error.is_none(), "{error:?}");
        id
    }

    pub fn buffer(&self, size: u64) -> BufferId {
        self.buffer_of(self.device, size, BufferUsages::COPY_DST | BufferUsages::COPY_SRC)
    }

    pub fn encoder(&self) -> CommandEncoderId {
        let (id, error) =
            self.gpu.global.device_create_command_encoder(self.device.id, &Default::default(), None);
        assert!(error.is_none(), "{error:?}");
        id
    }

    pub fn try_submit(&self, encoder: CommandEncoderId) -> Result<u64, Box<QueueSubmitError>> {
        let global = &self.gpu.global;
        let (commands, error) = global.command_encoder_finish(encoder, &Default::default(), None);
        assert!(error.is_none(), "{error:?}");
        let submitted = global.queue_submit(self.device.queue, &[commands]);
        global.command_buffer_drop(commands);
        global.command_encoder_drop(encoder);
        submitted.map_err(|(_, error)| error.into())
    }

    pub fn submit(&self, encoder: CommandEncoderId) -> u64 {
        self.try_submit(encoder).unwrap()
    }

    /// Waits until the GPU has done everything.
    pub fn wait(&self) {
        self.gpu.global.device_poll(self.device.id, wgt::PollType::wait_indefinitely()).unwrap();
    }

    /// Ends a frame of what was written: finishes, submits and recalls.
    pub fn frame(&self, belt: &mut StagingBelt) -> FlushStats {
        let encoder = self.encoder();
        let chunks = belt.finish(encoder).unwrap();
        let stats = chunks.stats();
        let submission = self.submit(encoder);
        belt.recall(chunks, submission).unwrap();
        stats
    }

    pub fn copy(&self, encoder: CommandEncoderId, from: (BufferId, u64), to: (BufferId, u64), size: u64) {
        self.gpu
            .global
            .command_encoder_copy_buffer_to_buffer(encoder, from.0, from.1, to.0, to.1, Some(size))
            .unwrap();
    }

    /// Reads the bytes of a buffer, with wgpu-core alone.
    pub fn read(&self, buffer: BufferId, size: u64) -> Vec<u8> {
        let copy = self.buffer_of(self.device, size, BufferUsages::COPY_DST | BufferUsages::MAP_READ);
        let encoder = self.encoder();
        self.copy(encoder, (buffer, 0), (copy, 0), size);
        self.submit(encoder);
        self.mapped(copy)
    }

    pub fn mapped(&self, buffer: BufferId) -> Vec<u8> {
        let global = &self.gpu.global;
        let map = BufferMapOperation { host: HostMap::Read, callback: None };
        global.buffer_map_async(buffer, 0, None, map).unwrap();
        self.wait();
        let (pointer, len) = global.buffer_get_mapped_range(buffer, 0, None).unwrap();
        // SAFETY: the buffer is mapped for reading until `buffer_drop` below, on this thread.
        let bytes = unsafe { std::slice::from_raw_parts(pointer.as_ptr(), len as usize) }.to_vec();
        global.buffer_drop(buffer);
        bytes
    }
}

/// Returns a belt of any device.
pub fn belt_of(world: &World, device: Device, descriptor: &BeltDescriptor) -> StagingBelt {
    let global = world.gpu.global.clone();
    // SAFETY: no test names a chunk, except to copy from an allocation.
    unsafe { StagingBelt::new(global, device.id, device.queue, descriptor) }.unwrap()
}

/// Returns a belt whose chunks have these ids.
pub fn belt_with_ids(
    world: &World,
    descriptor: &BeltDescriptor,
    ids: Vec<BufferId>,
    hand_back: impl FnMut(BufferId) + Send + 'static,
) -> StagingBelt {
    let (global, device) = (world.gpu.global.clone(), world.device);
    // SAFETY: no test names a chunk, except to copy from an allocation.
    unsafe { StagingBelt::with_buffer_ids(global, device.id, device.queue, descriptor, ids, hand_back) }
        .unwrap()
}

/// Returns whether an error is the expected one.
pub type IsRight = fn(&BeltError) -> bool;

/// Runs an action at the end of a scope, even if the test fails.
pub fn defer(action: impl FnMut()) -> impl Drop {
    struct Deferred<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Deferred<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    Deferred(action)
}

/// A descriptor of chunks that hold everything that a test writes.
pub fn roomy() -> BeltDescriptor {
    BeltDescriptor { chunk_size: 4 * MIB, ..BeltDescriptor::default() }
}

pub fn pattern(seed: u8, size: usize) -> Vec<u8> {
    (0..size).map(|index| (index as u8).wrapping_mul(31) ^ seed).collect()
}
