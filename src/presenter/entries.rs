//! The contexts of a presenter, as far as the WebGPU thread alone touches them.

use std::sync::{Arc, Weak};
use std::time::Instant;

use super::Submitter;
use crate::api::ids::{ContextId, OwnerId, ReturnedId};
use crate::context::ContextData;
use crate::delivery::Message;
use crate::staging::Recycler;
use crate::staging::StagingRing;

/// A context and what only the WebGPU thread touches of it.
pub(crate) struct ContextEntry {
    pub(crate) data: Arc<ContextData>,
    pub(crate) ring: StagingRing,
    pub(crate) last_used: Instant,
    /// It has a copy among those not yet submitted.
    pub(super) queued: bool,
}

/// A context that has ended, whose frames may live on.
pub(crate) struct EndedContext {
    pub(crate) context: ContextId,
    pub(crate) owner: OwnerId,
    pub(crate) recycler: Weak<Recycler>,
}

impl ContextEntry {
    pub(crate) fn new(data: Arc<ContextData>, ring: StagingRing) -> Self {
        Self { data, ring, last_used: Instant::now(), queued: false }
    }
}

impl Submitter {
    /// A new context, of an id that no other one has.
    pub(crate) fn adopt(&mut self, id: ContextId, data: Arc<ContextData>, ring: StagingRing) {
        self.by_owner.entry(data.owner()).or_default().insert(id);
        self.contexts.insert(id, ContextEntry::new(data, ring));
    }

    /// Takes back what only this thread can of a context that has ended.
    pub(crate) fn forget(&mut self, id: ContextId) {
        if !self.contexts.contains_key(&id) {
            return;
        }
        // What was queued for it finds its ring, not that of the next context with this id.
        self.flush();
        let Some(ContextEntry { data, ring, .. }) = self.contexts.remove(&id) else { return };
        let owner = data.owner();
        if let Some(ids) = self.by_owner.get_mut(&owner) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_owner.remove(&owner);
            }
        }
        if self.ended.len() == self.ended.capacity() {
            // Not for each: there may be many.
            self.ended.retain(|ended| ended.recycler.strong_count() > 0);
        }
        let recycler = ring.recycler().clone();
        self.ended.push(EndedContext { context: id, owner, recycler: Arc::downgrade(&recycler) });
        for buffer in ring.destroy(&*self.gpu) {
            self.outbox.message(Message::Return(ReturnedId::Buffer(buffer)));
        }
        // One that lingers does so when it is over.
        if !data.lingers() {
            recycler.close();
        }
        self.outbox.drain();
    }

    /// The same of all contexts that another thread has ended.
    pub(crate) fn forget_ended(&mut self) {
        let ended = |(id, entry): (&ContextId, &ContextEntry)| (!entry.data.is_alive()).then_some(*id);
        let ids: Vec<_> = self.contexts.iter().filter_map(ended).collect();
        ids.into_iter().for_each(|id| self.forget(id));
    }

    /// The same, of one owner.
    pub(crate) fn forget_ended_of_owner(&mut self, owner: OwnerId) {
        let ids = self.by_owner.get(&owner).into_iter().flatten();
        let has_ended = |id: &&ContextId| self.contexts.get(id).is_some_and(|entry| !entry.data.is_alive());
        let ids: Vec<_> = ids.filter(has_ended).copied().collect();
        ids.into_iter().for_each(|id| self.forget(id));
    }

    /// A context, unless it has ended: another thread may have done that.
    pub(crate) fn living(&mut self, id: ContextId) -> Option<&mut ContextEntry> {
        if !self.contexts.get(&id)?.data.is_alive() {
            self.forget(id);
        }
        self.contexts.get_mut(&id)
    }
}
