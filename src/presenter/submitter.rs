//! From textures to tickets: finds a staging buffer for each copy, records the copies, submits them, and takes everything back if
//! wgpu-core refuses.
//!
//! Presents and captures of textures are queued first. A flush submits all queued copies of one device together, in one encoder; if wgpu-core
//! refuses them, it submits them one by one, so that one bad texture hurts no other. A copy for which there is no room (because reads wait for
//! so many others) stays queued, and keeps its texture, until a poller has completed one. Then the flush destroys and drops the textures that
//! were held back, and lets the pollers wait for what was submitted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use euclid::default::{Box2D, Size2D};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::smallvec;
use wgpu_core::id::{BufferId, DeviceId, QueueId, TextureId};
use wgpu_types::TextureFormat;

use super::canvas_textures::{CanvasTexture, KeptPixels, TextureContent};
use super::entries::{Entries, Waiting};
use super::poller::Poller;
use super::poller::waits::{Continuation, Wait};
use crate::api::canvas::{ContextConfiguration, PendingTexture};
use crate::api::error::PresentError;
use crate::api::ids::{ContextId, EncoderIds, OwnerId, ReturnedId};
use crate::api::report::ReadbackReason;
use crate::context::{Admission, ContextData, OfFrame, Purpose, Stage, Ticket};
use crate::delivery::{Message, Outbox, Reply, Sharing, reply_with_region};
use crate::frame::{CopyLayout, ImageRead};
use crate::gpu::{
    ContainedGpu, CopySource, CopyTarget, Gpu, GpuDevice, ReadbackCopy, SubmissionIds, SubmitError,
};
use crate::staging::{DrawnBuffer, LentBuffer, StagingRing};

/// Upper bound of the bytes of one owner in flight. What goes beyond it waits, unless a canvas has fewer than two presents and no capture in
/// flight.
const MOST_BYTES_IN_FLIGHT: usize = 256 << 20;

/// Upper bound of the time that a flush spins.
const LONGEST_SPIN: Duration = Duration::from_secs(1);

/// What a presenter has queued and not yet submitted. Accessed only on the WebGPU thread.
pub(super) struct Submitter {
    gpu: Arc<ContainedGpu>,
    poller: Poller,
    outbox: Arc<Outbox>,
    sharing: Arc<Sharing>,
    /// Encoder ids of the engine's that are kept for copies of shared images: one pair for each device.
    spare_ids: FxHashMap<DeviceId, EncoderIds>,
    /// The queues of the devices that have presented.
    queues: FxHashMap<DeviceId, QueueId>,
    /// How long a flush waits, busily, for what it submitted.
    spin: Duration,
    /// Copies for the next submission, in the order in which they were asked for; and those that had to wait in the last one.
    queued: Vec<QueuedCopy>,
    /// Copies that must wait, while the others are submitted. Empty between calls.
    waiting: Vec<QueuedCopy>,
    /// Number of the submission, to find one copy of each context for it.
    round: u64,
    /// What becomes of textures after the submission.
    held_back: Vec<(TextureId, TextureFate)>,
    /// Bytes in flight of the owners that were asked about in this submission: there can be thousands of canvases.
    in_flight: FxHashMap<OwnerId, usize>,
    /// Waits for tickets in flight that no poller knows yet. Those of one submission lie together.
    unawaited: Vec<(DeviceId, Wait)>,
    /// Empty between calls; kept for its capacity.
    waits: Vec<Wait>,
    scratch: Scratch,
}

/// Vectors of one submission, empty between calls. They are kept for their capacity, so that a present allocates nothing.
#[derive(Default)]
struct Scratch {
    group: Vec<QueuedCopy>,
    prepared: Vec<PreparedCopy>,
    copies: Vec<ReadbackCopy>,
}

/// What is to become of a texture once what was queued before is submitted.
pub(super) enum TextureFate {
    Destroy,
    Drop,
}

