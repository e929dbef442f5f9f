//! The rules by which presents of one context end, as a small state machine. It tells the oracle what it does.
//!
//! 1. Presents are numbered; one with a larger number than what is shown replaces it, whatever finishes first.
//! 2. Two copies of one device may be in flight. The next one takes the place of the younger of them: once its submit has succeeded,
//!    on the same device, not while its frame is being made, never of one that a read waits for. Otherwise it is one more,
//!    up to nine.
//! 3. A present that cannot be submitted fails alone. If the GPU may have run it all the same, the copy whose buffer it was to take
//!    over fails too.
//! 4. What is shown, and what fails, acknowledges the largest epoch presented up to then, and never less than was acknowledged
//!    before. What is superseded acknowledges nothing: what took its place does.
//! 5. A read waits for the newest copy in flight that is newer than what is shown; if that fails, for the next one.

use webrender_api::{
    ExternalImageData, ExternalImageId, ExternalImageType, IdNamespace, ImageDescriptor,
    ImageDescriptorFlags, ImageFormat, ImageKey,
};
use wgpu_core::id::DeviceId;

use crate::gpu::fake;
use crate::tests::oracle::{Compositor, LifeId, Loss, Oracle, Picture, Request, Trouble};
use crate::{
    CanvasEpoch, ContextId, FrameMemoryKind, GetImageError, OwnerId, PresentEnd, PresentError, PresentOutcome,
};

pub(super) const DEVICES: usize = 2;
const MOST_IN_FLIGHT: usize = 2;

pub(super) const CONTEXT: ContextId = ContextId(7);
pub(super) const KEY: ImageKey = ImageKey(IdNamespace(1), 1);

/// What may happen to a context.
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

impl Step {
    /// A calm one is on one device and does not read.
    pub(super) fn random(calm: bool, below: &mut dyn FnMut(u32) -> u32) -> Self {
        let kind = below(40);
        let device = if calm { 0 } else { below(8).saturating_sub(6) as usize };
        match kind {
            0..=19 => {
                let submit = match below(20) {
                    0..=15 => Submit::Accepted,
                    16..=17 => Submit::Refused,
                    18 => Submit::Zeros,
                    _ => Submit::Doubtful,
                };
                Self::Present { device, large: below(4) == 3, epoch: below(30).into(), submit }
            }
            20..=27 => Self::Finish { device, count: 1 + below(3) },
            28..=34 => Self::Show { choice: below(4) as usize },
            35 => Self::Clear { epoch: below(30).into() },
            36 if below(2) == 1 => Self::Lose { device },
            _ if calm => Self::Finish { device, count: 1 },
            _ => Self::Read,
        }
    }
}

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

/// A copy in flight.
#[derive(Clone, Copy)]
struct Ticket {
    present: u64,
    promised: u64,
    device: usize,
    /// Counts those of its device.
    submission: u32,
    /// Its buffer is.
    large: bool,
    /// The present whose bytes are in its buffer.
    bytes: u64,
    /// It is finished, and its frame is being made.
    taken: bool,
}

pub(super) struct Machine {
    weakened: Weakened,
    pub(super) oracle: Oracle,
    pub(super) life: LifeId,
    compositor: Compositor,
    generation: u8,
    /// All presents, and what there is before any.
    presents: Vec<Request>,
    promised: u64,
    in_flight: Vec<Ticket>,
    shown: u64,
    acknowledged: u64,
    devices: [Device; DEVICES],
    reads: Vec<Read>,
}

/// `waits_for` is a present, or zero once there is an answer.
struct Read {
    id: u64,
    waits_for: u64,
}

struct Device {
    id: DeviceId,
    given: u32,
}

impl Machine {
    pub(super) fn new(weakened: Weakened) -> Self {
        let mut oracle = Oracle::new(FrameMemoryKind::Owned);
        let cleared = Picture::cleared((4, 2).into(), false);
        let life = oracle.begins(0, CONTEXT, OwnerId(0), cleared.size);
        oracle.sets_key(0, CONTEXT, KEY);
        oracle.added(0, KEY, descriptor(&Picture::cleared((1, 1).into(), false)), &data(0));
        oracle.flushed(0);
        Self {
            weakened,
            oracle,
            life,
            compositor: Compositor::default(),
            generation: 0,
            presents: vec![Request::cleared(cleared, 0)],
            promised: 0,
            in_flight: Vec::new(),
            shown: 0,
            acknowledged: 0,
            devices: std::array::from_fn(|index| Device { id: fake::device(index as u32), given: 0 }),
            reads: Vec::new(),
        }
    }

