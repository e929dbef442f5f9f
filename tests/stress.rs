//! Everything at once, at random, on real parts with validation: pages, an engine, pollers and two renderers.
//!
//! `tests/support/chaos` has the parts, and the rules: each present ends once and is acknowledged, each image is answered once
//! with what it must be, ids come back once, nothing that is shown is torn, stale or another canvas's, the newest good frame is
//! shown in the end, and nothing is left. `WEBGPU_PRESENTATION_STRESS_SECONDS` says how long each test takes (4),
//! `WEBGPU_PRESENTATION_STRESS_SEED` which run it is; a failure tells the seed. The messages are the same for a seed, how
//! threads interleave is not.

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use support::chaos::engine::Engine;
use support::chaos::run::{assert_no_faults, page, with_renderers};
use support::gpu::{Gpu, assert_no_validation_errors};
use webgpu_presentation::FrameMemoryKind;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

fn stress(own_ids: bool, memory: FrameMemoryKind) {
    let Some(gpu) = Gpu::for_test() else { return };
    let time = Duration::from_secs(variable("WEBGPU_PRESENTATION_STRESS_SECONDS").unwrap_or(4));
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_nanos().into());
    let seed = variable("WEBGPU_PRESENTATION_STRESS_SEED").unwrap_or_else(now);
    eprintln!("seed {seed}");
    let mut engine = Engine::new(gpu, own_ids, memory, false);
    let ledger = with_renderers(&engine.map.clone(), &engine.ledger.clone(), seed, |renderers| {
        // What is left of one round is there in the next.
        let round = Duration::from_secs(2).min(time);
        let rounds = (time.as_secs() / round.as_secs().max(1)).max(1);
        for index in 0..rounds {
            page(&mut engine, seed.wrapping_add(index), round);
            engine.settle(renderers);
            assert_no_faults(&engine.ledger, seed);
        }
        // And once with everything in flight.
        page(&mut engine, !seed, Duration::from_millis(500));
        engine.finish(renderers)
    });
    eprintln!("{:?}", ledger.tally());
    assert_no_faults(&ledger, seed);
    assert_no_validation_errors();
}

#[test]
fn anything_goes_with_ids_of_wgpu_core() {
    stress(false, FrameMemoryKind::Owned);
}

#[test]
fn anything_goes_with_ids_of_the_engine() {
    stress(true, FrameMemoryKind::Owned);
}

#[test]
fn anything_goes_in_portable_memory_with_ids_of_wgpu_core() {
    stress(false, FrameMemoryKind::Portable);
}

#[test]
fn anything_goes_in_portable_memory_with_ids_of_the_engine() {
    stress(true, FrameMemoryKind::Portable);
}
