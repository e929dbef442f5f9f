//! The contexts of one presenter, with what only the WebGPU thread touches of each: its ring of staging buffers.
//!
//! The map of contexts is shared by all threads, and any thread may end a context there. This table lags behind: an ended context
//! stays here until the WebGPU thread takes its buffers and ids back.

use std::sync::{Arc, Weak};
use std::time::Instant;

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use wgpu_core::id::{BufferId, TextureId};

use super::canvas_textures::{CanvasTexture, MOST_TEXTURES};

use crate::api::canvas::BufferIds;
use crate::api::ids::{ContextId, OwnerId};
use crate::context::ContextData;
use crate::gpu::Gpu;
use crate::staging::{Reclaimer, Recycler, StagingRing};

/// The contexts of one presenter by id and by owner. Accessed only on the WebGPU thread.
#[derive(Default)]
pub(super) struct Entries {
    by_id: FxHashMap<ContextId, ContextEntry>,
    /// An owner without contexts has no entry.
    by_owner: FxHashMap<OwnerId, FxHashSet<ContextId>>,
    /// The buffer ids that the engine provided for these contexts.
    provided: FxHashSet<BufferId>,
    /// The context of each canvas texture.
    canvas_textures: FxHashMap<TextureId, ContextId>,
    /// Contexts that were removed and whose frames may live on.
    ended: Vec<EndedContext>,
}

/// A context and what only the WebGPU thread touches of it.
pub(super) struct ContextEntry {
    pub(super) data: Arc<ContextData>,
    pub(super) ring: StagingRing,
    /// Textures that were made for the context and are not presented yet, oldest first.
    pub(super) canvas_textures: SmallVec<[CanvasTexture; 1]>,
    pub(super) last_used: Instant,
    /// A copy was asked for since the last flush.
    pub(super) is_queued: bool,
    /// Number of the submission that last took a copy of it.
    pub(super) round: u64,
    /// The copies that found no room in this flush. Those that were asked for later wait too, so that copies are made in order.
    pub(super) waiting: Waiting,
}

/// Which copies of a context wait for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Waiting {
    Nothing,
    Captures,
    Everything,
}

/// A context that was removed. Its frames can be shown, locked or read until the recycler is gone.
pub(super) struct EndedContext {
    pub(super) context: ContextId,
    pub(super) owner: OwnerId,
    pub(super) recycler: Weak<Recycler>,
}

impl Entries {
    /// Precondition: no context with this id is in the table.
    pub(super) fn insert(
        &mut self,
        id: ContextId,
        data: Arc<ContextData>,
        buffer_ids: BufferIds,
        reclaimer: Reclaimer,
    ) {
        if let BufferIds::Provided(ids) = &buffer_ids {
            self.provided.extend(ids);
        }
        let ring = StagingRing::new(buffer_ids, reclaimer);
        self.by_owner.entry(data.owner()).or_default().insert(id);
        let entry = ContextEntry {
            data,
            ring,
            canvas_textures: SmallVec::new(),
            last_used: Instant::now(),
            is_queued: false,
            round: 0,
            waiting: Waiting::Nothing,
        };
        self.by_id.insert(id, entry);
    }

