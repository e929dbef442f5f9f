//! The renderer's side of the crate: WebRender locks a canvas to read its bytes, and unlocks it.
//!
//! An engine makes one [`ExternalImages`] for each WebRender instance, and that instance calls it on its
//! renderer thread. Contexts are found in the [`ContextMap`] that the presenters fill. What is locked is kept
//! here, not in the context, so it stays readable after its context was destroyed.

use std::fmt;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use webrender_api::units::TexelRect;
use webrender_api::{ExternalImage, ExternalImageHandler, ExternalImageId, ExternalImageSource};

use crate::api::ids::ContextId;
use crate::context::{ContextMap, NotLocked};
use crate::delivery::{HandlerId, Locked};
use crate::frame::Frame;
use crate::sync::{self, thread};

/// Hands the frames of canvases to one WebRender instance.
///
/// Called on that instance's renderer thread. No method but dropping waits for anything: neither for the GPU,
/// nor for a snapshot, nor for another canvas. None frees the memory of a frame either; a thread that is
/// started for it does. (Copies that are made because a renderer lags far behind, or does not pass on generations, are freed
/// on the spot.) Each value has its own locks. Dropping it releases them, and waits until all memory
/// that it has let go of is freed.
///
/// What a lock returns is never shorter than the descriptor of the image update that is drawn, and it is the newest frame of that
/// update's layout. A canvas that changes its size while built frames wait to be drawn keeps the frames of a few sizes (8, or 64 MiB);
/// a built frame of an earlier size shows the canvas blank.
///
/// An engine that has several handlers behind one `ExternalImageHandler` calls [`lock`](Self::lock) and
/// [`unlock`](Self::unlock). Any other engine gives this value to `Renderer::set_external_image_handler`.
pub struct ExternalImages {
    map: ContextMap,
    id: HandlerId,
    /// The locks of each image, oldest first. No list is empty.
    locks: FxHashMap<ExternalImageId, SmallVec<[ImageLock; 1]>>,
    /// The threads that free memory. They are joined when this value is dropped.
    threads: Vec<thread::JoinHandle<()>>,
}

/// What is locked of an image for one generation. Locks of the same generation that read the same bytes share it.
struct ImageLock {
    /// `None` if the engine does not pass the generation on.
    generation: Option<u8>,
    locked: Locked,
    /// How many locks are not unlocked yet: at least one.
    count: usize,
}

impl ExternalImages {
    /// Makes the handler of one WebRender instance. Several handlers may share a map.
    pub fn new(map: &ContextMap) -> Self {
        Self { map: map.clone(), id: map.new_handler(None), locks: FxHashMap::default(), threads: Vec::new() }
    }

    /// Returns the bytes of an image: those of the image update with this generation, or of a newer frame with the same layout. They stay
    /// as they are until the last [`unlock`](Self::unlock), whatever happens to the context.
    ///
    /// `generation` is the `channel_index` that WebRender passes. An engine that cannot pass it on gives `None`, which the newest update
    /// answers: a canvas that changes its size while built frames wait to be drawn, or one that is drawn in tiles, may then show two frames
    /// at once. The bytes are then as many as any descriptor of the image asks for; if the canvas has become smaller that costs a copy of
    /// each frame.
    ///
    /// An image whose context has ended is blank. `ExternalImageSource::Invalid`, which WebRender paints white, is the answer for an id that no
    /// context with an image key ever had (of the last 65,536 that ended); and in the rare case that no frame fits the update that is drawn and
    /// the process has not even address space for as many bytes, because too few of them would be worse. Locks nest: each needs its own [`unlock`](Self::unlock) with the same generation, except
    /// after `Invalid`.
    pub fn lock(&mut self, id: ExternalImageId, generation: Option<u8>) -> ExternalImageSource<'_> {
        let found = loop {
            match self.map.find(ContextId(id.0)) {
                // One that ends just now is not found again.
                Ok(context) => match context.lock(self.id, generation) {
                    Ok(locked) => break Ok(locked),
                    Err(NotLocked::Gone) => continue,
                    Err(NotLocked::OutOfMemory) => return ExternalImageSource::Invalid,
                },
                Err(remembered) => break Err(remembered),
            }
        };
        let locks = self.locks.get(&id).map_or(&[][..], SmallVec::as_slice);
        let is_shared = |lock: &ImageLock| {
            lock.generation == generation
                && match &found {
                    Ok(locked) => lock.locked.is(locked),
                    // A context that has ended answers no more, but all tiles of an image show one frame. Without a generation it can be
                    // any image.
                    Err(reach) => generation.is_some() || *reach <= Some(lock.locked.bytes().len()),
                }
        };
        let shared = locks.iter().rposition(is_shared);
        let fresh = match (shared, found) {
            (Some(_), _) => None,
            (None, Ok(locked)) => Some(locked),
            (None, Err(remembered)) => match remembered.and_then(|reach| self.map.zeros(reach)) {
                Some(zeros) => Some(zeros),
                None => return ExternalImageSource::Invalid,
            },
        };
        let locks = self.locks.entry(id).or_default();
        let index = shared.unwrap_or(locks.len());
        locks.extend(fresh.map(|locked| ImageLock { generation, locked, count: 0 }));
        let lock = &mut locks[index];
        lock.count += 1;
        ExternalImageSource::RawData(lock.locked.bytes())
    }

    /// Releases one lock of an image that was made with the same `generation`. Has no effect if there is none.
    pub fn unlock(&mut self, id: ExternalImageId, generation: Option<u8>) {
        let Some(locks) = self.locks.get_mut(&id) else { return };
        let Some(index) = locks.iter().rposition(|lock| lock.generation == generation) else {
            return log::debug!(
                "webgpu-presentation: {id:?} is unlocked with a generation that is not locked"
            );
        };
        let lock = &mut locks[index];
        lock.count -= 1;
        if lock.count == 0 {
            let lock = locks.remove(index);
            if locks.is_empty() {
                self.locks.remove(&id);
            }
            self.let_go(lock.locked);
        }
    }

    /// Drops what was locked. If that frees memory, which takes milliseconds, a thread is started for it.
    fn let_go(&mut self, locked: Locked) {
        if let Locked::Frame(frame) = locked
            && let Some(frame) = frame.into_orphan()
        {
            self.threads.retain(|thread| !sync::is_finished(thread));
            self.threads.extend(sync::spawn_or_run(move || drop::<Frame>(frame)));
        }
    }
}

impl fmt::Debug for ExternalImages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let locked: Vec<_> = self.locks.keys().collect();
        f.debug_struct("ExternalImages").field("locked", &locked).finish_non_exhaustive()
    }
}

impl Drop for ExternalImages {
    /// Releases all locks and waits until the memory of their frames is freed. A process that ends afterwards
    /// unloads the GPU's driver, which no thread may be using then.
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
        // WebRender reads the uv rectangle of texture handles only.
        ExternalImage { uv: TexelRect::new(0.0, 0.0, 0.0, 0.0), source }
    }

    fn unlock(&mut self, id: ExternalImageId, channel_index: u8) {
        ExternalImages::unlock(self, id, Some(channel_index));
    }
}

#[cfg(test)]
impl ExternalImages {
    /// Returns what is locked of an image, oldest first: the generation, the number of locks, and the bytes.
    pub(crate) fn held(&self, id: ExternalImageId) -> impl Iterator<Item = (Option<u8>, usize, &[u8])> {
        let locks = self.locks.get(&id).into_iter().flatten();
        locks.map(|lock| (lock.generation, lock.count, lock.locked.bytes()))
    }
}
