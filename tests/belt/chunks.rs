//! Chunks are reused, freed and zeroed, and never exceed the budget.

use webgpu_presentation::belt::*;

use crate::world::*;
use crate::{KIB, MIB};

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
        // The padding that alignment leaves between two allocations is zero too.
        let encoder = world.encoder();
        let (chunk, first) = belt.allocate(4, 4).map(|piece| (piece.buffer(), piece.offset())).unwrap();
        let second = belt.allocate(4, 128).unwrap();
        assert_eq!((second.buffer(), first, second.offset()), (chunk, 0, 128));
        world.copy(encoder, (chunk, 0), (copy, 0), 132);
        let chunks = belt.finish(encoder).unwrap();
        let submission = world.submit(encoder);
        belt.recall(chunks, submission).unwrap();
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
        assert_eq!(stats.active + stats.closed + stats.recalled + stats.free, 2, "{stats:?}");
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

// Whatever is written, all chunks together stay within the budget: a write that does not fit fails whole, and
// the others arrive.
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

// A write that fits the budget succeeds, whatever failed before.
#[test]
fn a_failed_write_takes_nothing_of_the_budget() {
    on_all(|world| {
        let max_bytes = 64 * KIB;
        let sizes = (16 * KIB, 16 * KIB);
        let descriptor =
            BeltDescriptor { chunk_size: sizes.0, max_chunk_size: sizes.1, max_bytes, ..Default::default() };
        let buffer = world.buffer(MIB);
        for before in [0, 4, 16 * KIB, 20 * KIB] {
            let mut belt = world.belt(descriptor);
            let mut data = vec![0; before as usize];
            if before > 0 {
                data = pattern(1, before as usize);
                belt.write_buffer(buffer, 0, &data).unwrap();
            }
            let active = belt.stats().active;
            let refused = belt.write_buffer(buffer, before, &vec![9; max_bytes as usize + 4]);
            assert!(matches!(refused, Err(BeltError::BudgetExceeded { .. })), "{refused:?}");
            assert_eq!(belt.stats().active, active);
            let fits = (max_bytes - before) & !(16 * KIB - 1);
            // Each allocation is contiguous: no room is lost in a chunk that was made for the failed write.
            for _ in 0..fits / (16 * KIB) {
                belt.allocate(16 * KIB, 4).unwrap();
            }
            world.frame(&mut belt);
            assert_eq!(world.read(buffer, MIB)[..before as usize], data);
        }
    });
}

// Room that was made for a write to a buffer serves allocations too.
#[test]
fn an_allocation_goes_into_a_spare_chunk() {
    on_all(|world| {
        let descriptor = BeltDescriptor {
            chunk_size: 16 * KIB,
            max_chunk_size: 16 * KIB,
            max_bytes: 32 * KIB,
            ..Default::default()
        };
        let mut belt = world.belt(descriptor);
        let buffer = world.buffer(MIB);
        belt.write_buffer(buffer, 0, &pattern(1, 20 << 10)).unwrap();
        belt.forget_buffer(buffer);
        for _ in 0..2 {
            belt.allocate(12 * KIB, 4).unwrap();
        }
        assert_eq!((belt.stats().active, belt.stats().created), (2, 2));
        assert_eq!(world.frame(&mut belt), FlushStats::default());
    });
}

#[test]
fn chunks_at_rest_make_room_for_a_larger_one() {
    on_all(|world| {
        let descriptor = BeltDescriptor {
            chunk_size: 16 * KIB,
            max_chunk_size: 64 * KIB,
            max_bytes: 64 * KIB,
            ..Default::default()
        };
        let mut belt = world.belt(descriptor);
        belt.allocate(16 * KIB, 4).unwrap();
        belt.allocate(32 * KIB, 4).unwrap();
        world.frame(&mut belt);
        world.wait();
        belt.allocate(64 * KIB, 4).unwrap();
        let stats = belt.stats();
        assert_eq!((stats.bytes, stats.active, stats.created, stats.freed), (64 * KIB, 1, 3, 2));
    });
}
