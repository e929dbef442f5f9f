//! The engine's side: contexts, presents and reads, on the WebGPU thread.
//!
//! A present gets its place in the order of its context, is queued, and is submitted with the other copies of its device. The poller
//! of the device waits for the submission and completes the present, which then reaches the compositor through the outbox.
//! [`Presenter`] keeps all of that; `batch` gathers presents, `submitter` submits them, `entries` has the contexts with their rings,
//! `poller` waits for the GPU, `maintenance` and `budget` bound what is kept.
//!
//! The folder imports `context`, `delivery`, `frame`, `staging`, `gpu`, `pixels`, `api` and `sync`. It hands out [`Presenter`], [`Batch`] and
//! [`Poller`]. Only the pollers' threads run beside the WebGPU thread here.

mod batch;
mod budget;
mod canvas_textures;
mod entries;
mod maintenance;
mod poller;
mod submitter;

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use euclid::default::{Box2D, Size2D};
use rustc_hash::FxHashSet;
use webrender_api::ImageKey;
use wgpu_core::global::Global;
use wgpu_core::id::{BufferId, DeviceId, QueueId};

use self::entries::{ContextEntry, Entries};
use self::submitter::Submitter;
use crate::api::canvas::{BufferIds, Contents, ContextConfiguration, ContextDescriptor, PendingTexture};
use crate::api::error::{CreateContextError, GetImageError, SetImageKeyError, UnknownContext};
use crate::api::ids::{CanvasEpoch, ContextId, OwnerId, ReturnedId, TransactionId};
use crate::api::image_sink::ImageSink;
use crate::api::options::PresenterOptions;
use crate::api::report::Statistics;
use crate::context::{ContextData, ContextMap, OfFrame, Unread};
use crate::delivery::{Message, Outbox, Recipients, Reply};
use crate::frame::{CopyLayout, ImageRead, Snapshot};
use crate::gpu::{ContainedGpu, Gpu, WgpuCore};
use crate::pixels::AlphaMode;
use crate::staging::Reclaimer;

pub use self::batch::Batch;
#[cfg(test)]
pub(crate) use self::budget::MOST_RESTING;
pub use self::poller::Poller;

/// Longest time for which the destruction of a device waits for copies that would be lost with it. (The fake GPU of unit tests often hangs.)
const LONGEST_FAREWELL: Duration = Duration::from_millis(if cfg!(test) { 40 } else { 100 });

/// Presents the canvases of one wgpu-core `Global`.
///
/// It belongs to the WebGPU thread: whatever creates, writes, submits, destroys or drops in wgpu-core happens in its methods. None of
/// them waits for the GPU, unless [`spin`](PresenterOptions::spin) asks for it. Dropping the presenter destroys its contexts, hands
/// back their ids and ends its threads; nothing is told afterwards.
///
/// wgpu-core's closures run inside a poll: on a thread of the poller, or in a call of this type that does maintenance. [`destroy_device`](Self::destroy_device), [`drop_device`](Self::drop_device) and dropping
/// the presenter wait for a poll under way on a thread of the [`poller`](Self::poller), so closures must not wait for the WebGPU
/// thread. A thread that is stuck, in a closure or in the driver, is waited for for five seconds when the presenter is dropped. Then it is left
/// behind and an error is logged; a process that ends while it is still in the driver may crash there.
///
/// # What the engine promises
///
/// - wgpu-core's ids are live during the call and belong to this presenter's `Global`, whose only presenter this is. (wgpu-core panics
///   otherwise. The panic goes no further: the present that caused it, or the whole submission, fails as
///   [`Panicked`](crate::PresentError::Panicked).)
/// - Ids that were handed in are used for nothing else until they are handed back, as [`new`](Self::new) says.
/// - A texture is what its configuration says, as far as wgpu-core does not check that.
/// - Render passes that may name a canvas texture are begun with [`DiscardedAttachments`](crate::DiscardedAttachments).
/// - Devices are destroyed and dropped through [`destroy_device`](Self::destroy_device) and [`drop_device`](Self::drop_device).
///
/// Everything else may be hostile: context ids, sizes, order and timing.
pub struct Presenter {
    gpu: Arc<ContainedGpu>,
    outbox: Arc<Outbox>,
    poller: Poller,
    entries: Entries,
    submitter: Submitter,
    reclaimer: Reclaimer,
    map: ContextMap,
    /// Maintenance was asked for, and not done since.
    maintenance_due: Arc<AtomicBool>,
    /// When the memory of all contexts was looked at last.
    last_settled: Option<Instant>,
    /// Wakes the engine when frames can be shared no more.
    _wake: Arc<dyn Fn() + Send + Sync>,
    _not_sync: PhantomData<Cell<()>>,
}

