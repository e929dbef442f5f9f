//! From textures to tickets: finds buffers, records the copies, submits them, and takes everything back if that fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};
use wgpu_core::id::{BufferId, DeviceId, QueueId, TextureId};

use super::entries::{ContextEntry, EndedContext};
use super::poller::Poller;
use super::poller::waits::{Continuation, Wait};
use crate::api::canvas::PendingTexture;
use crate::api::error::{GetImageError, PresentError};
use crate::api::ids::{ContextId, EncoderIds, OwnerId, ReturnedId};
use crate::context::ContextData;
use crate::context::{MOST_IN_FLIGHT, Purpose, Ticket};
use crate::delivery::{Message, Outbox, Reply};
use crate::frame::CopyLayout;
use crate::gpu::{Gpu, GpuDevice, ReadbackCopy, SubmitError};
use crate::staging::AvailableBuffer;
use crate::staging::StagingRing;

/// What a presenter submits with. On the WebGPU thread.
pub(crate) struct Submitter {
    pub(crate) gpu: Arc<dyn Gpu>,
    pub(crate) contexts: FxHashMap<ContextId, ContextEntry>,
    pub(super) by_owner: FxHashMap<OwnerId, FxHashSet<ContextId>>,
    pub(crate) poller: Poller,
    pub(crate) outbox: Arc<Outbox>,
    /// Contexts that have ended, whose frames live on.
    pub(crate) ended: Vec<EndedContext>,
    /// How long a flush waits for what it submitted, on this thread.
    spin: Duration,
    /// Not yet submitted, at most one for each context: a ring may have a single buffer.
    queued: Vec<QueuedCopy>,
    /// What becomes of textures after the submit.
    held_back: Vec<(TextureId, TextureFate)>,
    /// In flight, and not waited for yet. Those of a submission lie together.
    unawaited: Vec<(DeviceId, Wait)>,
    /// Kept for its capacity.
    waits: Vec<Wait>,
    scratch: Scratch,
}

/// Longer the WebGPU thread waits for nothing.
const LONGEST_SPIN: Duration = Duration::from_secs(1);

/// Of one submission; kept for their capacity: no present allocates.
#[derive(Default)]
struct Scratch {
    group: Vec<QueuedCopy>,
    ready: Vec<PreparedCopy>,
    copies: Vec<ReadbackCopy>,
}

pub(crate) enum TextureFate {
    Destroy,
    Drop,
}

/// A copy to be submitted.
pub(crate) struct QueuedCopy {
    pub(crate) context: ContextId,
    pub(crate) data: Arc<ContextData>,
    pub(crate) purpose: Purpose,
    pub(crate) reply: Option<Reply>,
    pub(crate) texture: PendingTexture,
    pub(crate) layout: CopyLayout,
}

/// A copy, and where it goes.
struct PreparedCopy {
    queued: QueuedCopy,
    target: Destination,
}

enum Destination {
    /// A buffer that nobody uses; and what is superseded by the copy, if anything.
    Fresh(AvailableBuffer, Option<Ticket>),
    /// The buffer of the copy that is superseded: the queue keeps the order.
    Taken(Ticket),
}

