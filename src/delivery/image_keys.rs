//! The image keys of a map that are in use, each by one context.
//!
//! Two contexts that updated and deleted one image would tell the compositor of it in no order, through the sinks of two presenters
//! perhaps, and WebRender panics at an update of an image that was deleted. So a key belongs to one context at a time. A context
//! *claims* its key, and the claim travels through the outbox with the deletion of the image: the key is free again once the sink
//! was told of the deletion and was flushed.

use std::collections::hash_map::Entry;
use std::sync::{Arc, Weak};

use rustc_hash::FxHashMap;
use webrender_api::ImageKey;

use super::outbox::Outbox;
use crate::api::ids::ContextId;
use crate::sync::{Mutex, rank};

/// The keys in use. Shared by the contexts of a map and by the outboxes of its presenters.
#[derive(Default)]
pub(crate) struct ImageKeys(Mutex<rank::Leaf, FxHashMap<ImageKey, Holder>>);

/// The context that has claimed a key.
struct Holder {
    context: ContextId,
    /// The outbox that tells of the image.
    outbox: Weak<Outbox>,
}

/// The right to tell the compositor of an image. Dropping it makes the key free.
pub(crate) struct KeyClaim {
    key: ImageKey,
    keys: Arc<ImageKeys>,
}

impl ImageKeys {
    /// Claims a key for a context whose image `outbox` tells of. Returns the context that has the key, if one has.
    ///
    /// If the image of an ended context is just being deleted, waits until that was told, as [`Outbox::finish`] does. Precondition: no lock
    /// is held.
    pub(crate) fn claim(
        self: &Arc<Self>,
        key: ImageKey,
        context: ContextId,
        outbox: &Arc<Outbox>,
    ) -> Result<KeyClaim, ContextId> {
        self.try_claim(key, context, outbox).or_else(|(_, telling)| {
            if let Some(telling) = telling {
                telling.finish();
            }
            self.try_claim(key, context, outbox).map_err(|(holder, _)| holder)
        })
    }

    fn try_claim(
        self: &Arc<Self>,
        key: ImageKey,
        context: ContextId,
        outbox: &Arc<Outbox>,
    ) -> Result<KeyClaim, (ContextId, Option<Arc<Outbox>>)> {
        match self.0.lock().entry(key) {
            Entry::Occupied(holder) => {
                let Holder { context, outbox } = holder.get();
                Err((*context, outbox.upgrade()))
            }
            Entry::Vacant(place) => {
                place.insert(Holder { context, outbox: Arc::downgrade(outbox) });
                Ok(KeyClaim { key, keys: self.clone() })
            }
        }
    }
}

impl KeyClaim {
    pub(crate) fn key(&self) -> ImageKey {
        self.key
    }
}

impl Drop for KeyClaim {
    fn drop(&mut self) {
        self.keys.0.lock().remove(&self.key);
    }
}
