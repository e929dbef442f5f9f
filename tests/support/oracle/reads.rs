//! Reads, and waits for presents.

use webgpu_presentation::{Awaited, ContextId, GetImageError, PresentEnd, PresentError};

use super::lives::Life;
use super::presents::Present;
use super::{LifeId, Oracle, Picture, Request, Trouble};

/// As many reads of a context may wait.
const MOST_READS: usize = 1024;

/// A `get_image`.
#[derive(Debug)]
pub(super) struct Read {
    life: Option<LifeId>,
    /// Presents begun before it, and events.
    begun: u64,
    asked: u64,
    texture: Option<Request>,
    replies: u32,
    /// `None` for an image that cannot be looked at.
    answer: Option<Result<Option<Picture>, GetImageError>>,
}

/// A `when_presented`.
#[derive(Debug)]
pub(super) struct Wait {
    context: ContextId,
    epoch: u64,
    /// Its time is never up.
    is_patient: bool,
    answer: Option<Awaited>,
}

/// Whether an answer is what a canvas shows.
fn is_shown(answer: &Result<Option<Picture>, GetImageError>, shown: Picture) -> bool {
    match answer {
        Ok(seen) => seen.is_none_or(|seen| seen == shown),
        Err(GetImageError::TooLarge(size)) => shown.number == 0 && shown.size == *size,
        Err(_) => false,
    }
}

impl Life {
    /// Whether a read without a texture gave the newest present before it. If that failed after the read was asked for, the answer may be why.
    fn explains(&self, read: &Read, answer: &Result<Option<Picture>, GetImageError>) -> bool {
        for sequence in (1..=read.begun).rev() {
            let Some(present) = self.present(sequence) else { break };
            // A newer one may have been shown first; a read that waited for this one got it.
            let superseded = present.is_superseded().then_some(present.request.picture);
            if present.shows().or(superseded).is_some_and(|shown| is_shown(answer, shown)) {
                return true;
            }
            if present.may_show().is_some_and(|shown| is_shown(answer, shown)) {
                return true;
            }
            match (&present.end, answer) {
                // It was drawn after its device was lost, and an error says so.
                (_, Err(GetImageError::Texture(PresentError::DeviceLost))) if present.request.lost => {
                    return true;
                }
                (Some((PresentEnd::Superseded, _)), _) => {}
                (Some((PresentEnd::Failed(error), told)), answer) if present.shows().is_none() => {
                    // It may have been decided before it was told, and before the read, which then found what was presented before it.
                    if let Err(GetImageError::Texture(other)) = answer
                        && *told > read.asked
                        && error.to_string() == other.to_string()
                    {
                        return true;
                    }
                }
                _ => return false,
            }
        }
        is_shown(answer, self.before.1)
            || self.presents.is_empty() && self.may_show.iter().any(|(_, shown)| is_shown(answer, *shown))
    }
}

impl Oracle {
    /// An image is about to be asked for: of a texture, or of what was presented last.
    pub fn asks(&mut self, at: usize, context: ContextId, texture: Option<Request>) -> u64 {
        let life = self.alive(at, context);
        let mut begun = 0;
        if let Some(life) = life.and_then(|life| self.lives.get_mut(&life)) {
            begun = life.begun();
            life.reads += 1;
        }
        self.made += 1;
        let read = Read { life, begun, asked: self.now, texture, replies: 0, answer: None };
        self.reads.insert(self.made, read);
        self.made
    }

    /// An answer came.
    pub fn replied(&mut self, read: u64) {
        let replies = self.reads.get_mut(&read).map(|read| {
            read.replies += 1;
            read.replies
        });
        self.rule(replies == Some(1), || format!("read {read} is answered {replies:?} times"));
    }

    /// An answer was looked at.
    pub fn answered(&mut self, read: u64, answer: Result<Option<Picture>, GetImageError>) {
        self.tally.reads += 1;
        if let Some(read) = self.reads.get_mut(&read) {
            read.answer = Some(answer);
        }
    }

    /// Which presents reads of a context were answered with, or 0.
    pub fn answers(&self, life: LifeId) -> impl Iterator<Item = u64> {
        let answers =
            self.reads.values().filter(move |read| read.life == Some(life)).map(|read| &read.answer);
        answers.map(move |answer| {
            let is_it = |present: &Present| {
                let shown = present.shows().unwrap_or(present.request.picture);
                answer.as_ref().is_some_and(|answer| is_shown(answer, shown))
            };
            let life = &self.lives[&life];
            life.presents.iter().rposition(is_it).map_or(0, |index| life.before.0 + 1 + index as u64)
        })
    }

