//! The rules by which presents of one context end.
//!
//! 1. Presents are numbered; what has a larger number than what is shown replaces it, whatever finishes first.
//! 2. Two copies of one device may be in flight. The next one takes the place of the youngest of them: once its submit has succeeded, on
//!    the same device, not while its frame is being made, never of one that a read waits for. Otherwise it is one more, up to
//!    nine.
//! 3. What cannot be submitted fails alone. If the GPU may have run it all the same, the copy whose buffer it was to take over
//!    fails too.
//! 4. What is shown, and what fails, acknowledges the largest epoch presented up to then, and never less than was
//!    acknowledged before. What is superseded acknowledges nothing: what took its place does.
//! 5. A read waits for the newest copy in flight that is newer than what is shown; if that fails, for the next one.
//!
//! Properties, looked at after each step, or in the end when all devices have finished:
//!
//! - *newest*: a frame is shown, whole, no older than the newest good one (see `truth`).
//! - *order*: nothing older is shown after something newer.
//! - *ends*: each present ends once.
//! - *acknowledged*: after each present comes an epoch that is not below its own; epochs never fall.
//! - *reads*: each is answered, with the frame that was presented last when it was asked, if that was good.
//! - *arrival*: while copies finish, something newer is shown after at most two rounds, however fast new ones come: a round is
//!   the time that a device takes to finish all that it was given.
//! - *bounds*: never more than nine in flight, and two while there is one device and no read.

use super::Violation;
use super::history::{DEVICES, Step, Submit};
use super::truth::Truth;

const MOST_IN_FLIGHT: usize = 2;
const MOST_AWAITED: usize = 8;

/// A rule that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weakened {
    Nothing,
    SupersedesBeforeTheSubmit,
    SupersedesAcrossDevices,
    SupersedesWhatIsAwaited,
    SupersedesTheOlder,
    CountsOtherDevices,
    KeepsWhatMayBeOverwritten,
    ShowsWhatFinishesLast,
    AcknowledgesItsOwnEpoch,
    LetsEpochsFall,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Presented,
    Superseded,
    Failed,
}

/// A copy in flight.
#[derive(Clone, Copy)]
struct Ticket {
    present: usize,
    promised: u64,
    device: usize,
    /// Counts those of its device.
    submission: u32,
    /// Of its buffer.
    large: bool,
    /// Whose bytes are in its buffer.
    bytes: usize,
    /// It is finished, and its frame is being made.
    taken: bool,
}

struct Present {
    epoch: u64,
    acknowledged: bool,
    end: Option<End>,
}

/// Ends when a device has finished its submission `until`. `shown` is what was shown when the first began.
#[derive(Clone, Copy)]
struct Round {
    until: u32,
    shown: usize,
    second: bool,
}

/// `waits_for` is a present, or zero once there is an answer.
struct Read {
    newest: usize,
    waits_for: usize,
    answer: usize,
}

pub(super) struct Model {
    weakened: Weakened,
    /// From 1; the first is what is shown before any.
    presents: Vec<Present>,
    promised: u64,
    in_flight: Vec<Ticket>,
    /// What is shown, and whose bytes.
    shown: (usize, usize),
    /// The epochs of all updates.
    pub(super) acknowledged: Vec<u64>,
    truth: Truth,
    /// Of each device.
    rounds: [Option<Round>; DEVICES],
    reads: Vec<Read>,
    calm: bool,
}

type Kept = Result<(), Violation>;

fn property(holds: bool, violation: impl FnOnce() -> Violation) -> Kept {
    if holds { Ok(()) } else { Err(violation()) }
}

impl Model {
    pub(super) fn new(weakened: Weakened) -> Self {
        let nothing = Present { epoch: 0, acknowledged: true, end: Some(End::Presented) };
        Self {
            weakened,
            presents: vec![nothing],
            promised: 0,
            in_flight: Vec::new(),
            shown: (0, 0),
            acknowledged: Vec::new(),
            truth: Truth::default(),
            rounds: Default::default(),
            reads: Vec::new(),
            calm: true,
        }
    }

    pub(super) fn go(&mut self, step: Step) -> Kept {
        match step {
            Step::Present { device, large, epoch, submit } => self.present(device, large, epoch, submit)?,
            Step::Clear { epoch } => {
                let present = self.begin(epoch);
                self.truth.clears(present);
                self.show(present, present, self.promised)?;
            }
            Step::Finish { device, count } => self.finish(device, count),
            Step::Show { choice } => {
                let taken = self.in_flight.iter().enumerate().filter(|(_, ticket)| ticket.taken);
                let taken: Vec<_> = taken.map(|(index, _)| index).collect();
                if !taken.is_empty() {
                    let ticket = self.in_flight.remove(taken[choice % taken.len()]);
                    self.show(ticket.present, ticket.bytes, ticket.promised)?;
                    self.answer(ticket.present);
                }
            }
            Step::Lose { device } => self.lose(device)?,
            Step::Read => {
                let newest = self.truth.newest_accepted();
                self.reads.push(Read { newest, waits_for: usize::MAX, answer: 0 });
                self.read_again(usize::MAX);
                self.calm = false;
            }
        }
        self.look()
    }

