//! Presents, from the engine's call to their end.

use std::collections::BTreeMap;
use std::fmt;

use webgpu_presentation::{ContextId, PresentEnd, PresentError, PresentOutcome, UnknownContext};
use wgpu_core::id::DeviceId;

use super::copies::Fate;
use super::lives::Life;
use super::{Failures, LifeId, Oracle, Picture};

/// A present, or a texture that is read, as the engine asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// What is to be seen, if all goes well.
    pub picture: Picture,
    pub epoch: u64,
    /// The device of its texture. `None` if it has no pixels to copy.
    pub device: Option<DeviceId>,
    pub trouble: Trouble,
    /// The device was destroyed or lost before.
    pub lost: bool,
    /// It may not have been submitted when something else happens.
    pub batched: bool,
}

/// What is wrong with a texture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Good,
    /// An error texture.
    Invalid,
    /// It was destroyed before.
    Destroyed,
    /// It belongs to another device than its configuration says.
    WrongDevice,
    /// It is smaller than its configuration says.
    WrongSize,
    /// It may not be copied from.
    NoCopy,
    UnsupportedFormat,
    TooLarge,
}

pub(super) struct Present {
    pub(super) request: Request,
    /// How it ended, and when that was told.
    pub(super) end: Option<(PresentEnd, u64)>,
    /// A renderer showed it.
    pub(super) seen: bool,
    pub(super) fate: Fate,
    /// Its copy is lost or may be overwritten, or what took its place was.
    pub(super) is_doubtful: bool,
}

impl fmt::Debug for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Request { picture: Picture { number, size, .. }, epoch, trouble, lost, .. } = self.request;
        write!(f, "#{number} {size:?} epoch {epoch} {trouble:?}{}", if lost { ", lost" } else { "" })?;
        let (end, told) = self.end.as_ref().map(|(end, told)| (end, *told)).unzip();
        write!(f, " → {end:?} at {told:?}")
    }
}

impl Request {
    pub fn cleared(picture: Picture, epoch: u64) -> Self {
        Self { picture, epoch, device: None, trouble: Trouble::Good, lost: false, batched: false }
    }
}

impl Present {
    /// What the canvas shows after its end. `None` if that is no other picture.
    pub(super) fn shows(&self) -> Option<Picture> {
        let Picture { size, opaque, .. } = self.request.picture;
        match &self.end.as_ref()?.0 {
            PresentEnd::Presented => Some(self.request.picture),
            PresentEnd::Failed(
                PresentError::TextureInvalid | PresentError::TextureDestroyed | PresentError::TooLarge(_),
            ) => Some(Picture::cleared(size, opaque)),
            // What is drawn on a lost device is blank.
            PresentEnd::Failed(PresentError::DeviceLost) if self.request.lost => {
                Some(Picture::cleared(size, opaque))
            }
            PresentEnd::Failed(_) | PresentEnd::Superseded => None,
        }
    }

    /// What the canvas shows instead if the device was lost before the copy was submitted, which only the presenter knows.
    pub(super) fn may_show(&self) -> Option<Picture> {
        let Picture { size, opaque, .. } = self.request.picture;
        let is_lost = matches!(self.end, Some((PresentEnd::Failed(PresentError::DeviceLost), _)));
        (is_lost && !self.request.lost).then(|| Picture::cleared(size, opaque))
    }

    pub(super) fn is_superseded(&self) -> bool {
        matches!(self.end, Some((PresentEnd::Superseded, _)))
    }
}

impl Oracle {
    /// A present is about to begin. Returns its number, if there is such a context.
    pub fn presents(&mut self, at: usize, context: ContextId, request: Request) -> Option<u64> {
        let id = self.alive(at, context)?;
        let life = self.lives.get_mut(&id)?;
        let fate = if request.device.is_none() { Fate::Cleared } else { Fate::Unknown };
        life.presents.push(Present { request, end: None, seen: false, fate, is_doubtful: false });
        life.largest_epoch = life.largest_epoch.max(request.epoch);
        let sequence = life.begun();
        if life.key.is_some() {
            life.unacknowledged.push((sequence, request.epoch));
        }
        Some(sequence)
    }

