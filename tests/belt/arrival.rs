//! Writes arrive: destinations hold the bytes of a model, after as few copies as the documentation promises.

use proptest::prelude::*;
use webgpu_presentation::belt::*;

use crate::world::*;
use crate::{KIB, MIB};

const BUFFERS: usize = 3;
const BUFFER_SIZE: u64 = 2048;

#[derive(Clone, Debug)]
enum Step {
    Write {
        buffer: usize,
        offset: u64,
        data: Vec<u8>,
    },
    /// A write where the last write to this buffer ended.
    Append {
        buffer: usize,
        data: Vec<u8>,
    },
    /// A write through a view of which only the first half is filled in.
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
    /// A flush, and after it a command of the caller: a copy from this buffer to the next.
    Command {
        buffer: usize,
    },
    Flush,
    Frame,
    /// A frame whose closed chunks are dropped instead of recalled.
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

/// Does the steps with a belt and with `Vec`s, and compares the bytes. Returns the number of copies that were
/// recorded, and of maximal runs of writes.
fn run(world: &World, descriptor: BeltDescriptor, steps: &[Step]) -> (usize, usize) {
    let mut belt = world.belt(descriptor);
    let buffers = [(); BUFFERS].map(|()| world.buffer(BUFFER_SIZE));
    let mut model = vec![vec![0; BUFFER_SIZE as usize]; BUFFERS];
    // Where the last write to each buffer ended.
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
                    // What is unflushed is flushed before this copy, because the model wrote it before.
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
                let chunks = belt.finish(encoder).unwrap();
                assert!(chunks.stats().copies >= copies - before);
                if let Step::Lost = step {
                    drop(chunks);
                    world.submit(encoder);
                } else {
                    let submission = world.submit(encoder);
                    belt.recall(chunks, submission).unwrap();
                }
                encoder = world.encoder();
            }
        }
    }
    copies += belt.flush(encoder).unwrap().copies;
    let chunks = belt.finish(encoder).unwrap();
    let submission = world.submit(encoder);
    belt.recall(chunks, submission).unwrap();
    for (buffer, model) in buffers.into_iter().zip(&model) {
        assert_eq!(&world.read(buffer, BUFFER_SIZE), model);
        world.gpu.global.buffer_drop(buffer);
    }
    (copies, runs)
}

// The steps mix overlapping writes, views, allocations, commands in between, and frames.
#[test]
fn bytes_are_those_of_single_writes() {
    on_all(|world| {
        let config = ProptestConfig { cases: if world.noop { 300 } else { 60 }, ..Default::default() };
        // The chunks are small, so that most runs are cut somewhere.
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

// Large writes do not gather, but still come after the small ones that have gathered.
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

// Some pieces go through the memory of the belt, others straight into a chunk.
#[test]
fn pieces_of_all_sizes_arrive() {
    on_all(|world| {
        let buffer = world.buffer(MIB);
        let mut model = vec![0; MIB as usize];
        let mut belt = world.belt(roomy());
        let mut offset = 0;
        for size in [64, 20_000, 4, 30_000, 16_384, 16_380, 64, 60_000, 65_536, 40, 65_532, 100_000, 4] {
            let data = pattern(size as u8, size);
            belt.write_buffer(buffer, offset as u64, &data).unwrap();
            model[offset..offset + size].copy_from_slice(&data);
            // A gap behind each piece makes it a copy of its own.
            offset += size + 4;
        }
        assert_eq!(world.frame(&mut belt).copies, 13);
        assert!(world.read(buffer, MIB) == model);
    });
}

// The second write continues the first in the buffer, but not in the chunk.
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

// Two long runs side by side are cut, but not more often than they alternate.
#[test]
fn a_long_run_is_continued_before_others() {
    on_all(|world| {
        let (one, other) = (world.buffer(200_000), world.buffer(200_000));
        let mut belt = world.belt(roomy());
        // This write is large enough to be placed at once: nothing of it is held back.
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
        let chunks = belt.finish(encoder).unwrap();
        let submission = world.submit(encoder);
        belt.recall(chunks, submission).unwrap();
        assert_eq!((world.read(buffer, 4), world.read(copy, 4)), (vec![2; 4], vec![1; 4]));
    });
}
