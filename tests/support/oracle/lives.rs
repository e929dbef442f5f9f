//! Contexts: which ones there are, and when they end.

use euclid::default::Size2D;
use webgpu_presentation::{
    BufferIds, ContextDescriptor, ContextId, CreateContextError, OwnerId, ReturnedId, Statistics,
};
use webrender_api::{IdNamespace, ImageFormat, ImageKey};

use super::copies::Copies;
use super::presents::Present;
use super::{LifeId, Oracle, Picture};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Alive,
    /// Until its compositor has done a transaction. For the engine it has ended.
    Lingering(IdNamespace, u64),
    Gone,
}

/// A context from its creation to its end.
#[derive(Debug)]
pub(super) struct Life {
    /// The number of its presenter.
    pub(super) at: usize,
    pub(super) context: ContextId,
    owner: OwnerId,
    state: State,
    /// Presents that are forgotten, and what was shown after them.
    pub(super) before: (u64, Picture),
    pub(super) presents: Vec<Present>,
    /// The newest present that the canvas shows, as far as was told.
    pub(super) shown: (u64, Picture),
    /// What it shows instead, if one of these newer presents failed because its device had been lost before, and not meanwhile.
    pub(super) may_show: Vec<(u64, Picture)>,
    pub(super) copies: Copies,
    /// Presents that were told to be presented, superseded, and failed.
    pub(super) ends: [u64; 3],
    /// The newest that was told to be presented.
    pub(super) presented: u64,
    /// Presents, with their epochs, that an update must acknowledge.
    pub(super) unacknowledged: Vec<(u64, u64)>,
    /// The epochs of updates.
    pub(super) acknowledged: Vec<u64>,
    pub(super) largest_epoch: u64,
    pub(super) reads: usize,
    pub(super) key: Option<ImageKey>,
    pub(super) format: Option<ImageFormat>,
    /// The newest frame that the last update is known to be sent for; and whether that update was repeated, so that it may not be sent
    /// for what was presented since.
    pub(super) offered: (u64, bool),
}

impl Life {
    pub(super) fn is_alive(&self) -> bool {
        self.state == State::Alive
    }

    pub(super) fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    /// Presents begun.
    pub(super) fn begun(&self) -> u64 {
        self.before.0 + self.presents.len() as u64
    }

    pub(super) fn present(&self, sequence: u64) -> Option<&Present> {
        self.presents.get(usize::try_from(sequence.checked_sub(self.before.0 + 1)?).ok()?)
    }

    pub(super) fn present_mut(&mut self, sequence: u64) -> Option<&mut Present> {
        self.presents.get_mut(usize::try_from(sequence.checked_sub(self.before.0 + 1)?).ok()?)
    }

    /// Whether presents can supersede each other: those of different devices cannot.
    pub(super) fn is_on_one_device(&self) -> bool {
        let mut devices = self.presents.iter().filter_map(|present| present.request.device);
        let first = devices.next();
        devices.all(|device| Some(device) == first)
    }

    pub(super) fn forget(&mut self) {
        self.before = (self.begun(), self.shown.1);
        (self.presents, self.acknowledged) = (Vec::new(), Vec::new());
    }
}

impl Oracle {
    /// The context that a presenter knows by this id.
    pub fn alive(&self, at: usize, context: ContextId) -> Option<LifeId> {
        self.named(context).filter(|life| self.lives[life].is_alive() && self.lives[life].at == at)
    }

    /// The context that renderers know by this id.
    pub fn named(&self, context: ContextId) -> Option<LifeId> {
        let mut lives = self.lives.iter().rev();
        lives.find(|(_, life)| life.context == context && !life.is_gone()).map(|(id, _)| *id)
    }

    /// Those that live at a presenter.
    pub fn all_alive(&self, at: usize) -> Vec<ContextId> {
        let alive = self.lives.values().filter(|life| life.at == at && life.is_alive());
        alive.map(|life| life.context).collect()
    }

    /// A context was created, or not.
    pub fn created(
        &mut self,
        at: usize,
        context: ContextId,
        descriptor: &ContextDescriptor,
        result: Result<(), CreateContextError>,
    ) {
        let ContextDescriptor { owner, size, buffer_ids } = descriptor;
        let provided = match buffer_ids {
            BufferIds::Provided(ids) => ids.as_slice(),
            BufferIds::Allocated => &[],
        };
        let expected = if *buffer_ids == BufferIds::Provided(vec![]) {
            Err(CreateContextError::NoBufferIds)
        } else if self.named(context).is_some() {
            Err(CreateContextError::Duplicate(context))
        } else {
            Ok(())
        };
        self.rule(result == expected, || {
            format!("creating {context:?} came to {result:?}, not {expected:?}")
        });
        if result.is_ok() {
            self.begins(at, context, *owner, *size);
            *self.taken.entry(context).or_default() += 1;
        } else {
            provided.iter().for_each(|id| self.came_back(at, ReturnedId::Buffer(*id)));
        }
    }

