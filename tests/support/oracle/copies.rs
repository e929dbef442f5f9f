//! What becomes of copies, where that is known: the abstract machine and the fake GPU tell of submissions, real parts do not.

use wgpu_core::id::DeviceId;

use super::lives::Life;
use super::presents::Present;
use super::{LifeId, Oracle};

/// As many copies of a context may be in flight. More wait.
const MOST_IN_FLIGHT: usize = 64;
/// On one device, if nothing is read.
const MOST_WITHOUT_READS: usize = 2;

/// What became of the copy of a present. A present is *good* if it cleared the canvas; or if its device finished its copy, and all that
/// the device was given before that is good too. (Superseding hands the fate of one copy to a later one, which may be lost.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was refused, or nothing was told of it.
    Unknown,
    Cleared,
    /// Its device has it, as the submission of this number.
    Submitted(usize, u32),
    /// It finished when its device had been given so many submissions.
    Finished(usize, u32, u32),
}

/// The copies of one context.
#[derive(Debug, Default)]
pub(super) struct Copies(Vec<Device>);

#[derive(Debug)]
struct Device {
    id: DeviceId,
    /// How many submissions it was given, and how many are done.
    given: u32,
    done: u32,
    round: Option<Round>,
    /// How many it has not finished.
    in_flight: usize,
}

/// Ends when a device has finished its submission `until`. `shown` is what was shown when the first round began. A round begins anew while a
/// frame is being made that is older than what is shown.
#[derive(Clone, Copy, Debug)]
struct Round {
    until: u32,
    shown: u64,
    is_second: bool,
}

impl Fate {
    pub(super) fn is_finished(&self) -> bool {
        matches!(self, Self::Finished(..))
    }
}

impl Life {
    fn device(&mut self, id: DeviceId) -> usize {
        let devices = &mut self.copies.0;
        devices.iter().position(|device| device.id == id).unwrap_or_else(|| {
            devices.push(Device { id, given: 0, done: 0, round: None, in_flight: 0 });
            devices.len() - 1
        })
    }

    /// What a device has not finished is not good, nor is what that may have superseded.
    fn doubt(&mut self, index: usize) {
        self.copies.0[index].round = None;
        let mut good = self.copies.0[index].done;
        for present in self.presents.iter_mut().rev() {
            match present.fate {
                Fate::Submitted(device, _) if device == index => present.is_doubtful = true,
                Fate::Finished(device, submission, given) if device == index && given > good => {
                    present.is_doubtful = true;
                    good = submission - 1;
                }
                _ => {}
            }
        }
    }

    /// Says what is wrong if a good present is newer than what is shown in the end.
    pub(super) fn judge_newest_good(&self) -> Option<String> {
        let shown = self.shown.0;
        let is_good = |present: &Present| {
            matches!(present.fate, Fate::Cleared | Fate::Finished(..)) && !present.is_doubtful
        };
        let good = self.presents.iter().rposition(is_good);
        let good = self.before.0 + good.map_or(0, |index| 1 + index as u64);
        (self.is_alive() && shown < good).then(|| format!("{shown} is shown, not {good}"))
    }
}

impl Oracle {
    /// A device was given the copy of a present, or with `None` one that fails.
    pub fn submitted(&mut self, life: LifeId, present: Option<u64>, device: DeviceId) {
        let Some(life) = self.lives.get_mut(&life) else { return };
        let index = life.device(device);
        let shown = life.shown.0;
        let device = &mut life.copies.0[index];
        device.given += 1;
        let given = device.given;
        device.round.get_or_insert(Round { until: given, shown, is_second: false });
        if let Some(present) = present.and_then(|present| life.present_mut(present)) {
            present.fate = Fate::Submitted(index, given);
        }
    }

    /// A device has finished so many submissions more. Returns how many that are.
    pub fn finished(&mut self, life: LifeId, device: DeviceId, count: u32) -> u32 {
        let Some(life) = self.lives.get_mut(&life) else { return 0 };
        let index = life.device(device);
        let Device { given, done, .. } = &mut life.copies.0[index];
        *done = (*given).min(done.saturating_add(count));
        for present in &mut life.presents {
            if let Fate::Submitted(device, submission) = present.fate
                && device == index
                && submission <= *done
            {
                present.fate = Fate::Finished(device, submission, *given);
            }
        }
        *done
    }

    /// It is not known what a device does with what it was given.
    pub fn doubts(&mut self, life: LifeId, device: DeviceId) {
        if let Some(life) = self.lives.get_mut(&life) {
            let index = life.device(device);
            life.doubt(index);
        }
    }

    /// What a device has not finished is lost. Another device takes its place.
    pub fn loses_copies(&mut self, life: LifeId, device: DeviceId) {
        self.doubts(life, device);
        if let Some(life) = self.lives.get_mut(&life) {
            let index = life.device(device);
            life.copies.0[index].done = life.copies.0[index].given;
        }
    }

    /// Judges the bounds of what is in flight, and that something arrives.
    pub fn judge_copies(&mut self, life: LifeId) {
        let Self { violations, lives, .. } = self;
        let Some(life) = lives.get_mut(&life) else { return };
        let (mut in_flight, mut made, mut stale) = (0, 0, 0);
        life.copies.0.iter_mut().for_each(|device| device.in_flight = 0);
        for (sequence, present) in (life.before.0 + 1..).zip(&life.presents) {
            match present.fate {
                _ if present.end.is_some() => continue,
                Fate::Unknown => continue,
                Fate::Submitted(device, _) => life.copies.0[device].in_flight += 1,
                Fate::Cleared | Fate::Finished(..) => {
                    made += 1;
                    stale += usize::from(sequence < life.shown.0);
                }
            }
            in_flight += 1;
        }
        violations.rule(in_flight <= MOST_IN_FLIGHT, || format!("{in_flight} are in flight"));
        let most = life.copies.0.iter().map(|device| device.in_flight).max().unwrap_or(0);
        let is_bounded = life.reads > 0 || most <= MOST_WITHOUT_READS;
        violations.rule(is_bounded, || format!("{most} are in flight on one device"));
        if stale > 0 {
            // They keep the place of what would arrive.
            let rounds =
                life.copies.0.iter_mut().filter_map(|device| Some((device.given, device.round.as_mut()?)));
            rounds.for_each(|(given, round)| (round.until, round.is_second) = (given, false));
        }
        if made > 0 {
            return;
        }
        for device in &mut life.copies.0 {
            let Some(ended) = device.round.filter(|round| device.done >= round.until) else { continue };
            let has_arrived = life.shown.0 > ended.shown;
            let is_late = ended.is_second || device.done == device.given;
            violations.rule(has_arrived || !is_late, || format!("nothing arrives after {}", ended.shown));
            device.round = (!has_arrived).then_some(Round { until: device.given, is_second: true, ..ended });
        }
    }
}