    pub(super) fn go(&mut self, step: Step) {
        match step {
            Step::Present { device, large, epoch, submit } => self.present(device, large, epoch, submit),
            Step::Clear { epoch } => {
                let size = (3, self.presents.len() as u32).into();
                let present = self.begin(Request::cleared(Picture::cleared(size, false), epoch));
                self.show(present, present, self.promised);
            }
            Step::Finish { device, count } => {
                let done = self.oracle.finished(self.life, self.devices[device].id, count);
                for ticket in self.in_flight.iter_mut().filter(|ticket| ticket.device == device) {
                    ticket.taken |= ticket.submission <= done;
                }
            }
            Step::Show { choice } => {
                let taken = self.in_flight.iter().enumerate().filter(|(_, ticket)| ticket.taken);
                let taken: Vec<_> = taken.map(|(index, _)| index).collect();
                if !taken.is_empty() {
                    let ticket = self.in_flight.remove(taken[choice % taken.len()]);
                    self.show(ticket.present, ticket.bytes, ticket.promised);
                    self.answer(ticket.present, Ok(ticket.present));
                }
            }
            Step::Lose { device } => self.lose(device),
            Step::Read => {
                let id = self.oracle.asks(0, CONTEXT, None);
                self.reads.push(Read { id, waits_for: u64::MAX });
                match self.in_flight.iter().map(|ticket| ticket.present).max() {
                    Some(newest) if newest > self.shown => self.wait_for(u64::MAX, newest),
                    _ => self.answer(u64::MAX, Ok(self.shown)),
                }
            }
        }
        self.oracle.judge_copies(self.life);
    }

    fn begin(&mut self, request: Request) -> u64 {
        self.promised = self.promised.max(request.epoch);
        self.presents.push(request);
        self.oracle.presents(0, CONTEXT, request).expect("the context lives")
    }

    fn present(&mut self, device: usize, large: bool, epoch: u64, submit: Submit) {
        let number = self.presents.len() as u32;
        let (trouble, size) = match submit {
            Submit::Refused => (Trouble::WrongDevice, (4, 2)),
            Submit::Zeros => (Trouble::Invalid, (5, number)),
            Submit::Accepted | Submit::Doubtful => (Trouble::Good, (4, 2)),
        };
        let picture = Picture { number, size: size.into(), opaque: false };
        let request =
            Request { device: Some(self.devices[device].id), trouble, ..Request::cleared(picture, epoch) };
        let present = self.begin(request);
        let promised = if self.weakened == Weakened::AcknowledgesItsOwnEpoch { epoch } else { self.promised };
        let mut superseded = self.take_youngest(device);
        if self.weakened == Weakened::SupersedesBeforeTheSubmit
            && let Some(ticket) = superseded.take()
        {
            self.end(ticket.present, PresentEnd::Superseded);
        }
        let takes_over = superseded.filter(|ticket| ticket.large || !large);
        match submit {
            Submit::Accepted => {
                let submission = self.submit(device, Some(present));
                let large = takes_over.map_or(large, |ticket| ticket.large);
                let ticket =
                    Ticket { present, promised, device, submission, large, bytes: present, taken: false };
                self.in_flight.push(ticket);
                if let Some(ticket) = superseded {
                    self.end(ticket.present, PresentEnd::Superseded);
                    // No read waits for it, unless that rule is not kept.
                    self.wait_for(ticket.present, present);
                }
            }
            Submit::Refused => {
                self.in_flight.extend(superseded);
                self.fail(present, promised, PresentError::WrongDevice);
            }
            Submit::Zeros => {
                self.in_flight.extend(superseded);
                self.shown = present;
                self.presents[present as usize].picture = Picture::cleared(picture.size, false);
                self.update(Some(present), promised);
                self.end(present, PresentEnd::Failed(PresentError::TextureInvalid));
                self.draw(present);
            }
            Submit::Doubtful => {
                self.submit(device, None);
                self.oracle.doubts(self.life, self.devices[device].id);
                self.oracle.may_fail(0).memory += 2;
                match takes_over {
                    Some(ticket) if self.weakened == Weakened::KeepsWhatMayBeOverwritten => {
                        self.in_flight.push(Ticket { bytes: present, ..ticket });
                    }
                    Some(ticket) => self.fail(ticket.present, ticket.promised, PresentError::OutOfMemory),
                    None => self.in_flight.extend(superseded),
                }
                self.fail(present, promised, PresentError::OutOfMemory);
            }
        }
    }