    pub fn begins(&mut self, at: usize, context: ContextId, owner: OwnerId, size: Size2D<u32>) -> LifeId {
        self.made += 1;
        let life = Life {
            at,
            context,
            owner,
            state: State::Alive,
            before: (0, Picture::cleared(size, false)),
            presents: Vec::new(),
            shown: (0, Picture::cleared(size, false)),
            may_show: Vec::new(),
            copies: Copies::default(),
            ends: [0; 3],
            presented: 0,
            unacknowledged: Vec::new(),
            acknowledged: Vec::new(),
            largest_epoch: 0,
            reads: 0,
            key: None,
            format: None,
            offered: (0, false),
        };
        self.lives.insert(self.made, life);
        self.made
    }

    /// A context is about to be destroyed, or with so many transactions of its compositor from now. Returns whether that can be done, and
    /// the number of the last of those transactions.
    pub fn destroys(&mut self, at: usize, context: ContextId, after: Option<u64>) -> (bool, u64) {
        let Some(id) = self.alive(at, context) else { return (false, after.unwrap_or(0)) };
        let key = self.lives[&id].key;
        let done = key.and_then(|key| self.transactions.get(&key.0).copied());
        let until = done.unwrap_or(0).saturating_add(after.unwrap_or(0));
        if let Some(life) = self.lives.get_mut(&id) {
            life.state = match (after, key) {
                (Some(_), Some(key)) if done < Some(until) => State::Lingering(key.0, until),
                _ => State::Gone,
            };
        }
        (true, until)
    }

    /// The contexts that an owner has at a presenter are about to end; or those that it has at all presenters, by another thread. Returns how
    /// many.
    pub fn destroys_owner(&mut self, at: Option<usize>, owner: OwnerId) -> usize {
        let mut count = 0;
        let is_concerned = |life: &Life| life.owner == owner && at.is_none_or(|at| at == life.at);
        for life in self.lives.values_mut().filter(|life| !life.is_gone() && is_concerned(life)) {
            life.state = State::Gone;
            count += 1;
            if at != Some(life.at) {
                // Its presenter submits what is in an open batch later, when there is no image.
                let owed =
                    |(sequence, _): &(u64, u64)| life.presents.get((*sequence - life.before.0 - 1) as usize);
                let is_owed = |entry: &(u64, u64)| {
                    owed(entry).is_none_or(|present| !present.request.batched || present.end.is_some())
                };
                life.unacknowledged.retain(is_owed);
            }
        }
        count
    }

    /// A compositor is about to tell of transactions that it has done, up to the one returned.
    pub fn does_transactions(&mut self, namespace: IdNamespace, count: u64) -> u64 {
        let done = self.transactions.entry(namespace).or_default();
        *done = done.saturating_add(count);
        for life in self.lives.values_mut() {
            if matches!(life.state, State::Lingering(of, until) if of == namespace && until <= *done) {
                life.state = State::Gone;
            }
        }
        *done
    }

    /// A presenter is about to go.
    pub fn presenter_goes(&mut self, at: usize) {
        self.lives.values_mut().filter(|life| life.at == at).for_each(|life| life.state = State::Gone);
    }

    /// What a presenter counts of a context, at any time.
    pub fn counted(&mut self, at: usize, context: ContextId, statistics: Option<Statistics>) {
        let life = self.alive(at, context).map(|life| &self.lives[&life]);
        let (Some(counts), Some(life)) = (statistics, life) else {
            let is_alive = life.is_some();
            return self.rule(statistics.is_some() == is_alive, || {
                format!("{context:?} (alive: {is_alive}) counts {statistics:?}")
            });
        };
        let is_calm = life.reads == 0 && life.is_on_one_device();
        // Those in flight, those that are shown or locked, those that rest, and one for each snapshot.
        let most_buffers = 84 + life.reads;
        // Two in flight, one whose frame is being made, and two that wait. Reads may wait for as many more as there are reads.
        let most = if is_calm { 5 } else { 64 + 5 + life.reads };
        let is_bounded = counts.in_flight <= most && counts.buffers <= most_buffers;
        self.violations.rule(is_bounded, || format!("too much (calm: {is_calm}): {counts:?} of {life:?}"));
    }

    /// What a presenter counts of a context that lives, when nothing is in flight.
    pub fn counted_in_the_end(&mut self, at: usize, context: ContextId, counts: Statistics) {
        let Some(life) = self.alive(at, context).map(|life| &self.lives[&life]) else { return };
        let counted = [counts.presented, counts.superseded, counts.failed];
        let is_right = counted == life.ends && counts.in_flight == 0;
        self.violations.rule(is_right, || format!("{counts:?} are counted of {:?}", life.ends));
    }
}
