//! Writes that are refused: each cause has its own error, and no other write is affected.

use webgpu_presentation::belt::*;
use wgpu_core::device::HostMap;
use wgpu_core::id::BufferId;
use wgpu_core::resource::{BufferDescriptor, BufferMapOperation};
use wgpu_types::BufferUsages;

use crate::MIB;
use crate::world::*;

#[test]
fn what_webgpu_forbids_is_a_typed_error() {
    on_all(|world| {
        let buffer = world.buffer(64);
        let mut belt = world.belt(roomy());
        // Offset 4 continues the open run of a buffer whose size is known; offset 0 does not.
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
        let huge = u64::MAX - 3;
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
        // Offset 0 is a multiple of every alignment.
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

/// Returns a buffer for each thing that can be wrong with a destination, and its error.
fn bad_buffers(world: &World) -> Vec<(BufferId, IsRight)> {
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

// The belt learns the size of a buffer by asking. Still each write is judged as if it were alone, wherever
// the end is.
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

// An id that the engine allocated may name another buffer by the time of the flush.
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
        let mut belt = belt_with_ids(world, &roomy(), ids, drop_id);
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

#[test]
fn what_is_forgotten_is_not_copied_and_may_be_dropped() {
    on_all(|world| {
        let [first, gone, last] = [(); 3].map(|()| world.buffer(200_000));
        let mut belt = world.belt(roomy());
        for (number, buffer) in [first, gone, last].into_iter().enumerate() {
            // The first write is placed in a chunk at once, the second gathers behind it, the third gathers
            // elsewhere.
            belt.write_buffer(buffer, 0, &vec![number as u8 + 1; 100_000]).unwrap();
            belt.write_buffer(buffer, 100_000, &[number as u8 + 1; 64]).unwrap();
            belt.write_buffer(buffer, 150_000, &[number as u8 + 1; 64]).unwrap();
        }
        belt.forget_buffer(gone);
        world.gpu.global.buffer_drop(gone);
        belt.write_buffer(last, 150_064, &[3; 64]).unwrap();
        belt.write_buffer(first, 150_064, &[1; 64]).unwrap();
        let stats = world.frame(&mut belt);
        assert_eq!((stats.bytes, stats.refused), (2 * 100_192, 0));
        for (buffer, byte) in [(first, 1), (last, 3)] {
            let bytes = world.read(buffer, 200_000);
            let written = |index| index < 100_064 || (150_000..150_128).contains(&index);
            assert!(
                bytes
                    .iter()
                    .enumerate()
                    .all(|(index, &found)| found == if written(index) { byte } else { 0 })
            );
        }
    });
}

// The caller must not drop a destination before the flush: wgpu-core panics, but only once.
#[test]
fn a_dropped_destination_does_not_haunt_the_belt() {
    on_all(|world| {
        let [gone, good] = [(); 2].map(|()| world.buffer(64));
        let mut belt = world.belt(roomy());
        belt.write_buffer(gone, 0, &[1; 64]).unwrap();
        world.gpu.global.buffer_drop(gone);
        let encoder = world.encoder();
        let flushed = std::panic::AssertUnwindSafe(|| belt.flush(encoder));
        assert!(std::panic::catch_unwind(flushed).is_err());
        belt.write_buffer(good, 0, &[2; 64]).unwrap();
        assert_eq!(world.frame(&mut belt).copies, 1);
        assert_eq!(world.read(good, 64), [2; 64]);
    });
}

// Nothing waits for a flush, so the buffer need not stay until then.
#[test]
fn a_destination_without_a_successful_write_may_be_dropped() {
    on_all(|world| {
        let descriptor = BeltDescriptor { max_bytes: 0, ..Default::default() };
        let mut belt = world.belt(descriptor);
        let buffer = world.buffer(64);
        let refused = belt.write_buffer(buffer, 0, &[1; 64]);
        assert!(matches!(refused, Err(BeltError::BudgetExceeded { .. })), "{refused:?}");
        world.gpu.global.buffer_drop(buffer);
        assert_eq!(world.frame(&mut belt), FlushStats::default());
    });
}
