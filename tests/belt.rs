//! The upload belt on real wgpu-core: on a noop device, which copies buffers, and on Vulkan with validation.

mod support;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use euclid::default::Size2D;
use proptest::prelude::*;
use support::gpu::{Device, Gpu, assert_no_validation_errors, extent, whole};
use webgpu_presentation::belt::*;
use wgpu_core::device::HostMap;
use wgpu_core::device::queue::QueueSubmitError;
use wgpu_core::id::{BufferId, CommandEncoderId, TextureId};
use wgpu_core::resource::{BufferDescriptor, BufferMapOperation, TextureDescriptor};
use wgpu_types as wgt;
use wgpu_types::{BufferUsages, TextureFormat, TextureUsages};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

struct World {
    gpu: Gpu,
    device: Device,
    noop: bool,
}

/// The same on both.
fn on_all(test: impl Fn(&World)) {
    for gpu in [Some((Gpu::noop(), true)), Gpu::for_test().map(|gpu| (gpu, false))] {
        let Some((gpu, noop)) = gpu else { continue };
        let device = gpu.device();
        test(&World { gpu, device, noop });
    }
    assert_no_validation_errors();
}

/// Where texels are copied.
fn on_vulkan(test: impl Fn(&World)) {
    if let Some(gpu) = Gpu::for_test() {
        let device = gpu.device();
        test(&World { gpu, device, noop: false });
        assert_no_validation_errors();
    }
}

impl World {
    fn belt(&self, descriptor: BeltDescriptor) -> StagingBelt {
        StagingBelt::new(self.gpu.global.clone(), self.device.id, self.device.queue, &descriptor).unwrap()
    }

    fn buffer_of(&self, device: Device, size: u64, usage: BufferUsages) -> BufferId {
        let descriptor = BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        let (id, error) = self.gpu.global.device_create_buffer(device.id, &descriptor, None);
        assert!(error.is_none(), "{error:?}");
        id
    }

    fn buffer(&self, size: u64) -> BufferId {
        self.buffer_of(self.device, size, BufferUsages::COPY_DST | BufferUsages::COPY_SRC)
    }

    fn encoder(&self) -> CommandEncoderId {
        let (id, error) =
            self.gpu.global.device_create_command_encoder(self.device.id, &Default::default(), None);
        assert!(error.is_none(), "{error:?}");
        id
    }

    fn try_submit(&self, encoder: CommandEncoderId) -> Result<u64, QueueSubmitError> {
        let global = &self.gpu.global;
        let (commands, error) = global.command_encoder_finish(encoder, &Default::default(), None);
        assert!(error.is_none(), "{error:?}");
        let submitted = global.queue_submit(self.device.queue, &[commands]);
        global.command_buffer_drop(commands);
        global.command_encoder_drop(encoder);
        submitted.map_err(|(_, error)| error)
    }

    fn submit(&self, encoder: CommandEncoderId) -> u64 {
        self.try_submit(encoder).unwrap()
    }

    /// Until the GPU has done everything.
    fn wait(&self) {
        self.gpu.global.device_poll(self.device.id, wgt::PollType::wait_indefinitely()).unwrap();
    }

    /// A whole frame of what was written.
    fn frame(&self, belt: &mut StagingBelt) -> FlushStats {
        let encoder = self.encoder();
        let batch = belt.finish(encoder).unwrap();
        let stats = batch.stats();
        let submission = self.submit(encoder);
        belt.recall(batch, submission).unwrap();
        stats
    }

    fn copy(&self, encoder: CommandEncoderId, from: (BufferId, u64), to: (BufferId, u64), size: u64) {
        self.gpu
            .global
            .command_encoder_copy_buffer_to_buffer(encoder, from.0, from.1, to.0, to.1, Some(size))
            .unwrap();
    }

    /// The bytes of a buffer, read with nothing of ours.
    fn read(&self, buffer: BufferId, size: u64) -> Vec<u8> {
        let copy = self.buffer_of(self.device, size, BufferUsages::COPY_DST | BufferUsages::MAP_READ);
        let encoder = self.encoder();
        self.copy(encoder, (buffer, 0), (copy, 0), size);
        self.submit(encoder);
        self.mapped(copy)
    }

    fn mapped(&self, buffer: BufferId) -> Vec<u8> {
        let global = &self.gpu.global;
        let map = BufferMapOperation { host: HostMap::Read, callback: None };
        global.buffer_map_async(buffer, 0, None, map).unwrap();
        self.wait();
        let (pointer, len) = global.buffer_get_mapped_range(buffer, 0, None).unwrap();
        // SAFETY: mapped for reading until `buffer_drop` below, on this thread.
        let bytes = unsafe { std::slice::from_raw_parts(pointer.as_ptr(), len as usize) }.to_vec();
        global.buffer_drop(buffer);
        bytes
    }
}

/// Does it even if the test fails.
fn defer(action: impl FnMut()) -> impl Drop {
    struct Deferred<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Deferred<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    Deferred(action)
}

/// Chunks that hold everything.
fn roomy() -> BeltDescriptor {
    BeltDescriptor { chunk_size: 4 * MIB, ..BeltDescriptor::default() }
}

fn pattern(seed: u8, size: usize) -> Vec<u8> {
    (0..size).map(|index| (index as u8).wrapping_mul(31) ^ seed).collect()
}

// ── What arrives ────────────────────────────────────────────────────────────────────────────────────────────────────────

const BUFFERS: usize = 3;
const BUFFER_SIZE: u64 = 2048;

#[derive(Clone, Debug)]
enum Step {
    Write {
        buffer: usize,
        offset: u64,
        data: Vec<u8>,
    },
    /// Where the last write to this buffer ended, if it fits.
    Append {
        buffer: usize,
        data: Vec<u8>,
    },
    /// A view of which only the first half is written.
    View {
        buffer: usize,
        offset: u64,
        data: Vec<u8>,
    },
    Allocation {
        buffer: usize,
        offset: u64,
        alignment: u64,
        data: Vec<u8>,
    },
    /// A command of the caller's: a copy from one buffer to the next, after a flush.
    Command {
        buffer: usize,
    },
    Flush,
    Frame,
    /// A frame whose batch is dropped.
    Lost,
}

fn step() -> impl Strategy<Value = Step> {
    let data = || prop::collection::vec(any::<u8>(), 1..40).prop_map(|words| words.repeat(4));
    let place = || (0..BUFFERS, (0..BUFFER_SIZE / 4).prop_map(|word| word * 4), data());
    prop_oneof![
        6 => place().prop_map(|(buffer, offset, data)| Step::Write { buffer, offset, data }),
        8 => (0..BUFFERS, data()).prop_map(|(buffer, data)| Step::Append { buffer, data }),
        3 => place().prop_map(|(buffer, offset, data)| Step::View { buffer, offset, data }),
        2 => (place(), 0..9u32).prop_map(|((buffer, offset, data), power)| {
            Step::Allocation { buffer, offset, alignment: 1 << power, data }
        }),
        1 => (0..BUFFERS).prop_map(|buffer| Step::Command { buffer }),
        1 => Just(Step::Flush),
        1 => Just(Step::Frame),
        1 => Just(Step::Lost),
    ]
}