    /// How many reads were not answered: of the textures of one device, or of all.
    pub fn unanswered(&self, device: Option<wgpu_core::id::DeviceId>) -> usize {
        let is_of =
            |read: &Read| device.is_none() || read.texture.is_some_and(|texture| texture.device == device);
        self.reads.values().filter(|read| read.replies == 0 && is_of(read)).count()
    }

    pub fn is_answered(&self, read: u64) -> bool {
        self.reads.get(&read).is_none_or(|read| read.replies > 0)
    }

    pub fn waits(&mut self, context: ContextId, epoch: u64, is_patient: bool) -> u64 {
        self.made += 1;
        self.waits.insert(self.made, Wait { context, epoch, is_patient, answer: None });
        self.made
    }

    pub fn awaited(&mut self, wait: u64, answer: Awaited) {
        let before = self.waits.get_mut(&wait).map(|wait| wait.answer.replace(answer));
        self.rule(matches!(before, Some(None)), || format!("wait {wait} is answered after {before:?}"));
    }

    /// How many waits have not been answered, of all or of those that have a time.
    pub fn waiting(&self, all: bool) -> usize {
        let is_open = |wait: &&Wait| wait.answer.is_none() && (all || !wait.is_patient);
        self.waits.values().filter(is_open).count()
    }

    pub(super) fn judge_reads(&mut self) {
        let mut wrong = Vec::new();
        for read in self.reads.values() {
            let life = read.life.map(|life| &self.lives[&life]);
            let is_right = match (&read.answer, life, &read.texture) {
                (None, ..) => false,
                (Some(Err(GetImageError::UnknownContext(_))), life, _) => {
                    life.is_none_or(|life| !life.is_alive())
                }
                (_, None, _) => false,
                (Some(Err(GetImageError::TooManyReads)), Some(life), _) => life.reads > MOST_READS,
                (Some(Err(GetImageError::Texture(error))), Some(life), Some(texture)) => match error {
                    PresentError::ContextDestroyed => false,
                    error => self.is_excused(life, texture, error),
                },
                (Some(answer), Some(_), Some(texture)) => {
                    texture.trouble == Trouble::Good && is_shown(answer, texture.picture)
                }
                (Some(answer), Some(life), None) => life.explains(read, answer),
            };
            if !is_right {
                wrong.push(format!("an answer is wrong: {read:?} of {life:?}"));
            }
        }
        wrong.into_iter().for_each(|wrong| self.rule(false, || wrong));
        self.reads.clear();
    }

    pub(super) fn judge_waits(&mut self) {
        let mut wrong = Vec::new();
        for wait in self.waits.values() {
            let lives = || self.lives.values().filter(|life| life.context == wait.context);
            // What is forgotten was judged.
            let forgets = lives().any(|life| life.before.0 > 0);
            let any = |is: fn(&PresentEnd) -> bool| {
                let presents = lives().flat_map(|life| &life.presents);
                let awaited = presents.filter(|present| present.request.epoch >= wait.epoch);
                forgets || awaited.filter_map(|present| present.end.as_ref()).any(|(end, _)| is(end))
            };
            let is_right = match &wait.answer {
                None => {
                    let mut alive = lives().filter(|life| life.is_alive());
                    let has_ended =
                        |life: &Life| life.presents.iter().any(|present| present.request.epoch >= wait.epoch);
                    wait.is_patient && !alive.any(has_ended)
                }
                Some(Awaited::TimedOut) => !wait.is_patient,
                Some(Awaited::ContextGone) => lives()
                    .next()
                    .is_none_or(|first| !first.is_alive() || lives().any(|life| !life.is_alive())),
                Some(Awaited::Presented { sequence, epoch }) => {
                    let is_it = |life: &Life| {
                        life.present(*sequence).map_or(*sequence <= life.before.0, |present| {
                            present.request.epoch == epoch.0
                                && matches!(present.end, Some((PresentEnd::Presented, _)))
                        })
                    };
                    epoch.0 >= wait.epoch && lives().any(is_it)
                }
                Some(Awaited::Superseded { by }) => {
                    any(|end| matches!(end, PresentEnd::Superseded))
                        && lives().any(|life| life.begun() >= *by)
                }
                Some(Awaited::Failed(_)) => any(|end| matches!(end, PresentEnd::Failed(_))),
            };
            if !is_right {
                wrong.push(format!("an answer is wrong: {wait:?} of {:?}", lives().collect::<Vec<_>>()));
            }
        }
        wrong.into_iter().for_each(|wrong| self.rule(false, || wrong));
        self.waits.retain(|_, wait| wait.answer.is_none());
    }
}
