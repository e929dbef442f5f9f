//! The engine's side: contexts, presents and snapshots, on the WebGPU thread.

mod batch;
mod budget;
mod entries;
mod maintenance;
mod poller;
mod submitter;

pub use self::batch::Batch;
#[cfg(test)]
pub(crate) use self::budget::MOST_RESTING;
pub use self::poller::Poller;

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashSet;
use webrender_api::ImageKey;
use wgpu_core::global::Global;
use wgpu_core::id::DeviceId;

use self::entries::ContextEntry;
use self::poller::device::poll_contained;
use self::submitter::{QueuedCopy, Submitter};
use crate::api::canvas::{BufferIds, Contents, ContextConfiguration, ContextDescriptor, PendingTexture};
use crate::api::error::{CreateContextError, GetImageError, PresentError, UnknownContext};
use crate::api::ids::{CanvasEpoch, ContextId, OwnerId, TransactionId};
use crate::api::image_sink::ImageSink;
use crate::api::options::PresenterOptions;
use crate::api::report::Statistics;
use crate::context::ContextData;
use crate::context::ContextMap;
use crate::context::Purpose;
use crate::delivery::{Message, Outbox, Recipients, Reply};
use crate::frame::CopyLayout;
use crate::frame::Snapshot;
use crate::gpu::{Gpu, PollResult, WgpuCore};
use crate::staging::StagingRing;

/// Presents the canvases of one `Global`.
///
/// It belongs to the WebGPU thread: whatever creates, writes, submits, destroys or drops in wgpu-core happens in its
/// methods. None of them waits for the GPU, unless [`spin`](PresenterOptions::spin) asks for it. Dropping it destroys its contexts, hands back their ids and ends its threads:
/// nothing is told afterwards.
///
/// wgpu-core's closures run inside a poll. [`destroy_device`](Self::destroy_device), [`drop_device`](Self::drop_device) and
/// dropping wait for a poll under way on a thread of [`poller`](Self::poller): closures must not wait for the WebGPU thread.
///
/// # What the engine promises
///
/// wgpu-core's ids are live during the call and belong to this presenter's `Global`, whose only presenter this is (wgpu-core
/// panics otherwise); ids that were handed in are used for nothing else until they are handed back, nor are the buffers behind
/// them (memory safety rests on that: who copies to a staging buffer writes a frame that is being read); a texture is what its
/// configuration says, as far as wgpu-core does not check that; devices are destroyed and dropped through
/// [`destroy_device`](Self::destroy_device) and [`drop_device`](Self::drop_device). Everything else may be hostile: context
/// ids, sizes, order and timing.
pub struct Presenter {
    submitter: Submitter,
    map: ContextMap,
    /// When the memory of owners was looked at last.
    bounded: Option<Instant>,
    _not_sync: PhantomData<Cell<()>>,
}

impl Presenter {
    /// A presenter whose contexts live in `map` and whose image updates go to `sink`.
    pub fn new(
        global: Arc<Global>,
        map: &ContextMap,
        sink: Arc<dyn ImageSink>,
        options: PresenterOptions,
    ) -> Self {
        Self::with_gpu(Arc::new(WgpuCore::new(global, options.frame_memory)), map, sink, options)
    }

    pub(crate) fn with_gpu(
        gpu: Arc<dyn Gpu>,
        map: &ContextMap,
        sink: Arc<dyn ImageSink>,
        options: PresenterOptions,
    ) -> Self {
        let PresenterOptions { on_outcome, on_id, wake, frame_memory: _, spin } = options;
        let poller = Poller::new(gpu.clone(), wake.clone());
        let outbox = Arc::new(Outbox::new(Recipients { sink, on_outcome, on_id, wake }));
        Self {
            submitter: Submitter::new(gpu, poller, outbox, spin),
            map: map.clone(),
            bounded: None,
            _not_sync: PhantomData,
        }
    }

    /// Makes a context. Until something is presented it is transparent black of the given size.
    ///
    /// After an error the ids of `descriptor` are still the engine's.
    pub fn create_context(
        &mut self,
        id: ContextId,
        descriptor: ContextDescriptor,
    ) -> Result<(), CreateContextError> {
        if let BufferIds::Provided(ids) = &descriptor.buffer_ids {
            if ids.is_empty() {
                return Err(CreateContextError::NoBufferIds);
            }
            if ids.iter().collect::<FxHashSet<_>>().len() != ids.len() {
                return Err(CreateContextError::RepeatedBufferId);
            }
        }
        let (outbox, fallback, waiters) =
            (self.submitter.outbox.clone(), self.map.fallback(), self.map.waiters());
        let ContextDescriptor { owner, size, buffer_ids } = descriptor;
        let make =
            |generations| Arc::new(ContextData::new(id, owner, size, generations, outbox, fallback, waiters));
        let data = self.map.insert(id, make).ok_or(CreateContextError::Duplicate(id))?;
        // An earlier one may have ended on another thread.
        self.submitter.forget(id);
        self.submitter.adopt(id, data, StagingRing::new(buffer_ids));
        Ok(())
    }

