//! The rules of the ring and of superseding (I5), of acknowledging (I4) and of generations (I6), in random histories by the
//! hundred thousand. Everything here is deterministic: no threads, no time.
//!
//! - `rules`: who is superseded, what is shown and acknowledged, as a small state machine with its properties;
//! - `superseding`: it keeps them in all histories, and no rule can be left out;
//! - `conformance`: the presenter does what the state machine does;
//! - `generations`: the table of offers against lists of everything that was ever offered.

mod conformance;
mod generations;
mod history;
mod rules;
mod superseding;
mod truth;

use std::fmt::Debug;

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

/// What a history came to that must not be.
type Violation = String;

/// The random choices of one history.
struct Choices(TestRng);

impl Choices {
    fn of_history(number: u64) -> Self {
        // No xorshift may begin with zeros.
        let seed = u128::from(number) << 64 | 0x9E37_79B9_7F4A_7C15;
        Self(TestRng::from_seed(RngAlgorithm::XorShift, &seed.to_le_bytes()))
    }

    fn below(&mut self, limit: u32) -> u32 {
        self.0.next_u32() % limit
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }
}

/// Looks for a history that violates something, among the first `count`; the result is as short as it gets.
fn search<S: Copy>(
    count: u64,
    history: impl Fn(&mut Choices) -> Vec<S>,
    run: impl Fn(&[S]) -> Result<(), Violation>,
) -> Option<(Vec<S>, Violation)> {
    let steps = (0..count).map(|number| history(&mut Choices::of_history(number)));
    let (mut steps, mut violation) =
        steps.filter_map(|s| run(&s).err().map(|violation| (s, violation))).next()?;
    let mut index = 0;
    while index < steps.len() {
        let mut fewer = steps.clone();
        fewer.remove(index);
        match run(&fewer) {
            Err(other) => (steps, violation, index) = (fewer, other, 0),
            Ok(()) => index += 1,
        }
    }
    Some((steps, violation))
}

/// Runs `count` histories. One that fails is printed so that it can be pasted into a test.
fn run_all<S: Copy + Debug>(
    count: u64,
    history: impl Fn(&mut Choices) -> Vec<S>,
    run: impl Fn(&[S]) -> Result<(), Violation>,
) {
    if let Some((steps, violation)) = search(count, history, run) {
        panic!("{violation}\nafter {steps:#?}");
    }
}