impl Presenter {
    /// Creates a presenter whose contexts live in `map` and whose image updates go to `sink`.
    ///
    /// # Safety
    ///
    /// Frames are read while wgpu-core could write or free the buffers that they were copied to. So as long as the presenter exists,
    /// nothing else passes the id of a staging buffer to wgpu-core:
    ///
    /// - In [owned](crate::FrameMemoryKind::Owned) memory a staging buffer has an id only while a call of the presenter submits copies. Whoever
    ///   makes all calls of wgpu-core that name buffers on the WebGPU thread has nothing to do. Another thread could copy to the buffer
    ///   in that time.
    /// - In [portable](crate::FrameMemoryKind::Portable) memory, which every device may fall back to, a staging buffer keeps its id. A copy to it
    ///   would write a frame while it is read, and unmapping or dropping it could free its memory then. Where pages choose the ids that
    ///   their commands name, the engine refuses commands that name an id for which
    ///   [`is_staging_buffer`](Self::is_staging_buffer) returns true.
    ///
    /// And nothing submits commands that name a [canvas texture](Self::create_canvas_texture) on another thread, while a call of the presenter presents it or
    /// destroys its device: what they draw would change a frame while it is read. (A presented texture is destroyed in that call, so later submissions are
    /// refused.)
    ///
    /// Destroying a staging buffer, or its device, is allowed at any time on any thread.
    pub unsafe fn new(
        global: Arc<Global>,
        map: &ContextMap,
        sink: impl ImageSink + 'static,
        options: PresenterOptions,
    ) -> Self {
        Self::with_gpu(Arc::new(WgpuCore::new(global, options.frame_memory)), map, sink, options)
    }

