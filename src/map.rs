//! The map of contexts, which presenters and renderers share.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;

use crate::ContextId;
use crate::blank::Blanks;
use crate::context::ContextData;
use crate::display::HandlerId;
use crate::offers::Generation;

/// So many contexts that are gone are remembered.
const MOST_ENDED: usize = 1024;

/// The contexts of all presenters, keyed by context id. Exists first; everything attaches to it. Cheap to clone.
#[derive(Clone, Default)]
pub struct ContextMap(Arc<Shared>);

#[derive(Default)]
struct Shared {
    contexts: RwLock<FxHashMap<ContextId, Arc<ContextData>>>,
    /// The generations at which contexts that are gone ended, newest last: WebRender may still lock their images when the
    /// id names another context.
    ended: Mutex<VecDeque<(ContextId, Generation)>>,
    blanks: Arc<Blanks>,
    handlers: AtomicU64,
}

impl ContextMap {
    pub(crate) fn blanks(&self) -> Arc<Blanks> {
        self.0.blanks.clone()
    }

    pub(crate) fn get(&self, id: ContextId) -> Option<Arc<ContextData>> {
        self.0.contexts.read().get(&id).cloned()
    }

    /// Makes a context, unless there is one of that id. `make` is told the generation to begin with.
    pub(crate) fn insert(
        &self,
        id: ContextId,
        make: impl FnOnce(Generation) -> Arc<ContextData>,
    ) -> Option<Arc<ContextData>> {
        let mut contexts = self.0.contexts.write();
        let Entry::Vacant(place) = contexts.entry(id) else { return None };
        let ended = self.0.ended.lock();
        let first =
            ended.iter().rev().find(|(ended, _)| *ended == id).map_or(0, |(_, generation)| *generation);
        drop(ended);
        Some(place.insert(make(first)).clone())
    }

    /// `next` is the generation that the context would have issued next.
    pub(crate) fn remove(&self, id: ContextId, next: Generation) {
        let context = self.0.contexts.write().remove(&id);
        let mut ended = self.0.ended.lock();
        if ended.len() == MOST_ENDED {
            ended.pop_front();
        }
        ended.push_back((id, next));
        drop(ended);
        drop(context);
    }

    pub(crate) fn new_handler(&self) -> HandlerId {
        HandlerId(self.0.handlers.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn forget_handler(&self, handler: HandlerId) {
        let contexts: Vec<_> = self.0.contexts.read().values().cloned().collect();
        contexts.iter().for_each(|context| context.forget_handler(handler));
    }
}