    /// What a present returned at once: its number, or that there is no such context.
    pub fn returned(&mut self, expected: Option<u64>, result: &Result<u64, UnknownContext>) {
        let is_right = result.as_ref().ok() == expected.as_ref();
        self.rule(is_right, || format!("presenting came to {result:?}, not {expected:?}"));
    }

    pub fn ended(&mut self, at: usize, outcome: &PresentOutcome) {
        self.now += 1;
        let Self { violations, lives, .. } = self;
        let sequence = outcome.sequence;
        // Those of an earlier context with this id end before those of a later one begin.
        let known = lives.values_mut().find(|life| {
            let is_open = |life: &Life| life.present(sequence).is_some_and(|present| present.end.is_none());
            life.context == outcome.context && life.at == at && is_open(life)
        });
        let Some(life) = known else {
            return violations.rule(false, || format!("ends twice, or never began: {outcome:?}"));
        };
        violations.rule(!self.unflushed.contains(&at), || format!("told before a flush: {outcome:?}"));
        let is_owed = life.unacknowledged.iter().any(|(owed, _)| *owed == sequence);
        violations.rule(!is_owed || matches!(outcome.end, PresentEnd::Superseded), || {
            format!("told before it is acknowledged: {outcome:?}")
        });
        match outcome.end {
            PresentEnd::Presented => {
                let before = std::mem::replace(&mut life.presented, sequence);
                violations.rule(before < sequence, || format!("{sequence} is presented after {before}"));
                if !life.offered.1 {
                    life.offered.0 = sequence;
                }
                life.ends[0] += 1;
                self.tally.presented += 1;
            }
            PresentEnd::Superseded => {
                life.ends[1] += 1;
                self.tally.superseded += 1;
            }
            PresentEnd::Failed(_) => {
                life.ends[2] += 1;
                self.tally.failed += 1;
            }
        }
        let (is_alive, now) = (life.is_alive(), self.now);
        let index = (sequence - life.before.0 - 1) as usize;
        if let Some(present) = life.presents.get_mut(index) {
            let is_right = outcome.epoch.0 == present.request.epoch;
            violations.rule(is_right, || format!("{outcome:?} is told of {present:?}"));
            let is_lost = matches!(outcome.end, PresentEnd::Failed(_)) && present.fate.is_finished();
            violations
                .rule(!is_lost || !is_alive, || format!("fails though its copy was finished: {outcome:?}"));
            present.end = Some((outcome.end.clone(), now));
            if sequence > life.shown.0 {
                life.may_show.extend(present.may_show().map(|picture| (sequence, picture)));
                if let Some(picture) = present.shows() {
                    life.shown = (sequence, picture);
                    life.may_show.retain(|(newer, _)| *newer > sequence);
                }
            }
        }
    }

    /// How presents ended, from the first that is remembered.
    pub fn ends(&self, at: usize, context: ContextId) -> impl Iterator<Item = Option<&PresentEnd>> {
        let life = self.alive(at, context).map(|life| &self.lives[&life]);
        let presents = life.into_iter().flat_map(|life| &life.presents);
        presents.map(|present| present.end.as_ref().map(|(end, _)| end))
    }

    /// How many presents of a context have begun.
    pub fn begun(&self, life: LifeId) -> u64 {
        self.lives[&life].begun()
    }

    /// How many presents have not ended, of one device or of all.
    pub fn open(&self, device: Option<DeviceId>) -> usize {
        let presents = self.lives.values().flat_map(|life| &life.presents);
        let is_open = |present: &&Present| {
            present.end.is_none() && (device.is_none() || present.request.device == device)
        };
        presents.filter(is_open).count()
    }

    /// What a canvas shows when nothing is in flight.
    pub fn newest(&self, at: usize, context: ContextId) -> Option<Picture> {
        self.alive(at, context).map(|life| self.lives[&life].shown.1)
    }

