//! The image of one context: what the compositor was told of it, and what renderers locked last.
//!
//! Lies under the lock of the context. Image updates are written into the outbox here; renderers are answered with the frame that fits the
//! update they draw. Whatever is offered is the newest frame there is: nothing is held back for later.

use std::sync::Arc;

use webrender_api::{ExternalImageData, ExternalImageType, IdNamespace, ImageBufferKind, ImageKey};

use super::fallback::{Fallback, LockAnswer, Locked};
use super::generations::{Generation, Generations, Offer};
use super::image_keys::KeyClaim;
use super::outbox::{ImageCall, Outbox};
use crate::api::ids::{CanvasEpoch, ContextId};
use crate::frame::{ByteOrder, Frame, Place, SharedFrame};

/// The image of one context.
pub(crate) struct CompositorImage {
    id: ContextId,
    outbox: Arc<Outbox>,
    fallback: Arc<Fallback>,
    key: Option<KeyClaim>,
    /// Byte order of every offered frame larger than one pixel, fixed by the first one: WebRender on GL keeps that frame's swizzle for the life
    /// of the image key.
    order: Option<ByteOrder>,
    /// The largest epoch that the compositor was told.
    acknowledged: Option<CanvasEpoch>,
    generations: Generations,
    /// What each renderer locked last.
    last_locks: Vec<LastLock>,
}

/// Names an `ExternalImages`, which belongs to one renderer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HandlerId(pub(crate) u64);

struct LastLock {
    handler: HandlerId,
    generation: Generation,
    /// It was locked without a generation. Such a renderer always gets the newest frame.
    is_blind: bool,
    /// `None` while a frame is padded for it, and if there was no memory for that.
    locked: Option<Locked>,
}

impl CompositorImage {
    /// `generations` are those of an earlier context with this id, or new ones.
    pub(crate) fn new(
        id: ContextId,
        generations: Generations,
        outbox: Arc<Outbox>,
        fallback: Arc<Fallback>,
    ) -> Self {
        Self {
            id,
            outbox,
            fallback,
            key: None,
            order: None,
            acknowledged: None,
            generations,
            last_locks: Vec::new(),
        }
    }

    /// Returns the namespace of the image key, which names the compositor that displays the image.
    pub(crate) fn namespace(&self) -> Option<IdNamespace> {
        self.key.as_ref().map(|claim| claim.key().0)
    }

    /// Returns the byte order that a frame must have to be shown.
    pub(crate) fn order_of(&self, frame: &Frame) -> ByteOrder {
        match self.order {
            Some(order) if !frame.layout().is_one_pixel() && frame.layout().place() == Place::Memory => order,
            _ => frame.layout().order(),
        }
    }

    /// Returns the byte order of all frames that are bytes, once it is fixed.
    pub(crate) fn order(&self) -> Option<ByteOrder> {
        self.order
    }

    /// Whether the context is displayed under `key`.
    pub(crate) fn has_key(&self, key: ImageKey) -> bool {
        self.key.as_ref().is_some_and(|claim| claim.key() == key)
    }

    /// Displays the context under a key that it has claimed, and under no other one. `newest` is the frame that is shown first.
    pub(crate) fn set_key(&mut self, claim: KeyClaim, newest: impl FnOnce() -> SharedFrame) {
        let key = claim.key();
        if let Some(old) = self.key.replace(claim) {
            self.outbox.image(ImageCall::Delete(old));
        }
        let offer = self.offer(newest());
        self.outbox.image(ImageCall::Add(key, offer.layout.descriptor(), self.image_data(offer)));
    }

    /// Tells the compositor of a frame and an epoch, if there is a key.
    pub(crate) fn show(&mut self, frame: SharedFrame, epoch: CanvasEpoch) {
        if self.key.is_some() {
            let offer = self.offer(frame);
            self.update(offer, epoch);
        }
    }

    /// Tells the compositor of an epoch, with what it was told last.
    pub(crate) fn acknowledge(&mut self, epoch: CanvasEpoch) {
        if let Some(last) = self.generations.last() {
            self.update(last, epoch);
        }
    }

