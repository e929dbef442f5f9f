//! What the compositor was told of a context, and what its renderers locked. Lives under the lock of the context.

use std::sync::Arc;

use webrender_api::{ExternalImageData, ExternalImageType, IdNamespace, ImageKey};

use super::fallback::{Fallback, Zeros};
use super::generations::{Generation, Generations, Offer};
use super::outbox::{ImageCall, Outbox};
use crate::api::ids::{CanvasEpoch, ContextId};
use crate::frame::ByteOrder;
use crate::frame::{Frame, SharedFrame};

pub(crate) struct CompositorImage {
    id: ContextId,
    outbox: Arc<Outbox>,
    fallback: Arc<Fallback>,
    key: Option<ImageKey>,
    /// Of all frames larger than a pixel, once one was offered: WebRender on GL keeps the swizzle of the first.
    order: Option<ByteOrder>,
    /// The largest epoch the compositor was told.
    acknowledged: Option<CanvasEpoch>,
    generations: Generations,
    /// What each renderer last locked.
    last_locks: Vec<LastLock>,
    /// Bytes of the largest image that the fallback is known to cover.
    covered: usize,
}

/// Names an `ExternalImages`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HandlerId(pub(crate) u64);

struct LastLock {
    handler: HandlerId,
    generation: Generation,
    frame: SharedFrame,
}

/// What a renderer may read.
pub(crate) enum Locked {
    Frame(SharedFrame),
    Zeros(Zeros),
}

impl CompositorImage {
    /// `generations` are those of an earlier context with this id, or none.
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
            covered: 0,
        }
    }

    /// Of the compositor that displays it.
    pub(crate) fn namespace(&self) -> Option<IdNamespace> {
        self.key.map(|key| key.0)
    }

    /// The byte order that a frame must have to be shown.
    pub(crate) fn order_of(&self, frame: &Frame) -> ByteOrder {
        match self.order {
            Some(order) if !frame.layout().is_one_pixel() => order,
            _ => frame.layout().order(),
        }
    }

    /// Shows contexts under `key` from now on, and under no other; `newest` is what it shows first.
    pub(crate) fn set_key(&mut self, key: ImageKey, newest: impl FnOnce() -> SharedFrame) {
        if self.key == Some(key) {
            return;
        }
        if let Some(old) = self.key.replace(key) {
            self.outbox.image(ImageCall::Delete(old));
        }
        let offer = self.offer(newest());
        self.outbox.image(ImageCall::Add(key, offer.layout.descriptor(), self.image_data(offer)));
    }

    /// Tells the compositor of a frame and an epoch, if there is a key.
    pub(crate) fn show(&mut self, frame: SharedFrame, epoch: CanvasEpoch) {
        if self.key.is_some() {
            let offer = self.offer(frame);
            self.update(offer, Some(epoch));
        }
    }

    /// Tells the compositor of an epoch: what it was told last, again.
    pub(crate) fn acknowledge(&mut self, epoch: CanvasEpoch) {
        if let Some(last) = self.generations.last() {
            self.update(last, Some(epoch));
        }
    }

    /// What a renderer reads for a generation, or for whatever was told last; `None` without a key, when nothing was told.
    /// And whether the outbox must be drained.
    pub(crate) fn lock(
        &mut self,
        handler: HandlerId,
        generation: Option<Generation>,
    ) -> (Option<Locked>, bool) {
        let Some(last) = self.generations.last().filter(|_| self.key.is_some()) else { return (None, false) };
        let asked = generation.unwrap_or(last.generation);
        let last_lock = self.last_locks.iter_mut().find(|last_lock| last_lock.handler == handler);
        if let Some(last_lock) = &last_lock
            && last_lock.generation == asked
        {
            // All tiles of an image show one frame.
            return (Some(Locked::Frame(last_lock.frame.clone())), false);
        }
        let largest = self.generations.largest_outstanding();
        let frame = self.generations.frame(asked).cloned();
        if let Some(frame) = &frame {
            match last_lock {
                Some(last_lock) => (last_lock.generation, last_lock.frame) = (asked, frame.clone()),
                None => self.last_locks.push(LastLock { handler, generation: asked, frame: frame.clone() }),
            }
        }
        let held_back = self.generations.locked(asked);
        let tells = held_back.is_some();
        if let Some(frame) = held_back {
            let offer = self.offer(frame);
            self.update(offer, None);
        }
        let locked = match frame {
            // Nobody knows which descriptor is meant: not fewer bytes than any of them asks for.
            Some(frame) if generation.is_some() || frame.layout().byte_len() >= largest => {
                Locked::Frame(frame)
            }
            _ => Locked::Zeros(self.fallback.get()),
        };
        (Some(locked), tells)
    }

    /// A renderer is gone. What it held is returned, to be dropped without a lock.
    pub(crate) fn forget_handler(&mut self, handler: HandlerId) -> Option<SharedFrame> {
        let gone = self.last_locks.iter().position(|last_lock| last_lock.handler == handler)?;
        Some(self.last_locks.swap_remove(gone).frame)
    }

    /// Deletes the image. Returns the generations for a later context with this id, and what was held, to be dropped without a
    /// lock.
    #[must_use]
    pub(crate) fn destroy(&mut self) -> (Generations, impl Sized + use<>) {
        if let Some(key) = self.key.take() {
            self.outbox.image(ImageCall::Delete(key));
        }
        let ended = self.generations.end();
        (ended, (std::mem::take(&mut self.generations), std::mem::take(&mut self.last_locks)))
    }

    fn offer(&mut self, frame: SharedFrame) -> Offer {
        // A single pixel is BGRA always, so that a canvas of one pixel and the cleared one do not switch the order.
        let frame = match frame.single(ByteOrder::Bgra) {
            Some(single) => frame.sibling(single),
            None => {
                self.order.get_or_insert(frame.layout().order());
                frame
            }
        };
        let len = frame.layout().byte_len();
        if self.covered < len {
            self.covered = len;
            self.fallback.cover(len);
        }
        let last = self.generations.last();
        let offer = self.generations.offer(frame);
        if last != Some(offer) {
            // The generation may have been issued before: nobody may take it for the one he locked then.
            self.last_locks.retain(|last_lock| last_lock.generation != offer.generation);
        }
        offer
    }

    fn update(&mut self, offer: Offer, epoch: Option<CanvasEpoch>) {
        let Some(key) = self.key else { return };
        if epoch.is_some() {
            self.acknowledged = self.acknowledged.max(epoch);
        }
        let epoch = epoch.and(self.acknowledged);
        let data = self.image_data(offer);
        self.outbox.image(ImageCall::Update(key, offer.layout.descriptor(), data, epoch));
    }

    fn image_data(&self, offer: Offer) -> ExternalImageData {
        ExternalImageData {
            id: self.id.into(),
            channel_index: offer.generation,
            image_type: ExternalImageType::Buffer,
            normalized_uvs: false,
        }
    }
}