    // The rules.

    fn begin(&mut self, epoch: u64) -> usize {
        self.promised = self.promised.max(epoch);
        self.presents.push(Present { epoch, acknowledged: false, end: None });
        self.truth.begin();
        self.presents.len() - 1
    }

    fn present(&mut self, device: usize, large: bool, epoch: u64, submit: Submit) -> Kept {
        let present = self.begin(epoch);
        let promised = match self.weakened {
            Weakened::AcknowledgesItsOwnEpoch => epoch,
            _ => self.promised,
        };
        self.calm &= device == 0;
        let mut superseded = self.take_youngest(device);
        if self.weakened == Weakened::SupersedesBeforeTheSubmit
            && let Some(ticket) = superseded.take()
        {
            self.end(ticket.present, End::Superseded)?;
        }
        if superseded.is_none() && self.in_flight.len() > MOST_AWAITED {
            return self.fail(present, promised);
        }
        let takes_over = superseded.filter(|ticket| ticket.large || !large);
        match submit {
            Submit::Accepted => {
                let submission = self.give(device);
                self.truth.copies(present, device, submission);
                let large = takes_over.map_or(large, |ticket| ticket.large);
                let ticket =
                    Ticket { present, promised, device, submission, large, bytes: present, taken: false };
                self.in_flight.push(ticket);
                if let Some(ticket) = superseded {
                    self.end(ticket.present, End::Superseded)?;
                    self.read_again(ticket.present);
                }
            }
            Submit::Refused => {
                self.in_flight.extend(superseded);
                self.fail(present, promised)?;
            }
            Submit::Zeros => {
                self.in_flight.extend(superseded);
                self.truth.clears(present);
                self.shown = (present, present);
                self.acknowledge(promised)?;
                self.end(present, End::Failed)?;
            }
            Submit::Doubtful => {
                self.give(device);
                self.truth.doubt(device);
                self.rounds[device] = None;
                match takes_over {
                    Some(ticket) if self.weakened == Weakened::KeepsWhatMayBeOverwritten => {
                        self.in_flight.push(Ticket { bytes: present, ..ticket });
                    }
                    Some(ticket) => self.fail(ticket.present, ticket.promised)?,
                    None => self.in_flight.extend(superseded),
                }
                self.fail(present, promised)?;
            }
        }
        Ok(())
    }

    fn take_youngest(&mut self, device: usize) -> Option<Ticket> {
        let weakened = self.weakened;
        let arrives = |ticket: &&Ticket| {
            ticket.taken || ticket.device == device || weakened == Weakened::CountsOtherDevices
        };
        if self.in_flight.iter().filter(arrives).count() < MOST_IN_FLIGHT {
            return None;
        }
        let of_device = |ticket: &Ticket| !ticket.taken && ticket.device == device;
        let index = match weakened {
            Weakened::SupersedesTheOlder => self.in_flight.iter().position(of_device)?,
            Weakened::SupersedesAcrossDevices => self.in_flight.len() - 1,
            _ => self.in_flight.iter().rposition(of_device)?,
        };
        let ticket = self.in_flight[index];
        let awaited = weakened != Weakened::SupersedesWhatIsAwaited
            && self.reads.iter().any(|read| read.waits_for == ticket.present);
        (!awaited && !ticket.taken).then(|| self.in_flight.remove(index))
    }

    fn show(&mut self, present: usize, bytes: usize, promised: u64) -> Kept {
        if present > self.shown.0 || self.weakened == Weakened::ShowsWhatFinishesLast {
            property(present > self.shown.0, || format!("{present} is shown after {}", self.shown.0))?;
            property(bytes == present, || format!("the bytes of {bytes} are shown as {present}"))?;
            self.shown = (present, bytes);
            self.acknowledge(promised)?;
            self.end(present, End::Presented)
        } else {
            self.end(present, End::Superseded)
        }
    }

    /// A present is over, and what it would have shown is not.
    fn fail(&mut self, present: usize, promised: u64) -> Kept {
        self.acknowledge(promised)?;
        self.end(present, End::Failed)?;
        self.read_again(present);
        Ok(())
    }