    pub(super) fn get(&self, id: ContextId) -> Option<&ContextEntry> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ContextId) -> Option<&mut ContextEntry> {
        self.by_id.get_mut(&id)
    }

    /// Returns whether the engine provided a buffer id for one of the contexts.
    pub(super) fn has_buffer_id(&self, id: BufferId) -> bool {
        self.provided.contains(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ContextId, &ContextEntry)> {
        self.by_id.iter().map(|(id, entry)| (*id, entry))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut ContextEntry> {
        self.by_id.values_mut()
    }

    pub(super) fn of_owner(&self, owner: OwnerId) -> impl Iterator<Item = (ContextId, &ContextEntry)> {
        let ids = self.by_owner.get(&owner).into_iter().flatten();
        ids.filter_map(|id| Some((*id, self.by_id.get(id)?)))
    }

    /// Adds a texture of a context. If there is none with this id, does nothing.
    pub(super) fn add_canvas_texture(&mut self, context: ContextId, texture: CanvasTexture) {
        // The id can name an earlier texture, of this context or another one, that the engine has dropped itself.
        self.forget_canvas_texture(texture.id);
        let Some(entry) = self.by_id.get_mut(&context) else { return };
        if entry.canvas_textures.len() >= MOST_TEXTURES {
            let oldest = entry.canvas_textures.remove(0);
            self.canvas_textures.remove(&oldest.id);
        }
        self.canvas_textures.insert(texture.id, context);
        entry.canvas_textures.push(texture);
    }

    /// Takes out a texture of a context that is presented. What was kept of older ones is dropped: a canvas presents its textures in the
    /// order in which they were made, so they are not presented any more.
    pub(super) fn take_presented(&mut self, context: ContextId, id: TextureId) -> Option<CanvasTexture> {
        let entry = self.by_id.get_mut(&context)?;
        let index = entry.canvas_textures.iter().position(|texture| texture.id == id)?;
        let texture = entry.canvas_textures.remove(index);
        let known = &mut self.canvas_textures;
        known.remove(&id);
        let mut place = 0;
        entry.canvas_textures.retain(|other| {
            let stays = place >= index || !other.is_of_destroyed_device();
            place += 1;
            if !stays {
                known.remove(&other.id);
            }
            stays
        });
        Some(texture)
    }

    /// Takes out a texture of a context.
    fn take_canvas_texture(&mut self, context: ContextId, id: TextureId) -> Option<CanvasTexture> {
        let entry = self.by_id.get_mut(&context)?;
        let index = entry.canvas_textures.iter().position(|texture| texture.id == id)?;
        self.canvas_textures.remove(&id);
        Some(entry.canvas_textures.remove(index))
    }

    /// Forgets a texture that is destroyed or dropped, if it is a canvas texture.
    pub(super) fn forget_canvas_texture(&mut self, id: TextureId) {
        if let Some(context) = self.canvas_textures.get(&id).copied() {
            drop(self.take_canvas_texture(context, id));
        }
    }

    /// Returns the contexts that have a canvas texture for which `condition` is true.
    pub(super) fn with_canvas_textures(&self, condition: impl Fn(&CanvasTexture) -> bool) -> Vec<ContextId> {
        if self.canvas_textures.is_empty() {
            return Vec::new();
        }
        let has_one = |entry: &ContextEntry| entry.canvas_textures.iter().any(&condition);
        self.iter().filter(|(_, entry)| has_one(entry)).map(|(id, _)| id).collect()
    }

    /// Number of bytes that the contexts of an owner have in flight.
    pub(super) fn bytes_in_flight(&self, owner: OwnerId) -> usize {
        self.of_owner(owner).map(|(_, entry)| entry.ring.recycler().in_flight()).sum()
    }

    /// Contexts that were removed; those whose frames are gone may be listed a while longer.
    pub(super) fn ended(&self) -> impl Iterator<Item = &EndedContext> {
        self.ended.iter()
    }

    /// Removes an ended context and drops what wgpu-core knows of its buffers. Returns the buffer ids that the engine had provided.
    pub(super) fn remove(&mut self, id: ContextId, gpu: &dyn Gpu) -> Vec<BufferId> {
        let Some(ContextEntry { data, ring, canvas_textures, .. }) = self.by_id.remove(&id) else {
            return Vec::new();
        };
        for texture in canvas_textures {
            self.canvas_textures.remove(&texture.id);
        }
        let owner = data.owner();
        if let Some(ids) = self.by_owner.get_mut(&owner) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_owner.remove(&owner);
            }
        }
        if self.ended.len() == self.ended.capacity() {
            // Looking at all of them each time would make ending many contexts quadratic.
            self.ended.retain(|ended| ended.recycler.strong_count() > 0);
        }
        let recycler = ring.recycler().clone();
        self.ended.push(EndedContext { context: id, owner, recycler: Arc::downgrade(&recycler) });
        let buffer_ids = ring.destroy(gpu);
        // The recycler of a context that lingers is closed when the context ends for its compositor.
        if !data.lingers() {
            recycler.close();
        }
        buffer_ids.iter().for_each(|id| _ = self.provided.remove(id));
        buffer_ids
    }
}
