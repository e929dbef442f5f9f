//! Everything that leaves the presenter, in order.
//!
//! Decisions are taken under the lock of a context and written down here under it; one thread at a time performs them,
//! holding no lock. (Deciding under the lock and sending after it lets two threads overtake each other.)

use std::collections::VecDeque;
use std::sync::Arc;

use webrender_api::{ExternalImageData, ImageDescriptor, ImageKey};

use crate::api::error::GetImageError;
use crate::api::ids::{CanvasEpoch, ReturnedId};
use crate::api::image_sink::ImageSink;
use crate::api::outcome::{Awaited, PresentOutcome};
use crate::frame::Snapshot;
use crate::sync::{Condvar, Mutex, ThreadId, contain_panic, thread};

/// Takes the answer of one `get_image`.
pub(crate) type Reply = Box<dyn FnOnce(Result<Snapshot, GetImageError>) + Send>;

/// Takes the answer of one wait.
pub(crate) type Callback = Box<dyn FnOnce(Awaited) + Send>;

/// One call of the image sink.
pub(crate) enum ImageCall {
    Add(ImageKey, ImageDescriptor, ExternalImageData),
    Update(ImageKey, ImageDescriptor, ExternalImageData, Option<CanvasEpoch>),
    Delete(ImageKey),
}

/// One message to the engine.
pub(crate) enum Message {
    Outcome(PresentOutcome),
    Return(ReturnedId),
    Reply(Reply, Result<Snapshot, GetImageError>),
    Awaited(Callback, Awaited),
    /// The WebGPU thread should maintain: another one ended contexts.
    Wake,
}

/// Whom the effects reach.
pub(crate) struct Recipients {
    pub(crate) sink: Arc<dyn ImageSink>,
    pub(crate) on_outcome: Arc<dyn Fn(PresentOutcome) + Send + Sync>,
    pub(crate) on_id: Arc<dyn Fn(ReturnedId) + Send + Sync>,
    pub(crate) wake: Arc<dyn Fn() + Send + Sync>,
}

/// Two queues, each first in, first out. A message is told after every image call that was written down before it has
/// been made and flushed: who hears that a frame was presented can count on the compositor knowing.
pub(crate) struct Outbox {
    recipients: Recipients,
    queue: Mutex<Queue>,
    /// Nobody is performing calls any more.
    drained: Condvar,
}

#[derive(Default)]
struct Queue {
    images: VecDeque<ImageCall>,
    messages: VecDeque<Message>,
    /// The sink was called and not flushed since.
    unflushed: bool,
    /// Who is performing calls, and will see what is added.
    draining: Option<ThreadId>,
}

/// What is performed with no lock held.
enum Effect {
    Image(ImageCall),
    Flush,
    Message(Message),
}

impl Queue {
    fn next(&mut self) -> Option<Effect> {
        if let Some(call) = self.images.pop_front() {
            self.unflushed = true;
            Some(Effect::Image(call))
        } else if std::mem::take(&mut self.unflushed) {
            Some(Effect::Flush)
        } else {
            self.messages.pop_front().map(Effect::Message)
        }
    }
}

impl Outbox {
    pub(crate) fn new(recipients: Recipients) -> Self {
        Self { recipients, queue: Mutex::default(), drained: Condvar::new() }
    }

    /// Writes a call of the sink down. Call [`drain`](Self::drain) once no lock is held.
    pub(crate) fn image(&self, call: ImageCall) {
        self.queue.lock().images.push_back(call);
    }

    /// Writes a message down. Call [`drain`](Self::drain) once no lock is held.
    pub(crate) fn message(&self, message: Message) {
        self.queue.lock().messages.push_back(message);
    }

    /// Writes the answer of a `get_image` down.
    pub(crate) fn answer(&self, reply: Reply, answer: Result<Snapshot, GetImageError>) {
        self.message(Message::Reply(reply, answer));
    }

    /// Performs what was written down, unless another thread (or a caller of this one) is at it.
    pub(crate) fn drain(&self) {
        if !self.begin() {
            return;
        }
        while let Some(effect) = self.next() {
            contain_panic(|| self.perform(effect));
        }
    }

    /// Performs what was written down, and waits until nobody is performing anything, except a caller of this one.
    pub(crate) fn finish(&self) {
        self.drain();
        let mut queue = self.queue.lock();
        while queue.draining.is_some_and(|thread| thread != thread::current().id()) {
            self.drained.wait(&mut queue);
        }
    }

    /// Whether nobody else performs calls.
    fn begin(&self) -> bool {
        let mut queue = self.queue.lock();
        let free = queue.draining.is_none();
        if free {
            queue.draining = Some(thread::current().id());
        }
        free
    }

    /// The next effect. With none, in the same moment, nobody performs calls any more: who adds one afterwards begins anew.
    fn next(&self) -> Option<Effect> {
        let mut queue = self.queue.lock();
        let next = queue.next();
        if next.is_none() {
            queue.draining = None;
            self.drained.notify_all();
        }
        next
    }

    fn perform(&self, effect: Effect) {
        match effect {
            Effect::Image(call) => self.call(call),
            Effect::Flush => self.recipients.sink.flush(),
            Effect::Message(message) => self.tell(message),
        }
    }

    fn call(&self, call: ImageCall) {
        let sink = &self.recipients.sink;
        match call {
            ImageCall::Add(key, descriptor, data) => sink.add_image(key, descriptor, data),
            ImageCall::Update(key, descriptor, data, epoch) => {
                sink.update_image(key, descriptor, data, epoch);
            }
            ImageCall::Delete(key) => sink.delete_image(key),
        }
    }

    fn tell(&self, message: Message) {
        match message {
            Message::Outcome(outcome) => (self.recipients.on_outcome)(outcome),
            Message::Return(id) => (self.recipients.on_id)(id),
            Message::Reply(reply, answer) => reply(answer),
            Message::Awaited(callback, awaited) => callback(awaited),
            Message::Wake => (self.recipients.wake)(),
        }
    }
}
