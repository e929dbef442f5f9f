//! The map of contexts, which presenters and renderers share.

mod lingering;
mod registry;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use webrender_api::IdNamespace;

use super::ContextData;
use super::map::lingering::Compositors;
use super::map::registry::Registry;
use crate::api::ids::{CanvasEpoch, ContextId, OwnerId, TransactionId};
use crate::api::outcome::Awaited;
use crate::delivery::Fallback;
use crate::delivery::Generations;
use crate::delivery::HandlerId;
use crate::delivery::Waiters;
use crate::delivery::{Callback, Message, Outbox};
use crate::staging::Recycler;
use crate::sync::RwLock;

/// The contexts of all presenters, keyed by context id. Exists first; everything attaches to it. Cheap to clone.
#[derive(Clone, Default)]
pub struct ContextMap(Arc<Shared>);

#[derive(Default)]
struct Shared {
    contexts: RwLock<Registry>,
    fallback: Arc<Fallback>,
    waiters: Arc<Waiters>,
    compositors: Compositors,
    handlers: AtomicU64,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.waiters.close();
    }
}

impl ContextMap {
    /// Ends all contexts of an owner, at all presenters, because its process died say. Returns how many.
    ///
    /// Any thread may call it, not only those of presenters. Each context ends as if its presenter had
    /// [destroyed](crate::Presenter::destroy_context) it: images are deleted, what is in flight fails, every `get_image` is
    /// answered, frames that a renderer has locked stay readable until they are unlocked. The ids of contexts may be used
    /// again at once. What is told (to the sink, to `on_outcome`, to who waits) may be told by another thread, a moment later, if
    /// one is telling already. Staging buffers and their ids are for the WebGPU thread: each presenter is asked to
    /// [`maintain`](crate::Presenter::maintain) and hands them back then, or when it meets the dead context.
    ///
    /// A present that was on its way, on the WebGPU thread, fails with
    /// [`ContextDestroyed`](crate::PresentError::ContextDestroyed), a later one with
    /// [`UnknownContext`](crate::PresentError::UnknownContext).
    pub fn destroy_owner(&self, owner: OwnerId) -> usize {
        self.end(true, |contexts| contexts.of_owner(owner).cloned().collect())
    }

    /// The compositor that displays the image keys of `namespace` has done this transaction and all before: contexts that
    /// [waited for it](crate::Presenter::destroy_context_after) end.
    ///
    /// Any thread may call it, though nobody waits: that is remembered. What the contexts showed is freed on this thread,
    /// which takes milliseconds if it was large: rather not on a renderer's.
    pub fn transaction_done(&self, namespace: IdNamespace, transaction: TransactionId) {
        let over = self.0.compositors.done(namespace, transaction);
        if !over.is_empty() {
            self.end(false, |contexts| {
                over.iter().filter(|context| contexts.has(context)).cloned().collect()
            });
        }
    }

    /// The compositor that displays the image keys of `namespace` is gone: nobody waits for its transactions any more.
    /// Any thread may call it.
    pub fn compositor_gone(&self, namespace: IdNamespace) {
        self.transaction_done(namespace, TransactionId(u64::MAX));
    }

    pub(crate) fn fallback(&self) -> Arc<Fallback> {
        self.0.fallback.clone()
    }

    /// Tells `callback` how the first present ended that has this epoch or a higher one: the first that ends after this
    /// call; or at once, if one has ended already, the newest of those. `context` need not exist yet, at any presenter.
    ///
    /// Any thread may call it. The callback is called exactly once, on any thread, perhaps on this one before this returns,
    /// with no lock of this crate held; a panic is logged and otherwise ignored. It comes after the image update of its
    /// present and after its outcome, in the order of the presenter, so it should be short. [`Awaited::TimedOut`] comes once
    /// `timeout` is over: at once if it is zero, and never if no clock counts that far.
    ///
    /// Epochs that fall make no difference as long as they rise again: a context remembers its newest end, and that of the
    /// highest epoch. Waiting keeps nothing alive and holds nothing back: a frame that is awaited can be superseded.
    pub fn when_presented(
        &self,
        context: ContextId,
        epoch: CanvasEpoch,
        timeout: Duration,
        callback: impl FnOnce(Awaited) + Send + 'static,
    ) {
        let deadline = Instant::now().checked_add(timeout);
        let Shared { contexts, waiters, .. } = &*self.0;
        let contexts = contexts.read();
        let known = contexts.get(context).cloned();
        let unanswered = match &known {
            Some(known) => known.wait(epoch, deadline, Box::new(callback)),
            None => Some(Box::new(callback) as Callback),
        };
        if let Some(callback) = unanswered {
            // The next context with this id will find it.
            waiters.add(context, epoch, deadline, callback);
        }
        drop(contexts);
        waiters.watch();
        if let Some(known) = known {
            known.outbox().drain();
        }
    }

