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
use crate::offers::Offers;

/// So many contexts that are gone are remembered.
const MOST_ENDED: usize = 1024;

/// The contexts of all presenters, keyed by context id. Exists first; everything attaches to it. Cheap to clone.
#[derive(Clone, Default)]
pub struct ContextMap(Arc<Shared>);

#[derive(Default)]
struct Shared {
    contexts: RwLock<FxHashMap<ContextId, Arc<ContextData>>>,
    /// What contexts that are gone had offered, newest last: WebRender may still lock it when the id names another context.
    ended: Mutex<VecDeque<(ContextId, Offers)>>,
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

    /// Makes a context, unless there is one of that id. `make` is told what an earlier one with this id had offered.
    pub(crate) fn insert(
        &self,
        id: ContextId,
        make: impl FnOnce(Offers) -> Arc<ContextData>,
    ) -> Option<Arc<ContextData>> {
        let mut contexts = self.0.contexts.write();
        let Entry::Vacant(place) = contexts.entry(id) else { return None };
        let mut ended = self.0.ended.lock();
        let earlier = ended.iter().rposition(|(ended, _)| *ended == id).and_then(|index| ended.remove(index));
        drop(ended);
        Some(place.insert(make(earlier.map(|(_, offers)| offers).unwrap_or_default())).clone())
    }

    /// `offers` is what the context had offered.
    pub(crate) fn remove(&self, id: ContextId, offers: Offers) {
        let mut contexts = self.0.contexts.write();
        let context = contexts.remove(&id);
        // Before another thread can use the id again.
        let mut ended = self.0.ended.lock();
        if ended.len() == MOST_ENDED {
            ended.pop_front();
        }
        ended.push_back((id, offers));
        drop(ended);
        drop(contexts);
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
