//! Everything that leaves a presenter, in order: calls of the image sink, and messages to the engine and to script.
//!
//! What is to leave is decided under the lock of a context, and written down here under that lock. Afterwards one thread at a time makes the
//! calls, with no lock held. (Deciding under the lock and calling after it, without a queue, lets two threads overtake each other.) Any thread
//! that has written something drains the outbox; if another one is draining it already, that one makes the calls.

use std::collections::VecDeque;
use std::sync::Arc;

use euclid::default::Box2D;
use webrender_api::{ExternalImageData, ImageDescriptor, ImageKey};

use super::image_keys::KeyClaim;
use crate::api::error::GetImageError;
use crate::api::ids::{CanvasEpoch, ReturnedId};
use crate::api::image_sink::ImageSink;
use crate::api::outcome::{Awaited, PresentOutcome};
use crate::frame::Snapshot;
use crate::sync::{Condvar, Mutex, ThreadId, contain_panic, rank, thread};

/// Callback of one `get_image`.
pub(crate) type Reply = Box<dyn FnOnce(Result<Snapshot, GetImageError>) + Send>;

/// Returns a reply that passes on a part of the image.
pub(crate) fn reply_with_region(reply: Reply, region: Box2D<u32>) -> Reply {
    Box::new(move |answer| reply(answer.and_then(|image| Ok(image.region(region)?))))
}

/// Callback of one [`when_presented`](crate::ContextMap::when_presented).
pub(crate) type Callback = Box<dyn FnOnce(Awaited) + Send>;

/// One call of the image sink.
pub(crate) enum ImageCall {
    Add(ImageKey, ImageDescriptor, ExternalImageData),
    Update(ImageKey, ImageDescriptor, ExternalImageData, CanvasEpoch),
    /// The key is free once the sink was told, and flushed.
    Delete(KeyClaim),
}

/// One message to the engine.
pub(crate) enum Message {
    Outcome(PresentOutcome),
    Return(ReturnedId),
    Reply(Reply, Result<Snapshot, GetImageError>),
    Awaited(Callback, Awaited),
    /// Asks the engine for maintenance on the WebGPU thread, because another thread has ended contexts.
    Wake,
}

/// The receivers of calls and messages.
pub(crate) struct Recipients {
    pub(crate) sink: Box<dyn ImageSink>,
    pub(crate) on_outcome: Box<dyn FnMut(PresentOutcome) + Send>,
    pub(crate) on_id: Box<dyn FnMut(ReturnedId) + Send>,
    pub(crate) wake: Arc<dyn Fn() + Send + Sync>,
}

/// The recipients, in the hands of the thread that makes calls.
struct Teller {
    recipients: Recipients,
    /// The keys of images that the sink was told to delete since it was last flushed.
    deleted: Vec<KeyClaim>,
}

/// Number of calls and messages for which a queue has room from the beginning, so that a frame does not allocate because a thread that tells was
/// slow for once.
const USUAL: usize = 64;

/// Two queues, each first in, first out.
///
/// A message is told only after every image call that was written down before it was made and flushed. So an engine that hears that a frame was
/// presented can count on the compositor knowing of it.
pub(crate) struct Outbox {
    queue: Mutex<rank::Leaf, Queue>,
    /// Notified when no thread makes calls any more.
    drained: Condvar,
}

struct Queue {
    images: VecDeque<ImageCall>,
    messages: VecDeque<Message>,
    /// The sink was called and has not been flushed since.
    unflushed: bool,
    turn: Turn,
    /// No call is to be made any more, but those that are written down.
    is_closed: bool,
}

/// Which thread makes calls.
enum Turn {
    /// None does. The next thread that drains the outbox takes the recipients, so no two calls are made at a time.
    Free(Box<Teller>),
    /// This thread makes calls, and sees what is added meanwhile.
    Taken(ThreadId),
    /// None ever will: the recipients are dropped.
    Closed,
}

