//! The map of contexts, which presenters and renderers share.
//!
//! It exists first, and everything attaches to it: presenters put contexts in, renderers look them up by id, any thread may end
//! all contexts of an owner or wait for a present. Its lock is a reader-writer lock that is held for bookkeeping alone: memory is
//! freed and calls are made after it is released.

mod lingering;
mod registry;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use webrender_api::{IdNamespace, ImageKey};

use self::lingering::Compositors;
use self::registry::Registry;
use super::ContextData;
use crate::api::ids::{CanvasEpoch, ContextId, OwnerId, ReturnedId, TransactionId};
use crate::api::outcome::Awaited;
use crate::delivery::{
    Callback, Fallback, Generations, HandlerId, ImageKeys, KeyClaim, Locked, Message, Outbox, Sharing,
    Waiters,
};
use crate::frame::DeviceUuids;
use crate::staging::Recycler;
use crate::sync::{RwLock, rank};

/// The contexts of all presenters, keyed by context id.
///
/// It exists first; presenters and handlers of external images attach to it. Clones are cheap and name the same map.
#[derive(Clone, Default)]
pub struct ContextMap(Arc<Shared>);

#[derive(Default)]
struct Shared {
    registry: RwLock<rank::Registry, Registry>,
    fallback: Arc<Fallback>,
    sharing: Arc<Sharing>,
    waiters: Arc<Waiters>,
    compositors: Compositors,
    keys: Arc<ImageKeys>,
}

impl fmt::Debug for ContextMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.registry.read().all().count();
        f.debug_struct("ContextMap").field("contexts", &count).finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.waiters.close();
    }
}

impl ContextMap {
    /// Ends all contexts of an owner, those of every presenter of this map, for example because its process died. Returns how many there were.
    ///
    /// Any thread may call it. Each context ends as if its presenter had [destroyed](crate::Presenter::destroy_context) it: its image
    /// is deleted, what is in flight fails, every `get_image` is answered, and frames that a renderer has locked stay readable until
    /// they are unlocked. The ids of the contexts may be used again at once.
    ///
    /// If another thread is calling the sink or the engine at that moment, that thread tells of these ends too, a moment later.
    /// Staging buffers and their ids can be given back on the WebGPU thread only: each presenter is asked to
    /// [`maintain`](crate::Presenter::maintain), and hands them back then, or when it next meets the ended context.
    ///
    /// A present that is being made on the WebGPU thread meanwhile fails with
    /// [`ContextDestroyed`](crate::PresentError::ContextDestroyed), a later one with
    /// [`UnknownContext`](crate::UnknownContext).
    pub fn destroy_owner(&self, owner: OwnerId) -> usize {
        self.end(true, |registry| registry.of_owner(owner).cloned().collect())
    }

    /// Notes that the compositor which displays the image keys of `namespace` has done `transaction` and all before it, and ends
    /// the contexts that [waited for that](crate::Presenter::destroy_context_after).
    ///
    /// Any thread may call it, also while no context waits: a later wait for the transaction is then over at once. The memory of
    /// what the contexts showed is freed on this thread, which takes milliseconds for large canvases, so it should not be the
    /// renderer's.
    pub fn transaction_done(&self, namespace: IdNamespace, transaction: TransactionId) {
        let over = self.0.compositors.done(namespace, transaction);
        if !over.is_empty() {
            self.end(false, |registry| {
                over.iter().filter(|context| registry.has(context)).cloned().collect()
            });
        }
    }

    /// Notes that the compositor which displays the image keys of `namespace` is gone, and ends the contexts that waited for one
    /// of its transactions. Any thread may call it.
    pub fn compositor_gone(&self, namespace: IdNamespace) {
        self.transaction_done(namespace, TransactionId(u64::MAX));
    }

    /// Tells `callback` how a present of `context` with this epoch or a higher one ended.
    ///
    /// If such a present has ended already, the newest of those is told at once; otherwise the first one that ends after this call.
    /// `context` need not exist yet. [`Awaited::TimedOut`] comes once `timeout` is over: at once if it is zero, and never if it is
    /// longer than the clock can count.
    ///
    /// Any thread may call it. The callback is called exactly once, on any thread, possibly on this one before this call returns,
    /// with no lock of this crate held. It comes after the image update and the outcome of its present, in the order of the
    /// presenter's other calls, so it should be short. A panic in it is logged and otherwise ignored.
    ///
    /// Epochs may fall as long as they rise again: a context remembers its newest end and the end with the highest epoch. A wait
    /// keeps nothing alive and holds nothing back: a present that is waited for can be superseded.
    pub fn when_presented(
        &self,
        context: ContextId,
        epoch: CanvasEpoch,
        timeout: Duration,
        callback: impl FnOnce(Awaited) + Send + 'static,
    ) {
        let deadline = Instant::now().checked_add(timeout);
        let Shared { registry, waiters, .. } = &*self.0;
        let registry = registry.read();
        let known = registry.get(context).cloned();
        let unanswered = match &known {
            Some(known) => known.wait(epoch, deadline, Box::new(callback)),
            None => Some(Box::new(callback) as Callback),
        };
        if let Some(callback) = unanswered {
            // The next context with this id finds the wait. The map stays locked until it is listed, so that none is missed.
            waiters.add(context, epoch, deadline, callback);
        }
        drop(registry);
        waiters.watch();
        if let Some(known) = known {
            known.outbox().drain();
        }
    }

