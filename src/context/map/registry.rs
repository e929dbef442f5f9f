//! Registry by id and by owner. Lives under the lock of the map.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::api::ids::{ContextId, OwnerId};
use crate::context::ContextData;
use crate::delivery::Generations;

/// So many contexts that are gone are remembered.
const MOST_ENDED: usize = 1024;

#[derive(Default)]
pub(crate) struct Registry {
    by_id: FxHashMap<ContextId, Arc<ContextData>>,
    /// No owner without contexts.
    by_owner: FxHashMap<OwnerId, FxHashSet<ContextId>>,
    /// What contexts that are gone had offered, newest last: WebRender may still lock it when the id names another context.
    ended: VecDeque<(ContextId, Generations)>,
}

impl Registry {
    pub(crate) fn get(&self, id: ContextId) -> Option<&Arc<ContextData>> {
        self.by_id.get(&id)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<ContextData>> {
        self.by_id.values()
    }

    pub(crate) fn of_owner(&self, owner: OwnerId) -> impl Iterator<Item = &Arc<ContextData>> {
        let ids = self.by_owner.get(&owner).into_iter().flatten();
        ids.filter_map(|id| self.by_id.get(id))
    }

    /// Whether this very context is here: its id may name another one by now.
    pub(crate) fn has(&self, context: &Arc<ContextData>) -> bool {
        self.get(context.id()).is_some_and(|known| Arc::ptr_eq(known, context))
    }

    /// What an earlier context with this id had offered.
    pub(crate) fn take_offers(&mut self, id: ContextId) -> Generations {
        let index = self.ended.iter().rposition(|(ended, _)| *ended == id);
        index
            .and_then(|index| self.ended.remove(index))
            .map(|(_, generations)| generations)
            .unwrap_or_default()
    }

    /// There is none of this id.
    pub(crate) fn insert(&mut self, context: Arc<ContextData>) {
        self.by_owner.entry(context.owner()).or_default().insert(context.id());
        self.by_id.insert(context.id(), context);
    }

    /// A context that is here ends; `generations` is what it had offered.
    pub(crate) fn remove(&mut self, context: &ContextData, generations: Generations) {
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
