//! Random scripts: words, which proptest makes and shrinks, and what is chosen with them.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

/// Chooses numbers below others by the bytes of a word, the first by its highest: a smaller word chooses smaller numbers first.
fn choices(word: u128) -> impl FnMut(u32) -> u32 {
    let mut bytes = word.to_be_bytes().into_iter();
    move |limit| {
        let mut next = || u32::from(bytes.next().unwrap_or(0));
        let (value, bits) = if limit <= 256 { (next(), 8) } else { (next() << 8 | next(), 16) };
        (value * limit) >> bits
    }
}

/// Scripts of at most so many steps, each of them made by `step`.
pub(super) fn scripts<S: Debug>(
    most: usize,
    step: impl Fn(&mut dyn FnMut(u32) -> u32) -> S,
) -> impl Strategy<Value = Vec<S>> {
    let words = vec(any::<u128>(), 1..=most);
    words.prop_map(move |words| words.into_iter().map(|word| step(&mut choices(word))).collect())
}

/// The smallest script that violates something, among so many that are the same each time, and what it violates.
pub(super) fn find<S: Debug>(
    cases: u32,
    scripts: impl Strategy<Value = S>,
    run: impl Fn(&S) -> Vec<String>,
) -> Option<(S, String)> {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 10_000,
        ..ProptestConfig::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::XorShift);
    let result = TestRunner::new_with_rng(config, rng).run(&scripts, |script| {
        let violations = run(&script);
        if violations.is_empty() { Ok(()) } else { Err(TestCaseError::fail(violations.join("\n"))) }
    });
    match result {
        Ok(()) => None,
        Err(TestError::Fail(reason, script)) => Some((script, reason.to_string())),
        Err(error) => panic!("{error}"),
    }
}

/// Panics with the smallest script that violates something.
pub(super) fn run_all<S: Debug>(
    cases: u32,
    scripts: impl Strategy<Value = S>,
    run: impl Fn(&S) -> Vec<String>,
) {
    if let Some((script, violations)) = find(cases, scripts, run) {
        panic!("{violations}\nafter {script:#?}");
    }
}