/// Does the steps with a belt and with `Vec`s, and compares. Returns the copies recorded, and the maximal runs.
fn run(world: &World, descriptor: BeltDescriptor, steps: &[Step]) -> (usize, usize) {
    let mut belt = world.belt(descriptor);
    let buffers = [(); BUFFERS].map(|()| world.buffer(BUFFER_SIZE));
    let mut model = vec![vec![0; BUFFER_SIZE as usize]; BUFFERS];
    // Where the last write ended.
    let mut ends = [0; BUFFERS];
    let mut open = [false; BUFFERS];
    let (mut copies, mut runs) = (0, 0);
    let mut encoder = world.encoder();
    for step in steps {
        match step {
            Step::Write { .. } | Step::Append { .. } | Step::View { .. } => {
                let (buffer, offset, data) = match step {
                    Step::Write { buffer, offset, data } | Step::View { buffer, offset, data } => {
                        (*buffer, *offset, data)
                    }
                    Step::Append { buffer, data } => (*buffer, ends[*buffer], data),
                    _ => unreachable!(),
                };
                let mut data = data.clone();
                let end = offset + data.len() as u64;
                let written = if let Step::View { .. } = step {
                    let half = data.len() / 2;
                    data[half..].fill(0);
                    belt.write_buffer_with(buffers[buffer], offset, data.len() as u64)
                        .map(|mut view| view[..half].copy_from_slice(&data[..half]))
                } else {
                    belt.write_buffer(buffers[buffer], offset, &data)
                };
                if end > BUFFER_SIZE {
                    assert!(matches!(written, Err(BeltError::OutOfBounds)), "{written:?}");
                    continue;
                }
                written.unwrap();
                runs += usize::from(!open[buffer] || ends[buffer] != offset);
                (ends[buffer], open[buffer]) = (end, true);
                model[buffer][offset as usize..end as usize].copy_from_slice(&data);
            }
            Step::Allocation { buffer, offset, alignment, data } => {
                let mut allocation = belt.allocate(data.len() as u64, *alignment).unwrap();
                assert!(allocation.bytes.iter().all(|&byte| byte == 0));
                allocation.bytes.copy_from_slice(data);
                let from = (allocation.buffer(), allocation.offset());
                assert_eq!(from.1 % alignment, 0);
                let end = offset + data.len() as u64;
                if end <= BUFFER_SIZE {
                    // Before what is still unflushed: the model does the same.
                    copies += belt.flush(encoder).unwrap().copies;
                    open = [false; BUFFERS];
                    world.copy(encoder, from, (buffers[*buffer], *offset), data.len() as u64);
                    model[*buffer][*offset as usize..end as usize].copy_from_slice(data);
                }
            }
            Step::Command { buffer } => {
                copies += belt.flush(encoder).unwrap().copies;
                open = [false; BUFFERS];
                let next = (buffer + 1) % BUFFERS;
                world.copy(encoder, (buffers[*buffer], 0), (buffers[next], 0), BUFFER_SIZE);
                model[next] = model[*buffer].clone();
            }
            Step::Flush => {
                copies += belt.flush(encoder).unwrap().copies;
                open = [false; BUFFERS];
            }
            Step::Frame | Step::Lost => {
                let before = copies;
                copies += belt.flush(encoder).unwrap().copies;
                open = [false; BUFFERS];
                let batch = belt.finish(encoder).unwrap();
                assert!(batch.stats().copies >= copies - before);
                if let Step::Lost = step {
                    drop(batch);
                    world.submit(encoder);
                } else {
                    let submission = world.submit(encoder);
                    belt.recall(batch, submission).unwrap();
                }
                encoder = world.encoder();
            }
        }
    }
    copies += belt.flush(encoder).unwrap().copies;
    let batch = belt.finish(encoder).unwrap();
    let submission = world.submit(encoder);
    belt.recall(batch, submission).unwrap();
    for (buffer, model) in buffers.into_iter().zip(&model) {
        assert_eq!(&world.read(buffer, BUFFER_SIZE), model);
        world.gpu.global.buffer_drop(buffer);
    }
    (copies, runs)
}

// Overlaps, views, allocations, commands in between, frames: all bytes are those of writes done one after the other.
#[test]
fn bytes_are_those_of_single_writes() {
    on_all(|world| {
        let config = ProptestConfig { cases: if world.noop { 300 } else { 60 }, ..Default::default() };
        // Small chunks: most runs are cut somewhere.
        let chunks = prop_oneof![Just((16, 16 * KIB)), Just((512, KIB)), Just((4 * MIB, 4 * MIB))];
        proptest!(config, |(steps in prop::collection::vec(step(), 1..80), (chunk_size, max_chunk_size) in chunks)| {
            run(world, BeltDescriptor { chunk_size, max_chunk_size, ..Default::default() }, &steps);
        });
    });
}

#[test]
fn copies_are_the_maximal_runs() {
    on_all(|world| {
        let config = ProptestConfig { cases: if world.noop { 200 } else { 20 }, ..Default::default() };
        proptest!(config, |(steps in prop::collection::vec(step(), 1..120))| {
            let (copies, runs) = run(world, roomy(), &steps);
            prop_assert_eq!(copies, runs);
        });
    });
}

#[test]
fn round_robin_writes_are_one_copy_for_each_buffer() {
    on_all(|world| {
        let mut belt = world.belt(roomy());
        let buffers = [(); 4].map(|()| world.buffer(160_000));
        for index in 0..10_000 {
            belt.write_buffer(buffers[index % 4], index as u64 / 4 * 64, &pattern(index as u8, 64)).unwrap();
        }
        let stats = world.frame(&mut belt);
        assert_eq!(stats, FlushStats { copies: 4, bytes: 640_000, refused: 0 });
        for (which, buffer) in buffers.into_iter().enumerate() {
            let wanted: Vec<u8> =
                (which..10_000).step_by(4).flat_map(|index| pattern(index as u8, 64)).collect();
            assert!(world.read(buffer, 160_000) == wanted);
        }
    });
}

// Large writes pass by the gathered ones, and still come after them.
#[test]
fn a_run_of_any_size_is_one_copy_for_each_chunk() {
    on_all(|world| {
        let sizes = [64, 100_000, 4, 70_000, 2_000_000, 300_000, 64];
        let total: usize = sizes.iter().sum();
        let data = pattern(7, total);
        for (chunk_size, copies) in [(4 * MIB, 1), (MIB, 3)] {
            let buffer = world.buffer(total as u64);
            let mut belt =
                world.belt(BeltDescriptor { chunk_size, max_chunk_size: chunk_size, ..Default::default() });
            let mut offset = 0;
            for size in sizes {
                belt.write_buffer(buffer, offset as u64, &data[offset..offset + size]).unwrap();
                offset += size;
            }
            let stats = world.frame(&mut belt);
            assert_eq!((stats.copies, stats.bytes), (copies, total as u64));
            assert!(world.read(buffer, total as u64) == data);
        }
    });
}