    /// Those who wait for a present that has ended wait for another one.
    fn read_again(&mut self, ended: usize) {
        let newest = self.in_flight.iter().map(|ticket| ticket.present).max().unwrap_or(0);
        for read in self.reads.iter_mut().filter(|read| read.waits_for == ended) {
            if newest > self.shown.0 {
                read.waits_for = newest;
            } else {
                (read.waits_for, read.answer) = (0, self.shown.0);
            }
        }
    }

    fn answer(&mut self, present: usize) {
        for read in self.reads.iter_mut().filter(|read| read.waits_for == present) {
            (read.waits_for, read.answer) = (0, present);
        }
    }

    fn acknowledge(&mut self, promised: u64) -> Kept {
        let last = self.acknowledged.last().copied().unwrap_or(0);
        let epoch = if self.weakened == Weakened::LetsEpochsFall { promised } else { promised.max(last) };
        property(epoch >= last, || format!("{epoch} is acknowledged after {last}"))?;
        self.acknowledged.push(epoch);
        for present in &mut self.presents {
            present.acknowledged |= present.epoch <= epoch;
        }
        Ok(())
    }

    fn end(&mut self, present: usize, end: End) -> Kept {
        let before = self.presents[present].end.replace(end);
        property(before.is_none(), || format!("{present} ends twice"))
    }

    // The devices.

    fn give(&mut self, device: usize) -> u32 {
        let submission = self.truth.give(device);
        let round = Round { until: submission, shown: self.shown.0, second: false };
        self.rounds[device].get_or_insert(round);
        submission
    }

    fn finish(&mut self, device: usize, count: u32) {
        let done = self.truth.finish(device, count);
        for ticket in self.in_flight.iter_mut().filter(|ticket| ticket.device == device) {
            ticket.taken |= ticket.submission <= done;
        }
    }

    fn lose(&mut self, index: usize) -> Kept {
        self.truth.lose(index);
        self.rounds[index] = None;
        let lost = |ticket: &Ticket| ticket.device == index && !ticket.taken;
        while let Some(place) = self.in_flight.iter().position(lost) {
            let ticket = self.in_flight.remove(place);
            self.fail(ticket.present, ticket.promised)?;
        }
        Ok(())
    }

    // The properties.

    fn look(&mut self) -> Kept {
        let in_flight = self.in_flight.len();
        property(in_flight <= MOST_AWAITED + 1, || format!("{in_flight} are in flight"))?;
        let taken = self.in_flight.iter().filter(|ticket| ticket.taken).count();
        let bounded = !self.calm || in_flight - taken <= MOST_IN_FLIGHT;
        property(bounded, || format!("{in_flight} are in flight on one device"))?;
        if taken == 0 {
            for (device, round) in self.rounds.iter_mut().enumerate() {
                let (given, done) = self.truth.work(device);
                let Some(ended) = round.filter(|round| done >= round.until) else { continue };
                let arrived = self.shown.0 > ended.shown;
                let late = ended.second || done == given;
                property(arrived || !late, || format!("nothing arrives after {}", ended.shown))?;
                *round = (!arrived).then_some(Round { until: given, second: true, ..ended });
            }
        }
        Ok(())
    }

    /// Lets everything finish, and looks.
    pub(super) fn finish_all(&mut self) -> Kept {
        for device in 0..DEVICES {
            self.go(Step::Finish { device, count: u32::MAX })?;
        }
        while !self.in_flight.is_empty() {
            self.go(Step::Show { choice: 0 })?;
        }
        let newest = self.truth.newest_good(self.presents.len() - 1);
        let shown = self.shown.0;
        property(shown >= newest, || format!("{shown} is shown, not {newest}"))?;
        for (number, present) in self.presents.iter().enumerate() {
            property(present.acknowledged, || format!("{number} is not acknowledged"))?;
            property(present.end.is_some(), || format!("{number} does not end"))?;
        }
        for Read { newest, waits_for, answer } in &self.reads {
            property(*waits_for == 0, || format!("a read of {newest} is not answered"))?;
            let good = self.truth.newest_good(*newest);
            let is_right = if good == *newest { *answer == good } else { *answer >= good };
            property(is_right, || format!("a read of {newest} is answered with {answer}"))?;
        }
        Ok(())
    }

    /// How each present ended, from the first.
    pub(super) fn ends(&self) -> impl Iterator<Item = Option<End>> {
        self.presents[1..].iter().map(|present| present.end)
    }

    /// Which present each read was answered with.
    pub(super) fn answers(&self) -> impl Iterator<Item = usize> {
        self.reads.iter().map(|read| read.answer)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn shown(&self) -> usize {
        self.shown.0
    }
}