impl Submitter {
    pub(crate) fn new(gpu: Arc<dyn Gpu>, poller: Poller, outbox: Arc<Outbox>, spin: Duration) -> Self {
        Self {
            gpu,
            contexts: FxHashMap::default(),
            by_owner: FxHashMap::default(),
            poller,
            outbox,
            ended: Vec::new(),
            spin: spin.min(LONGEST_SPIN),
            queued: Vec::new(),
            held_back: Vec::new(),
            unawaited: Vec::new(),
            waits: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Notes a copy for the next flush.
    pub(crate) fn enqueue(&mut self, queued: QueuedCopy) {
        let second = self.contexts.get_mut(&queued.context).is_some_and(|entry| entry.queued);
        if second {
            self.flush();
        }
        if let Some(entry) = self.contexts.get_mut(&queued.context) {
            entry.queued = true;
        }
        self.queued.push(queued);
    }

    /// Notes what becomes of a texture after the next flush.
    pub(crate) fn hold_back(&mut self, texture: TextureId, end: TextureFate) {
        self.held_back.push((texture, end));
    }

    /// Submits what was noted.
    pub(crate) fn flush(&mut self) {
        self.submit();
        for (texture, end) in self.held_back.drain(..) {
            match end {
                TextureFate::Destroy => self.gpu.destroy_texture(texture),
                TextureFate::Drop => self.gpu.drop_texture(texture),
            }
        }
        self.watch((!self.spin.is_zero()).then(|| Instant::now() + self.spin));
        self.outbox.drain();
    }

    /// Hands ids back, once what was queued with them is submitted.
    pub(crate) fn return_encoder_ids(&self, ids: Option<EncoderIds>) {
        if let Some(EncoderIds { command_encoder, command_buffer }) = ids {
            self.outbox.message(Message::Return(ReturnedId::CommandEncoder(command_encoder)));
            self.outbox.message(Message::Return(ReturnedId::CommandBuffer(command_buffer)));
        }
    }

    /// Submits copies, those of one device together.
    fn submit(&mut self) {
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some((device, queue)) = self.queued.first().map(QueuedCopy::target) {
            let same = |queued: &mut QueuedCopy| queued.target() == (device, queue);
            scratch.group.extend(self.queued.extract_if(.., same));
            // The frames of one device do not wait for another, whose submit may block.
            self.watch(None);
            self.submit_group(device, queue, &mut scratch);
        }
        self.scratch = scratch;
    }

    /// Submits copies of one device together, and if wgpu-core refuses them, one by one.
    fn submit_group(&mut self, device: DeviceId, queue: QueueId, scratch: &mut Scratch) {
        let Scratch { group, ready, copies, .. } = scratch;
        let device = self.poller.open(device);
        for queued in group.drain(..) {
            match self.target(&queued, &device) {
                Ok(target) => ready.push(PreparedCopy { queued, target }),
                Err(error) => {
                    self.return_encoder_ids(queued.texture.encoder_ids);
                    queued.fail(&error);
                }
            }
        }
        let Err(error) = self.try_submit(&device, queue, ready, copies) else { return };
        if ready.len() == 1 || error.may_be_in_flight {
            ready.drain(..).for_each(|refused| self.give_up(refused, &error));
            return;
        }
        let mut alone = Vec::with_capacity(1);
        for refused in ready.drain(..) {
            alone.push(refused);
            if let Err(error) = self.try_submit(&device, queue, &mut alone, copies) {
                alone.drain(..).for_each(|refused| self.give_up(refused, &error));
            }
        }
    }

    /// Finds a buffer for a copy.
    fn target(
        &mut self,
        queued: &QueuedCopy,
        device: &Arc<dyn GpuDevice>,
    ) -> Result<Destination, PresentError> {
        let Some(entry) = self.contexts.get_mut(&queued.context) else {
            return Err(PresentError::ContextDestroyed);
        };
        entry.queued = false;
        let size = queued.layout.size();
        if size.width.max(size.height) > device.largest_texture() {
            // No texture is: do not find memory for it.
            return Err(PresentError::TooLarge(size));
        }
        let bytes = queued.layout.byte_len();
        let take_youngest = |enough| match queued.purpose {
            Purpose::Present(_) => queued.data.take_youngest(device.id(), enough),
            Purpose::Capture => None,
        };
        let fits = |ticket: &Ticket, ring: &StagingRing| {
            ticket.buffer.as_ref().is_some_and(|buffer| buffer.len() >= bytes && ring.owns(buffer))
        };
        let youngest = take_youngest(MOST_IN_FLIGHT);
        let superseded = match youngest {
            Some(youngest) if fits(&youngest, &entry.ring) => return Ok(Destination::Taken(youngest)),
            youngest => youngest,
        };
        let has_room = match queued.purpose {
            Purpose::Present(_) => superseded.is_some() || queued.data.has_room_to_present(),
            Purpose::Capture => queued.data.has_room_to_capture(),
        };
        let buffer = if has_room {
            entry.ring.acquire(&*self.gpu, &**device, bytes)
        } else {
            Err(PresentError::RingExhausted)
        };
        match (buffer, superseded) {
            (Ok(buffer), superseded) => Ok(Destination::Fresh(buffer, superseded)),
            // Not even two buffers: the newest frame is worth more than the one in flight.
            (Err(PresentError::RingExhausted), None) => match take_youngest(1) {
                Some(youngest) if fits(&youngest, &entry.ring) => Ok(Destination::Taken(youngest)),
                youngest => {
                    self.restore(queued, youngest);
                    Err(PresentError::RingExhausted)
                }
            },
            (Err(error), superseded) => {
                self.restore(queued, superseded);
                Err(error)
            }
        }
    }

    /// Empties `ready`, unless wgpu-core refuses.
    fn try_submit(
        &mut self,
        device: &Arc<dyn GpuDevice>,
        queue: QueueId,
        ready: &mut Vec<PreparedCopy>,
        copies: &mut Vec<ReadbackCopy>,
    ) -> Result<(), SubmitError> {
        let Some(first) = ready.first() else { return Ok(()) };
        copies.clear();
        copies.extend(ready.iter().filter_map(PreparedCopy::copy));
        let submission = device.submit(queue, first.queued.texture.encoder_ids, copies)?;
        for PreparedCopy { queued, target } in ready.drain(..) {
            self.return_encoder_ids(queued.texture.encoder_ids);
            let (buffer, superseded) = match target {
                Destination::Fresh(buffer, superseded) => (Some(buffer.submitted(submission)), superseded),
                Destination::Taken(mut ticket) => {
                    (ticket.buffer.take().map(|buffer| buffer.resubmitted(submission)), Some(ticket))
                }
            };
            let QueuedCopy { data, purpose, layout, reply, .. } = queued;
            if let (Some(superseded), Purpose::Present(present)) = (superseded, &purpose) {
                data.supersede(superseded, present.sequence);
            }
            if let Some(buffer) = buffer {
                let number = data.submitted(purpose, layout, buffer, reply);
                let target = Continuation::Ticket { context: Arc::downgrade(&data), number };
                self.unawaited.push((submission.device, Wait { index: submission.index, target }));
            }
        }
        Ok(())
    }

    /// A copy was refused, alone, or the device is lost.
    fn give_up(&mut self, refused: PreparedCopy, error: &SubmitError) {
        let PreparedCopy { queued, target } = refused;
        match target {
            Destination::Fresh(buffer, superseded) => {
                if error.may_be_in_flight {
                    buffer.abandon();
                }
                self.restore(&queued, superseded);
            }
            // Its bytes may be those of the failed copy.
            Destination::Taken(ticket) if error.may_be_in_flight => {
                queued.data.fail_taken(ticket, &error.reason)
            }
            Destination::Taken(ticket) => self.restore(&queued, Some(ticket)),
        }
        self.return_encoder_ids(queued.texture.encoder_ids);
        queued.fail(&error.reason);
    }

    /// Puts a copy in flight back where it was, and waits for it again.
    fn restore(&mut self, queued: &QueuedCopy, ticket: Option<Ticket>) {
        let Some(ticket) = ticket else { return };
        let submission = ticket.buffer.as_ref().map(|buffer| buffer.submission());
        let number = queued.data.restore(ticket);
        if let Some(submission) = submission {
            let target = Continuation::Ticket { context: Arc::downgrade(&queued.data), number };
            self.unawaited.push((submission.device, Wait { index: submission.index, target }));
        }
    }

    /// Waits for what was submitted, on the pollers' threads: for the last of it until `until` on this one.
    fn watch(&mut self, until: Option<Instant>) {
        while let Some((device, first)) = self.unawaited.first() {
            let (device, index) = (*device, first.index);
            let same = |(other, watch): &(DeviceId, Wait)| *other == device && watch.index == index;
            let count = self.unawaited.iter().take_while(|unawaited| same(unawaited)).count();
            self.waits.extend(self.unawaited.drain(..count).map(|(_, watch)| watch));
            let until = until.filter(|_| self.unawaited.is_empty());
            self.poller.wait_for_submission(device, until, &mut self.waits);
        }
    }
}

impl QueuedCopy {
    fn target(&self) -> (DeviceId, QueueId) {
        let configuration = self.texture.configuration;
        (configuration.device_id, configuration.queue_id)
    }

    fn fail(self, error: &PresentError) {
        match &self.purpose {
            Purpose::Present(present) => {
                self.data.fail_present(present, self.layout.size(), error);
            }
            Purpose::Capture => {
                if let Some(reply) = self.reply {
                    self.data.outbox().answer(reply, Err(GetImageError::Texture(error.clone())));
                }
            }
        }
    }
}

impl PreparedCopy {
    fn copy(&self) -> Option<ReadbackCopy> {
        let QueuedCopy { texture, layout, .. } = &self.queued;
        let buffer = self.target.id()?;
        Some(ReadbackCopy {
            texture: texture.texture_id,
            buffer,
            size: layout.size(),
            stride: layout.stride(),
        })
    }
}

impl Destination {
    fn id(&self) -> Option<BufferId> {
        match self {
            Self::Fresh(buffer, _) => Some(buffer.id()),
            Self::Taken(ticket) => ticket.buffer.as_ref().map(|buffer| buffer.id()),
        }
    }
}