// They go on in the buffer, not in the chunk.
#[test]
fn an_allocation_between_two_writes_parts_them() {
    on_all(|world| {
        let buffer = world.buffer(200_000);
        let mut belt = world.belt(roomy());
        belt.write_buffer(buffer, 0, &[1; 100_000]).unwrap();
        belt.allocate(64, 256).unwrap().bytes.fill(9);
        belt.write_buffer(buffer, 100_000, &[1; 100_000]).unwrap();
        assert_eq!(world.frame(&mut belt).copies, 2);
        assert_eq!(world.read(buffer, 200_000), vec![1; 200_000]);
    });
}

// Two long runs side by side are cut, not more often than they alternate.
#[test]
fn a_long_run_is_continued_before_others() {
    on_all(|world| {
        let (one, other) = (world.buffer(200_000), world.buffer(200_000));
        let mut belt = world.belt(roomy());
        // At once: nothing of it is held back.
        belt.write_buffer(one, 0, &[1; 131_072]).unwrap();
        let mut write = |buffer, from: u64, to: u64| {
            for offset in (from..to).step_by(4096) {
                belt.write_buffer(buffer, offset, &vec![1; 4096.min(to - offset) as usize]).unwrap();
            }
        };
        write(other, 0, 150_000);
        write(one, 131_072, 140_000);
        write(other, 150_000, 160_000);
        assert_eq!(world.frame(&mut belt).copies, 3);
        for (buffer, end) in [(one, 140_000), (other, 160_000)] {
            let bytes = world.read(buffer, 200_000);
            assert!(bytes.iter().enumerate().all(|(index, &byte)| byte == u8::from(index < end)));
        }
    });
}

#[test]
fn a_flush_comes_before_the_commands_after_it() {
    on_all(|world| {
        let (buffer, copy) = (world.buffer(4), world.buffer(4));
        let mut belt = world.belt(roomy());
        let encoder = world.encoder();
        belt.write_buffer(buffer, 0, &[1; 4]).unwrap();
        belt.flush(encoder).unwrap();
        world.copy(encoder, (buffer, 0), (copy, 0), 4);
        belt.write_buffer(buffer, 0, &[2; 4]).unwrap();
        let batch = belt.finish(encoder).unwrap();
        let submission = world.submit(encoder);
        belt.recall(batch, submission).unwrap();
        assert_eq!((world.read(buffer, 4), world.read(copy, 4)), (vec![2; 4], vec![1; 4]));
    });
}

// ── What is refused ─────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn what_webgpu_forbids_is_a_typed_error() {
    on_all(|world| {
        let buffer = world.buffer(64);
        let mut belt = world.belt(roomy());
        // With an open run at 4 in a buffer of known size, and without.
        belt.write_buffer(buffer, 60, &[1; 4]).unwrap();
        belt.write_buffer(buffer, 0, &[1; 4]).unwrap();
        for (size, offset) in [(1, 4), (2, 4), (3, 4), (6, 4), (1, 0), (2, 0), (3, 0), (6, 0)] {
            let refused = belt.write_buffer(buffer, offset, &[9; 8][..size]);
            assert!(matches!(refused, Err(BeltError::UnalignedSize(given)) if given == size as u64));
            let refused = belt.write_buffer_with(buffer, 0, size as u64).map(drop);
            assert!(matches!(refused, Err(BeltError::UnalignedSize(given)) if given == size as u64));
            let refused = belt.allocate(size as u64, 4).map(drop);
            assert!(matches!(refused, Err(BeltError::UnalignedSize(given)) if given == size as u64));
        }
        for offset in [1, 2, 6, u64::MAX] {
            let refused = belt.write_buffer(buffer, offset, &[9; 4]);
            assert!(matches!(refused, Err(BeltError::UnalignedOffset(given)) if given == offset));
        }
        for alignment in [0, 3, 12, u64::MAX] {
            let refused = belt.allocate(4, alignment).map(drop);
            assert!(matches!(refused, Err(BeltError::InvalidAlignment(given)) if given == alignment));
        }
        assert!(matches!(belt.allocate(0, 4), Err(BeltError::EmptyAllocation)));
        assert_eq!(world.frame(&mut belt), FlushStats { copies: 2, bytes: 8, refused: 0 });
        let wanted: Vec<u8> = (0..64).map(|index| u8::from(!(4..60).contains(&index))).collect();
        assert_eq!(world.read(buffer, 64), wanted);
    });
}

#[test]
fn huge_numbers_neither_wrap_nor_panic() {
    on_all(|world| {
        let buffer = world.buffer(64);
        let mut belt = world.belt(roomy());
        let huge = u64::MAX & !3;
        for (offset, size) in
            [(0, huge), (huge, 4), (huge, huge), (4, huge), (1 << 63, 1 << 63), (0, 1 << 40)]
        {
            let refused = belt.write_buffer_with(buffer, offset, size).map(drop);
            assert!(matches!(refused, Err(BeltError::OutOfBounds)), "{refused:?}");
        }
        for size in [huge, 1 << 63, 1 << 40] {
            let refused = belt.allocate(size, 1 << 63).map(drop);
            assert!(matches!(refused, Err(BeltError::TooLarge { .. })), "{refused:?}");
        }
        // Offset 0 is a multiple of everything.
        assert_eq!(belt.allocate(4, 1 << 63).unwrap().offset(), 0);
        assert_eq!(belt.allocate(4, 1 << 63).unwrap().offset(), 0);
        belt.write_buffer(buffer, 60, &[1; 4]).unwrap();
        world.frame(&mut belt);
        assert_eq!(world.read(buffer, 64)[56..], [0, 0, 0, 0, 1, 1, 1, 1]);
    });
}

#[test]
fn descriptors_of_any_size_work() {
    on_all(|world| {
        for size in [0, 1, 17, u64::MAX] {
            for max_chunk_size in [0, 1, 17, u64::MAX] {
                let descriptor = BeltDescriptor {
                    chunk_size: size.min(MIB),
                    max_chunk_size,
                    max_bytes: 4 * MIB,
                    idle_frames: 0,
                };
                let mut belt = world.belt(descriptor);
                let buffer = world.buffer(100);
                belt.write_buffer(buffer, 0, &pattern(3, 100)).unwrap();
                world.frame(&mut belt);
                assert_eq!(world.read(buffer, 100), pattern(3, 100));
            }
        }
    });
}

#[test]
fn writing_nothing_does_nothing() {
    on_all(|world| {
        let buffer = world.buffer(64);
        let mut belt = world.belt(roomy());
        belt.write_buffer(buffer, 3, &[]).unwrap();
        assert!(belt.write_buffer_with(buffer, 1000, 0).unwrap().is_empty());
        assert_eq!(world.frame(&mut belt), FlushStats::default());
        assert_eq!(belt.stats().created, 0);
    });
}

