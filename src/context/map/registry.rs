//! Contexts by id and by owner, and what is remembered of contexts that have ended. Lies under the lock of the map.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::api::ids::{ContextId, OwnerId};
use crate::context::ContextData;
use crate::delivery::Generations;

/// Upper bound of ended contexts whose generations are remembered.
const MOST_ENDED: usize = 1024;

/// Both indices name the same contexts.
#[derive(Default)]
pub(super) struct Registry {
    by_id: FxHashMap<ContextId, Arc<ContextData>>,
    /// An owner without contexts has no entry.
    by_owner: FxHashMap<OwnerId, FxHashSet<ContextId>>,
    /// What contexts that have ended had offered to the compositor, newest last. WebRender may still lock it when the id names
    /// another context.
    ended: VecDeque<(ContextId, Generations)>,
}

impl Registry {
    pub(super) fn get(&self, id: ContextId) -> Option<&Arc<ContextData>> {
        self.by_id.get(&id)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<ContextData>> {
        self.by_id.values()
    }

    pub(super) fn of_owner(&self, owner: OwnerId) -> impl Iterator<Item = &Arc<ContextData>> {
        let ids = self.by_owner.get(&owner).into_iter().flatten();
        ids.filter_map(|id| self.by_id.get(id))
    }

    /// Whether this very context is registered. Its id alone does not tell: it may name another context by now.
    pub(super) fn has(&self, context: &Arc<ContextData>) -> bool {
        self.get(context.id()).is_some_and(|known| Arc::ptr_eq(known, context))
    }

    /// Takes out what the last context with this id had offered; empty if nothing is remembered.
    pub(super) fn take_generations(&mut self, id: ContextId) -> Generations {
        let index = self.ended.iter().rposition(|(ended, _)| *ended == id);
        let ended = index.and_then(|index| self.ended.remove(index));
        ended.map(|(_, generations)| generations).unwrap_or_default()
    }

    /// Precondition: no context with this id is registered.
    pub(super) fn insert(&mut self, context: Arc<ContextData>) {
        self.by_owner.entry(context.owner()).or_default().insert(context.id());
        self.by_id.insert(context.id(), context);
    }

    /// Removes a context that ends, and remembers the generations that it had offered. Precondition: it is registered.
    pub(super) fn remove(&mut self, context: &ContextData, generations: Generations) {
        let id = context.id();
        self.by_id.remove(&id);
        if let Some(ids) = self.by_owner.get_mut(&context.owner()) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_owner.remove(&context.owner());
            }
        }
        if self.ended.len() == MOST_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back((id, generations));
    }
}