    /// Returns what answers a lock for a generation, or for the newest update if `generation` is `None`; and what the renderer had locked before,
    /// to be dropped without the lock. The answer is `None` if the compositor was told nothing, because there is no key.
    ///
    /// An answer that is too short is [kept](Self::keep_padded) once it was padded.
    pub(crate) fn lock(
        &mut self,
        handler: HandlerId,
        generation: Option<Generation>,
    ) -> (Option<LockAnswer>, Option<Locked>) {
        let Some(last) = self.generations.last().filter(|_| self.key.is_some()) else { return (None, None) };
        let asked = generation.unwrap_or(last.generation);
        let reach = self.generations.reach();
        // Without a generation nobody knows which descriptor is meant: it can be the largest there ever was.
        let least = if generation.is_some() { 0 } else { reach };
        let last_lock = self.last_locks.iter_mut().find(|last_lock| last_lock.handler == handler);
        if let Some(last_lock) = &last_lock
            && last_lock.generation == asked
            && let Some(locked) = last_lock.locked.as_ref().filter(|locked| locked.serves(least))
        {
            // All tiles of an image show one frame.
            return (Some(LockAnswer::Ready(locked.clone())), None);
        }
        // A lock without a generation does not tell how far the renderer has come.
        let (frame, len) = match generation {
            Some(generation) => {
                let answer = self.generations.answer(handler, generation, self.fallback.renderers());
                answer.map_or((None, reach), |answer| (answer.frame, answer.len))
            }
            None => (self.generations.newest().cloned(), least),
        };
        let Some(frame) = frame else { return (Some(LockAnswer::Nothing(len)), None) };
        let answer = LockAnswer::of(frame, len);
        let locked = match &answer {
            LockAnswer::Ready(locked) => Some(locked.clone()),
            LockAnswer::TooShort(..) | LockAnswer::Nothing(_) => None,
        };
        let new = LastLock { handler, generation: asked, is_blind: generation.is_none(), locked };
        let before = match last_lock {
            Some(last_lock) => std::mem::replace(last_lock, new).locked,
            None => {
                self.last_locks.push(new);
                None
            }
        };
        (Some(answer), before)
    }

    /// Keeps what a renderer has just locked: a frame that was padded after [`lock`](Self::lock) had found it too short.
    pub(crate) fn keep_padded(&mut self, handler: HandlerId, padded: &Locked) {
        let padding = |last_lock: &&mut LastLock| last_lock.handler == handler && last_lock.locked.is_none();
        if let Some(last_lock) = self.last_locks.iter_mut().find(padding) {
            last_lock.locked = Some(padded.clone());
        }
    }

    /// Answers with a frame that no update described, because there is no key: a renderer may hold the descriptor of an earlier context with
    /// this id.
    pub(crate) fn undescribed(&self, frame: SharedFrame) -> LockAnswer {
        LockAnswer::of(frame, self.generations.reach())
    }

    /// Answers a lock with zeros, as many as any descriptor asks for that a renderer may hold of a context with this id.
    pub(crate) fn blank(&self) -> LockAnswer {
        LockAnswer::Nothing(self.generations.reach())
    }

    /// Drops frames that only renderers ask for which lag far behind. They are returned, to be dropped without the lock.
    pub(crate) fn settle(&mut self) -> Vec<SharedFrame> {
        let is_blind = self.last_locks.iter().all(|last_lock| last_lock.is_blind);
        if is_blind && self.last_locks.len() >= self.fallback.renderers().max(1) {
            self.generations.drop_older()
        } else {
            self.generations.settle()
        }
    }

    /// Forgets a renderer, which is gone. Returns what it locked last, to be dropped without the lock.
    pub(crate) fn forget_handler(&mut self, handler: HandlerId) -> Option<Locked> {
        self.generations.forget_handler(handler);
        let gone = self.last_locks.iter().position(|last_lock| last_lock.handler == handler)?;
        self.last_locks.swap_remove(gone).locked
    }

    /// Deletes the image. Returns the generations for a later context with this id, and the frames, to be dropped without the lock.
    #[must_use]
    pub(crate) fn destroy(&mut self) -> (Generations, impl Sized + use<>) {
        if let Some(claim) = self.key.take() {
            self.outbox.image(ImageCall::Delete(claim));
        }
        let (ended, frames) = self.generations.end();
        (ended, (frames, std::mem::take(&mut self.last_locks)))
    }

    /// Issues an update for a frame.
    fn offer(&mut self, frame: SharedFrame) -> Offer {
        // A frame of one pixel is BGRA always, so that a canvas of one pixel and the cleared one do not switch the order.
        let frame = match frame.single(ByteOrder::Bgra) {
            Some(single) => frame.sibling(single),
            None => {
                if frame.layout().place() == Place::Memory {
                    self.order.get_or_insert(frame.layout().order());
                }
                frame
            }
        };
        let last_locks = &self.last_locks;
        let is_pinned = |generation| last_locks.iter().any(|last_lock| last_lock.generation == generation);
        self.generations.offer(frame, self.fallback.renderers(), is_pinned)
    }

    fn update(&mut self, offer: Offer, epoch: CanvasEpoch) {
        let Some(key) = self.key.as_ref().map(KeyClaim::key) else { return };
        let acknowledged = self.acknowledged.map_or(epoch, |acknowledged| acknowledged.max(epoch));
        self.acknowledged = Some(acknowledged);
        let data = self.image_data(offer);
        self.outbox.image(ImageCall::Update(key, offer.layout.descriptor(), data, acknowledged));
    }

    fn image_data(&self, offer: Offer) -> ExternalImageData {
        ExternalImageData {
            id: self.id.into(),
            channel_index: offer.generation,
            image_type: match offer.layout.place() {
                Place::Memory => ExternalImageType::Buffer,
                Place::Texture => ExternalImageType::TextureHandle(ImageBufferKind::Texture2D),
            },
            normalized_uvs: false,
        }
    }
}