/// A buffer for each thing that can be wrong with a destination.
fn bad_buffers(world: &World) -> Vec<(BufferId, fn(&BeltError) -> bool)> {
    let global = &world.gpu.global;
    let descriptor =
        BufferDescriptor { label: None, size: 64, usage: BufferUsages::empty(), mapped_at_creation: false };
    let (invalid, error) = global.device_create_buffer(world.device.id, &descriptor, None);
    assert!(error.is_some());
    let destroyed = world.buffer(64);
    global.buffer_destroy(destroyed);
    let foreign = world.buffer_of(world.gpu.device(), 64, BufferUsages::COPY_DST);
    let unusable = world.buffer_of(world.device, 64, BufferUsages::COPY_SRC);
    let mapped = world.buffer_of(world.device, 64, BufferUsages::COPY_DST | BufferUsages::MAP_READ);
    let map = BufferMapOperation { host: HostMap::Read, callback: None };
    global.buffer_map_async(mapped, 0, None, map).unwrap();
    vec![
        (invalid, |error| matches!(error, BeltError::DestinationInvalid)),
        (destroyed, |error| matches!(error, BeltError::DestinationDestroyed)),
        (foreign, |error| matches!(error, BeltError::WrongDevice)),
        (unusable, |error| matches!(error, BeltError::DestinationUsage)),
        (mapped, |error| matches!(error, BeltError::DestinationMapped)),
    ]
}

#[test]
fn a_bad_destination_hurts_no_other() {
    on_all(|world| {
        let good = world.buffer(64);
        let mut belt = world.belt(roomy());
        for (number, (bad, is_right)) in bad_buffers(world).into_iter().enumerate() {
            belt.write_buffer(good, number as u64 * 4, &[number as u8 + 1; 4]).unwrap();
            let error = belt.write_buffer(bad, 0, &[9; 4]).unwrap_err();
            assert!(is_right(&error), "{error:?}");
        }
        assert!(matches!(belt.write_buffer(good, 64, &[9; 4]), Err(BeltError::OutOfBounds)));
        assert!(matches!(belt.write_buffer(good, 60, &[9; 8]), Err(BeltError::OutOfBounds)));
        assert_eq!(world.frame(&mut belt), FlushStats { copies: 1, bytes: 20, refused: 0 });
        let wanted: Vec<u8> = (1..=5).flat_map(|number| [number; 4]).collect();
        assert_eq!(world.read(good, 64)[..20], wanted);
    });
}

// The belt learns sizes by asking: each write is judged as if it were alone, wherever the end is.
#[test]
fn bounds_are_exact() {
    on_all(|world| {
        for size in [4, 8, 100, 1000, 1028, 4096, 10_000] {
            let buffer = world.buffer(size);
            let mut belt = world.belt(roomy());
            let mut offset = 0;
            while offset < size {
                belt.write_buffer(buffer, offset, &[1; 4]).unwrap();
                for past in [size, size + 4, size + 400] {
                    assert!(matches!(belt.write_buffer(buffer, past, &[9; 4]), Err(BeltError::OutOfBounds)));
                }
                offset += 4;
            }
            assert_eq!(world.frame(&mut belt).copies, 1);
            assert_eq!(world.read(buffer, size), vec![1; size as usize]);
        }
    });
}

#[test]
fn a_destination_that_goes_bad_is_left_out() {
    on_all(|world| {
        let global = &world.gpu.global;
        let (good, destroyed) = (world.buffer(64), world.buffer(64));
        let mapped = world.buffer_of(world.device, 64, BufferUsages::COPY_DST | BufferUsages::MAP_READ);
        let mut belt = world.belt(roomy());
        for buffer in [destroyed, good, mapped, destroyed] {
            belt.write_buffer(buffer, 0, &[1; 4]).unwrap();
            belt.write_buffer(buffer, 32, &[1; 4]).unwrap();
        }
        global.buffer_destroy(destroyed);
        let map = BufferMapOperation { host: HostMap::Read, callback: None };
        global.buffer_map_async(mapped, 0, None, map).unwrap();
        assert_eq!(world.frame(&mut belt), FlushStats { copies: 2, bytes: 8, refused: 6 });
        assert_eq!(world.read(good, 64)[28..36], [0, 0, 0, 0, 1, 1, 1, 1]);
    });
}

// An engine's id may name another buffer by the time of the flush.
#[test]
fn a_destination_that_shrinks_is_left_out() {
    on_all(|world| {
        let global = &world.gpu.global;
        let id = BufferId::zip(0, 1);
        let create = |size| {
            let usage = BufferUsages::COPY_DST;
            let descriptor = BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
            let (_, error) = global.device_create_buffer(world.device.id, &descriptor, Some(id));
            assert!(error.is_none(), "{error:?}");
        };
        create(128);
        let (ids, drop_id) = ((1..3).map(|index| BufferId::zip(index, 1)).collect(), |_| ());
        let (device, queue) = (world.device.id, world.device.queue);
        let mut belt =
            StagingBelt::with_buffer_ids(global.clone(), device, queue, &roomy(), ids, drop_id).unwrap();
        for offset in [0, 32, 64] {
            belt.write_buffer(id, offset, &[1; 32]).unwrap();
        }
        global.buffer_drop(id);
        create(64);
        assert_eq!(world.frame(&mut belt), FlushStats { copies: 0, bytes: 0, refused: 1 });
    });
}

#[test]
fn what_an_ended_encoder_does_not_take_waits_for_another() {
    on_all(|world| {
        let buffer = world.buffer(4);
        let mut belt = world.belt(roomy());
        belt.write_buffer(buffer, 0, &[5; 4]).unwrap();
        let global = &world.gpu.global;
        let ended = world.encoder();
        let (commands, error) = global.command_encoder_finish(ended, &Default::default(), None);
        assert!(error.is_none());
        assert!(matches!(belt.flush(ended), Err(BeltError::EncoderEnded)));
        assert!(matches!(belt.finish(ended), Err(BeltError::EncoderEnded)));
        global.command_buffer_drop(commands);
        global.command_encoder_drop(ended);
        assert_eq!(world.frame(&mut belt).copies, 1);
        assert_eq!(world.read(buffer, 4), [5; 4]);
    });
}

// ── Chunks ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn what_is_not_written_is_zero_in_used_chunks_too() {
    on_all(|world| {
        let (buffer, copy) = (world.buffer(4096), world.buffer(256));
        let mut belt = world.belt(BeltDescriptor { chunk_size: 4096, ..Default::default() });
        for _ in 0..4 {
            belt.write_buffer(buffer, 0, &[255; 4096]).unwrap();
            world.frame(&mut belt);
            world.wait();
        }
        assert!(belt.stats().created <= 2);
        belt.write_buffer_with(buffer, 0, 4096).unwrap()[4] = 1;
        let encoder = world.encoder();
        belt.finish(encoder).map(drop).unwrap();
        world.submit(encoder);
        let bytes = world.read(buffer, 4096);
        assert!(bytes.iter().enumerate().all(|(index, &byte)| byte == u8::from(index == 4)));
        // Allocations, with what alignment leaves out between them.
        let encoder = world.encoder();
        let (chunk, first) = belt.allocate(4, 4).map(|piece| (piece.buffer(), piece.offset())).unwrap();
        let second = belt.allocate(4, 128).unwrap();
        assert_eq!((second.buffer(), first, second.offset()), (chunk, 0, 128));
        world.copy(encoder, (chunk, 0), (copy, 0), 132);
        let batch = belt.finish(encoder).unwrap();
        let submission = world.submit(encoder);
        belt.recall(batch, submission).unwrap();
        assert_eq!(world.read(copy, 132), [0; 132]);
    });
}