    fn submit(&mut self, device: usize, present: Option<u64>) -> u32 {
        let device = &mut self.devices[device];
        self.oracle.submitted(self.life, present, device.id);
        device.given += 1;
        device.given
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

    fn show(&mut self, present: u64, bytes: u64, promised: u64) {
        if present > self.shown || self.weakened == Weakened::ShowsWhatFinishesLast {
            self.shown = present;
            self.update(Some(bytes), promised);
            self.end(present, PresentEnd::Presented);
            self.draw(bytes);
        } else {
            self.end(present, PresentEnd::Superseded);
        }
    }

    /// A present is over, and what it would have shown is not shown.
    fn fail(&mut self, present: u64, promised: u64, error: PresentError) {
        self.update(None, promised);
        self.end(present, PresentEnd::Failed(error.clone()));
        self.answer(present, Err(error));
    }

    /// Lets the reads that wait for a present wait for another one.
    fn wait_for(&mut self, before: u64, after: u64) {
        let waiting = self.reads.iter_mut().filter(|read| read.waits_for == before);
        waiting.for_each(|read| read.waits_for = after);
    }

    /// Answers the reads that wait for a present: with what it shows, or with the reason why there is nothing.
    fn answer(&mut self, awaited: u64, shown: Result<u64, PresentError>) {
        for read in self.reads.iter_mut().filter(|read| read.waits_for == awaited) {
            read.waits_for = 0;
            let picture = shown.clone().map(|shown| Some(self.presents[shown as usize].picture));
            self.oracle.replied(read.id);
            self.oracle.answered(read.id, picture.map_err(GetImageError::Texture));
        }
    }

    /// Tells of an epoch, and of what is shown if that is new.
    fn update(&mut self, shows: Option<u64>, promised: u64) {
        let falls = self.weakened == Weakened::LetsEpochsFall;
        self.acknowledged = if falls { promised } else { promised.max(self.acknowledged) };
        self.generation = self.generation.wrapping_add(shows.is_some().into());
        let descriptor = descriptor(&self.picture(self.shown));
        self.oracle.updated(0, KEY, descriptor, &data(self.generation), CanvasEpoch(self.acknowledged));
        self.oracle.flushed(0);
    }

    /// A renderer draws what it was told last, and sees the bytes of a present.
    fn draw(&mut self, bytes: u64) {
        let seen = self.picture(bytes);
        self.compositor.receive(&self.oracle, usize::MAX);
        self.compositor.build(&self.oracle, |_| true);
        for upload in self.compositor.render() {
            self.oracle.locks(&upload.offer);
            self.compositor.saw(&mut self.oracle, &upload, Some(seen));
        }
    }

    fn end(&mut self, sequence: u64, end: PresentEnd) {
        let epoch = CanvasEpoch(self.presents[sequence as usize].epoch);
        self.oracle.ended(0, &PresentOutcome { context: CONTEXT, sequence, epoch, end });
    }

    /// What a present looks like on screen.
    fn picture(&self, present: u64) -> Picture {
        let picture = self.presents[present as usize].picture;
        if picture.number == 0 { Picture { size: (1, 1).into(), ..picture } } else { picture }
    }

    fn lose(&mut self, index: usize) {
        let id = fake::device(self.devices[index].id.unzip().0 + DEVICES as u32);
        let lost = std::mem::replace(&mut self.devices[index], Device { id, given: 0 });
        self.oracle.loses(lost.id, Loss::Lost);
        self.oracle.loses_copies(self.life, lost.id);
        let is_lost = |ticket: &Ticket| ticket.device == index && !ticket.taken;
        while let Some(place) = self.in_flight.iter().position(is_lost) {
            let ticket = self.in_flight.remove(place);
            self.fail(ticket.present, ticket.promised, PresentError::DeviceLost);
        }
    }

    /// Lets everything finish, and judges.
    pub(super) fn finish_all(&mut self) {
        for device in 0..DEVICES {
            self.go(Step::Finish { device, count: u32::MAX });
        }
        while !self.in_flight.is_empty() {
            self.go(Step::Show { choice: 0 });
        }
        self.draw(self.shown);
        self.compositor.judge(&mut self.oracle);
        self.oracle.quiet();
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }
}

/// An image of a whole picture.
fn descriptor(picture: &Picture) -> ImageDescriptor {
    let size = picture.size.to_i32().cast_unit();
    let mut flags = ImageDescriptorFlags::empty();
    flags.set(ImageDescriptorFlags::IS_OPAQUE, picture.opaque);
    ImageDescriptor { format: ImageFormat::BGRA8, size, stride: None, offset: 0, flags }
}

pub(super) fn data(generation: u8) -> ExternalImageData {
    ExternalImageData {
        id: ExternalImageId(CONTEXT.0),
        channel_index: generation,
        image_type: ExternalImageType::Buffer,
        normalized_uvs: false,
    }
}