    pub(crate) fn with_gpu(
        gpu: Arc<dyn Gpu>,
        map: &ContextMap,
        sink: impl ImageSink + 'static,
        options: PresenterOptions,
    ) -> Self {
        let PresenterOptions { on_outcome, on_id, wake, frame_memory: _, spin, copy_timeout } = options;
        let (sink, maintenance_due) = (Box::new(sink), Arc::new(AtomicBool::new(false)));
        let due = maintenance_due.clone();
        let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
            due.store(true, Ordering::Release);
            wake();
        });
        let gpu = Arc::new(ContainedGpu::new(gpu));
        map.sharing().add_presenter(&wake);
        let own_wake = wake.clone();
        let poller = Poller::new(gpu.clone(), wake.clone(), copy_timeout);
        let outbox = Arc::new(Outbox::new(Recipients { sink, on_outcome, on_id, wake }));
        Self {
            submitter: Submitter::new(
                gpu.clone(),
                poller.clone(),
                outbox.clone(),
                map.sharing().clone(),
                spin,
            ),
            gpu,
            outbox,
            poller,
            entries: Entries::default(),
            reclaimer: Reclaimer::default(),
            map: map.clone(),
            maintenance_due,
            last_settled: None,
            _wake: own_wake,
            _not_sync: PhantomData,
        }
    }

    /// Creates a context. It is transparent black of the given size until something is presented.
    ///
    /// # Errors
    ///
    /// The id is taken, or the buffer ids are none or not distinct. The buffer ids of `descriptor` stay the engine's then.
    pub fn create_context(
        &mut self,
        id: ContextId,
        descriptor: ContextDescriptor,
    ) -> Result<(), CreateContextError> {
        self.maintain_if_due();
        if let BufferIds::Provided(ids) = &descriptor.buffer_ids {
            if ids.is_empty() {
                return Err(CreateContextError::NoBufferIds);
            }
            let repeats = ids.iter().collect::<FxHashSet<_>>().len() != ids.len();
            if repeats || ids.iter().any(|id| self.is_staging_buffer(*id)) {
                return Err(CreateContextError::RepeatedBufferId);
            }
        }
        let (outbox, fallback, waiters) = (self.outbox.clone(), self.map.fallback(), self.map.waiters());
        let ContextDescriptor { owner, size, buffer_ids } = descriptor;
        let make =
            |generations| Arc::new(ContextData::new(id, owner, size, generations, outbox, fallback, waiters));
        let data = self.map.insert(id, make).ok_or(CreateContextError::Duplicate(id))?;
        // Another thread may have ended an earlier context with this id, whose ring is here still.
        self.forget(id);
        self.entries.insert(id, data, buffer_ids, self.reclaimer.clone());
        Ok(())
    }

    /// Displays a context under `key`, and no longer under the key before, which is deleted. Setting the same key again changes
    /// nothing.
    ///
    /// The image is added with the layout of the newest frame, or as one cleared pixel. From now on every present causes at least
    /// one update of it. The sink has been told when this returns, so that a display list sent afterwards finds the image: if another thread
    /// is calling the sink or the engine at that moment, this waits for it. (Called from such a callback, it does not wait.)
    ///
    /// A key belongs to one context of the map at a time. To display another context under it, end the first one or display that under
    /// another key: the key is free once the sink was told to delete the image and was flushed. That is before the context comes back as
    /// [`ReturnedId::Context`]; and this call waits for it, if another thread is telling the sink at that moment.
    ///
    /// # Errors
    ///
    /// This presenter has no such context, or another context has the key. The context stays displayed under the key that it has.
    pub fn set_image_key(&mut self, id: ContextId, key: ImageKey) -> Result<(), SetImageKeyError> {
        let data = self.living(id).map(|entry| entry.data.clone()).ok_or(UnknownContext(id))?;
        let is_set = data.has_key(key) || {
            let claim = self.map.claim(key, &data).map_err(SetImageKeyError::KeyInUse)?;
            data.set_key(claim)
        };
        self.outbox.finish();
        if is_set { Ok(()) } else { Err(UnknownContext(id).into()) }
    }

    /// Shows `contents` as soon as they are copied, unless something newer is shown first. Does not wait.
    ///
    /// Returns the sequence number of the present in its context, from 1. Its end is told to
    /// [`on_outcome`](PresenterOptions::on_outcome), once; and if the context has an image key, at least one image update carries an
    /// epoch no lower than `epoch`, whatever becomes of the present.
    ///
    /// The texture may be destroyed afterwards, through a [`batch`](Self::batch): if reads wait for so many copies that this one must wait too,
    /// its texture is kept until it is made. An engine that draws to a presented texture again waits until the present has ended, or the
    /// copy may find what was drawn later. Presenting several textures in one batch, and destroying each one after its present as engines do,
    /// is several times faster.
    ///
    /// # Errors
    ///
    /// This presenter has no such context. Everything else is told as the present's end alone. The ids in `contents` are handed back in any
    /// case.
    pub fn present(
        &mut self,
        id: ContextId,
        contents: Contents,
        epoch: CanvasEpoch,
    ) -> Result<u64, UnknownContext> {
        span!("Presenter::present");
        let mut batch = self.batch();
        let sequence = batch.present(id, contents, epoch)?;
        batch.submit();
        Ok(sequence)
    }

    /// Gathers presents and reads, which are submitted together when the batch is submitted or dropped.
    pub fn batch(&mut self) -> Batch<'_> {
        self.maintain_if_due();
        Batch::new(self)
    }

    /// Reads a canvas as [`get_image`](Self::get_image) does, and takes the image away: reads return a cleared drawing buffer of the
    /// same size from then on, until something else is presented.
    ///
    /// This is for `transferToImageBitmap`, which
    /// [replaces the drawing buffer](https://www.w3.org/TR/webgpu/#abstract-opdef-replace-the-drawing-buffer). The drawing buffer is
    /// replaced even if the answer is an error. Nothing changes on screen and nothing is acknowledged: what is displayed is what was
    /// presented, and what script draws next (or [`Contents::Cleared`], if it draws nothing) is presented at the next update of the
    /// rendering. A texture that was presented is not changed either; that the next one begins cleared is up to the engine.
    pub fn take_image(
        &mut self,
        id: ContextId,
        texture: Option<PendingTexture>,
        reply: impl FnOnce(Result<Snapshot, GetImageError>) + Send + 'static,
    ) {
        self.maintain_if_due();
        let data = self.living(id).map(|entry| entry.data.clone());
        match (data, &texture) {
            (Some(data), Some(texture)) => {
                let ContextConfiguration { size, alpha_mode, .. } = texture.configuration;
                data.replace_drawing_buffer(size, alpha_mode);
                self.get_image(id, Some(*texture), reply);
            }
            (Some(data), None) => {
                let unread = data.take(Box::new(reply));
                self.read_image(id, data, unread);
                self.flush();
            }
            (None, _) => self.get_image(id, texture, reply),
        }
    }

    /// Puts a cleared drawing buffer in the place of what was presented, for reads: they return it until something else is presented.
    ///
    /// This is for `configure()`, `unconfigure()` and a canvas whose size is set, which
    /// [replace the drawing buffer](https://www.w3.org/TR/webgpu/#abstract-opdef-replace-the-drawing-buffer). The screen changes only with the
    /// next present. Called after [`take_image`](Self::take_image) it names the size of the buffer that takes the image's place.
    ///
    /// # Errors
    ///
    /// This presenter has no such context.
    pub fn replace_drawing_buffer(
        &mut self,
        id: ContextId,
        size: Size2D<u32>,
        alpha_mode: AlphaMode,
    ) -> Result<(), UnknownContext> {
        let known = self.living(id).is_some_and(|entry| entry.data.replace_drawing_buffer(size, alpha_mode));
        if known { Ok(()) } else { Err(UnknownContext(id)) }
    }

    /// Answers with the contents of a canvas: those of `texture`, or without one what was presented last, even if its copy is still in flight.
    /// Changes nothing on screen. Does not wait: `reply` is called once, on any thread.
    ///
    /// A reply often runs on the poller of the canvas's device, so time that it takes delays the frames of that device. An engine that copies
    /// the pixels, for example into shared memory, sends the [`Snapshot`], which is a handle, to another thread and copies there; one
    /// [`Snapshot::copy_into`] puts them straight into memory of the engine's.
    ///
    /// The answer is the frame that was asked for, or an error that says why there is none. Any number of reads may be made without awaiting
    /// their answers, up to a thousand for each canvas ([`TooManyReads`](GetImageError::TooManyReads)). A copy of a texture for which there is
    /// no room waits, so a texture is destroyed through a [`batch`](Self::batch).
    pub fn get_image(
        &mut self,
        id: ContextId,
        texture: Option<PendingTexture>,
        reply: impl FnOnce(Result<Snapshot, GetImageError>) + Send + 'static,
    ) {
        span!("Presenter::get_image");
        let mut batch = self.batch();
        batch.get_image(id, texture, reply);
        batch.submit();
    }

    /// Answers with a part of a canvas, in pixels from its top left corner, as [`get_image`](Self::get_image) does with all of it.
    ///
    /// Only that part of a texture is copied by the GPU. Of what is shown nothing is copied: the answer is a view of the frame. The part may be
    /// empty; if it does not lie inside the canvas, the answer is [`GetImageError::Region`].
    pub fn get_image_region(
        &mut self,
        id: ContextId,
        texture: Option<PendingTexture>,
        region: Box2D<u32>,
        reply: impl FnOnce(Result<Snapshot, GetImageError>) + Send + 'static,
    ) {
        span!("Presenter::get_image_region");
        let mut batch = self.batch();
        batch.get_image_region(id, texture, region, reply);
        batch.submit();
    }

    /// Ends a context: its image is deleted, its ids are handed back, and what is in flight fails. Frames that a renderer has locked
    /// stay readable until they are unlocked.
    ///
    /// # Errors
    ///
    /// This presenter has no such context.
    pub fn destroy_context(&mut self, id: ContextId) -> Result<(), UnknownContext> {
        self.destroy_with(id, |map, entry| map.destroy(&entry.data))
    }

    /// Ends a context, but lets its last frame be displayed until the compositor has done a transaction: the one that makes it forget
    /// the canvas.
    ///
    /// The context ends for the engine at once: its ids come back, what is in flight fails, and presents are refused as
    /// [`UnknownContext`]. Its image is deleted, and locked no more, when [`ContextMap::transaction_done`] is told of this transaction
    /// or a later one of the compositor (which the namespace of the image key names), when [`ContextMap::compositor_gone`] is, or when
    /// the owner or this presenter goes. Until then its id is taken: [`CreateContextError::Duplicate`]. Without an image key, or if the
    /// transaction is done already, this is [`destroy_context`](Self::destroy_context).
    ///
    /// # Errors
    ///
    /// This presenter has no such context.
    pub fn destroy_context_after(
        &mut self,
        id: ContextId,
        transaction: TransactionId,
    ) -> Result<(), UnknownContext> {
        self.destroy_with(id, |map, entry| map.destroy_after(&entry.data, entry.ring.recycler(), transaction))
    }

    /// Ends the contexts of an owner that this presenter has, and hands their ids back. Returns how many there were.
    ///
    /// Other presenters may use the same owner for contexts of their own; [`ContextMap::destroy_owner`] ends those too.
    pub fn destroy_owner(&mut self, owner: OwnerId) -> usize {
        self.maintain_if_due();
        self.flush();
        let count = self.map.destroy_owner_of(&self.outbox, owner);
        // These include contexts that another thread has ended before.
        let ended = self.entries.of_owner(owner).filter(|(_, entry)| !entry.data.is_alive());
        let ended: Vec<_> = ended.map(|(id, _)| id).collect();
        ended.into_iter().for_each(|id| self.forget(id));
        count
    }

    /// Tells of a device that the engine has made, and of its queue.
    ///
    /// The poller can [wait for submissions of the queue](Poller::wait_for_queue) from now on, and the first present on the device finds it
    /// prepared. A device that only presents need not be told of.
    ///
    /// Precondition: the device is not dropped, and the queue is its own.
    pub fn add_device(&mut self, device: DeviceId, queue: QueueId) {
        self.poller.add_device(device, queue);
    }

    /// Destroys a device as `Global::device_destroy` does, safely beside pollers.
    ///
    /// Frames on screen are not affected, and what was presented before arrives: copies that are in flight to portable memory, or that wait for
    /// room, are waited for, for 100 ms at most. Copies in flight to owned memory arrive later, within two seconds: those of a GPU that
    /// does not answer fail then. What was drawn in [canvas textures](Self::create_canvas_texture) and not presented yet is kept: their presents
    /// show it, but reads of them fail as [`DeviceLost`](crate::PresentError::DeviceLost). Everything else that is presented on the device
    /// afterwards is blank. The device's closures run in [`maintain`](Self::maintain) from now on; until the device is idle,
    /// [`wake`](PresenterOptions::wake) asks for that with pauses of up to 64 ms.
    pub fn destroy_device(&mut self, device: DeviceId) {
        span!("Presenter::destroy_device");
        self.maintain_if_due();
        self.keep_canvas_textures(device);
        self.keep_shared_images(device);
        self.finish_copies(device);
        self.poller.retire(device);
        self.gpu.destroy_device(device);
        self.forget_buffers(device);
        self.poll(device);
        self.outbox.drain();
    }

    /// Drops a device as `Global::device_drop` does, safely beside pollers. Its id must not be used afterwards.
    ///
    /// What becomes of frames is said at [`destroy_device`](Self::destroy_device).
    pub fn drop_device(&mut self, device: DeviceId) {
        span!("Presenter::drop_device");
        self.maintain_if_due();
        self.keep_canvas_textures(device);
        self.keep_shared_images(device);
        self.finish_copies(device);
        self.release_kept(device);
        self.poller.retire(device);
        self.forget_buffers(device);
        // This runs what closures it can: wgpu-core cannot be asked for the device afterwards.
        self.gpu.poll(device);
        self.gpu.drop_device(device);
        self.poller.forget(device);
        self.outbox.drain();
    }

    /// Drops a queue as `Global::queue_drop` does, but does not wait: wgpu-core drops a queue only when its device is idle, however long
    /// that takes. The ids of the queue must not be used afterwards.
    ///
    /// The thread of the device drops it as soon as all that was submitted before is done, or the device is lost; closures of
    /// finished work can run then, on that thread. (A closure that waits for the loss of the device is not called by wgpu-core once the queue
    /// is dropped.) A panic of wgpu-core in it is contained. If the GPU never answers, the queue stays in the hub, and its drop
    /// waits when the `Global` goes; so it does if the device is busy still when the presenter goes.
    ///
    /// Precondition: the device is not dropped yet. If it is, this waits as `Global::queue_drop` does.
    pub fn drop_queue(&mut self, device: DeviceId, queue: QueueId) {
        self.maintain_if_due();
        self.flush();
        // Without a queue they cannot be made.
        self.submitter.fail_waiting(device);
        self.flush();
        self.poller.drop_queue(device, queue);
        self.outbox.drain();
    }

    /// Returns the poller, which can wait for the engine's own submissions too.
    pub fn poller(&self) -> &Poller {
        &self.poller
    }

    /// Returns whether a buffer id belongs to this presenter: the engine handed it in and has not got it back, or wgpu-core allocated it for
    /// a staging buffer that exists.
    ///
    /// An engine whose buffer ids are chosen by a less trusted process asks this before it runs a command that names one, and refuses the
    /// command. See [`Presenter::new`].
    pub fn is_staging_buffer(&self, id: BufferId) -> bool {
        self.entries.has_buffer_id(id) || self.gpu.has_buffer(id)
    }

    /// Returns the counts of a context. Allocates nothing, so an engine may ask in each frame.
    ///
    /// # Errors
    ///
    /// This presenter has no such context.
    pub fn statistics(&self, id: ContextId) -> Result<Statistics, UnknownContext> {
        let entry = self.entries.get(id).filter(|entry| entry.data.is_alive()).ok_or(UnknownContext(id))?;
        Ok(Statistics { buffers: entry.ring.recycler().buffers(), ..entry.data.statistics() })
    }

    /// Submits what is queued.
    fn flush(&mut self) {
        self.submitter.flush(&mut self.entries);
    }

    /// Lets the copies of a device that is to be destroyed finish, as far as they would be lost with it; but not for longer than
    /// [`LONGEST_FAREWELL`]. Owned memory gets its bytes in any case, once its copy is submitted.
    fn finish_copies(&mut self, device: DeviceId) {
        self.flush();
        let deadline = Instant::now() + LONGEST_FAREWELL;
        let would_be_lost = |submitter: &Submitter, poller: &Poller| {
            submitter.has_waiting(device) || poller.loses_copies(device)
        };
        while would_be_lost(&self.submitter, &self.poller)
            && self.poller.wait_for_copies(device, deadline)
            && self.submitter.has_waiting(device)
            && Instant::now() < deadline
        {
            // Room may depend on other devices, for which nobody waits here.
            std::thread::sleep(Duration::from_millis(1));
            self.flush();
        }
        self.submitter.fail_waiting(device);
        // Nothing holds the textures of those copies back any more.
        self.flush();
    }

    /// Answers a read: with a part of a texture, which must lie inside it, or with what was presented last.
    fn read(&mut self, id: ContextId, texture: Option<(PendingTexture, Box2D<u32>)>, reply: Reply) {
        match (self.living(id), texture) {
            (Some(entry), Some((texture, region))) => {
                entry.last_used = Instant::now();
                let data = entry.data.clone();
                self.capture(id, data, (texture, region), reply);
            }
            (Some(entry), None) => {
                let data = entry.data.clone();
                let unread = data.read(reply);
                return self.read_image(id, data, unread);
            }
            (None, texture) => {
                self.submitter.return_encoder_ids(texture.and_then(|(texture, _)| texture.encoder_ids));
                let error = GetImageError::UnknownContext(UnknownContext(id));
                self.outbox.answer(reply, Err(error));
            }
        }
        self.outbox.drain();
    }

    /// Copies the shared image that a read is of, if it is of one.
    fn read_image(&mut self, id: ContextId, data: Arc<ContextData>, unread: Option<Unread>) {
        if let Some((reply, read, of_frame)) = unread {
            let read = (read, of_frame);
            self.submitter.enqueue_image_read(id, data, Some(reply), read, &mut self.entries);
        }
        self.outbox.drain();
    }

    /// Copies the shared images of a device that is about to be destroyed, for reads. Renderers can sample them all the same.
    fn keep_shared_images(&mut self, device: DeviceId) {
        self.copy_shared_images(|data| data.image_to_copy(false).filter(|(read, _)| read.device == device));
    }

    /// Copies shared images of all contexts for which `choose` returns one.
    fn copy_shared_images(&mut self, choose: impl Fn(&ContextData) -> Option<(ImageRead, OfFrame)>) {
        if !self.submitter.has_shared() {
            return;
        }
        let chosen = self
            .entries
            .iter()
            .filter_map(|(id, entry)| choose(&entry.data).map(|read| (id, entry.data.clone(), read)));
        for (id, data, read) in chosen.collect::<Vec<_>>() {
            self.submitter.enqueue_image_read(id, data, None, read, &mut self.entries);
        }
        self.flush();
    }

    /// Copies the shared images that reads wait for; and, if renderers can sample them no more, those that are shown.
    fn copy_unread_images(&mut self) {
        if !self.submitter.has_shared() {
            return;
        }
        let unread = self.entries.iter().flat_map(|(id, entry)| {
            entry.data.take_unread().into_iter().map(move |unread| (id, entry.data.clone(), unread))
        });
        for (id, data, unread) in unread.collect::<Vec<_>>() {
            self.read_image(id, data, Some(unread));
        }
        self.flush();
        let shared = self.map.sharing().device();
        let is_useless = |read: &ImageRead| Some(read.uuids) != shared;
        // The device of an image may be gone, but then it was copied.
        for (_, entry) in self.entries.iter() {
            let stays_bytes = entry.data.stays_bytes();
            entry.data.show_copy(|read| stays_bytes || is_useless(read));
        }
        self.copy_shared_images(|data| {
            let stays_bytes = data.stays_bytes();
            data.image_to_copy(true).filter(|(read, _)| stays_bytes || is_useless(read))
        });
    }

    /// Asks for a copy of a part of a texture.
    fn capture(
        &mut self,
        id: ContextId,
        data: Arc<ContextData>,
        (texture, region): (PendingTexture, Box2D<u32>),
        reply: Reply,
    ) {
        let layout = (!region.is_empty()).then(|| CopyLayout::of_region(&texture.configuration, region));
        let answer = match layout {
            Some(Ok(layout)) => {
                let copy = (texture, layout);
                return self.submitter.enqueue_capture(id, data, reply, copy, &mut self.entries);
            }
            Some(Err(error)) => Err(GetImageError::Texture(error)),
            None => Ok(Snapshot::cleared(region.size(), texture.configuration.alpha_mode)),
        };
        self.submitter.return_encoder_ids(texture.encoder_ids);
        self.outbox.answer(reply, answer);
    }

    /// Returns a context, unless it has ended, which another thread may have done.
    fn living(&mut self, id: ContextId) -> Option<&mut ContextEntry> {
        if !self.entries.get(id)?.data.is_alive() {
            self.forget(id);
        }
        self.entries.get_mut(id)
    }

    /// Ends a context with `end`, which returns whether it was there to be ended.
    fn destroy_with(
        &mut self,
        id: ContextId,
        end: impl FnOnce(&ContextMap, &ContextEntry) -> bool,
    ) -> Result<(), UnknownContext> {
        self.maintain_if_due();
        self.flush();
        let entry = self.entries.get(id).ok_or(UnknownContext(id))?;
        let known = end(&self.map, entry);
        self.forget(id);
        if known { Ok(()) } else { Err(UnknownContext(id)) }
    }

    /// Takes back what only this thread can take back of a context that has ended. Does nothing if there is none with this id.
    fn forget(&mut self, id: ContextId) {
        if self.entries.get(id).is_none() {
            return;
        }
        // What is queued for it must find its ring, not that of the next context with this id.
        self.flush();
        for buffer in self.entries.remove(id, &*self.gpu) {
            self.outbox.message(Message::Return(ReturnedId::Buffer(buffer)));
        }
        self.outbox.drain();
    }

    /// Takes back what is left of all contexts that have ended.
    fn forget_ended(&mut self) {
        let ended = self.entries.iter().filter(|(_, entry)| !entry.data.is_alive());
        let ended: Vec<_> = ended.map(|(id, _)| id).collect();
        ended.into_iter().for_each(|id| self.forget(id));
    }

    /// Lets all rings forget a device that goes.
    fn forget_buffers(&mut self, device: DeviceId) {
        for entry in self.entries.iter_mut() {
            entry.ring.forget_device(&*self.gpu, device);
        }
        let recyclers = self.entries.ended().filter_map(|ended| ended.recycler.upgrade());
        recyclers.for_each(|recycler| drop(recycler.forget_device(device)));
    }

    /// Polls a device: closures of finished work run, and wgpu-core releases what is not used any more. For a destroyed device that
    /// is still busy the next maintenance is asked for, so that it is polled to its end.
    fn poll(&self, device: DeviceId) {
        let result = self.gpu.poll(device);
        self.poller.polled(device, result);
    }
}

impl fmt::Debug for Presenter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contexts: Vec<_> = self.entries.iter().map(|(id, _)| id).collect();
        f.debug_struct("Presenter").field("contexts", &contexts).finish_non_exhaustive()
    }
}

impl Drop for Presenter {
    fn drop(&mut self) {
        self.flush();
        self.map.destroy_all(&self.outbox);
        self.forget_ended();
        self.submitter.return_spare_ids();
        self.outbox.drain();
        self.poller.stop();
        self.reclaimer.close();
        self.outbox.close();
    }
}
