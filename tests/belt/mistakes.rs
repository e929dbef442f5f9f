//! Mistakes of callers are noticed, bounded, or harmless.

use webgpu_presentation::belt::*;
use wgpu_core::device::queue::QueueSubmitError;

use crate::KIB;
use crate::world::*;

#[test]
fn a_recall_before_the_submission_is_noticed() {
    on_all(|world| {
        let buffer = world.buffer(4);
        let mut belt = world.belt(roomy());
        world.submit(world.encoder());
        let earlier = world.submit(world.encoder());
        belt.write_buffer(buffer, 0, &[1; 4]).unwrap();
        let encoder = world.encoder();
        let chunks = belt.finish(encoder).unwrap();
        let mut chunks = Some(chunks);
        for index in [0, earlier, earlier + 1, earlier + 100, u64::MAX] {
            let refused = belt.recall(chunks.take().unwrap(), index).unwrap_err();
            assert_eq!(refused.reason, RecallMistake::NotSubmitted);
            chunks = Some(refused.chunks);
        }
        // The chunk was not recalled, so the next write cannot get it from the pool.
        assert_eq!((belt.stats().closed, belt.stats().recalled), (1, 0));
        belt.write_buffer(buffer, 0, &[2; 4]).unwrap();
        let later = world.encoder();
        let later_chunks = belt.finish(later).unwrap();
        let submission = world.submit(encoder);
        belt.recall(chunks.unwrap(), submission).unwrap();
        assert_eq!(world.read(buffer, 4), [1; 4]);
        let submission = world.submit(later);
        belt.recall(later_chunks, submission).unwrap();
        assert_eq!(world.read(buffer, 4), [2; 4]);
    });
}

#[test]
fn another_belt_s_chunks_are_handed_back() {
    on_all(|world| {
        let buffer = world.buffer(4);
        let (mut belt, mut other) = (world.belt(roomy()), world.belt(roomy()));
        belt.write_buffer(buffer, 0, &[1; 4]).unwrap();
        let encoder = world.encoder();
        let chunks = belt.finish(encoder).unwrap();
        let submission = world.submit(encoder);
        let refused = other.recall(chunks, submission).unwrap_err();
        assert_eq!(refused.reason, RecallMistake::ForeignChunks);
        belt.recall(refused.chunks, submission).unwrap();
        assert_eq!((belt.stats().closed, other.stats().closed), (0, 0));
    });
}

#[test]
fn closed_chunks_that_are_not_recalled_are_bounded() {
    on_all(|world| {
        let buffer = world.buffer(4);
        let descriptor = BeltDescriptor { chunk_size: 16 * KIB, max_bytes: 80 * KIB, ..Default::default() };
        let mut belt = world.belt(descriptor);
        let mut kept = Vec::new();
        let write = |belt: &mut StagingBelt, value| {
            belt.write_buffer(buffer, 0, &[value; 4])?;
            let encoder = world.encoder();
            let chunks = belt.finish(encoder)?;
            world.submit(encoder);
            Ok::<_, BeltError>(chunks)
        };
        for value in 0..5 {
            kept.push(write(&mut belt, value).unwrap());
        }
        assert_eq!((belt.stats().closed, belt.stats().bytes), (5, 80 * KIB));
        let refused = write(&mut belt, 9).map(drop);
        assert!(
            matches!(refused, Err(BeltError::BudgetExceeded { needed: 4, max_bytes: 81_920 })),
            "{refused:?}"
        );
        kept.clear();
        assert_eq!((belt.stats().closed, belt.stats().bytes), (0, 0));
        // Chunks that are dropped at once leave nothing over, and each write arrives.
        for value in 0..100 {
            write(&mut belt, value).map(drop).unwrap();
            assert_eq!(belt.stats().bytes, 0);
        }
        assert_eq!(world.read(buffer, 4), [99; 4]);
        assert_eq!(belt.stats().freed, 105);
    });
}

#[test]
fn abandoned_chunks_are_never_used_again() {
    on_all(|world| {
        let buffer = world.buffer(4);
        let mut belt = world.belt(roomy());
        belt.write_buffer(buffer, 0, &[1; 4]).unwrap();
        let encoder = world.encoder();
        let chunks = belt.finish(encoder).unwrap();
        belt.abandon(chunks);
        assert_eq!((belt.stats().bytes, belt.stats().freed), (0, 1));
        belt.write_buffer(buffer, 0, &[2; 4]).unwrap();
        let later = world.encoder();
        let chunks = belt.finish(later).unwrap();
        // An encoder that is submitted although its chunks were abandoned still copies their bytes.
        world.submit(encoder);
        assert_eq!(world.read(buffer, 4), [1; 4]);
        let submission = world.submit(later);
        belt.recall(chunks, submission).unwrap();
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
        let refused = world.try_submit(encoder).unwrap_err();
        assert!(matches!(*refused, QueueSubmitError::BufferStillMapped(_)), "{refused:?}");
        belt.write_buffer(buffer, 4, &[2; 4]).unwrap();
        world.frame(&mut belt);
        assert_eq!(world.read(buffer, 8), [0, 0, 0, 0, 2, 2, 2, 2]);
        // Without any `finish` the budget bounds what the belt takes.
        let refused = (0..100_000).find_map(|_| belt.write_buffer(buffer, 0, &[3; 64]).err());
        assert!(matches!(refused, Some(BeltError::BudgetExceeded { .. })));
        assert_eq!(belt.stats().bytes, 64 * KIB);
        world.frame(&mut belt);
        assert_eq!(world.read(buffer, 64), [3; 64]);
    });
}

#[test]
fn the_belt_may_go_before_its_closed_chunks() {
    on_all(|world| {
        let buffer = world.buffer(4);
        let mut belt = world.belt(roomy());
        belt.write_buffer(buffer, 0, &[1; 4]).unwrap();
        let encoder = world.encoder();
        let chunks = belt.finish(encoder).unwrap();
        belt.write_buffer(buffer, 0, &[2; 4]).unwrap();
        drop(belt);
        world.submit(encoder);
        drop(chunks);
        assert_eq!(world.read(buffer, 4), [1; 4]);
    });
}