/// A copy that is to be submitted.
pub(super) struct QueuedCopy {
    pub(super) context: ContextId,
    pub(super) data: Arc<ContextData>,
    /// Name of its ticket.
    pub(super) number: u64,
    pub(super) is_present: bool,
    pub(super) texture: PendingTexture,
    pub(super) layout: CopyLayout,
    pub(super) asked: Instant,
    /// The image that the texture was drawn in, if it need not be copied. It is taken when a place for the copy is looked
    /// for.
    pub(super) drawn: Option<DrawnBuffer>,
    /// The shared image that is copied, if it is one and not the texture.
    pub(super) image: Option<CopySource>,
}

/// Why a queued copy has no buffer.
enum NotNow {
    /// It waits for another copy of its context, and stays queued.
    Waits,
    /// Too much is in flight, or all buffer ids are in use. It stays queued.
    NoRoom,
    /// It was superseded, or its context was destroyed.
    Ended,
    Failed(PresentError),
}

/// A copy that has a buffer.
struct PreparedCopy {
    queued: QueuedCopy,
    destination: Destination,
    /// The id for owned memory while the copy is submitted.
    id: Option<BufferId>,
}

/// The buffer of a copy.
enum Destination {
    /// A buffer that nobody uses; and the present that the copy supersedes, if any.
    Fresh(LentBuffer, Option<Ticket>),
    /// The buffer of the present that the copy supersedes. The queue copies in order, so the newer bytes stay.
    Taken(Ticket),
    /// The image that the texture was drawn in, so that nothing is copied; and the present that is superseded, if any.
    Drawn(DrawnBuffer, Option<Ticket>),
}

