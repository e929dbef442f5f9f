//! What may happen to a context.

use super::Choices;

pub(super) const DEVICES: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Present {
        device: usize,
        large: bool,
        epoch: u64,
        submit: Submit,
    },
    Clear {
        epoch: u64,
    },
    /// A device finishes so many submissions, and pollers begin to make their frames.
    Finish {
        device: usize,
        count: u32,
    },
    /// A poller has made its frame: one of several, if there are.
    Show {
        choice: usize,
    },
    /// What it has not finished is lost. Another device takes its place.
    Lose {
        device: usize,
    },
    Read,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Submit {
    Accepted,
    Refused,
    /// Refused, because the texture is not valid: the canvas is cleared instead.
    Zeros,
    /// Refused, but the GPU may run it.
    Doubtful,
}

/// Half of them on one device and without reads.
pub(super) fn history(choices: &mut Choices) -> Vec<Step> {
    let calm = choices.one_in(2);
    let length = 1 + choices.below(40);
    (0..length).map(|_| step(choices, calm)).collect()
}

fn step(choices: &mut Choices, calm: bool) -> Step {
    let device = if calm || !choices.one_in(4) { 0 } else { choices.below(DEVICES as u32) as usize };
    match choices.below(40) {
        0..=19 => {
            let submit = match choices.below(20) {
                0..=15 => Submit::Accepted,
                16..=17 => Submit::Refused,
                18 => Submit::Zeros,
                _ => Submit::Doubtful,
            };
            let epoch = u64::from(choices.below(30));
            Step::Present { device, large: choices.one_in(4), epoch, submit }
        }
        20..=27 => Step::Finish { device, count: 1 + choices.below(3) },
        28..=34 => Step::Show { choice: choices.below(4) as usize },
        35 => Step::Clear { epoch: u64::from(choices.below(30)) },
        36 if choices.one_in(2) => Step::Lose { device },
        _ if calm => Step::Finish { device, count: 1 },
        _ => Step::Read,
    }
}