#[test]
fn the_steady_state_makes_no_chunk() {
    on_all(|world| {
        let buffer = world.buffer(MIB);
        let mut belt = world.belt(BeltDescriptor { chunk_size: 16 * KIB, ..Default::default() });
        let frame = |belt: &mut StagingBelt| {
            for offset in (0..MIB / 2).step_by(4096) {
                belt.write_buffer(buffer, offset * 2, &[1; 4096]).unwrap();
            }
            world.frame(belt);
            world.wait();
        };
        (0..4).for_each(|_| frame(&mut belt));
        let created = belt.stats().created;
        (0..100).for_each(|_| frame(&mut belt));
        let stats = belt.stats();
        assert_eq!((stats.created, stats.frames), (created, 104));
        assert!(stats.bytes <= 2 * MIB, "{stats:?}");
    });
}

#[test]
fn after_a_burst_memory_comes_back() {
    on_all(|world| {
        let buffer = world.buffer(64 * MIB);
        let descriptor = BeltDescriptor { chunk_size: 64 * KIB, idle_frames: 10, ..Default::default() };
        let mut belt = world.belt(descriptor);
        let frame = |belt: &mut StagingBelt, size: u64| {
            let data = vec![1; 32 * KIB as usize];
            for offset in (0..size).step_by(data.len()) {
                belt.write_buffer(buffer, offset, &data).unwrap();
            }
            world.frame(belt);
            world.wait();
        };
        let steady = 128 * KIB;
        (0..20).for_each(|_| frame(&mut belt, steady));
        frame(&mut belt, 64 * MIB);
        assert!(belt.stats().bytes >= 64 * MIB);
        (0..10).for_each(|_| frame(&mut belt, steady));
        let stats = belt.stats();
        assert!(stats.bytes <= steady + descriptor.chunk_size, "{stats:?}");
        assert_eq!(stats.active + stats.finished + stats.recalled + stats.free, 2, "{stats:?}");
    });
}

#[test]
fn trimming_frees_what_rests() {
    on_all(|world| {
        let buffer = world.buffer(64);
        let mut belt = world.belt(BeltDescriptor::default());
        belt.write_buffer(buffer, 0, &[1; 4]).unwrap();
        world.frame(&mut belt);
        world.wait();
        belt.trim();
        let stats = belt.stats();
        assert_eq!((stats.bytes, stats.created, stats.freed), (0, 1, 1), "{stats:?}");
        belt.write_buffer(buffer, 0, &[2; 4]).unwrap();
        belt.trim();
        world.frame(&mut belt);
        assert_eq!(world.read(buffer, 4), [2; 4]);
    });
}

// All chunks together, whatever is written: a write that does not fit fails whole, and the others arrive.
#[test]
fn the_budget_holds() {
    on_all(|world| {
        let max_bytes = 100 * KIB;
        let descriptor = BeltDescriptor {
            chunk_size: 16 * KIB,
            max_chunk_size: 64 * KIB,
            max_bytes,
            ..Default::default()
        };
        let mut belt = world.belt(descriptor);
        let buffer = world.buffer(MIB);
        let mut model = vec![0; MIB as usize];
        let mut refused = 0;
        for round in 0..60 {
            for (number, size) in [4, 60_000, 20_000, 64, 30_000, 90_000, 4, 200_000].into_iter().enumerate()
            {
                let offset = (round * 16_004 + number * 8_000) % (MIB as usize - size);
                let offset = offset & !3;
                let data = pattern(round as u8 ^ (number as u8) << 5, size);
                match belt.write_buffer(buffer, offset as u64, &data) {
                    Ok(()) => model[offset..offset + size].copy_from_slice(&data),
                    Err(BeltError::BudgetExceeded { .. }) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
                assert!(belt.stats().bytes <= max_bytes, "{:?}", belt.stats());
            }
            world.frame(&mut belt);
            world.wait();
            assert!(belt.stats().bytes <= max_bytes, "{:?}", belt.stats());
        }
        assert!(refused >= 60, "{refused}");
        assert!(world.read(buffer, MIB) == model);
    });
}

// ── What callers do wrong ───────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_recall_before_the_submission_is_noticed() {
    on_all(|world| {
        let buffer = world.buffer(4);
        let mut belt = world.belt(roomy());
        world.submit(world.encoder());
        let earlier = world.submit(world.encoder());
        belt.write_buffer(buffer, 0, &[1; 4]).unwrap();
        let encoder = world.encoder();
        let batch = belt.finish(encoder).unwrap();
        let mut batch = Some(batch);
        for index in [0, earlier, earlier + 1, earlier + 100, u64::MAX] {
            let refused = belt.recall(batch.take().unwrap(), index).unwrap_err();
            assert_eq!(refused.reason, RecallMistake::NotSubmitted);
            batch = Some(refused.batch);
        }
        // No other chunk of it can come from the pool.
        assert_eq!((belt.stats().finished, belt.stats().recalled), (1, 0));
        belt.write_buffer(buffer, 0, &[2; 4]).unwrap();
        let later = world.encoder();
        let later_batch = belt.finish(later).unwrap();
        let submission = world.submit(encoder);
        belt.recall(batch.unwrap(), submission).unwrap();
        assert_eq!(world.read(buffer, 4), [1; 4]);
        let submission = world.submit(later);
        belt.recall(later_batch, submission).unwrap();
        assert_eq!(world.read(buffer, 4), [2; 4]);
    });
}

#[test]
fn another_belt_s_batch_is_handed_back() {
    on_all(|world| {
        let buffer = world.buffer(4);
        let (mut belt, mut other) = (world.belt(roomy()), world.belt(roomy()));
        belt.write_buffer(buffer, 0, &[1; 4]).unwrap();
        let encoder = world.encoder();
        let batch = belt.finish(encoder).unwrap();
        let submission = world.submit(encoder);
        let refused = other.recall(batch, submission).unwrap_err();
        assert_eq!(refused.reason, RecallMistake::ForeignBatch);
        belt.recall(refused.batch, submission).unwrap();
        assert_eq!((belt.stats().finished, other.stats().finished), (0, 0));
    });
}

