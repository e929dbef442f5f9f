//! A model of one compositor with one renderer, as WebRender is.
//!
//! ```text
//! updates ── receive ──▶ templates ── build ──▶ frames ── render ──▶ textures: what is on screen
//! ```
//!
//! It *receives* updates in their order. A frame is *built* from those received by then: it uploads each visible image that was updated
//! since its last upload, under the descriptor and the generation of the last update. An image that is out of the scene is not uploaded,
//! however often it is updated. Frames are *rendered* in their order, at any time later, or never: then the uploads are locked.

use std::collections::{BTreeMap, VecDeque};

use webgpu_presentation::ContextId;
use webrender_api::{ImageDescriptor, ImageDescriptorFlags};

use super::{ImageId, LifeId, Offer, Oracle, Picture};

#[derive(Default)]
pub struct Compositor {
    /// How much of the log was received.
    received: usize,
    templates: BTreeMap<ImageId, Template>,
    frames: VecDeque<Vec<Upload>>,
    /// What was uploaded last.
    textures: BTreeMap<ImageId, Option<Picture>>,
    /// The last lock of each context: of which life, which issue, and what was seen.
    last: BTreeMap<ContextId, (LifeId, usize, Picture)>,
    /// The newest present that was seen of each context under each descriptor.
    newest: Vec<(LifeId, ImageDescriptor, u64)>,
}

#[derive(Clone, Copy)]
struct Template {
    offer: Offer,
    is_dirty: bool,
}

/// An image that a frame uploads; or one that is uploaded again, out of its turn.
#[derive(Clone, Copy, Debug)]
pub struct Upload {
    pub offer: Offer,
    image: Option<ImageId>,
    /// The oldest present that it may show.
    owed: u64,
}

impl Upload {
    pub fn again(offer: Offer) -> Self {
        Self { offer, image: None, owed: offer.owed }
    }
}

impl Compositor {
    /// Receives so many updates. Returns how many there were.
    pub fn receive(&mut self, oracle: &Oracle, most: usize) -> usize {
        let updates = oracle.log.iter().skip(self.received).take(most);
        let mut count = 0;
        for (image, offer) in updates {
            match offer {
                Some(offer) => {
                    self.templates.insert(*image, Template { offer: *offer, is_dirty: true });
                }
                None => {
                    self.templates.remove(image);
                    self.textures.remove(image);
                }
            }
            count += 1;
        }
        self.received += count;
        count
    }

    pub fn has_received_all(&self, oracle: &Oracle) -> bool {
        self.received == oracle.log.len()
    }

    /// Builds a frame of the images that are visible.
    pub fn build(&mut self, oracle: &Oracle, is_visible: impl Fn(ContextId) -> bool) {
        let mut uploads = Vec::new();
        for (image, template) in &mut self.templates {
            if is_visible(template.offer.context) && std::mem::take(&mut template.is_dirty) {
                let Template { offer, .. } = *template;
                uploads.push(Upload { offer, image: Some(*image), owed: oracle.owed(&offer) });
            }
        }
        self.frames.push_back(uploads);
    }

    /// Takes what is to be locked to render the frames that were built.
    pub fn render(&mut self) -> Vec<Upload> {
        self.frames.drain(..).flatten().collect()
    }

    /// Whatever was locked last is forgotten: another generation was locked.
    pub fn locked_another(&mut self, context: ContextId) {
        self.last.remove(&context);
    }

    /// An upload showed this picture, of a lock that was held before. `None` if it is not known.
    pub fn saw_again(&mut self, upload: &Upload, seen: Option<Picture>) {
        if let Some(image) = upload.image.filter(|image| self.templates.contains_key(image)) {
            self.textures.insert(image, seen);
        }
    }

