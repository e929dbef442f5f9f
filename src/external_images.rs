//! The renderer's side of the crate: WebRender locks a canvas to read its bytes, and unlocks it.
//!
//! An engine makes one [`ExternalImages`] for each WebRender instance, and that instance calls it on its
//! renderer thread. Contexts are found in the [`ContextMap`] that the presenters fill. What is locked is kept
//! here, not in the context, so it stays readable after its context was destroyed. Frames that are images are sampled as textures
//! of the renderer's GL, which `gl` makes of them.

#[cfg(unix)]
mod gl;

use std::fmt;

use euclid::default::Size2D;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use webrender_api::units::TexelRect;
use webrender_api::{ExternalImage, ExternalImageHandler, ExternalImageId, ExternalImageSource};

use crate::api::ids::ContextId;
use crate::context::{ContextMap, NotLocked};
use crate::delivery::{HandlerId, Locked, place_of};
use crate::frame::{Frame, Place};
use crate::sync::{self, thread};

#[cfg(unix)]
pub use self::gl::GlImportError;
#[cfg(unix)]
use self::gl::{GlFence, GlImages, ImportError};

/// Longest wait, when a handler is dropped, for what GL still reads.
#[cfg(unix)]
const LONGEST_FAREWELL: std::time::Duration = std::time::Duration::from_millis(100);

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
/// [`unlock`](Self::unlock); or, if the value was made [`with_gl`](Self::with_gl), WebRender's trait, whose `lock` returns the size of a
/// texture too. Any other engine gives this value to `Renderer::set_external_image_handler`.
pub struct ExternalImages {
    map: ContextMap,
    id: HandlerId,
    /// The locks of each image, oldest first. No list is empty.
    locks: FxHashMap<ExternalImageId, SmallVec<[ImageLock; 1]>>,
    /// The threads that free memory. They are joined when this value is dropped.
    threads: Vec<thread::JoinHandle<()>>,
    /// What the renderer's GL has imported; `None` if it is handed bytes alone.
    #[cfg(unix)]
    gl: Option<GlImages>,
    /// Images that are not locked any more, until GL has sampled them.
    #[cfg(unix)]
    sampled: Vec<(GlFence, Locked)>,
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
        Self {
            map: map.clone(),
            id: map.new_handler(None),
            locks: FxHashMap::default(),
            threads: Vec::new(),
            #[cfg(unix)]
            gl: None,
            #[cfg(unix)]
            sampled: Vec::new(),
        }
    }

    /// Makes the handler of a WebRender instance on GL that can sample the GPU's memory. `load` returns the functions of its GL by
    /// name, or null.
    ///
    /// As long as all handlers of a map are on the device that the canvases are drawn on, presents are not copied to host memory:
    /// [`lock`](Self::lock) returns textures (`ExternalImageSource::NativeTexture`), and image updates say so
    /// (`ExternalImageType::TextureHandle`). A canvas that was ever wider or higher than 4096 pixels stays with bytes, because WebRender draws it in tiles
    /// (`WebRenderOptions::image_tiling_threshold` must not be smaller than that default). A frame is a texture or bytes as the update says whose generation is locked, so the engine passes the
    /// generation (`channel_index`) on. What GL may still be sampling when it is unlocked is kept until a later lock or unlock finds that GL
    /// has done with it.
    ///
    /// The textures are `GL_TEXTURE_2D`, and their top row comes first. Their swizzle (`GL_TEXTURE_SWIZZLE_R` and so on) puts the channels in order and
    /// makes opaque canvases opaque, so shaders sample what the canvas shows; `glGetTexImage` and copies by way of a framebuffer bypass it. Whoever calls the methods itself locks with
    /// `ExternalImageHandler::lock`: WebRender needs the size of a texture, which is `uv.uv1` there and which [`lock`](Self::lock) does
    /// not return.
    ///
    /// While the map has a handler that samples no images, or one on another device, frames are bytes; that handler gets
    /// `ExternalImageSource::Invalid` until presenters have done the [`maintenance`](crate::Presenter::maintain) that is asked for then. If an image
    /// cannot be imported, frames are bytes from then on: those of its canvas if there was no memory, otherwise those of the map. All of that is logged, and [`Statistics`](crate::Statistics) count the
    /// frames that are shared.
    ///
    /// This exists on Unix alone. An engine asks wgpu-core for nothing: its devices have the extension `VK_KHR_external_memory_fd` if the
    /// driver has it.
    ///
    /// # Errors
    ///
    /// The context lacks an extension or a function (`GL_EXT_memory_object_fd`), or does not say which device it is on. The engine makes the
    /// handler with [`new`](Self::new) then.
    ///
    /// # Safety
    ///
    /// What `load` returns for the name of a function of GL is that function. The context of the renderer is current now, whenever a method is
    /// called, and when the handler is dropped.
    #[cfg(unix)]
    pub unsafe fn with_gl(
        map: &ContextMap,
        mut load: impl FnMut(&str) -> *const std::ffi::c_void,
    ) -> Result<Self, GlImportError> {
        // SAFETY: the caller promises it.
        let gl = unsafe { GlImages::new(&mut load)? };
        let id = map.new_handler(Some(gl.uuids()));
        let (locks, threads, sampled) = (FxHashMap::default(), Vec::new(), Vec::new());
        Ok(Self { map: map.clone(), id, locks, threads, gl: Some(gl), sampled })
    }

    /// Returns the bytes of an image (or its texture: see [`with_gl`](Self::with_gl)): those of the image update with this generation, or of
    /// a newer frame with the same layout. They stay as they are until the last [`unlock`](Self::unlock), whatever happens to the context.
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
        self.lock_with_size(id, generation).0
    }

    /// Locks, and returns the size of the texture too, if it is one.
    fn lock_with_size(
        &mut self,
        id: ExternalImageId,
        generation: Option<u8>,
    ) -> (ExternalImageSource<'_>, Size2D<u32>) {
        span!("ExternalImages::lock");
        let nothing = Size2D::zero();
        let found = loop {
            match self.map.find(ContextId(id.0)) {
                // One that ends just now is not found again.
                Ok(context) => match context.lock(self.id, generation) {
                    Ok(locked) => break Ok(locked),
                    Err(NotLocked::Gone) => continue,
                    Err(NotLocked::OutOfMemory) => return (ExternalImageSource::Invalid, nothing),
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
                None => return (ExternalImageSource::Invalid, nothing),
            },
        };
        let locks = self.locks.entry(id).or_default();
        let index = shared.unwrap_or(locks.len());
        locks.extend(fresh.map(|locked| ImageLock { generation, locked, count: 0 }));
        let lock = &mut locks[index];
        lock.count += 1;
        let wants_texture = generation.is_some_and(|generation| place_of(generation) == Place::Texture)
            && self.map.sharing().was_possible();
        #[cfg(unix)]
        if let Some(gl) = self.gl.as_mut().filter(|_| wants_texture || lock.locked.is_texture()) {
            let (name, size) = texture(gl, &self.map, id, &lock.locked);
            return (ExternalImageSource::NativeTexture(name), size);
        }
        if wants_texture || lock.locked.is_texture() {
            // This renderer samples no images. It gets bytes as soon as presenters have heard of it.
            self.unlock(id, generation);
            return (ExternalImageSource::Invalid, nothing);
        }
        let lock = &self.locks[&id][index];
        (ExternalImageSource::RawData(lock.locked.bytes()), nothing)
    }

    /// Releases one lock of an image that was made with the same `generation`. Has no effect if there is none.
    pub fn unlock(&mut self, id: ExternalImageId, generation: Option<u8>) {
        span!("ExternalImages::unlock");
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

    /// Frees what the renderer's GL has sampled and what nothing shows any more, as each lock and unlock does.
    ///
    /// WebRender locks only what is on the page. So an engine calls this on the renderer's thread, with its context current, some time
    /// after the last canvas has left the page, or when the system is short of memory.
    pub fn trim(&mut self) {
        #[cfg(unix)]
        if let Some(gl) = &mut self.gl {
            let (done, sampled) =
                std::mem::take(&mut self.sampled).into_iter().partition(|(fence, _)| gl.is_done(fence));
            self.sampled = sampled;
            let done: Vec<(GlFence, Locked)> = done;
            done.into_iter().for_each(|(_, locked)| self.free(locked));
            if let Some(gl) = &mut self.gl {
                gl.sweep();
            }
        }
    }

    /// Drops what was locked, once GL has sampled it.
    fn let_go(&mut self, locked: Locked) {
        self.trim();
        #[cfg(unix)]
        if let Some(gl) = self.gl.as_ref().filter(|_| locked.is_texture()) {
            return self.sampled.push((gl.fence(), locked));
        }
        self.free(locked);
    }

    /// Drops what was locked. If that frees memory, which takes milliseconds, a thread is started for it.
    fn free(&mut self, locked: Locked) {
        if let Locked::Frame(frame) = locked
            && let Some(frame) = frame.into_orphan()
        {
            self.threads.retain(|thread| !sync::is_finished(thread));
            self.threads.extend(sync::spawn_or_run(move || drop::<Frame>(frame)));
        }
    }
}

/// Returns the texture of what is locked, and its size. If it cannot be imported that is a blank one, and no more images are shared:
/// those of the canvas if there is no memory, or none at all.
#[cfg(unix)]
fn texture(gl: &mut GlImages, map: &ContextMap, id: ExternalImageId, locked: &Locked) -> (u32, Size2D<u32>) {
    if let Locked::Frame(frame) = locked
        && let Some(image) = frame.texture()
    {
        match gl.texture(frame, &image) {
            Ok(texture) => return (texture, image.size()),
            // The renderers are on another GPU now.
            Err(ImportError::OtherDevice) => {}
            Err(error) if error.is_for_lack() => {
                if map.find(ContextId(id.0)).is_ok_and(|context| context.stay_bytes()) {
                    log::debug!("webgpu-presentation: {id:?} is read back, it was not imported: {error}");
                }
            }
            Err(error) => {
                log::warn!("webgpu-presentation: frames are read back, an image was not imported: {error}");
                map.sharing().fail();
            }
        }
        // The frame is replaced. It may have been in flight when presenters were woken before.
        map.sharing().wake_presenters();
    }
    (gl.blank(), Size2D::new(1, 1))
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
        #[cfg(unix)]
        if let Some(gl) = &self.gl {
            let deadline = std::time::Instant::now() + LONGEST_FAREWELL;
            let locked = self.locks.drain().flat_map(|(_, locks)| locks).map(|lock| lock.locked);
            self.sampled.extend(locked.filter(Locked::is_texture).map(|locked| (gl.fence(), locked)));
            for (fence, _) in &self.sampled {
                while !gl.is_done(fence) && std::time::Instant::now() < deadline {
                    thread::yield_now();
                }
            }
        }
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
        // WebRender reads the uv rectangle of texture handles only.
        let (source, size) = self.lock_with_size(id, Some(channel_index));
        ExternalImage { uv: TexelRect::new(0.0, 0.0, size.width as f32, size.height as f32), source }
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
