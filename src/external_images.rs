//! The renderer's side: lock and unlock.

use std::sync::{Arc, Weak};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use webrender_api::units::TexelRect;
use webrender_api::{ExternalImage, ExternalImageHandler, ExternalImageId, ExternalImageSource};

use crate::api::ids::ContextId;
use crate::context::ContextData;
use crate::context::ContextMap;
use crate::delivery::{HandlerId, Locked};
use crate::frame::Frame;
use crate::sync::{self, thread};

/// Hands the frames of canvases to one WebRender instance.
///
/// Called on the renderer's thread. It waits neither for the GPU nor for snapshots nor for other canvases, and it frees no
/// frame's memory. Each value has its own locks; dropping it releases them, and waits until all memory is freed that it let go.
///
/// A generation is one of 256: a renderer that draws a canvas which another one draws too must not fall 255 updates behind that
/// one, or else it may show another frame of the canvas, or none.
///
/// An engine that multiplexes handlers calls [`lock`](Self::lock) and [`unlock`](Self::unlock); another one gives this to
/// `Renderer::set_external_image_handler`.
pub struct ExternalImages {
    map: ContextMap,
    id: HandlerId,
    /// What is locked now.
    locks: FxHashMap<ExternalImageId, SmallVec<[Held; 1]>>,
    /// They free memory.
    threads: Vec<thread::JoinHandle<()>>,
}

struct Held {
    context: Weak<ContextData>,
    /// `None` if the engine does not pass it on.
    generation: Option<u8>,
    locked: Locked,
    count: usize,
}

impl ExternalImages {
    /// For one WebRender instance; several may share a map.
    pub fn new(map: &ContextMap) -> Self {
        Self { map: map.clone(), id: map.new_handler(), locks: FxHashMap::default(), threads: Vec::new() }
    }

    /// The bytes of an image: those that the image update of this generation described, or a newer frame's of the same
    /// layout. They stay as they are until the last [`unlock`](Self::unlock), whatever happens to the context.
    ///
    /// `generation` is the `channel_index` that WebRender passes. With `None` the newest update answers: then a
    /// canvas that changes its size while frames are queued, or one with tiles, may show two frames at once.
    ///
    /// Locks nest. `ExternalImageSource::Invalid` for an id that is no living context's, unless this generation of it is
    /// locked: it need not be unlocked.
    pub fn lock(&mut self, id: ExternalImageId, generation: Option<u8>) -> ExternalImageSource<'_> {
        let context = self.map.get(ContextId(id.0));
        // The id may name another context by now, which has the same generations.
        let held = |held: &Held| {
            held.generation == generation && context.as_ref().is_none_or(|context| held.is_of(context))
        };
        let known = self.locks.get(&id).and_then(|locks| locks.iter().rposition(held));
        let fresh = match (known, context) {
            (Some(_), _) => None,
            (None, None) => return ExternalImageSource::Invalid,
            (None, Some(context)) => {
                let Some(locked) = context.lock(self.id, generation) else {
                    return ExternalImageSource::Invalid;
                };
                Some(Held { context: Arc::downgrade(&context), generation, locked, count: 0 })
            }
        };
        let locks = self.locks.entry(id).or_default();
        let index = known.unwrap_or(locks.len());
        locks.extend(fresh);
        let held = &mut locks[index];
        held.count += 1;
        ExternalImageSource::RawData(held.bytes())
    }

    /// Takes back a lock of an image, of the generation that was locked last. No effect without one.
    pub fn unlock(&mut self, id: ExternalImageId) {
        let newest = self.locks.get(&id).map_or(0, SmallVec::len);
        if let Some(index) = newest.checked_sub(1) {
            self.release(id, index);
        }
    }

    fn unlock_generation(&mut self, id: ExternalImageId, generation: u8) {
        let locks = self.locks.get(&id);
        let index =
            locks.and_then(|locks| locks.iter().rposition(|held| held.generation == Some(generation)));
        if let Some(index) = index {
            self.release(id, index);
        }
    }

    fn release(&mut self, id: ExternalImageId, index: usize) {
        let Some(locks) = self.locks.get_mut(&id) else { return };
        if let Some(held) = locks.get_mut(index) {
            held.count -= 1;
            if held.count == 0 {
                let held = locks.remove(index);
                if locks.is_empty() {
                    self.locks.remove(&id);
                }
                self.drop_elsewhere(held.locked);
            }
        }
    }

    /// Drops a frame without freeing its memory on this thread.
    fn drop_elsewhere(&mut self, locked: Locked) {
        if let Locked::Frame(frame) = locked
            && let Some(frame) = frame.into_orphan()
        {
            self.threads.retain(|thread| !sync::is_finished(thread));
            self.threads.extend(sync::elsewhere(move || drop::<Frame>(frame)));
        }
    }
}

impl Held {
    fn is_of(&self, context: &Arc<ContextData>) -> bool {
        std::ptr::eq(self.context.as_ptr(), Arc::as_ptr(context))
    }

    fn bytes(&self) -> &[u8] {
        match &self.locked {
            Locked::Frame(frame) => frame.bytes(),
            Locked::Zeros(blank) => blank,
        }
    }
}

impl Drop for ExternalImages {
    /// Nothing of a GPU is freed after it: a process that ends unloads the driver.
    fn drop(&mut self) {
        self.map.forget_handler(self.id);
        self.locks.clear();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("webgpu-presentation: freeing a frame panicked");
            }
        }
    }
}

impl ExternalImageHandler for ExternalImages {
    fn lock(&mut self, id: ExternalImageId, channel_index: u8, _is_composited: bool) -> ExternalImage<'_> {
        let source = ExternalImages::lock(self, id, Some(channel_index));
        // The uv rectangle is for texture handles.
        ExternalImage { uv: TexelRect::new(0.0, 0.0, 0.0, 0.0), source }
    }

    fn unlock(&mut self, id: ExternalImageId, channel_index: u8) {
        self.unlock_generation(id, channel_index);
    }
}

#[cfg(test)]
impl ExternalImages {
    /// What is locked of an image, oldest first: the generation, how often, the bytes.
    pub(crate) fn held(&self, id: ExternalImageId) -> impl Iterator<Item = (Option<u8>, usize, &[u8])> {
        let locks = self.locks.get(&id).into_iter().flatten();
        locks.map(|held| (held.generation, held.count, held.bytes()))
    }
}