    /// Displays a context under `key`, and no longer under the key before, which is deleted. The same key again changes
    /// nothing.
    ///
    /// The image is added with the layout of the newest frame, or as one cleared pixel. From now on every present
    /// yields at least one update of it.
    pub fn set_image_key(&mut self, id: ContextId, key: ImageKey) -> Result<(), UnknownContext> {
        let known = self.submitter.living(id).is_some_and(|entry| entry.data.set_key(key));
        self.submitter.outbox.drain();
        if known { Ok(()) } else { Err(UnknownContext(id)) }
    }

    /// Shows `contents` as soon as they are copied, unless something newer is shown first. Does not wait.
    ///
    /// Returns the present's sequence number in its context, from 1. Its end is told to
    /// [`on_outcome`](PresenterOptions::on_outcome), once; and if the context has an image key, at least one image update
    /// carries an epoch no lower than `epoch`, whatever becomes of it.
    ///
    /// The texture may be destroyed afterwards. To present several at once, or to destroy each one after its present,
    /// as engines do, use [`batch`](Self::batch), which is several times faster.
    ///
    /// # Errors
    ///
    /// What is known at once is returned; it is told as the present's end too, unless there is no such context. The ids of
    /// `contents` are handed back in any case.
    pub fn present(
        &mut self,
        id: ContextId,
        contents: Contents,
        epoch: CanvasEpoch,
    ) -> Result<u64, PresentError> {
        let mut batch = self.batch();
        let sequence = batch.present(id, contents, epoch)?;
        batch.submit();
        Ok(sequence)
    }

