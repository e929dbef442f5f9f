//! What becomes of copies, whatever the rules are.

use super::history::DEVICES;

/// Of presents, by their numbers, and devices.
///
/// A present is *good* if it clears the canvas; or if its device finished its copy, and all that the device was given before it
/// had finished that is good too. (Superseding hands the fate of one copy to a later one, which may be lost.)
pub(super) struct Truth {
    fates: Vec<Fate>,
    devices: [Device; DEVICES],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Refused,
    Cleared,
    /// Accepted by its device.
    Copied {
        device: usize,
        submission: u32,
    },
    /// Finished, when its device had been given so many submissions.
    Finished {
        device: usize,
        submission: u32,
        given: u32,
    },
    /// It is lost or may be overwritten, or what took its place was.
    Doubtful,
}

/// How many submissions it was given, and how many are done.
#[derive(Clone, Copy, Default)]
struct Device {
    given: u32,
    done: u32,
}

impl Default for Truth {
    /// A cleared canvas counts as present 0.
    fn default() -> Self {
        Self { fates: vec![Fate::Cleared], devices: Default::default() }
    }
}

impl Truth {
    /// One more present. Unless more is said it is refused.
    pub(super) fn begin(&mut self) {
        self.fates.push(Fate::Refused);
    }

    pub(super) fn clears(&mut self, present: usize) {
        self.fates[present] = Fate::Cleared;
    }

    pub(super) fn copies(&mut self, present: usize, device: usize, submission: u32) {
        self.fates[present] = Fate::Copied { device, submission };
    }

    /// A device is given another submission.
    pub(super) fn give(&mut self, device: usize) -> u32 {
        self.devices[device].given += 1;
        self.devices[device].given
    }

    /// How many submissions a device was given, and how many are done.
    pub(super) fn work(&self, device: usize) -> (u32, u32) {
        (self.devices[device].given, self.devices[device].done)
    }

    /// A device finishes so many submissions more. Returns how many are done.
    pub(super) fn finish(&mut self, index: usize, count: u32) -> u32 {
        let Device { given, done } = &mut self.devices[index];
        *done = (*given).min(done.saturating_add(count));
        for fate in &mut self.fates {
            if let Fate::Copied { device, submission } = *fate
                && device == index
                && submission <= *done
            {
                *fate = Fate::Finished { device, submission, given: *given };
            }
        }
        *done
    }

    /// What a device has not finished is not good, nor is what that may have superseded.
    pub(super) fn doubt(&mut self, index: usize) {
        let mut good = self.devices[index].done;
        for fate in self.fates.iter_mut().rev() {
            match *fate {
                Fate::Copied { device, .. } if device == index => *fate = Fate::Doubtful,
                Fate::Finished { device, submission, given } if device == index && given > good => {
                    *fate = Fate::Doubtful;
                    good = submission - 1;
                }
                _ => {}
            }
        }
    }

    /// Another device takes the place of this one.
    pub(super) fn lose(&mut self, index: usize) {
        self.doubt(index);
        self.devices[index].done = self.devices[index].given;
    }

    pub(super) fn newest_accepted(&self) -> usize {
        self.fates.iter().rposition(|fate| *fate != Fate::Refused).unwrap_or(0)
    }

    /// The newest good present up to this one.
    pub(super) fn newest_good(&self, until: usize) -> usize {
        let is_good = |fate: &Fate| matches!(fate, Fate::Cleared | Fate::Finished { .. });
        self.fates[..=until].iter().rposition(is_good).unwrap_or(0)
    }
}
