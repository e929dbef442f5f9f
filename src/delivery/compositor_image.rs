//! What the compositor was told of a context, and what its renderers locked. Lives under the lock of the context.

use std::sync::Arc;

use webrender_api::{ExternalImageData, ExternalImageType, IdNamespace, ImageKey};

use super::fallback::{Blank, Blanks};
use super::generations::{Generation, Offer, Offers};
use super::outbox::{ImageCall, Outbox};
use crate::api::ids::{CanvasEpoch, ContextId};
use crate::frame::ByteOrder;
use crate::frame::{Frame, SharedFrame};

pub(crate) struct Display {
    id: ContextId,
    outbox: Arc<Outbox>,
    blanks: Arc<Blanks>,
    key: Option<ImageKey>,
    /// Of all frames larger than a pixel, once one was offered: WebRender on GL keeps the swizzle of the first.
    order: Option<ByteOrder>,
    /// The largest epoch the compositor was told.
    acknowledged: Option<CanvasEpoch>,
    offers: Offers,
    /// What each renderer last locked.
    answers: Vec<Answer>,
    /// Bytes of the largest image that the blanks are known to cover.
    covered: usize,
}

/// Names an `ExternalImages`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HandlerId(pub(crate) u64);

struct Answer {
    handler: HandlerId,
    generation: Generation,
    frame: SharedFrame,
}

/// What a renderer may read.
pub(crate) enum Locked {
    Frame(SharedFrame),
    Blank(Blank),
}

impl Display {
    /// `offers` are those of an earlier context with this id, or none.
    pub(crate) fn new(id: ContextId, offers: Offers, outbox: Arc<Outbox>, blanks: Arc<Blanks>) -> Self {
        Self {
            id,
            outbox,
            blanks,
            key: None,
            order: None,
            acknowledged: None,
            offers,
            answers: Vec::new(),
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
        if let Some(last) = self.offers.last() {
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
        let Some(last) = self.offers.last().filter(|_| self.key.is_some()) else { return (None, false) };
        let asked = generation.unwrap_or(last.generation);
        let answer = self.answers.iter_mut().find(|answer| answer.handler == handler);
        if let Some(answer) = &answer
            && answer.generation == asked
        {
            // All tiles of an image show one frame.
            return (Some(Locked::Frame(answer.frame.clone())), false);
        }
        let largest = self.offers.largest_outstanding();
        let frame = self.offers.frame(asked).cloned();
        if let Some(frame) = &frame {
            match answer {
                Some(answer) => (answer.generation, answer.frame) = (asked, frame.clone()),
                None => self.answers.push(Answer { handler, generation: asked, frame: frame.clone() }),
            }
        }
        let held_back = self.offers.locked(asked);
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
            _ => Locked::Blank(self.blanks.get()),
        };
        (Some(locked), tells)
    }

    /// A renderer is gone. What it held is returned, to be dropped without a lock.
    pub(crate) fn forget_handler(&mut self, handler: HandlerId) -> Option<SharedFrame> {
        let gone = self.answers.iter().position(|answer| answer.handler == handler)?;
        Some(self.answers.swap_remove(gone).frame)
    }

    /// Deletes the image. Returns the offers for a later context with this id, and what was held, to be dropped without a
    /// lock.
    #[must_use]
    pub(crate) fn destroy(&mut self) -> (Offers, impl Sized + use<>) {
        if let Some(key) = self.key.take() {
            self.outbox.image(ImageCall::Delete(key));
        }
        let ended = self.offers.end();
        (ended, (std::mem::take(&mut self.offers), std::mem::take(&mut self.answers)))
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
            self.blanks.cover(len);
        }
        let last = self.offers.last();
        let offer = self.offers.offer(frame);
        if last != Some(offer) {
            // The generation may have been issued before: nobody may take it for the one he locked then.
            self.answers.retain(|answer| answer.generation != offer.generation);
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
