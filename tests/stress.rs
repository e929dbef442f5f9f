//! Everything at once, at random, on real parts with validation: pages, an engine, pollers and two renderers.
//!
//! `tests/support/oracle` says what must hold. `WEBGPU_PRESENTATION_STRESS_SECONDS` says how long each test takes (4),
//! `WEBGPU_PRESENTATION_STRESS_SEED` which run it is; a failure tells the seed. The messages are the same for a seed, how
//! threads interleave is not.

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use support::chaos::Ids;
use support::gpu::{Gpu, assert_no_validation_errors};
use support::real::{assert_no_violations, engine, judge_threads, page, with_renderers};
use webgpu_presentation::FrameMemoryKind;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

fn stress(ids: Ids, memory: FrameMemoryKind) {
    let Some(gpu) = Gpu::for_test() else { return };
    let time = Duration::from_secs(variable("WEBGPU_PRESENTATION_STRESS_SECONDS").unwrap_or(4));
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_nanos().into());
    let seed = variable("WEBGPU_PRESENTATION_STRESS_SEED").unwrap_or_else(now);
    eprintln!("seed {seed}");
    let witness = with_renderers(engine(gpu, ids, memory, false, 2), seed, |mut engine| {
        // What is left of one round is there in the next.
        let round = Duration::from_secs(2).min(time);
        let rounds = (time.as_secs() / round.as_secs().max(1)).max(1);
        for index in 0..rounds {
            page(&mut engine, seed.wrapping_add(index), round);
            engine.settle();
            engine.forget();
            assert_no_violations(&engine.witness, seed);
        }
        // And once with everything in flight.
        page(&mut engine, !seed, Duration::from_millis(500));
        engine.finish()
    });
    judge_threads(&witness);
    eprintln!("{:?}", witness.tell(|oracle| oracle.tally));
    assert_no_violations(&witness, seed);
    assert_no_validation_errors();
}

#[test]
fn anything_goes_with_ids_of_wgpu_core() {
    stress(Ids::None, FrameMemoryKind::Owned);
}

#[test]
fn anything_goes_with_ids_of_the_engine() {
    stress(Ids::All, FrameMemoryKind::Owned);
}

#[test]
fn anything_goes_in_portable_memory_with_ids_of_wgpu_core() {
    stress(Ids::None, FrameMemoryKind::Portable);
}

#[test]
fn anything_goes_in_portable_memory_with_ids_of_the_engine() {
    stress(Ids::All, FrameMemoryKind::Portable);
}
