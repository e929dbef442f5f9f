//! Which transactions compositors have done, and the contexts that linger until they have done one.

use std::sync::{Arc, Weak};

use rustc_hash::FxHashMap;
use webrender_api::IdNamespace;

use crate::api::ids::TransactionId;
use crate::context::ContextData;
use crate::sync::{Mutex, rank};

/// The compositors by the namespace of their image keys.
///
/// An entry stays when its compositor is gone, because a context may be told to wait for one of its transactions later. It is a
/// few bytes.
#[derive(Default)]
pub(super) struct Compositors(Mutex<rank::Leaf, FxHashMap<IdNamespace, Compositor>>);

#[derive(Default)]
struct Compositor {
    /// The newest transaction that it has done.
    done: Option<TransactionId>,
    /// The contexts that linger until a transaction is done. A context that ended in another way stays listed until the next
    /// report.
    lingering: Vec<(TransactionId, Weak<ContextData>)>,
}

impl Compositors {
    /// Lists a context that lingers until the transaction `until`. Returns false, and lists nothing, if that is done already.
    pub(super) fn linger(
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

    /// Notes that all transactions up to this one are done. Returns the contexts that lingered for one of them.
    pub(super) fn done(&self, namespace: IdNamespace, transaction: TransactionId) -> Vec<Arc<ContextData>> {
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
