//! Random scripts on the fake GPU, with every call and whatever a page, a compositor, several renderers and a GPU can do: several contexts and
//! owners, two presenters on one map. The oracle says what must hold.
//!
//! `PROPTEST_CASES=100000` tries more, and others each time. A script that fails is printed as small as it gets, and is Rust: put it between the brackets of
//! `replay` in a test like the last one here.

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use rstest::rstest;

use crate::FrameMemoryKind::{self, Owned, Portable};
use crate::tests::chaos::renderer::{COMPARED, Renderer};
use crate::tests::chaos::step::{Disturbance::*, Stage, Step, Step::*, Texture};
use crate::tests::fake_parts::engine;
use crate::tests::oracle::Trouble::*;
use crate::tests::scripts::scripts;

/// Scripts that are tried, for each kind of memory.
const CASES: u32 = 5000;

fn replay(memory: FrameMemoryKind, script: &[Step]) -> Vec<String> {
    let mut engine = engine(memory, 3, true);
    for step in script {
        engine.go(*step);
        engine.renderers.iter().for_each(|renderer| look(&renderer.lock()));
    }
    engine.settle();
    engine.clear();
    let witness = engine.witness.clone();
    let told = witness.tell(|oracle| oracle.told());
    engine.finish();
    witness.tell(|oracle| {
        oracle.rule(oracle.told() == told, || "more is told when all is over".into());
        oracle.violations().to_vec()
    })
}

/// What is locked is what was locked.
fn look(renderer: &Renderer) {
    for context in 0..4 {
        let expected = renderer.held.iter().filter(|held| held.context.0 == context);
        let expected = expected.map(|held| (held.generation, held.count, &held.bytes[..]));
        let held = renderer.images.held(webrender_api::ExternalImageId(context));
        let held =
            held.map(|(generation, count, bytes)| (generation, count, &bytes[..bytes.len().min(COMPARED)]));
        assert!(held.eq(expected), "a lock of {context} was lost, or its bytes changed");
    }
}

/// Begins with a page: three contexts, most of them with a key.
fn page() -> impl Strategy<Value = Vec<Step>> {
    let ids = || prop_oneof![3 => Just(0usize), 1 => 1..6usize];
    ([ids(), ids(), ids()], any::<bool>()).prop_map(|(ids, is_third_shown)| {
        let create = |(context, ids)| {
            let compositor = (context < 2 || is_third_shown).then_some(1);
            Create { at: 0, context, owner: context % 2, size: (6, 3), ids, compositor }
        };
        (0..).zip(ids).map(create).collect()
    })
}

#[rstest]
fn random_histories_end_well(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = ProptestConfig {
        cases: cases.unwrap_or(CASES),
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..ProptestConfig::default()
    };
    // Others each time if more are asked for.
    let mut runner = match cases {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::default())),
    };
    let scripts = (page(), scripts(90, |below| Step::random(Stage::Fake, below)));
    let result = runner.run(&scripts.prop_map(|(page, steps)| [page, steps].concat()), |script| {
        let violations = replay(memory, &script);
        prop_assert!(violations.is_empty(), "{}", violations.join("\n"));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[rstest]
fn a_script_is_replayed(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let texture = Texture { device: 0, size: (4, 2), rgba: false, opaque: false, trouble: Good, kept: false };
    let violations = replay(
        memory,
        &[
            Create { at: 0, context: 0, owner: 0, size: (6, 3), ids: 2, compositor: Some(1) },
            Present { at: 0, context: 0, epoch: 1, texture, batched: false },
            Disturb { at: 0, device: 0, disturbance: Finish { racing: false } },
            Lock { renderer: 0, context: 0, before: 0, generation: true },
            Destroy { at: 0, context: 0, after: None },
        ],
    );
    assert!(violations.is_empty(), "{violations:?}");
}