    /// An upload showed this picture when it was locked. `None` if it is not known.
    pub fn saw(&mut self, oracle: &mut Oracle, upload: &Upload, seen: Option<Picture>) {
        let Upload { offer, owed, .. } = upload;
        self.saw_again(upload, seen);
        oracle.tally.locks += 1;
        let Some(seen) = seen else { return };
        let last = self.last.insert(offer.context, (offer.life, offer.issue, seen));
        let Some(life) = oracle.lives.get(&offer.life) else { return };
        let (is_gone, descriptor) = (life.is_gone(), &offer.descriptor);
        let is_opaque = descriptor.flags.contains(ImageDescriptorFlags::IS_OPAQUE);
        let violations = &mut oracle.violations;
        if let Some((life, issue, before)) = last
            && (life, issue) == (offer.life, offer.issue)
            && !is_gone
        {
            let may_be_blank = oracle.channels[&offer.context].may_be_blank(offer);
            let is_same = seen == before || (may_be_blank && before.number == 0);
            violations.rule(is_same, || format!("{seen:?} is seen after {before:?}: {upload:?}"));
        }
        if seen.number == 0 {
            let is_cleared = descriptor.size == (1, 1).into() && seen.opaque == is_opaque;
            let may_be_blank = is_gone || oracle.channels[&offer.context].may_be_blank(offer);
            violations.rule(is_cleared || may_be_blank && !seen.opaque, || format!("{seen:?}: {upload:?}"));
            oracle.tally.blanks += u64::from(!is_cleared);
            return;
        }
        let lives = oracle.lives.range_mut(offer.life..).filter(|(_, life)| life.context == offer.context);
        let shown = lives.rev().find_map(|(id, life)| {
            let index = life.presents.iter().rposition(|present| present.request.picture == seen);
            let known = index.map(|index| {
                life.presents[index].seen = true;
                life.before.0 + 1 + index as u64
            });
            Some((*id, known.or((life.before.1 == seen).then_some(life.before.0))?))
        });
        let Some((id, sequence)) = shown else {
            return violations.rule(false, || format!("{seen:?} does not belong here: {upload:?}"));
        };
        violations.rule(id != offer.life || sequence >= *owed, || {
            format!("{sequence} is seen, which is older than {owed}: {upload:?}")
        });
        match self.newest.iter_mut().find(|(life, layout, _)| (life, layout) == (&id, descriptor)) {
            None => self.newest.push((id, *descriptor, sequence)),
            Some((.., newest)) => {
                let before = std::mem::replace(newest, sequence);
                violations
                    .rule(before <= sequence, || format!("{sequence} is seen after {before}: {upload:?}"));
            }
        }
    }

    /// An upload found no context to lock.
    pub fn saw_nothing(&mut self, oracle: &mut Oracle, upload: &Upload) {
        self.last.remove(&upload.offer.context);
        oracle.rule(false, || format!("what was displayed cannot be locked: {upload:?}"));
    }

    /// What its images show, if that is not what their canvases do. Everything was received, and rendered.
    pub fn outdated(&self, oracle: &Oracle) -> Option<String> {
        self.templates.iter().find_map(|(image, template)| {
            let life = oracle.lives.get(&template.offer.life).filter(|life| !life.is_gone())?;
            let (_, mut newest) = life.shown;
            if newest.number == 0 {
                newest.size = (1, 1).into();
            }
            let seen = self.textures.get(image);
            let is_it = |picture: Picture| {
                picture == newest
                    || life
                        .may_show
                        .iter()
                        .any(|(_, other)| picture.number == 0 && picture.opaque == other.opaque)
            };
            let is_newest = seen.is_some_and(|seen| seen.is_none_or(is_it));
            (!is_newest).then(|| format!("{seen:?} is shown, not {newest:?}: {:?}", template.offer))
        })
    }

    pub fn judge(&self, oracle: &mut Oracle) {
        let outdated = self.outdated(oracle);
        oracle.rule(outdated.is_none(), || outdated.unwrap_or_default());
    }

    /// The oracle forgot what was received. Everything was.
    pub fn forget(&mut self, oracle: &Oracle) {
        self.received = 0;
        self.newest.retain(|(life, ..)| oracle.lives.contains_key(life));
        self.newest.shrink_to_fit();
    }
}

impl Oracle {
    /// The oldest present that a frame may show which is built now: the newest that was told as presented, if all updates were received.
    fn owed(&self, offer: &Offer) -> u64 {
        let is_last =
            self.channels.get(&offer.context).is_some_and(|channel| channel.issued() == offer.issue);
        let presented = self.lives.get(&offer.life).filter(|_| is_last).map_or(0, |life| life.presented);
        offer.owed.max(presented)
    }
}
