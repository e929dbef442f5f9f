//! The state machine keeps its properties, and needs all its rules.

use super::history::{Step, history};
use super::rules::{Model, Weakened};
use super::{Violation, run_all, search};

fn run(steps: &[Step], weakened: Weakened) -> Result<(), Violation> {
    let mut model = Model::new(weakened);
    steps.iter().try_for_each(|step| model.go(*step))?;
    model.finish_all()
}

#[test]
fn the_rules_keep_their_properties_in_200_000_histories() {
    run_all(200_000, history, |steps| run(steps, Weakened::Nothing));
}

#[test]
fn no_rule_can_be_left_out() {
    for (weakened, expected) in [
        (Weakened::SupersedesBeforeTheSubmit, "is shown, not"),
        (Weakened::SupersedesAcrossDevices, "nothing arrives"),
        (Weakened::SupersedesWhatIsAwaited, "a read of"),
        (Weakened::SupersedesTheOlder, "nothing arrives"),
        (Weakened::CountsOtherDevices, "nothing arrives"),
        (Weakened::KeepsWhatMayBeOverwritten, "the bytes of"),
        (Weakened::ShowsWhatFinishesLast, "is shown after"),
        (Weakened::AcknowledgesItsOwnEpoch, "is not acknowledged"),
        (Weakened::LetsEpochsFall, "is acknowledged after"),
    ] {
        let found = search(200_000, history, |steps| run(steps, weakened));
        let (steps, violation) = found.unwrap_or_else(|| panic!("{weakened:?} does no harm"));
        assert!(violation.contains(expected), "{weakened:?}: {violation}\nafter {steps:#?}");
    }
}
