//! Devices that are lost, and buffer ids that the engine provides.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use webgpu_presentation::belt::*;
use wgpu_core::id::BufferId;
use wgpu_core::resource::BufferDescriptor;
use wgpu_types as wgt;
use wgpu_types::BufferUsages;

use crate::world::*;
use crate::{KIB, MIB};

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
                // wgpu-core frees the memory of mapped chunks in this poll.
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
                    let chunks = belt.finish(encoder).unwrap();
                    let submission = world.submit(encoder);
                    lose();
                    belt.recall(chunks, submission).unwrap();
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

// wgpu-core frees mapped memory on the thread that polls, at any moment. (Under a sanitizer this test finds
// more.)
#[test]
fn a_device_may_go_while_chunks_are_written() {
    on_all(|world| {
        let global = &world.gpu.global;
        for round in 0..if world.noop { 40 } else { 10 } {
            let device = world.gpu.device();
            let buffer = world.buffer_of(device, MIB, BufferUsages::COPY_DST);
            let descriptor = BeltDescriptor { chunk_size: 256 * KIB, ..Default::default() };
            let mut belt = belt_of(world, device, &descriptor);
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
                        // The belt has enough chunks: a new one begins without any.
                        Err(BeltError::EncoderEnded) => {
                            belt = belt_of(world, device, &descriptor);
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
        let (sink, returned) = mpsc::channel();
        let descriptor =
            BeltDescriptor { chunk_size: 4 * KIB, max_chunk_size: 4 * KIB, ..Default::default() };
        let mut belt = belt_with_ids(world, &descriptor, ids.clone(), move |id| sink.send(id).unwrap());
        for round in 0..5 {
            let allocation = belt.allocate(4096, 4).unwrap();
            assert!(ids.contains(&allocation.buffer()));
            belt.allocate(4096, 4).unwrap();
            belt.allocate(4096, 4).unwrap();
            assert!(matches!(belt.allocate(4, 4), Err(BeltError::NoBufferIds)));
            let encoder = world.encoder();
            let chunks = belt.finish(encoder).unwrap();
            let submission = world.submit(encoder);
            if round % 2 == 0 {
                belt.recall(chunks, submission).unwrap();
                world.wait();
            }
        }
        belt.write_buffer(target, 0, &[1; 4]).unwrap();
        let encoder = world.encoder();
        let chunks = belt.finish(encoder).unwrap();
        global.command_encoder_drop(encoder);
        drop(belt);
        assert_eq!(returned.try_iter().count(), 0);
        // The last to go hands the ids back, on any thread.
        std::thread::scope(|scope| scope.spawn(|| drop(chunks)).join().unwrap());
        let mut returned: Vec<_> = returned.iter().collect();
        returned.sort();
        assert_eq!(returned, ids);
    });
}

#[test]
fn a_chunk_at_rest_gives_its_id_to_a_larger_one() {
    on_all(|world| {
        let ids = (0..2).map(|index| BufferId::zip(index, 1)).collect();
        let descriptor = BeltDescriptor { chunk_size: 4 * KIB, ..Default::default() };
        let mut belt = belt_with_ids(world, &descriptor, ids, |_| ());
        belt.allocate(4 * KIB, 4).unwrap();
        belt.allocate(4 * KIB, 4).unwrap();
        world.frame(&mut belt);
        world.wait();
        assert_eq!(belt.allocate(MIB, 4).map(drop).map_err(|error| error.to_string()), Ok(()));
        let stats = belt.stats();
        assert_eq!((stats.active, stats.created - stats.freed), (1, 2), "{stats:?}");
    });
}

// An engine may move a belt to another thread together with its device.
#[test]
fn a_belt_moves_to_another_thread() {
    on_all(|world| {
        let buffer = world.buffer(8);
        let mut belt = world.belt(roomy());
        belt.write_buffer(buffer, 0, &[1; 4]).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut belt = belt;
                belt.write_buffer(buffer, 4, &[2; 4]).unwrap();
                assert_eq!(world.frame(&mut belt).copies, 1);
            });
        });
        assert_eq!(world.read(buffer, 8), [1, 1, 1, 1, 2, 2, 2, 2]);
    });
}

// An engine asks before it runs a page's command that names a buffer.
#[test]
fn a_belt_knows_its_chunks() {
    on_all(|world| {
        let buffer = world.buffer(4);
        let mut belt = world.belt(BeltDescriptor::default());
        let other = world.belt(BeltDescriptor::default());
        let chunk = belt.allocate(4, 4).unwrap().buffer();
        let is_chunk = |belt: &StagingBelt| (belt.is_chunk(chunk), belt.is_chunk(buffer));
        assert_eq!((is_chunk(&belt), is_chunk(&other)), ((true, false), (false, false)));
        // It is a chunk while it is closed, recalled or free, and none once it is freed.
        let encoder = world.encoder();
        let chunks = belt.finish(encoder).unwrap();
        assert_eq!(is_chunk(&belt), (true, false));
        let submission = world.submit(encoder);
        belt.recall(chunks, submission).unwrap();
        assert_eq!(is_chunk(&belt), (true, false));
        world.wait();
        belt.trim();
        assert_eq!((is_chunk(&belt), belt.stats().freed), ((false, false), 1));
    });
    on_all(|world| {
        let ids: Vec<_> = (0..2).map(|index| BufferId::zip(index, 1)).collect();
        let mut belt = belt_with_ids(world, &BeltDescriptor::default(), ids.clone(), |_| ());
        belt.allocate(4, 4).unwrap();
        assert!(ids.iter().all(|&id| belt.is_chunk(id)));
        assert!(!belt.is_chunk(BufferId::zip(2, 1)));
    });
}