/// One call, to be made with no lock held.
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
        let queue = Queue {
            images: VecDeque::with_capacity(USUAL),
            messages: VecDeque::with_capacity(USUAL),
            unflushed: false,
            turn: Turn::Free(Box::new(Teller { recipients, deleted: Vec::new() })),
            is_closed: false,
        };
        Self { queue: Mutex::new(queue), drained: Condvar::new() }
    }

    /// Writes down a call of the sink. The caller [drains](Self::drain) the outbox once it holds no lock.
    pub(crate) fn image(&self, call: ImageCall) {
        self.queue.lock().images.push_back(call);
    }

    /// Writes down a message. The caller [drains](Self::drain) the outbox once it holds no lock.
    pub(crate) fn message(&self, message: Message) {
        self.queue.lock().messages.push_back(message);
    }

    /// Writes down the answer of a `get_image`.
    pub(crate) fn answer(&self, reply: Reply, answer: Result<Snapshot, GetImageError>) {
        self.message(Message::Reply(reply, answer));
    }

    /// Makes the calls that were written down, unless another thread, or a caller of this function on this thread, is making them.
    pub(crate) fn drain(&self) {
        let Some(mut teller) = self.begin() else { return };
        while let Some((effect, same)) = self.next(teller) {
            teller = same;
            contain_panic(|| teller.perform(effect));
        }
    }

    /// Makes the calls that were written down, and waits until no other thread makes any.
    pub(crate) fn finish(&self) {
        self.drain();
        let mut queue = self.queue.lock();
        while matches!(queue.turn, Turn::Taken(thread) if thread != thread::current().id()) {
            self.drained.wait(&mut queue);
        }
    }

    /// Makes the calls that were written down, and drops the recipients: at once, or, if a callback on this thread calls this, after it.
    pub(crate) fn close(&self) {
        self.queue.lock().is_closed = true;
        // Even if nothing is written down, this thread takes its turn, and ends it.
        self.finish();
    }

    /// Makes this thread the one that makes calls, unless there is one.
    fn begin(&self) -> Option<Box<Teller>> {
        let mut queue = self.queue.lock();
        match std::mem::replace(&mut queue.turn, Turn::Taken(thread::current().id())) {
            Turn::Free(teller) => Some(teller),
            taken => {
                queue.turn = taken;
                None
            }
        }
    }

    /// Takes the next effect. If there is none this thread stops making calls, under the same lock, so that a thread which adds one afterwards
    /// begins to.
    fn next(&self, teller: Box<Teller>) -> Option<(Effect, Box<Teller>)> {
        let mut queue = self.queue.lock();
        if let Some(effect) = queue.next() {
            return Some((effect, teller));
        }
        if queue.is_closed {
            drop(queue);
            contain_panic(|| drop(teller));
            queue = self.queue.lock();
            queue.turn = Turn::Closed;
        } else {
            queue.turn = Turn::Free(teller);
        }
        self.drained.notify_all();
        None
    }
}

impl Teller {
    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Image(call) => self.call(call),
            Effect::Flush => {
                // The keys are free afterwards, even if the sink panics.
                let _deleted = std::mem::take(&mut self.deleted);
                self.recipients.sink.flush();
            }
            Effect::Message(message) => self.recipients.tell(message),
        }
    }

    fn call(&mut self, call: ImageCall) {
        let sink = &mut self.recipients.sink;
        match call {
            ImageCall::Add(key, descriptor, data) => sink.add_image(key, descriptor, data),
            ImageCall::Update(key, descriptor, data, epoch) => {
                sink.update_image(key, descriptor, data, epoch);
            }
            ImageCall::Delete(claim) => {
                sink.delete_image(claim.key());
                self.deleted.push(claim);
            }
        }
    }
}

impl Recipients {
    fn tell(&mut self, message: Message) {
        match message {
            Message::Outcome(outcome) => (self.on_outcome)(outcome),
            Message::Return(id) => (self.on_id)(id),
            Message::Reply(reply, answer) => reply(answer),
            Message::Awaited(callback, awaited) => callback(awaited),
            Message::Wake => (self.wake)(),
        }
    }
}
