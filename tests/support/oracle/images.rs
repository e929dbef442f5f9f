//! Image updates: what compositors are told.

use std::collections::{HashMap, VecDeque};

use webgpu_presentation::{CanvasEpoch, ContextId};
use webrender_api::{ExternalImageData, ExternalImageId, ExternalImageType, ImageDescriptor, ImageKey};

use super::{ImageId, LifeId, Oracle};

/// An image, from its addition to its deletion.
#[derive(Clone, Debug)]
pub(super) struct Image {
    life: LifeId,
    epoch: Option<u64>,
}

/// An update, or the addition that comes before all of them.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    pub life: LifeId,
    pub context: ContextId,
    pub descriptor: ImageDescriptor,
    pub generation: u8,
    /// Counts the generations of all contexts with this id.
    pub issue: usize,
    /// The newest present that its frame is known to be of, or of a newer one.
    pub(super) owed: u64,
    /// It repeats what an earlier context with this id had offered, whose frame is gone.
    pub(super) is_foreign: bool,
}

/// All contexts with the same id: they share their generations.
#[derive(Debug, Default)]
pub(super) struct Channel {
    last: Option<Offer>,
    /// The highest issue that a renderer has locked, or is about to.
    locked: usize,
    /// A renderer locked the last update, of which compositors were perhaps not told yet.
    is_ahead: bool,
    /// Issues that may still be drawn, from `locked` on: the generation, and the bytes of the image.
    outstanding: VecDeque<(usize, u8, usize)>,
}

impl Channel {
    /// How many generations were issued.
    pub(super) fn issued(&self) -> usize {
        self.last.map_or(0, |last| last.issue)
    }

    fn largest_outstanding(&self, until: usize) -> usize {
        let outstanding = self.outstanding.iter().take_while(|(issue, ..)| *issue <= until);
        outstanding.map(|(.., bytes)| *bytes).max().unwrap_or(0)
    }

    fn lock(&mut self, issue: usize) {
        self.locked = self.locked.max(issue);
        while self.outstanding.front().is_some_and(|(first, ..)| *first < self.locked) {
            self.outstanding.pop_front();
        }
    }

    /// Whether a lock of this update may find no frame any more.
    pub(super) fn may_be_blank(&self, offer: &Offer) -> bool {
        offer.issue < self.locked || self.is_ahead || offer.is_foreign
    }
}

fn id_of(at: usize, ImageKey(namespace, key): ImageKey) -> ImageId {
    (at, namespace.0, key)
}

/// What was known when a renderer locked without a generation.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastLock {
    life: Option<LifeId>,
    issued: usize,
}

/// Bytes of an image as WebRender counts them.
pub fn byte_len(descriptor: &ImageDescriptor) -> usize {
    descriptor.compute_stride() as usize * descriptor.size.height as usize
}

impl Oracle {
    /// A key is about to be set. Returns whether there is such a context.
    pub fn sets_key(&mut self, at: usize, context: ContextId, key: ImageKey) -> bool {
        let Some(id) = self.alive(at, context) else { return false };
        if let Some(life) = self.lives.get_mut(&id)
            && life.key.replace(key) != Some(key)
        {
            self.coming.push_back((at, key, id));
        }
        true
    }

    pub fn added(&mut self, at: usize, key: ImageKey, descriptor: ImageDescriptor, data: &ExternalImageData) {
        let next = self.coming.iter().position(|(of, ..)| *of == at);
        let next = next.and_then(|index| self.coming.remove(index)).filter(|(_, next, _)| *next == key);
        let Some((.., life)) = next else {
            return self.rule(false, || format!("{key:?} is added out of its turn"));
        };
        let before = self.images.insert(id_of(at, key), Image { life, epoch: None });
        self.rule(before.is_none(), || format!("{key:?} is added twice"));
        self.offer(at, key, life, descriptor, data);
    }

    pub fn updated(
        &mut self,
        at: usize,
        key: ImageKey,
        descriptor: ImageDescriptor,
        data: &ExternalImageData,
        CanvasEpoch(epoch): CanvasEpoch,
    ) {
        let Self { violations, lives, images, .. } = self;
        let Some(image) = images.get_mut(&id_of(at, key)) else {
            return violations.rule(false, || format!("{key:?} is updated, which is not there"));
        };
        let id = image.life;
        if let Some(life) = lives.get_mut(&id) {
            let before = image.epoch.replace(epoch);
            violations.rule(before <= Some(epoch), || format!("{epoch} is acknowledged after {before:?}"));
            let largest = life.largest_epoch;
            violations.rule(epoch <= largest, || format!("{epoch} is acknowledged, of {largest} at most"));
            life.unacknowledged.retain(|(_, owed)| *owed > epoch);
            life.acknowledged.push(epoch);
        }
        self.offer(at, key, id, descriptor, data);
    }

    /// The epochs of all updates of a context.
    pub fn acknowledged(&self, life: LifeId) -> &[u64] {
        &self.lives[&life].acknowledged
    }

    pub fn deleted(&mut self, at: usize, key: ImageKey) {
        self.now += 1;
        self.unflushed.insert(at);
        let known = self.images.remove(&id_of(at, key));
        self.rule(known.is_some(), || format!("{key:?} is deleted, which is not there"));
        self.log.push((id_of(at, key), None));
    }