#[test]
fn batches_that_are_not_recalled_are_bounded() {
    on_all(|world| {
        let buffer = world.buffer(4);
        let descriptor = BeltDescriptor { chunk_size: 16 * KIB, max_bytes: 80 * KIB, ..Default::default() };
        let mut belt = world.belt(descriptor);
        let mut kept = Vec::new();
        let write = |belt: &mut StagingBelt, value| {
            belt.write_buffer(buffer, 0, &[value; 4])?;
            let encoder = world.encoder();
            let batch = belt.finish(encoder)?;
            world.submit(encoder);
            Ok::<_, BeltError>(batch)
        };
        for value in 0..5 {
            kept.push(write(&mut belt, value).unwrap());
        }
        assert_eq!((belt.stats().finished, belt.stats().bytes), (5, 80 * KIB));
        let refused = write(&mut belt, 9).map(drop);
        assert!(
            matches!(refused, Err(BeltError::BudgetExceeded { needed: 4, max_bytes: 81_920 })),
            "{refused:?}"
        );
        kept.clear();
        assert_eq!((belt.stats().finished, belt.stats().bytes), (0, 0));
        // Dropped at once: nothing is left over, and each one arrives.
        for value in 0..100 {
            write(&mut belt, value).map(drop).unwrap();
            assert_eq!(belt.stats().bytes, 0);
        }
        assert_eq!(world.read(buffer, 4), [99; 4]);
        assert_eq!(belt.stats().freed, 105);
    });
}

#[test]
fn an_abandoned_batch_is_never_used_again() {
    on_all(|world| {
        let buffer = world.buffer(4);
        let mut belt = world.belt(roomy());
        belt.write_buffer(buffer, 0, &[1; 4]).unwrap();
        let encoder = world.encoder();
        let batch = belt.finish(encoder).unwrap();
        belt.abandon(batch);
        assert_eq!((belt.stats().bytes, belt.stats().freed), (0, 1));
        belt.write_buffer(buffer, 0, &[2; 4]).unwrap();
        let later = world.encoder();
        let batch = belt.finish(later).unwrap();
        // Who abandons a batch and submits it all the same gets its bytes.
        world.submit(encoder);
        assert_eq!(world.read(buffer, 4), [1; 4]);
        let submission = world.submit(later);
        belt.recall(batch, submission).unwrap();
        assert_eq!(world.read(buffer, 4), [2; 4]);
    });
}

#[test]
fn a_forgotten_finish_is_told_and_forgiven() {
    on_all(|world| {
        let buffer = world.buffer(64);
        let descriptor = BeltDescriptor { chunk_size: 16 * KIB, max_bytes: 64 * KIB, ..Default::default() };
        let mut belt = world.belt(descriptor);
        belt.write_buffer(buffer, 0, &[1; 4]).unwrap();
        let encoder = world.encoder();
        belt.flush(encoder).unwrap();
        assert!(matches!(world.try_submit(encoder), Err(QueueSubmitError::BufferStillMapped(_))));
        belt.write_buffer(buffer, 4, &[2; 4]).unwrap();
        world.frame(&mut belt);
        assert_eq!(world.read(buffer, 8), [0, 0, 0, 0, 2, 2, 2, 2]);
        // Forgotten for ever: bounded.
        let refused = (0..100_000).find_map(|_| belt.write_buffer(buffer, 0, &[3; 64]).err());
        assert!(matches!(refused, Some(BeltError::BudgetExceeded { .. })));
        assert_eq!(belt.stats().bytes, 64 * KIB);
        world.frame(&mut belt);
        assert_eq!(world.read(buffer, 64), [3; 64]);
    });
}

#[test]
fn the_belt_may_go_before_its_batches() {
    on_all(|world| {
        let buffer = world.buffer(4);
        let mut belt = world.belt(roomy());
        belt.write_buffer(buffer, 0, &[1; 4]).unwrap();
        let encoder = world.encoder();
        let batch = belt.finish(encoder).unwrap();
        belt.write_buffer(buffer, 0, &[2; 4]).unwrap();
        drop(belt);
        world.submit(encoder);
        drop(batch);
        assert_eq!(world.read(buffer, 4), [1; 4]);
    });
}

// ── Devices ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_lost_device_is_an_error_at_every_step() {
    for step in 0..6 {
        on_all(|world| {
            let global = &world.gpu.global;
            let buffer = world.buffer(MIB);
            let mut belt = world.belt(BeltDescriptor { chunk_size: 16 * KIB, ..Default::default() });
            belt.write_buffer(buffer, 0, &[1; 4096]).unwrap();
            let encoder = world.encoder();
            let lose = || {
                global.device_destroy(world.device.id);
                // The memory of mapped chunks is freed in here.
                let _ = global.device_poll(world.device.id, wgt::PollType::wait_indefinitely());
            };
            let is_lost = |result: Result<(), BeltError>| {
                assert!(matches!(result, Err(BeltError::DeviceLost)), "{result:?}");
            };
            match step {
                0 => {
                    lose();
                    is_lost(belt.write_buffer(buffer, 4096, &[1; 100_000]));
                }
                1 => {
                    lose();
                    is_lost(belt.flush(encoder).map(drop));
                }
                2 => {
                    let mut view = belt.write_buffer_with(buffer, 8192, 200_000).unwrap();
                    lose();
                    view.fill(1);
                    is_lost(belt.finish(encoder).map(drop));
                }
                3 => {
                    let mut allocation = belt.allocate(100_000, 256).unwrap();
                    lose();
                    allocation.bytes.fill(1);
                    is_lost(belt.allocate(100_000, 256).map(drop));
                }
                4 => {
                    belt.flush(encoder).unwrap();
                    lose();
                    is_lost(belt.finish(encoder).map(drop));
                }
                _ => {
                    let batch = belt.finish(encoder).unwrap();
                    let submission = world.submit(encoder);
                    lose();
                    belt.recall(batch, submission).unwrap();
                    assert_eq!(belt.stats().recalled, 0);
                }
            }
            is_lost(belt.write_buffer(buffer, 0, &[1; 4]));
            is_lost(belt.allocate(4, 4).map(drop));
            let stats = belt.stats();
            assert_eq!((stats.bytes, stats.created), (0, stats.freed), "{stats:?}");
            if step != 5 {
                global.command_encoder_drop(encoder);
            }
        });
    }
}

// wgpu-core frees mapped memory on the thread that polls, at any moment. (Under a sanitizer this test says more.)
#[test]
fn a_device_may_go_while_chunks_are_written() {
    on_all(|world| {
        let global = &world.gpu.global;
        for round in 0..if world.noop { 40 } else { 10 } {
            let device = world.gpu.device();
            let buffer = world.buffer_of(device, MIB, BufferUsages::COPY_DST);
            let descriptor = BeltDescriptor { chunk_size: 256 * KIB, ..Default::default() };
            let mut belt = StagingBelt::new(global.clone(), device.id, device.queue, &descriptor).unwrap();
            let gone = AtomicBool::new(false);
            let data = vec![1; 128 << 10];
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(std::time::Duration::from_micros(round * 30));
                    global.device_destroy(device.id);
                    while !gone.load(Ordering::Acquire) {
                        let _ = global.device_poll(device.id, wgt::PollType::Poll);
                    }
                });
                let _end = defer(|| gone.store(true, Ordering::Release));
                let mut lost = false;
                for _ in 0..1_000_000 {
                    let written = belt.write_buffer(buffer, 0, &data).and_then(|()| {
                        if belt.stats().active < 20 { Ok(()) } else { Err(BeltError::EncoderEnded) }
                    });
                    match written {
                        Ok(()) => (),
                        // Begin anew: there is enough of it.
                        Err(BeltError::EncoderEnded) => {
                            belt = StagingBelt::new(global.clone(), device.id, device.queue, &descriptor)
                                .unwrap();
                        }
                        Err(BeltError::DeviceLost) => {
                            lost = true;
                            break;
                        }
                        Err(error) => panic!("{error:?}"),
                    }
                }
                assert!(lost);
            });
            assert_eq!(belt.stats().bytes, 0);
            drop(belt);
            global.buffer_drop(buffer);
            global.device_drop(device.id);
            global.queue_drop(device.queue);
        }
    });
}