    /// Gathers presents, which are submitted together when the batch is submitted or dropped.
    pub fn batch(&mut self) -> Batch<'_> {
        Batch::new(&mut self.submitter)
    }

    /// As [`get_image`](Self::get_image), and takes the image away: what is read from now on is a cleared drawing buffer of the same
    /// size, until something else is presented. For `transferToImageBitmap`, which
    /// [replaces the drawing buffer](https://www.w3.org/TR/webgpu/#abstract-opdef-replace-the-drawing-buffer).
    ///
    /// Changes nothing on screen, and acknowledges nothing: what is displayed is what was presented, and what script draws next
    /// (or [`Contents::Cleared`], if it draws nothing) is presented at the next update of the rendering. A texture that
    /// was presented to is not changed either: that the next one begins cleared is the engine's part. The drawing buffer is
    /// replaced though the answer be an error.
    pub fn take_image(
        &mut self,
        id: ContextId,
        texture: Option<PendingTexture>,
        reply: impl FnOnce(Result<Snapshot, GetImageError>) + Send + 'static,
    ) {
        let data = self.submitter.living(id).map(|entry| entry.data.clone());
        match (data, &texture) {
            (Some(data), Some(texture)) => {
                let ContextConfiguration { size, alpha_mode, .. } = texture.configuration;
                data.replace_drawing_buffer(size, alpha_mode);
                self.get_image(id, Some(*texture), reply);
            }
            (Some(data), None) => {
                data.take(Box::new(reply));
                self.submitter.outbox.drain();
            }
            (None, _) => self.get_image(id, texture, reply),
        }
    }

    /// Answers with the contents of a canvas: of `texture`, or without one of what was presented last, even if its copy is
    /// still in flight. Changes nothing on screen. Does not wait: `reply` is called once, on any thread.
    pub fn get_image(
        &mut self,
        id: ContextId,
        texture: Option<PendingTexture>,
        reply: impl FnOnce(Result<Snapshot, GetImageError>) + Send + 'static,
    ) {
        match (self.submitter.living(id), texture) {
            (Some(entry), Some(texture)) => {
                entry.last_used = Instant::now();
                let data = entry.data.clone();
                self.capture(id, data, texture, Box::new(reply));
            }
            (Some(entry), None) => entry.data.read(Box::new(reply)),
            (None, texture) => {
                self.submitter.return_encoder_ids(texture.and_then(|texture| texture.encoder_ids));
                let error = GetImageError::UnknownContext(UnknownContext(id));
                self.submitter.outbox.message(Message::Reply(Box::new(reply), Err(error)));
            }
        }
        self.submitter.outbox.drain();
    }

    /// Ends a context: its image is deleted, its ids are handed back, what is in flight fails. Frames that a renderer has
    /// locked stay readable until they are unlocked.
    pub fn destroy_context(&mut self, id: ContextId) -> Result<(), UnknownContext> {
        self.destroy_with(id, |map, entry| map.destroy(&entry.data))
    }

    /// Ends a context, but lets its last frame be displayed until the compositor has done a transaction: the one that makes it
    /// forget the canvas.
    ///
    /// For the engine the context ends at once: ids come back, what is in flight fails, presents are
    /// [`UnknownContext`]. Its image is deleted, and renderers lock it no more, when
    /// [`ContextMap::transaction_done`] is told of this transaction or a later one of the compositor (the namespace of the
    /// image key), when [`ContextMap::compositor_gone`] is, or when its owner or this presenter goes. Until then its id is
    /// taken: [`CreateContextError::Duplicate`]. Without an image key, or if the transaction is done already, it is as
    /// [`destroy_context`](Self::destroy_context).
    pub fn destroy_context_after(
        &mut self,
        id: ContextId,
        transaction: TransactionId,
    ) -> Result<(), UnknownContext> {
        self.destroy_with(id, |map, entry| map.destroy_after(&entry.data, entry.ring.recycler(), transaction))
    }

    /// Ends all contexts of an owner: [`ContextMap::destroy_owner`], and what was this presenter's is handed back at once.
    pub fn destroy_owner(&mut self, owner: OwnerId) -> usize {
        self.submitter.flush();
        let ended = self.map.destroy_owner(owner);
        // Those too that another thread has ended before.
        self.submitter.forget_ended_of_owner(owner);
        ended
    }

    /// `Global::device_destroy`, safe beside pollers. Frames on screen are not affected, nor those in flight to owned memory;
    /// those in flight to portable memory fail. Canvases of the device cannot be presented any more. The device's closures run in [`maintain`](Self::maintain) from now on.
    pub fn destroy_device(&mut self, device: DeviceId) {
        self.submitter.flush();
        self.submitter.poller.retire(device);
        self.submitter.gpu.destroy_device(device);
        self.forget_buffers(device);
        self.poll(device);
        self.submitter.outbox.drain();
    }

    /// `Global::device_drop`, safe beside pollers: the id must not be used afterwards. What becomes of frames is said at
    /// [`destroy_device`](Self::destroy_device).
    pub fn drop_device(&mut self, device: DeviceId) {
        self.submitter.flush();
        self.submitter.poller.retire(device);
        self.forget_buffers(device);
        // Runs what callbacks it can: afterwards wgpu-core cannot be asked for the device any more.
        poll_contained(&*self.submitter.gpu, device);
        self.submitter.gpu.drop_device(device);
        self.submitter.poller.forget(device);
        self.submitter.outbox.drain();
    }

    /// Waits for submissions, the engine's own included.
    pub fn poller(&self) -> &Poller {
        &self.submitter.poller
    }

    /// Counts of a context.
    pub fn statistics(&self, id: ContextId) -> Result<Statistics, UnknownContext> {
        let entry = self.submitter.contexts.get(&id).filter(|entry| entry.data.is_alive());
        let entry = entry.ok_or(UnknownContext(id))?;
        Ok(Statistics { buffers: entry.ring.buffers(), ..entry.data.statistics() })
    }

    /// Copies a texture for a `get_image`.
    fn capture(&mut self, id: ContextId, data: Arc<ContextData>, texture: PendingTexture, reply: Reply) {
        let ContextConfiguration { size, alpha_mode, .. } = texture.configuration;
        let layout = (!size.is_empty()).then(|| CopyLayout::of(&texture.configuration));
        let answer = match layout {
            Some(Ok(layout)) => {
                let (purpose, reply) = (Purpose::Capture, Some(reply));
                self.submitter.enqueue(QueuedCopy { context: id, data, purpose, reply, texture, layout });
                return self.submitter.flush();
            }
            Some(Err(error)) => Err(GetImageError::Texture(error)),
            None => Ok(Snapshot::cleared(size, alpha_mode)),
        };
        self.submitter.return_encoder_ids(texture.encoder_ids);
        self.submitter.outbox.answer(reply, answer);
    }

    /// `end` says whether the context was there to be ended.
    fn destroy_with(
        &mut self,
        id: ContextId,
        end: impl FnOnce(&ContextMap, &ContextEntry) -> bool,
    ) -> Result<(), UnknownContext> {
        self.submitter.flush();
        let entry = self.submitter.contexts.get(&id).ok_or(UnknownContext(id))?;
        let known = end(&self.map, entry);
        self.submitter.forget(id);
        if known { Ok(()) } else { Err(UnknownContext(id)) }
    }

    fn forget_buffers(&mut self, device: DeviceId) {
        for entry in self.submitter.contexts.values_mut() {
            entry.ring.forget_device(&*self.submitter.gpu, device);
        }
        let ended = self.submitter.ended.iter().filter_map(|ended| ended.recycler.upgrade());
        ended.for_each(|recycler| recycler.forget_device(device));
    }

    /// Runs closures, and lets wgpu-core release what is not used any more. A destroyed device is polled to its end.
    fn poll(&self, device: DeviceId) {
        let Submitter { gpu, poller, .. } = &self.submitter;
        if poll_contained(&**gpu, device) == PollResult::Busy && poller.is_retired(device) {
            poller.remind(device);
        }
    }
}

impl Drop for Presenter {
    fn drop(&mut self) {
        self.submitter.flush();
        self.map.destroy_all(&self.submitter.outbox);
        self.submitter.forget_ended();
        self.submitter.poller.stop();
        self.submitter.outbox.finish();
    }
}