    pub fn flushed(&mut self, at: usize) {
        self.unflushed.remove(&at);
    }

    fn offer(
        &mut self,
        at: usize,
        key: ImageKey,
        id: LifeId,
        descriptor: ImageDescriptor,
        data: &ExternalImageData,
    ) {
        self.now += 1;
        self.unflushed.insert(at);
        let Self { violations, lives, channels, log, .. } = self;
        let Some(life) = lives.get_mut(&id) else {
            return violations.rule(false, || format!("{key:?} of a context that is long gone"));
        };
        let is_usable = data.id == ExternalImageId::from(life.context)
            && data.image_type == ExternalImageType::Buffer
            && !descriptor.size.is_empty()
            && descriptor.compute_stride() % 4 == 0;
        violations.rule(is_usable, || format!("WebRender cannot use {descriptor:?} {data:?}"));
        if descriptor.size != (1, 1).into() {
            let format = *life.format.get_or_insert(descriptor.format);
            violations.rule(format == descriptor.format, || {
                format!("{key:?} was {format:?}, and is {descriptor:?}")
            });
        }
        let generation = data.channel_index;
        let channel = channels.entry(life.context).or_default();
        let mut offer = Offer {
            life: id,
            context: life.context,
            descriptor,
            generation,
            issue: channel.issued(),
            owed: life.presented,
            is_foreign: false,
        };
        match channel.last {
            // Another presenter may tell late of an earlier context.
            Some(last) if last.life > id => offer.is_foreign = true,
            Some(last) if (last.generation, last.descriptor) == (generation, descriptor) => {
                offer.is_foreign = last.life != id || last.is_foreign;
                channel.last = Some(offer);
            }
            _ => {
                offer.issue += 1;
                let bytes = byte_len(&descriptor);
                let fits = |(_, issued, len): &(usize, u8, usize)| *issued != generation || *len == bytes;
                let is_free = channel.outstanding.iter().all(fits);
                violations
                    .rule(is_free, || format!("generation {generation} is issued again, for {descriptor:?}"));
                channel.outstanding.push_back((offer.issue, generation, byte_len(&descriptor)));
                channel.last = Some(offer);
            }
        }
        log.push((id_of(at, key), Some(offer)));
    }

    /// Counts calls of sinks that are remembered.
    pub fn log_len(&self) -> usize {
        self.log.len()
    }

    /// The update before which there were so many others of this context id.
    pub fn offer_before(&self, context: ContextId, before: usize) -> Option<Offer> {
        let offers = self.log.iter().rev().filter_map(|(_, offer)| *offer);
        offers.filter(|offer| offer.context == context).nth(before)
    }

    /// The last update, or the one so many before.
    pub fn past(&self, before: usize) -> Option<Offer> {
        self.log.iter().rev().nth(before).and_then(|(_, offer)| *offer)
    }

    /// A renderer is about to lock an update.
    pub fn locks(&mut self, offer: &Offer) {
        if let Some(channel) = self.channels.get_mut(&offer.context) {
            channel.lock(offer.issue);
        }
    }

    /// A renderer is about to lock whatever was told last of a context.
    pub fn locks_last(&mut self, context: ContextId) -> LastLock {
        let life = self.named(context);
        // Without an image nothing was described.
        let is_image = life.is_some_and(|life| self.images.values().any(|image| image.life == life));
        let Some(channel) = self.channels.get_mut(&context) else { return LastLock::default() };
        // Another such lock may have locked a newer one.
        let is_known = is_image && !std::mem::replace(&mut channel.is_ahead, true);
        LastLock { life, issued: if is_known { channel.issued() } else { 0 } }
    }

    /// A renderer saw so many bytes when it locked whatever was told last of a context.
    pub fn saw_last(&mut self, context: ContextId, lock: LastLock, bytes: usize) {
        let is_same = self.named(context) == lock.life;
        let Some(channel) = self.channels.get(&context).filter(|_| is_same) else { return };
        let needed = channel.largest_outstanding(lock.issued);
        self.violations.rule(needed <= bytes, || format!("{bytes} bytes are too few: {channel:?}"));
    }

    /// Bytes of the largest image of a context that may still be drawn.
    pub fn largest_outstanding(&self, context: ContextId) -> usize {
        self.channels.get(&context).map_or(0, |channel| channel.largest_outstanding(channel.issued()))
    }

    /// Everything was told since a renderer locked whatever was told last.
    pub fn told_last(&mut self) {
        for channel in self.channels.values_mut().filter(|channel| channel.is_ahead) {
            channel.is_ahead = false;
            channel.lock(channel.issued());
        }
    }

    pub(super) fn judge_images(&mut self) {
        let mut counts: HashMap<LifeId, usize> = HashMap::new();
        self.images.values().for_each(|image| *counts.entry(image.life).or_default() += 1);
        for (id, count) in counts {
            let is_gone = self.lives.get(&id).is_none_or(|life| life.is_gone());
            self.rule(count <= 1 && !is_gone, || format!("a context (gone: {is_gone}) has {count} images"));
        }
        let coming = self.coming.front();
        self.violations.rule(coming.is_none(), || format!("was never added: {coming:?}"));
        self.told_last();
    }
}