#[test]
fn ids_of_the_engine_s_come_back_once() {
    on_all(|world| {
        let global = &world.gpu.global;
        let mut ids: Vec<BufferId> = (0..4).map(|index| BufferId::zip(index, 1)).collect();
        let target = ids.pop();
        let descriptor = BufferDescriptor {
            label: None,
            size: 4,
            usage: BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        let (target, error) = global.device_create_buffer(world.device.id, &descriptor, target);
        assert!(error.is_none());
        let returned = Rc::new(RefCell::new(Vec::new()));
        let sink = returned.clone();
        let descriptor =
            BeltDescriptor { chunk_size: 4 * KIB, max_chunk_size: 4 * KIB, ..Default::default() };
        let mut belt = StagingBelt::with_buffer_ids(
            global.clone(),
            world.device.id,
            world.device.queue,
            &descriptor,
            ids.clone(),
            move |id| sink.borrow_mut().push(id),
        )
        .unwrap();
        for round in 0..5 {
            let allocation = belt.allocate(4096, 4).unwrap();
            assert!(ids.contains(&allocation.buffer()));
            belt.allocate(4096, 4).unwrap();
            belt.allocate(4096, 4).unwrap();
            assert!(matches!(belt.allocate(4, 4), Err(BeltError::NoBufferIds)));
            let encoder = world.encoder();
            let batch = belt.finish(encoder).unwrap();
            let submission = world.submit(encoder);
            if round % 2 == 0 {
                belt.recall(batch, submission).unwrap();
                world.wait();
            }
        }
        belt.write_buffer(target, 0, &[1; 4]).unwrap();
        let encoder = world.encoder();
        let batch = belt.finish(encoder).unwrap();
        global.command_encoder_drop(encoder);
        drop(belt);
        assert_eq!(*returned.borrow(), []);
        drop(batch);
        let mut returned = returned.borrow().clone();
        returned.sort();
        assert_eq!(returned, ids);
    });
}

// ── Textures ────────────────────────────────────────────────────────────────────────────────────────────────────────────

struct Texture {
    id: TextureId,
    format: TextureFormat,
    size: wgt::Extent3d,
}

impl World {
    fn texture(&self, format: TextureFormat, dimension: wgt::TextureDimension, size: [u32; 3]) -> Texture {
        let size = wgt::Extent3d { width: size[0], height: size[1], depth_or_array_layers: size[2] };
        let descriptor = TextureDescriptor {
            label: None,
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension,
            format,
            usage: TextureUsages::COPY_DST | TextureUsages::COPY_SRC,
            view_formats: vec![],
        };
        let (id, error) = self.gpu.global.device_create_texture(self.device.id, &descriptor, None);
        assert!(error.is_none(), "{error:?}");
        Texture { id, format, size }
    }

    /// All texels, row after row and layer after layer, read with nothing of ours.
    fn texels(&self, texture: &Texture) -> Vec<u8> {
        let size = texture.size;
        let row = size.width as usize * texture.format.block_copy_size(None).unwrap() as usize;
        let stride = row.next_multiple_of(256);
        let rows = (size.height * size.depth_or_array_layers) as usize;
        let usage = BufferUsages::COPY_DST | BufferUsages::MAP_READ;
        let buffer = self.buffer_of(self.device, (stride * rows) as u64, usage);
        let encoder = self.encoder();
        let layout = wgt::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(stride as u32),
            rows_per_image: Some(size.height),
        };
        let target = wgt::TexelCopyBufferInfo { buffer, layout };
        self.gpu
            .global
            .command_encoder_copy_texture_to_buffer(encoder, &whole(texture.id), &target, &size)
            .unwrap();
        self.submit(encoder);
        self.mapped(buffer).chunks(stride).flat_map(|bytes| &bytes[..row]).copied().collect()
    }
}

fn layout(offset: u64, bytes_per_row: u32, rows_per_image: u32) -> wgt::TexelCopyBufferLayout {
    wgt::TexelCopyBufferLayout {
        offset,
        bytes_per_row: Some(bytes_per_row),
        rows_per_image: Some(rows_per_image),
    }
}

// Texels of 1 to 16 bytes, odd widths, layers and slices; data with gaps; chunks that hold all, a layer, or two rows.
#[test]
fn texels_arrive() {
    on_vulkan(|world| {
        use TextureFormat::*;
        use wgt::TextureDimension::{D2, D3};
        let cases = [
            (R8Unorm, D2, [3, 5, 1]),
            (Rg8Unorm, D2, [129, 7, 3]),
            (Rgba8Unorm, D2, [1, 1, 1]),
            (Bgra8Unorm, D2, [65, 9, 4]),
            (Rgba16Float, D3, [33, 4, 5]),
            (Rgba32Float, D2, [7, 3, 2]),
        ];
        for (format, dimension, size @ [width, height, layers]) in cases {
            for max_chunk_size in [MIB, 5120, 1300] {
                let texture = world.texture(format, dimension, size);
                let descriptor = BeltDescriptor { chunk_size: 16, max_chunk_size, ..Default::default() };
                let mut belt = world.belt(descriptor);
                let row = width * format.block_copy_size(None).unwrap();
                let (stride, rows, offset) = (row + 5, height + 2, 3);
                let data = pattern(width as u8, (3 + stride * rows * layers) as usize);
                let buffer = world.buffer(64);
                belt.write_buffer(buffer, 0, &[1; 32]).unwrap();
                belt.write_texture(
                    &whole(texture.id),
                    format,
                    &data,
                    &layout(offset, stride, rows),
                    texture.size,
                )
                .unwrap();
                belt.write_buffer(buffer, 32, &[2; 32]).unwrap();
                let stats = world.frame(&mut belt);
                assert_eq!(stats.refused, 0);
                let wanted: Vec<u8> = (0..layers)
                    .flat_map(|layer| (0..height).map(move |y| (3 + (layer * rows + y) * stride) as usize))
                    .flat_map(|start| &data[start..start + row as usize])
                    .copied()
                    .collect();
                assert!(world.texels(&texture) == wanted, "{format:?} {size:?} {max_chunk_size}");
                assert_eq!(world.read(buffer, 64), [[1; 32], [2; 32]].concat());
            }
        }
    });
}

