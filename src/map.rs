//! The map of contexts, which presenters and renderers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use rustc_hash::FxHashMap;

use crate::ContextId;
use crate::blank::Blanks;
use crate::context::ContextData;
use crate::display::HandlerId;

/// The contexts of all presenters, keyed by context id. Exists first; everything attaches to it. Cheap to clone.
#[derive(Clone, Default)]
pub struct ContextMap(Arc<Shared>);

#[derive(Default)]
struct Shared {
    contexts: RwLock<FxHashMap<ContextId, Arc<ContextData>>>,
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

    /// False, and nothing changes, if there is one of that id.
    pub(crate) fn insert(&self, id: ContextId, context: Arc<ContextData>) -> bool {
        let mut contexts = self.0.contexts.write();
        let free = !contexts.contains_key(&id);
        if free {
            contexts.insert(id, context);
        }
        free
    }

    pub(crate) fn remove(&self, id: ContextId) {
        let context = self.0.contexts.write().remove(&id);
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
