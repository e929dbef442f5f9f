//! The state machine keeps the rules of the oracle, and needs all its own.

use proptest::prelude::*;

use super::machine::{Machine, Step, Weakened};
use crate::tests::scripts::{find, run_all, scripts};

/// Calm ones are on one device and do not read.
fn histories(calm: bool) -> impl Strategy<Value = Vec<Step>> {
    scripts(40, move |below| Step::random(calm, below))
}

pub(super) fn all_histories() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![histories(true), histories(false)]
}

fn run(steps: &[Step], weakened: Weakened) -> Vec<String> {
    let mut machine = Machine::new(weakened);
    steps.iter().for_each(|step| machine.go(*step));
    machine.finish_all();
    machine.oracle.violations().to_vec()
}

#[test]
fn the_rules_keep_their_properties_in_100_000_calm_histories() {
    run_all(100_000, histories(true), |steps| run(steps, Weakened::Nothing));
}

#[test]
fn the_rules_keep_their_properties_in_100_000_wild_histories() {
    run_all(100_000, histories(false), |steps| run(steps, Weakened::Nothing));
}

#[test]
fn no_rule_can_be_left_out() {
    for (weakened, expected) in [
        (Weakened::SupersedesBeforeTheSubmit, "is shown, not"),
        (Weakened::SupersedesAcrossDevices, "is shown, not"),
        (Weakened::SupersedesWhatIsAwaited, "is wrong"),
        (Weakened::SupersedesTheOlder, "nothing arrives"),
        (Weakened::CountsOtherDevices, "nothing arrives"),
        (Weakened::KeepsWhatMayBeOverwritten, "is seen on screen"),
        (Weakened::ShowsWhatFinishesLast, "is shown, not"),
        (Weakened::AcknowledgesItsOwnEpoch, "is not acknowledged"),
        (Weakened::LetsEpochsFall, "is acknowledged after"),
    ] {
        let found = find(200_000, all_histories(), |steps| run(steps, weakened));
        let (steps, violation) = found.unwrap_or_else(|| panic!("{weakened:?} does no harm"));
        assert!(violation.contains(expected), "{weakened:?}: {violation}\nafter {steps:#?}");
    }
}
