//! What compositors have done, and the contexts that linger until they have.

use std::sync::{Arc, Weak};

use rustc_hash::FxHashMap;
use webrender_api::IdNamespace;

use crate::api::ids::TransactionId;
use crate::context::ContextData;
use crate::sync::Mutex;

/// One compositor for each namespace of image keys. What a compositor said last is remembered when it is gone, a few bytes:
/// a context may be told to wait for it later.
#[derive(Default)]
pub(crate) struct Compositors(Mutex<FxHashMap<IdNamespace, Compositor>>);

#[derive(Default)]
struct Compositor {
    done: Option<TransactionId>,
    /// Those that ended in another way stay here until the next report.
    lingering: Vec<(TransactionId, Weak<ContextData>)>,
}

impl Compositors {
    /// False if the compositor has done that already.
    pub(crate) fn linger(
        &self,
        namespace: IdNamespace,
        until: TransactionId,
        context: &Arc<ContextData>,
    ) -> bool {
        let mut compositors = self.0.lock();
        let compositor = compositors.entry(namespace).or_default();
        if compositor.done >= Some(until) {
            return false;
        }
        compositor.lingering.push((until, Arc::downgrade(context)));
        true
    }

    /// All transactions up to this one are done. Returns the contexts that waited for one of them.
    pub(crate) fn done(&self, namespace: IdNamespace, transaction: TransactionId) -> Vec<Arc<ContextData>> {
        let mut compositors = self.0.lock();
        let compositor = compositors.entry(namespace).or_default();
        compositor.done = compositor.done.max(Some(transaction));
        let over = |until: TransactionId, context: &Weak<_>| {
            Some(until) <= compositor.done || context.strong_count() == 0
        };
        let over = compositor.lingering.extract_if(.., |(until, context)| over(*until, context));
        over.filter_map(|(_, context)| context.upgrade()).collect()
    }
}