    pub(crate) fn waiters(&self) -> Arc<Waiters> {
        self.0.waiters.clone()
    }

    pub(crate) fn get(&self, id: ContextId) -> Option<Arc<ContextData>> {
        self.0.contexts.read().get(id).cloned()
    }

    /// Makes a context, unless there is one of that id. `make` is told what an earlier one with this id had offered.
    pub(crate) fn insert(
        &self,
        id: ContextId,
        make: impl FnOnce(Generations) -> Arc<ContextData>,
    ) -> Option<Arc<ContextData>> {
        let mut contexts = self.0.contexts.write();
        if contexts.get(id).is_some() {
            return None;
        }
        let context = make(contexts.take_offers(id));
        contexts.insert(context.clone());
        Some(context)
    }

    /// Ends one context. False if it had ended already: another thread may be faster.
    pub(crate) fn destroy(&self, context: &Arc<ContextData>) -> bool {
        self.end(false, |contexts| contexts.has(context).then(|| context.clone()).into_iter().collect()) == 1
    }

    /// Ends one context when its compositor has done a transaction, and for the engine now; frames return to `recycler` until
    /// then. False if it had ended already.
    pub(crate) fn destroy_after(
        &self,
        context: &Arc<ContextData>,
        recycler: &Arc<Recycler>,
        until: TransactionId,
    ) -> bool {
        // If the compositor is done meanwhile, the context ends after it began to linger: it is locked.
        let left = context.linger(recycler, |namespace| self.0.compositors.linger(namespace, until, context));
        left.is_some() || self.destroy(context)
    }

    /// Ends all contexts of the presenter that this outbox belongs to.
    pub(crate) fn destroy_all(&self, outbox: &Arc<Outbox>) {
        self.end(false, |contexts| {
            contexts.all().filter(|context| Arc::ptr_eq(context.outbox(), outbox)).cloned().collect()
        });
    }

    /// Ends some contexts, under one lock: nobody sees that some have ended and some not, an id is free when its context has
    /// ended, and a presenter that goes away misses nothing. Then performs what that causes.
    fn end(&self, wakes: bool, choose: impl FnOnce(&Registry) -> Vec<Arc<ContextData>>) -> usize {
        let mut contexts = self.0.contexts.write();
        let ending = choose(&contexts);
        let mut outboxes: Vec<&Arc<Outbox>> = Vec::new();
        let mut rests = Vec::with_capacity(ending.len());
        for context in &ending {
            let (generations, rest) = context.destroy();
            contexts.remove(context, generations);
            rests.push(rest);
            if !outboxes.iter().any(|outbox| Arc::ptr_eq(outbox, context.outbox())) {
                outboxes.push(context.outbox());
            }
        }
        if wakes {
            outboxes.iter().for_each(|outbox| outbox.message(Message::Wake));
        }
        drop(contexts);
        drop(rests);
        outboxes.iter().for_each(|outbox| outbox.drain());
        ending.len()
    }

    pub(crate) fn new_handler(&self) -> HandlerId {
        HandlerId(self.0.handlers.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn forget_handler(&self, handler: HandlerId) {
        let contexts: Vec<_> = self.0.contexts.read().all().cloned().collect();
        contexts.iter().for_each(|context| context.forget_handler(handler));
    }
}