    pub(crate) fn fallback(&self) -> Arc<Fallback> {
        self.0.fallback.clone()
    }

    /// Claims an image key for a context. Returns the context that has it, if one has. Precondition: no lock is held.
    pub(crate) fn claim(&self, key: ImageKey, context: &ContextData) -> Result<KeyClaim, ContextId> {
        self.0.keys.claim(key, context.id(), context.outbox())
    }

    pub(crate) fn waiters(&self) -> Arc<Waiters> {
        self.0.waiters.clone()
    }

    /// Puts a new context into the map. `make` makes it, from what an earlier context with this id had offered to the compositor.
    /// Returns `None`, and makes nothing, if there is a context with this id.
    pub(crate) fn insert(
        &self,
        id: ContextId,
        make: impl FnOnce(Generations) -> Arc<ContextData>,
    ) -> Option<Arc<ContextData>> {
        let mut registry = self.0.registry.write();
        if registry.get(id).is_some() {
            return None;
        }
        let context = make(registry.take_generations(id));
        registry.insert(context.clone());
        Some(context)
    }

    /// Ends one context. Returns false if it had ended already; another thread can be faster.
    pub(crate) fn destroy(&self, context: &Arc<ContextData>) -> bool {
        self.end(false, |registry| registry.has(context).then(|| context.clone()).into_iter().collect()) == 1
    }

    /// Ends one context for the engine now, and for its compositor once that has done the transaction `until`. Its frames return to
    /// `recycler` until then. Returns false if it had ended already.
    pub(crate) fn destroy_after(
        &self,
        context: &Arc<ContextData>,
        recycler: &Arc<Recycler>,
        until: TransactionId,
    ) -> bool {
        // The context is locked meanwhile: if the compositor is done just now, the context ends after it began to linger.
        let buffers =
            context.linger(recycler, |namespace| self.0.compositors.linger(namespace, until, context));
        buffers.is_some() || self.destroy(context)
    }

    /// Ends the contexts of an owner that the presenter has to which `outbox` belongs. Returns how many there were.
    pub(crate) fn destroy_owner_of(&self, outbox: &Arc<Outbox>, owner: OwnerId) -> usize {
        self.end(false, |registry| {
            registry
                .of_owner(owner)
                .filter(|context| Arc::ptr_eq(context.outbox(), outbox))
                .cloned()
                .collect()
        })
    }

    /// Ends all contexts of the presenter that `outbox` belongs to.
    pub(crate) fn destroy_all(&self, outbox: &Arc<Outbox>) {
        self.end(false, |registry| {
            registry.all().filter(|context| Arc::ptr_eq(context.outbox(), outbox)).cloned().collect()
        });
    }

    /// Ends some contexts and calls out what that causes. Returns how many ended. With `wakes`, their presenters are asked to
    /// maintain.
    ///
    /// All of them end under one lock of the map. So no thread sees some ended and others not, an id is free exactly when its
    /// context has ended, and a presenter that goes away misses none.
    fn end(&self, wakes: bool, choose: impl FnOnce(&Registry) -> Vec<Arc<ContextData>>) -> usize {
        let mut registry = self.0.registry.write();
        let ending = choose(&registry);
        let mut outboxes: Vec<&Arc<Outbox>> = Vec::new();
        let mut remains = Vec::with_capacity(ending.len());
        for context in &ending {
            let (generations, remaining) = context.destroy();
            registry.remove(context, generations);
            context.outbox().message(Message::Return(ReturnedId::Context(context.id())));
            remains.push(remaining);
            if !outboxes.iter().any(|outbox| Arc::ptr_eq(outbox, context.outbox())) {
                outboxes.push(context.outbox());
            }
        }
        if wakes {
            outboxes.iter().for_each(|outbox| outbox.message(Message::Wake));
        }
        drop(registry);
        // Frees memory, which takes long.
        drop(remains);
        outboxes.iter().for_each(|outbox| outbox.drain());
        ending.len()
    }

    /// Returns the context. If it has ended, returns the bytes of the largest image that the compositor may still hold of one with this id; `None`
    /// if it holds none.
    pub(crate) fn find(&self, id: ContextId) -> Result<Arc<ContextData>, Option<usize>> {
        let registry = self.0.registry.read();
        registry.get(id).cloned().ok_or_else(|| registry.remembered(id))
    }

    /// Returns at least `len` zeros, or `None` if there is no memory for them.
    pub(crate) fn zeros(&self, len: usize) -> Option<Locked> {
        self.0.fallback.zeros(len)
    }

    /// Adds a handler, and says of which device it can sample images.
    pub(crate) fn new_handler(&self, device: Option<DeviceUuids>) -> HandlerId {
        let handler = self.0.fallback.add_renderer();
        self.0.sharing.add(handler, device);
        handler
    }

    pub(crate) fn sharing(&self) -> &Arc<Sharing> {
        &self.0.sharing
    }

    /// Lets all contexts forget a handler, which is gone.
    pub(crate) fn forget_handler(&self, handler: HandlerId) {
        let contexts: Vec<_> = self.0.registry.read().all().cloned().collect();
        contexts.iter().for_each(|context| context.forget_handler(handler));
        // Last, so that nothing known of this renderer is taken for another one's.
        self.0.sharing.remove(handler);
        self.0.fallback.remove_renderer();
    }
}