#[test]
fn a_part_of_a_texture_is_written_and_later_writes_win() {
    on_vulkan(|world| {
        let size = Size2D::new(8, 8);
        let texture = world.gpu.texture_with(world.device, TextureFormat::Rgba8Unorm, size, &[7; 256]);
        let mut belt = world.belt(roomy());
        let mut destination = whole(texture);
        destination.origin = wgt::Origin3d { x: 2, y: 3, z: 0 };
        for (value, width) in [(1, 3), (2, 2)] {
            let part = extent(Size2D::new(width, 2));
            let data = vec![value; 4 * 2 * width as usize];
            let layout = layout(0, 4 * width, 2);
            belt.write_texture(&destination, TextureFormat::Rgba8Unorm, &data, &layout, part).unwrap();
        }
        world.frame(&mut belt);
        let bytes = world.gpu.read(world.device, texture, size);
        for (index, texel) in bytes.chunks(4).enumerate() {
            let wanted = match (index % 8, index / 8) {
                (2..=3, 3..=4) => 2,
                (4, 3..=4) => 1,
                _ => 7,
            };
            assert_eq!(texel, [wanted; 4], "{index}");
        }
    });
}

#[test]
fn a_bad_texture_write_is_a_typed_error_and_hurts_no_other() {
    on_all(|world| {
        use TextureFormat::{Depth24PlusStencil8, R8Unorm, Rgba8Unorm};
        let texture = world.texture(Rgba8Unorm, wgt::TextureDimension::D2, [8, 8, 1]);
        let unusable =
            world.gpu.texture(world.device, Rgba8Unorm, Size2D::new(8, 8), TextureUsages::COPY_SRC);
        let invalid = world.gpu.invalid_texture(world.device);
        let destroyed = world.texture(Rgba8Unorm, wgt::TextureDimension::D2, [8, 8, 1]).id;
        world.gpu.global.texture_destroy(destroyed);
        let other = world.gpu.device();
        let foreign = world.gpu.texture(other, Rgba8Unorm, Size2D::new(8, 8), TextureUsages::COPY_DST);
        let buffer = world.buffer(4);
        let mut belt =
            world.belt(BeltDescriptor { chunk_size: 2048, max_chunk_size: 2048, ..Default::default() });
        belt.write_buffer(buffer, 0, &[1; 4]).unwrap();
        let size = texture.size;
        let mut at_8 = whole(texture.id);
        at_8.origin.x = 8;
        let two_layers = wgt::Extent3d { depth_or_array_layers: 2, ..size };
        let mut mip = whole(texture.id);
        mip.mip_level = 1;
        let mut far = whole(texture.id);
        far.origin.z = u32::MAX;
        let rows = |bytes_per_row| layout(0, bytes_per_row, 8);
        let data = [9; 1 << 12];
        let good = (whole(texture.id), Rgba8Unorm, &data[..], rows(32), size);
        type Case<'a> = (
            wgt::TexelCopyTextureInfo<TextureId>,
            TextureFormat,
            &'a [u8],
            wgt::TexelCopyBufferLayout,
            wgt::Extent3d,
        );
        let bad: Vec<(Case<'_>, fn(&BeltError) -> bool)> = vec![
            ((at_8, good.1, good.2, good.3, size), |error| matches!(error, BeltError::OutOfBounds)),
            ((good.0, good.1, good.2, good.3, two_layers), |error| matches!(error, BeltError::OutOfBounds)),
            ((mip, good.1, good.2, good.3, size), |error| matches!(error, BeltError::OutOfBounds)),
            ((far, good.1, good.2, good.3, size), |error| matches!(error, BeltError::OutOfBounds)),
            ((whole(unusable), good.1, good.2, good.3, size), |error| {
                matches!(error, BeltError::DestinationUsage)
            }),
            ((whole(destroyed), good.1, good.2, good.3, size), |error| {
                matches!(error, BeltError::DestinationDestroyed)
            }),
            // One of no size and no usage.
            ((whole(invalid), good.1, good.2, good.3, size), |error| {
                matches!(error, BeltError::DestinationUsage)
            }),
            ((whole(foreign), good.1, good.2, good.3, size), |error| matches!(error, BeltError::WrongDevice)),
            // Rows of the texture are longer than those of the format.
            ((good.0, R8Unorm, good.2, good.3, size), |error| matches!(error, BeltError::Refused(_))),
            ((good.0, Depth24PlusStencil8, good.2, good.3, size), |error| {
                matches!(error, BeltError::UnsupportedFormat(Depth24PlusStencil8))
            }),
            ((good.0, good.1, good.2, rows(31), size), |error| matches!(error, BeltError::TextureLayout(_))),
            ((good.0, good.1, good.2, layout(0, 32, 7), size), |error| {
                matches!(error, BeltError::TextureLayout(_))
            }),
            ((good.0, good.1, good.2, wgt::TexelCopyBufferLayout::default(), size), |error| {
                matches!(error, BeltError::IncompleteLayout)
            }),
            ((good.0, good.1, &data[..255], good.3, size), |error| {
                matches!(error, BeltError::DataTooShort { needed: 256, given: 255 })
            }),
            ((good.0, good.1, good.2, layout(u64::MAX, 32, 8), size), |error| {
                matches!(error, BeltError::DataTooShort { .. })
            }),
        ];
        for ((destination, format, data, layout, size), is_right) in bad {
            let error = belt.write_texture(&destination, format, data, &layout, size).unwrap_err();
            assert!(is_right(&error), "{error:?}");
        }
        belt.write_texture(&good.0, good.1, good.2, &good.3, good.4).unwrap();
        let empty = wgt::Extent3d { width: 0, ..size };
        belt.write_texture(&good.0, good.1, &[], &rows(32), empty).unwrap();
        let stats = world.frame(&mut belt);
        assert_eq!((stats.copies, stats.refused), (2, 0));
        assert_eq!(world.read(buffer, 4), [1; 4]);
        if !world.noop {
            assert_eq!(world.texels(&texture), [9; 256]);
        }
        // Destroyed after the write.
        belt.write_texture(&good.0, good.1, good.2, &good.3, good.4).unwrap();
        belt.write_buffer(buffer, 0, &[2; 4]).unwrap();
        world.gpu.global.texture_destroy(texture.id);
        let stats = world.frame(&mut belt);
        assert_eq!((stats.copies, stats.refused), (1, 1));
        assert_eq!(world.read(buffer, 4), [2; 4]);
    });
}

// The last piece finds no room: no piece is copied, and what was written to buffers is.
#[test]
fn a_texture_is_written_whole_or_not_at_all() {
    on_vulkan(|world| {
        let texture = world.texture(TextureFormat::R8Unorm, wgt::TextureDimension::D2, [256, 100, 1]);
        let buffer = world.buffer(4);
        let descriptor = BeltDescriptor {
            chunk_size: 2560,
            max_chunk_size: 2560,
            max_bytes: 10_240,
            ..Default::default()
        };
        let mut belt = world.belt(descriptor);
        belt.write_buffer(buffer, 0, &[1; 4]).unwrap();
        let data = vec![1; 25_600];
        let refused =
            belt.write_texture(&whole(texture.id), texture.format, &data, &layout(0, 256, 100), texture.size);
        assert!(matches!(refused, Err(BeltError::BudgetExceeded { .. })), "{refused:?}");
        assert_eq!(world.frame(&mut belt).copies, 1);
        assert_eq!(world.read(buffer, 4), [1; 4]);
        assert_eq!(world.texels(&texture), [0; 25_600]);
    });
}