impl Submitter {
    pub(super) fn new(
        gpu: Arc<ContainedGpu>,
        poller: Poller,
        outbox: Arc<Outbox>,
        sharing: Arc<Sharing>,
        spin: Duration,
    ) -> Self {
        Self {
            gpu,
            poller,
            outbox,
            sharing,
            spare_ids: FxHashMap::default(),
            queues: FxHashMap::default(),
            spin: spin.min(LONGEST_SPIN),
            queued: Vec::new(),
            waiting: Vec::new(),
            round: 0,
            held_back: Vec::new(),
            in_flight: FxHashMap::default(),
            unawaited: Vec::new(),
            waits: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Asks for a copy, which the next flush submits. If one was asked for since the last flush, flushes first.
    pub(super) fn enqueue(
        &mut self,
        context: ContextId,
        data: Arc<ContextData>,
        purpose: Purpose,
        (texture, layout): (PendingTexture, CopyLayout),
        entries: &mut Entries,
    ) {
        if entries.get(context).is_some_and(|entry| entry.is_queued) {
            self.flush(entries);
        }
        let (mut purpose, mut layout, mut drawn) = (purpose, layout, None);
        let is_present = matches!(purpose, Purpose::Present(_));
        if let Purpose::Present(present) = &mut purpose
            && let Some(CanvasTexture { device, queue, content, .. }) =
                entries.take_presented(context, texture.texture_id)
        {
            let ContextConfiguration { device_id, queue_id, .. } = texture.configuration;
            let reads_wait = entries.get(context).is_some_and(|entry| entry.waiting >= Waiting::Captures);
            present.readback = match content {
                TextureContent::Kept(pixels, kept) => {
                    present.readback = None;
                    self.return_encoder_ids(texture.encoder_ids);
                    return self.present_kept(data, purpose, pixels, kept.with_meaning_of(&layout));
                }
                TextureContent::NotKept => {
                    self.return_encoder_ids(texture.encoder_ids);
                    let number = data.ask(purpose, layout, None);
                    // As whatever is presented on a device after it was destroyed.
                    return data.refuse(number, &PresentError::DeviceLost, true);
                }
                TextureContent::Lost => {
                    self.return_encoder_ids(texture.encoder_ids);
                    let number = data.ask(purpose, layout, None);
                    return data.fail(number, &PresentError::DeviceLost);
                }
                TextureContent::Ordinary(reason) => Some(reason),
                // The copies that wait need the texture.
                TextureContent::Image(_) if reads_wait => Some(ReadbackReason::ReadsWait),
                // The queue that the present would wait for is not the one that draws in the image.
                TextureContent::Image(_) if (device, queue) != (device_id, queue_id) => {
                    Some(ReadbackReason::Configuration)
                }
                // The engine has destroyed the texture, for instance. A copy of it fails then.
                TextureContent::Image(buffer) if !self.is_drawn_in(&texture, &buffer) => {
                    Some(ReadbackReason::OrdinaryTexture)
                }
                TextureContent::Image(buffer) => match CanvasTexture::in_place(&buffer, layout) {
                    Some(in_place) => {
                        (layout, drawn) = (in_place, Some(buffer));
                        None
                    }
                    None => Some(ReadbackReason::Configuration),
                },
            };
            if present.readback.is_some() {
                // As one that is presented in place is destroyed, so that a page finds no difference.
                self.hold_back(texture.texture_id, TextureFate::Destroy);
            }
        }
        if let Some(entry) = entries.get_mut(context) {
            entry.is_queued = true;
        }
        let number = data.ask(purpose, layout, None);
        let asked = Instant::now();
        let queued =
            QueuedCopy { context, data, number, is_present, texture, layout, asked, drawn, image: None };
        self.queued.push(queued);
    }

    /// Whether the memory of a texture is this image.
    fn is_drawn_in(&self, texture: &PendingTexture, image: &DrawnBuffer) -> bool {
        let device = self.poller.open(texture.configuration.device_id);
        device.is_some_and(|device| device.is_drawn_in(texture.texture_id, &image.target()))
    }

    /// Asks for a copy of a shared image, for reads, or to be kept or shown.
    pub(super) fn enqueue_image_read(
        &mut self,
        context: ContextId,
        data: Arc<ContextData>,
        reply: Option<Reply>,
        (read, of_frame): (ImageRead, OfFrame),
        entries: &mut Entries,
    ) {
        if entries.get(context).is_some_and(|entry| entry.is_queued) {
            self.flush(entries);
        }
        let Err(reply) = data.join_image_copy(reply, of_frame) else { return };
        let ImageRead { source, device, uuids: _, layout } = read;
        let number = data.ask(Purpose::Capture(reply.into_iter().collect()), layout, Some(of_frame));
        let Some(queue) = self.queues.get(&device) else {
            // The device is gone, and its image was not kept.
            return data.fail(number, &PresentError::DeviceLost);
        };
        if let Some(entry) = entries.get_mut(context) {
            entry.is_queued = true;
        }
        let pixels = layout.pixels();
        let configuration = ContextConfiguration {
            device_id: device,
            queue_id: *queue,
            format: TextureFormat::Bgra8Unorm,
            color_space: pixels.color_space,
            alpha_mode: pixels.alpha_mode,
            size: layout.size(),
        };
        // No texture has this id.
        let texture = PendingTexture {
            texture_id: TextureId::zip(u32::MAX, u32::MAX),
            encoder_ids: None,
            configuration,
        };
        let (asked, image) = (Instant::now(), Some(source));
        self.queued.push(QueuedCopy {
            context,
            data,
            number,
            is_present: false,
            texture,
            layout,
            asked,
            drawn: None,
            image,
        });
    }

    /// Presents what is kept of a texture whose device was destroyed.
    fn present_kept(
        &mut self,
        data: Arc<ContextData>,
        purpose: Purpose,
        pixels: KeptPixels,
        layout: CopyLayout,
    ) {
        let number = data.ask(purpose, layout, None);
        match pixels {
            KeptPixels::InFlight(buffer) => {
                let submission = buffer.submission();
                data.submitted(number, buffer, None);
                let context = Arc::downgrade(&data);
                let then = Continuation::Complete { context, number, asked: Instant::now() };
                self.unawaited.push((submission.device, Wait { index: submission.index, then }));
            }
            KeptPixels::Done(buffer) => data.complete_present(number, layout, buffer),
        }
    }

    /// Asks for a copy that a read waits for. If the same texture is copied for the same context in the next flush already, and the region
    /// with it, both reads share that copy.
    pub(super) fn enqueue_capture(
        &mut self,
        context: ContextId,
        data: Arc<ContextData>,
        reply: Reply,
        (texture, layout): (PendingTexture, CopyLayout),
        entries: &mut Entries,
    ) {
        let is_queued = entries.get(context).is_some_and(|entry| entry.is_queued);
        // Only then is it worth the search among all that is queued.
        let newest = is_queued.then(|| self.queued.iter().rev().find(|queued| queued.context == context));
        match newest.flatten().filter(|queued| queued.covers(&texture, &layout)) {
            Some(queued) => {
                let (origin, region) = (queued.layout.origin().to_vector(), layout.region());
                let part = Box2D::new(region.min - origin, region.max - origin);
                queued.data.join(queued.number, reply_with_region(reply, part));
                self.return_encoder_ids(texture.encoder_ids);
            }
            None => {
                self.enqueue(context, data, Purpose::Capture(smallvec![reply]), (texture, layout), entries);
            }
        }
    }

    /// Notes what is to become of a texture after the next flush, or when the copies of it that are queued are submitted.
    pub(super) fn hold_back(&mut self, texture: TextureId, fate: TextureFate) {
        self.held_back.push((texture, fate));
    }

    /// Submits what is queued and need not wait, ends the textures that were held back, and calls out what that caused.
    pub(super) fn flush(&mut self, entries: &mut Entries) {
        for queued in &self.queued {
            if let Some(entry) = entries.get_mut(queued.context) {
                entry.is_queued = false;
            }
        }
        self.submit(entries);
        if !self.queued.is_empty() {
            self.poller.want_room();
            // Room may have returned just before pollers knew that it is wanted.
            self.submit(entries);
        }
        // Without copies that wait this set is empty, and allocates nothing.
        let kept: FxHashSet<_> = self.queued.iter().map(|queued| queued.texture.texture_id).collect();
        for (texture, fate) in self.held_back.extract_if(.., |(texture, _)| !kept.contains(texture)) {
            entries.forget_canvas_texture(texture);
            match fate {
                TextureFate::Destroy => self.gpu.destroy_texture(texture),
                TextureFate::Drop => {
                    self.gpu.drop_texture(texture);
                    self.outbox.message(Message::Return(ReturnedId::Texture(texture)));
                }
            }
        }
        self.wait((!self.spin.is_zero()).then(|| Instant::now() + self.spin));
        self.outbox.drain();
    }

    /// Whether copies or textures wait for a flush.
    pub(super) fn is_waiting(&self) -> bool {
        !(self.queued.is_empty() && self.held_back.is_empty())
    }

    /// Whether copies of a device wait.
    pub(super) fn has_waiting(&self, device: DeviceId) -> bool {
        self.queued.iter().any(|queued| queued.queue().0 == device)
    }

    /// Ends the copies of a device that wait: it is destroyed, and the last good frames stay.
    pub(super) fn fail_waiting(&mut self, device: DeviceId) {
        let of_device = |queued: &mut QueuedCopy| queued.queue().0 == device;
        let failed: Vec<_> = self.queued.extract_if(.., of_device).collect();
        self.queues.remove(&device);
        let spare = self.spare_ids.remove(&device);
        self.return_encoder_ids(spare);
        for queued in failed {
            self.return_encoder_ids(queued.texture.encoder_ids);
            queued.data.fail(queued.number, &PresentError::DeviceLost);
        }
    }

    /// Hands the ids of a present or capture back. They are free once what was recorded with them is submitted.
    pub(super) fn return_encoder_ids(&self, ids: Option<EncoderIds>) {
        if let Some(EncoderIds { command_encoder, command_buffer }) = ids {
            self.outbox.message(Message::Return(ReturnedId::CommandEncoder(command_encoder)));
            self.outbox.message(Message::Return(ReturnedId::CommandBuffer(command_buffer)));
        }
    }

    /// Submits the queued copies, those of one device together. Copies that must wait stay queued.
    fn submit(&mut self, entries: &mut Entries) {
        for queued in &self.queued {
            if let Some(entry) = entries.get_mut(queued.context) {
                entry.waiting = Waiting::Nothing;
            }
        }
        self.in_flight.clear();
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some((device, queue)) = self.queued.first().map(QueuedCopy::queue) {
            self.round += 1;
            let round = self.round;
            // One copy of each context at a time, because a ring may have a single buffer; and all that wait anyway.
            let is_next = |queued: &mut QueuedCopy| {
                queued.queue() == (device, queue)
                    && entries.get_mut(queued.context).is_none_or(|entry| {
                        entry.waiting >= queued.waits_with()
                            || std::mem::replace(&mut entry.round, round) != round
                    })
            };
            scratch.group.extend(self.queued.extract_if(.., is_next));
            // Pollers are told of the devices before: the submit to this one may block.
            self.wait(None);
            self.submit_group(device, queue, &mut scratch, entries);
        }
        self.scratch = scratch;
        self.queued.append(&mut self.waiting);
    }

    /// Submits copies of one device together; if wgpu-core refuses them, one by one.
    fn submit_group(
        &mut self,
        device: DeviceId,
        queue: QueueId,
        scratch: &mut Scratch,
        entries: &mut Entries,
    ) {
        span!("Submitter::submit_group");
        let Scratch { group, prepared, copies } = scratch;
        let Some(device) = self.poller.open(device) else {
            return group.drain(..).for_each(|queued| self.refuse(queued, &PresentError::Panicked, false));
        };
        for mut queued in group.drain(..) {
            match self.find_destination(&mut queued, &device, entries) {
                Ok(destination) => {
                    let id = entries.get(queued.context).and_then(|entry| entry.ring.unused_id());
                    prepared.push(PreparedCopy { queued, destination, id });
                }
                Err(NotNow::Waits) => self.waiting.push(queued),
                Err(NotNow::NoRoom) => {
                    if let Some(entry) = entries.get_mut(queued.context) {
                        entry.waiting = queued.waits_with().max(entry.waiting);
                    }
                    self.waiting.push(queued);
                }
                Err(NotNow::Ended) => self.return_encoder_ids(queued.texture.encoder_ids),
                Err(NotNow::Failed(error)) => self.refuse(queued, &error, false),
            }
        }
        let Err(error) = self.try_submit(&device, queue, prepared, copies) else { return };
        if prepared.len() == 1 || error.may_be_in_flight {
            prepared.drain(..).for_each(|refused| self.give_up(refused, &error, entries));
            return;
        }
        let mut alone = Vec::with_capacity(1);
        for refused in prepared.drain(..) {
            alone.push(refused);
            if let Err(error) = self.try_submit(&device, queue, &mut alone, copies) {
                alone.drain(..).for_each(|refused| self.give_up(refused, &error, entries));
            }
        }
    }

    /// Finds a buffer for a copy.
    fn find_destination(
        &mut self,
        queued: &mut QueuedCopy,
        device: &Arc<dyn GpuDevice>,
        entries: &mut Entries,
    ) -> Result<Destination, NotNow> {
        if queued.image.is_some() {
            return self.find_room_for_image(queued, device, entries);
        }
        let size = queued.layout.size();
        if size.width.max(size.height) > device.largest_texture() {
            // The device has no such texture, so memory for it is not even looked for.
            return Err(NotNow::Failed(PresentError::TooLarge(size)));
        }
        if entries.get(queued.context).is_some_and(|entry| entry.waiting >= queued.waits_with()) {
            // What has ended must not keep its texture as long as others wait.
            return Err(if queued.data.has(queued.number) { NotNow::Waits } else { NotNow::Ended });
        }
        let bytes = queued.layout.byte_len();
        let mut superseded = match queued.data.admit(queued.number, device.id()) {
            Admission::Ended => return Err(NotNow::Ended),
            Admission::Waits => return Err(NotNow::Waits),
            Admission::NoRoom => return Err(NotNow::NoRoom),
            Admission::Supersedes(ticket) => Some(ticket),
            Admission::Fresh => None,
            Admission::FreshWithinLimit => {
                let owner = queued.data.owner();
                let in_flight = self.in_flight.entry(owner).or_insert_with(|| entries.bytes_in_flight(owner));
                if in_flight.saturating_add(bytes) > MOST_BYTES_IN_FLIGHT {
                    return Err(NotNow::NoRoom);
                }
                None
            }
        };
        if let Some(drawn) = queued.drawn.take() {
            return Ok(Destination::Drawn(drawn, superseded));
        }
        let shared = self.shared_shape(queued, device);
        let Some(entry) = entries.get_mut(queued.context) else {
            self.restore(queued, superseded);
            return Err(NotNow::Ended);
        };
        if let Some(shape) = shared {
            let fits = |ticket: &mut Ticket| {
                ticket
                    .stage
                    .buffer()
                    .is_some_and(|buffer| buffer.is_usable() && buffer.shared_shape() == Some(shape))
            };
            if let Some(ticket) = superseded.take_if(fits) {
                queued.data.is_shared();
                return Ok(Destination::Taken(ticket));
            }
            // Without an image for it the frame is read back.
            if let Ok(lent) = entry.ring.acquire_shared(&*self.gpu, &**device, shape.0, shape.1) {
                queued.data.is_shared();
                return Ok(Destination::Fresh(lent, superseded));
            }
        }
        let fits = |ticket: &Ticket, ring: &StagingRing| {
            ticket.stage.buffer().is_some_and(|buffer| {
                buffer.len() >= bytes && buffer.is_usable() && ring.can_submit(&buffer.target())
            })
        };
        if let Some(ticket) = superseded.take_if(|ticket| fits(ticket, &entry.ring)) {
            return Ok(Destination::Taken(ticket));
        }
        match (entry.ring.acquire(&*self.gpu, &**device, bytes), superseded) {
            (Ok(Some(buffer)), superseded) => {
                if let Some(in_flight) = self.in_flight.get_mut(&queued.data.owner()) {
                    *in_flight = in_flight.saturating_add(bytes);
                }
                Ok(Destination::Fresh(buffer, superseded))
            }
            (Ok(None), None) if queued.is_present => {
                // The ring has no id left. The newest frame is worth more than one in flight that no read waits for.
                match queued.data.take_youngest(device.id()) {
                    Some(youngest) if fits(&youngest, &entry.ring) => Ok(Destination::Taken(youngest)),
                    youngest => {
                        self.restore(queued, youngest);
                        Err(NotNow::NoRoom)
                    }
                }
            }
            (Ok(None), superseded) => {
                self.restore(queued, superseded);
                Err(NotNow::NoRoom)
            }
            (Err(error), superseded) => {
                self.restore(queued, superseded);
                Err(NotNow::Failed(error))
            }
        }
    }

    /// Finds a buffer for the copy of a shared image. It does not wait for room, because the image is used again meanwhile; there is one such
    /// copy of each image at a time, and there are few images.
    fn find_room_for_image(
        &mut self,
        queued: &QueuedCopy,
        device: &Arc<dyn GpuDevice>,
        entries: &mut Entries,
    ) -> Result<Destination, NotNow> {
        if !queued.data.has(queued.number) {
            return Err(NotNow::Ended);
        }
        let entry = entries.get_mut(queued.context).ok_or(NotNow::Ended)?;
        if !entry.ring.allocates_ids() && !self.spare_ids.contains_key(&device.id()) {
            return Err(NotNow::Failed(PresentError::DeviceLost));
        }
        match entry.ring.acquire(&*self.gpu, &**device, queued.layout.byte_len()) {
            // Raw commands copy to buffers of owned memory only.
            Ok(Some(lent)) if matches!(lent.buffer.target(), CopyTarget::Owned(_)) => {
                Ok(Destination::Fresh(lent, None))
            }
            Ok(_) => Err(NotNow::Failed(PresentError::OutOfMemory)),
            Err(error) => Err(NotNow::Failed(error)),
        }
    }

    /// Returns the size and the format of the shared image that a present is to be copied to, if all renderers can sample images of the
    /// device.
    fn shared_shape(
        &self,
        queued: &QueuedCopy,
        device: &Arc<dyn GpuDevice>,
    ) -> Option<(Size2D<u32>, TextureFormat)> {
        let layout = queued.layout.as_texture().filter(|layout| !layout.is_one_pixel())?;
        let has_ids = queued.texture.encoder_ids.is_none() || self.spare_ids.contains_key(&device.id());
        // A read that waits for the present needs bytes, for instance.
        let is_wanted = queued.is_present && has_ids && self.shares_with(&**device);
        (is_wanted && queued.data.may_be_texture(queued.number))
            .then_some((layout.size(), queued.texture.configuration.format))
    }

    /// Whether all renderers can sample images of a device.
    fn shares_with(&self, device: &dyn GpuDevice) -> bool {
        self.sharing.device().is_some_and(|shared| device.uuids() == Some(shared))
    }

    /// Whether images of any device, which may be gone, can be shown.
    pub(super) fn has_shared(&self) -> bool {
        self.sharing.was_possible()
    }

    /// Hands back the encoder ids that are kept.
    pub(super) fn return_spare_ids(&mut self) {
        let spare = std::mem::take(&mut self.spare_ids);
        spare.into_values().for_each(|ids| self.return_encoder_ids(Some(ids)));
    }

    /// Submits copies, and makes tickets of them. Empties `prepared`, unless wgpu-core refuses.
    fn try_submit(
        &mut self,
        device: &Arc<dyn GpuDevice>,
        queue: QueueId,
        prepared: &mut Vec<PreparedCopy>,
        copies: &mut Vec<ReadbackCopy>,
    ) -> Result<(), SubmitError> {
        if prepared.is_empty() {
            return Ok(());
        }
        copies.extend(prepared.iter().filter_map(PreparedCopy::copy));
        let ids = SubmissionIds {
            first: prepared.iter().find_map(|prepared| prepared.queued.texture.encoder_ids),
            second: self.spare_ids.get(&device.id()).copied(),
        };
        let submitted = device.submit(queue, ids, copies);
        copies.clear();
        let submission = submitted?;
        let shares = self.shares_with(&**device);
        if shares {
            self.queues.insert(device.id(), queue);
        }
        for PreparedCopy { queued, destination, .. } in prepared.drain(..) {
            match queued.texture.encoder_ids {
                Some(ids) if shares && !self.spare_ids.contains_key(&device.id()) => {
                    self.spare_ids.insert(device.id(), ids);
                }
                ids => self.return_encoder_ids(ids),
            }
            let (buffer, superseded) = match destination {
                Destination::Fresh(lent, superseded) => (Some(lent.buffer.submitted(submission)), superseded),
                Destination::Taken(mut ticket) => {
                    let buffer = std::mem::replace(&mut ticket.stage, Stage::Completing).into_buffer();
                    (buffer.map(|buffer| buffer.resubmitted(submission)), Some(ticket))
                }
                Destination::Drawn(drawn, superseded) => (Some(drawn.presented(submission)), superseded),
            };
            let QueuedCopy { data, number, asked, .. } = queued;
            if let Some(buffer) = buffer {
                data.submitted(number, buffer, superseded);
                let then = Continuation::Complete { context: Arc::downgrade(&data), number, asked };
                self.unawaited.push((submission.device, Wait { index: submission.index, then }));
            }
        }
        Ok(())
    }

    /// Ends a copy that was refused by itself, or whose device is lost.
    fn give_up(&mut self, refused: PreparedCopy, error: &SubmitError, entries: &mut Entries) {
        let PreparedCopy { queued, destination, .. } = refused;
        match destination {
            Destination::Fresh(LentBuffer { buffer, is_new }, superseded) => {
                // What a page names need not be a texture of that size, so memory that was allocated for it
                // must not rest.
                if error.may_be_in_flight || is_new {
                    buffer.abandon();
                    if let Some(entry) = entries.get_mut(queued.context) {
                        entry.ring.collect(&*self.gpu);
                    }
                }
                self.restore(&queued, superseded);
            }
            // The GPU may have copied to its buffer all the same, so its bytes may be those of the failed copy.
            Destination::Taken(ticket) if error.may_be_in_flight => {
                queued.data.fail_taken(ticket, &error.reason)
            }
            Destination::Taken(ticket) => self.restore(&queued, Some(ticket)),
            // Its texture may be drawn in again, so the image is not used for another one.
            Destination::Drawn(_, superseded) => self.restore(&queued, superseded),
        }
        self.refuse(queued, &error.reason, error.may_be_in_flight);
    }

    /// Ends a copy that was not submitted, or not for certain.
    ///
    /// What is drawn after a device was lost is blank, like what is drawn into an error texture (which it then is). But a device that is lost in
    /// the submission itself had drawn the texture before.
    fn refuse(&self, queued: QueuedCopy, error: &PresentError, may_be_in_flight: bool) {
        self.return_encoder_ids(queued.texture.encoder_ids);
        let was_lost = matches!(error, PresentError::DeviceLost) && !may_be_in_flight;
        queued.data.refuse(queued.number, error, error.shows_cleared() || was_lost);
    }

    /// Puts a ticket that was to be superseded back in flight, and waits for it again under its new name.
    fn restore(&mut self, queued: &QueuedCopy, ticket: Option<Ticket>) {
        let Some(ticket) = ticket else { return };
        let submission = ticket.stage.buffer().map(|buffer| buffer.submission());
        let asked = ticket.asked;
        let number = queued.data.restore(ticket);
        if let Some(submission) = submission {
            let then = Continuation::Complete { context: Arc::downgrade(&queued.data), number, asked };
            self.unawaited.push((submission.device, Wait { index: submission.index, then }));
        }
    }

    /// Lets the pollers wait for what was submitted. For the last submission this thread waits itself, busily, until `until`.
    fn wait(&mut self, until: Option<Instant>) {
        while let Some((device, first)) = self.unawaited.first() {
            let (device, index) = (*device, first.index);
            let same = |(other, wait): &(DeviceId, Wait)| *other == device && wait.index == index;
            let count = self.unawaited.iter().take_while(|unawaited| same(unawaited)).count();
            self.waits.extend(self.unawaited.drain(..count).map(|(_, wait)| wait));
            let until = until.filter(|_| self.unawaited.is_empty());
            self.poller.wait_for_submission(device, until, &mut self.waits);
        }
    }
}

impl QueuedCopy {
    /// Whether this is a read of the same texture, with the same configuration, that copies what `layout` says and perhaps more.
    fn covers(&self, texture: &PendingTexture, layout: &CopyLayout) -> bool {
        let copied = &self.texture;
        !self.is_present
            && self.image.is_none()
            && (copied.texture_id, copied.configuration) == (texture.texture_id, texture.configuration)
            && self.layout.region().contains_box(&layout.region())
    }

    /// Which copies of its context wait if this one finds no room.
    fn waits_with(&self) -> Waiting {
        if self.is_present { Waiting::Everything } else { Waiting::Captures }
    }

    /// The device and the queue that copy it.
    fn queue(&self) -> (DeviceId, QueueId) {
        let configuration = self.texture.configuration;
        (configuration.device_id, configuration.queue_id)
    }
}

impl PreparedCopy {
    fn copy(&self) -> Option<ReadbackCopy> {
        let QueuedCopy { texture, layout, .. } = &self.queued;
        let target = self.destination.target()?;
        Some(ReadbackCopy {
            source: self.queued.image.clone().unwrap_or(CopySource::Texture(texture.texture_id)),
            target,
            id: self.id,
            origin: layout.origin(),
            size: layout.size(),
            stride: layout.stride(),
        })
    }
}

impl Destination {
    fn target(&self) -> Option<CopyTarget> {
        match self {
            Self::Fresh(lent, _) => Some(lent.buffer.target()),
            Self::Taken(ticket) => ticket.stage.buffer().map(|buffer| buffer.target()),
            Self::Drawn(drawn, _) => Some(drawn.target()),
        }
    }
}
