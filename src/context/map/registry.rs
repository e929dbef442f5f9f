//! Contexts by id and by owner, and what is remembered of contexts that have ended. Lies under the lock of the map.
//!
//! WebRender may lock an image after its context has ended, also when the id names another context by then. So what a context had offered to the
//! compositor is remembered: all of it for the contexts that ended last, and a few bytes for many more.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::api::ids::{ContextId, OwnerId};
use crate::context::ContextData;
use crate::delivery::{Forgotten, Generations};

/// Upper bound of ended contexts whose generations are remembered.
const MOST_ENDED: usize = 1024;

/// Upper bound of ended contexts of which a few bytes are remembered. A frame that WebRender built before so many other displayed canvases ended,
/// and renders when the id of its canvas names a new one, is the one case in which a lock can be too short.
const MOST_FORGOTTEN: usize = 1 << 16;

/// Both indices name the same contexts.
#[derive(Default)]
pub(super) struct Registry {
    by_id: FxHashMap<ContextId, Arc<ContextData>>,
    /// An owner without contexts has no entry.
    by_owner: FxHashMap<OwnerId, FxHashSet<ContextId>>,
    ended: Remembered<Generations>,
    forgotten: Remembered<Forgotten>,
}

/// Something for each of the ids that were added last.
struct Remembered<T> {
    by_id: FxHashMap<ContextId, (u64, T)>,
    /// The ids in the order in which they were added, with the number of the addition. Those that were taken out or added again since are
    /// listed all the same.
    order: VecDeque<(u64, ContextId)>,
    added: u64,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self { by_id: FxHashMap::default(), order: VecDeque::new(), added: 0 }
    }
}

impl<T> Remembered<T> {
    /// Adds an id. Returns the oldest one, if there are more than `most`.
    fn add(&mut self, id: ContextId, value: T, most: usize) -> Option<(ContextId, T)> {
        self.added += 1;
        self.by_id.insert(id, (self.added, value));
        self.order.push_back((self.added, id));
        let (number, oldest) = if self.order.len() > most { self.order.pop_front()? } else { return None };
        let is_current = self.by_id.get(&oldest).is_some_and(|(current, _)| *current == number);
        is_current.then(|| self.take(oldest)).flatten().map(|value| (oldest, value))
    }

    fn take(&mut self, id: ContextId) -> Option<T> {
        self.by_id.remove(&id).map(|(_, value)| value)
    }

    fn get(&self, id: ContextId) -> Option<&T> {
        self.by_id.get(&id).map(|(_, value)| value)
    }
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

    /// Takes out what is remembered of earlier contexts with this id.
    pub(super) fn take_generations(&mut self, id: ContextId) -> Generations {
        let ended = self.ended.take(id);
        ended.unwrap_or_else(|| Generations::new(self.forgotten.take(id).unwrap_or_default()))
    }

    /// Bytes of the largest image that the compositor was told of a context with this id, which has ended.
    pub(super) fn remembered(&self, id: ContextId) -> Option<usize> {
        let ended = self.ended.get(id).map(Generations::reach);
        ended.or_else(|| self.forgotten.get(id).map(Forgotten::reach))
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
        if generations.are_untouched() {
            return;
        }
        if let Some((oldest, generations)) = self.ended.add(id, generations, MOST_ENDED) {
            self.forgotten.add(oldest, generations.forget(), MOST_FORGOTTEN);
        }
    }
}