    pub(super) fn judge_presents(&mut self) {
        // Failures without memory and without a mapping, which are counted.
        let mut failed = BTreeMap::<usize, Failures>::new();
        let mut faults = Vec::new();
        for life in self.lives.values() {
            let of_life = failed.entry(life.at).or_default();
            for present in &life.presents {
                let Present { request, end, seen, .. } = present;
                match end {
                    None => faults.push(format!("never ended: {request:?}")),
                    // A texture that waited was not looked at.
                    Some((PresentEnd::Superseded, _)) => {}
                    Some((PresentEnd::Presented, _)) => {
                        if request.device.is_some() && (request.lost || request.trouble != Trouble::Good) {
                            faults.push(format!("ended well: {present:?}"));
                        }
                    }
                    Some((PresentEnd::Failed(error), _)) => {
                        if !self.is_excused(life, request, error) {
                            faults.push(format!("ended for no reason: {present:?}"));
                        }
                        let is_lost =
                            request.lost || request.device.is_some_and(|device| self.may_lose(device));
                        match error {
                            PresentError::OutOfMemory => of_life.memory += 1,
                            PresentError::DeviceLost if !is_lost => of_life.mappings += 1,
                            _ => {}
                        }
                    }
                }
                if *seen && !matches!(end, Some((PresentEnd::Presented, _))) {
                    faults.push(format!("is seen on screen: {present:?}"));
                }
            }
            let newest = life.shown.0;
            faults.extend(life.judge_newest_good());
            let superseded = life.presents.iter().rposition(Present::is_superseded);
            if let Some(index) = superseded.filter(|_| life.is_alive()) {
                // What took its place may be lost.
                let Present { request, is_doubtful, .. } = life.presents[index];
                let may_be_lost = is_doubtful
                    || request.device.is_some_and(|device| self.may_lose(device))
                    || self.failures.get(&life.at).is_some_and(|failures| failures.mappings > 0);
                let sequence = life.before.0 + 1 + index as u64;
                // What took its place may lack memory or be lost with another device, and what came later may fail too.
                let later = || life.presents[index + 1..].iter().map(|present| &present.end);
                let has_failed = later().all(|end| matches!(end, Some((PresentEnd::Failed(_), _))))
                    && later().any(|end| {
                        use PresentError::{DeviceLost, OutOfMemory};
                        matches!(end, Some((PresentEnd::Failed(DeviceLost | OutOfMemory), _)))
                    });
                if sequence > newest && !may_be_lost && !has_failed {
                    faults.push(format!("{sequence} is superseded by nothing that is shown: {life:?}"));
                }
            }
            if !life.unacknowledged.is_empty() {
                faults.push(format!("{:?} is not acknowledged: {life:?}", life.unacknowledged));
            }
        }
        for (at, Failures { memory, mappings }) in failed {
            let most = self.failures.get(&at).copied().unwrap_or_default();
            if memory > most.memory || mappings > most.mappings {
                faults.push(format!("{memory} lack memory, {mappings} mappings: {most:?} may"));
            }
        }
        faults.into_iter().for_each(|fault| self.rule(false, || fault));
    }

    /// Whether a present, or a texture that was read, may have failed so.
    pub(super) fn is_excused(&self, life: &Life, request: &Request, error: &PresentError) -> bool {
        let Request { device, trouble, lost, .. } = *request;
        let failures = self.failures.get(&life.at).copied().unwrap_or_default();
        match error {
            PresentError::UnsupportedFormat(_) => trouble == Trouble::UnsupportedFormat,
            PresentError::TooLarge(_) => trouble == Trouble::TooLarge,
            PresentError::ContextDestroyed => !life.is_alive(),
            _ if device.is_none() => false,
            _ if lost => true,
            PresentError::OutOfMemory => failures.memory > 0,
            PresentError::DeviceLost => {
                device.is_some_and(|device| self.may_lose(device)) || failures.mappings > 0
            }
            PresentError::TextureInvalid => trouble == Trouble::Invalid,
            PresentError::TextureDestroyed => trouble == Trouble::Destroyed,
            PresentError::WrongDevice => trouble == Trouble::WrongDevice,
            PresentError::Refused(_) => matches!(trouble, Trouble::WrongSize | Trouble::NoCopy),
            _ => false,
        }
    }
}
