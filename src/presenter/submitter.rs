//! From textures to tickets: finds a staging buffer for each copy, records the copies, submits them, and takes everything back if
//! wgpu-core refuses.
//!
//! Presents and captures of textures are queued first. A flush submits all queued copies of one device together, in one encoder;
//! if wgpu-core refuses them, it submits them one by one, so that one bad texture hurts no other. Then it destroys and drops the
//! textures that were held back, and lets the pollers wait for what was submitted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wgpu_core::id::{BufferId, DeviceId, QueueId, TextureId};

use super::entries::Entries;
use super::poller::Poller;
use super::poller::waits::{Continuation, Wait};
use crate::api::canvas::PendingTexture;
use crate::api::error::{GetImageError, PresentError};
use crate::api::ids::{ContextId, EncoderIds, ReturnedId};
use crate::context::{ContextData, MOST_IN_FLIGHT, Purpose, Ticket};
use crate::delivery::{Message, Outbox};
use crate::frame::CopyLayout;
use crate::gpu::{Gpu, GpuDevice, ReadbackCopy, SubmitError};
use crate::staging::{AvailableBuffer, StagingRing};

/// Upper bound of the time that a flush spins.
const LONGEST_SPIN: Duration = Duration::from_secs(1);

/// What a presenter has queued and not yet submitted. Accessed only on the WebGPU thread.
pub(super) struct Submitter {
    gpu: Arc<dyn Gpu>,
    poller: Poller,
    outbox: Arc<Outbox>,
    /// How long a flush waits, busily, for what it submitted.
    spin: Duration,
    /// At most one for each context, because a ring may have a single buffer.
    queued: Vec<QueuedCopy>,
    /// What becomes of textures after the submission.
    held_back: Vec<(TextureId, TextureFate)>,
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
    pub(super) purpose: Purpose,
    pub(super) texture: PendingTexture,
    pub(super) layout: CopyLayout,
}

/// A copy that has a buffer.
struct PreparedCopy {
    queued: QueuedCopy,
    destination: Destination,
}

/// The buffer of a copy.
enum Destination {
    /// A buffer that nobody uses; and the present that the copy supersedes, if any.
    Fresh(AvailableBuffer, Option<Ticket>),
    /// The buffer of the present that the copy supersedes. The queue copies in order, so the newer bytes stay.
    Taken(Ticket),
}

impl Submitter {
    pub(super) fn new(gpu: Arc<dyn Gpu>, poller: Poller, outbox: Arc<Outbox>, spin: Duration) -> Self {
        Self {
            gpu,
            poller,
            outbox,
            spin: spin.min(LONGEST_SPIN),
            queued: Vec::new(),
            held_back: Vec::new(),
            unawaited: Vec::new(),
            waits: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Queues a copy for the next flush. If one is queued for the context already, flushes first.
    pub(super) fn enqueue(&mut self, queued: QueuedCopy, entries: &mut Entries) {
        if entries.get(queued.context).is_some_and(|entry| entry.is_queued) {
            self.flush(entries);
        }
        if let Some(entry) = entries.get_mut(queued.context) {
            entry.is_queued = true;
        }
        self.queued.push(queued);
    }

    /// Notes what is to become of a texture after the next flush.
    pub(super) fn hold_back(&mut self, texture: TextureId, fate: TextureFate) {
        self.held_back.push((texture, fate));
    }

    /// Submits what was queued, ends the textures that were held back, and calls out what that caused.
    pub(super) fn flush(&mut self, entries: &mut Entries) {
        self.submit(entries);
        for (texture, fate) in self.held_back.drain(..) {
            match fate {
                TextureFate::Destroy => self.gpu.destroy_texture(texture),
                TextureFate::Drop => self.gpu.drop_texture(texture),
            }
        }
        self.wait((!self.spin.is_zero()).then(|| Instant::now() + self.spin));
        self.outbox.drain();
    }

    /// Hands the ids of a present or capture back. They are free once what was recorded with them is submitted.
    pub(super) fn return_encoder_ids(&self, ids: Option<EncoderIds>) {
        if let Some(EncoderIds { command_encoder, command_buffer }) = ids {
            self.outbox.message(Message::Return(ReturnedId::CommandEncoder(command_encoder)));
            self.outbox.message(Message::Return(ReturnedId::CommandBuffer(command_buffer)));
        }
    }

    /// Submits all queued copies, those of one device together.
    fn submit(&mut self, entries: &mut Entries) {
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some((device, queue)) = self.queued.first().map(QueuedCopy::queue) {
            let same = |queued: &mut QueuedCopy| queued.queue() == (device, queue);
            scratch.group.extend(self.queued.extract_if(.., same));
            // Pollers are told of the devices before: the submit to this one may block.
            self.wait(None);
            self.submit_group(device, queue, &mut scratch, entries);
        }
        self.scratch = scratch;
    }

    /// Submits copies of one device together; if wgpu-core refuses them, one by one.
    fn submit_group(
        &mut self,
        device: DeviceId,
        queue: QueueId,
        scratch: &mut Scratch,
        entries: &mut Entries,
    ) {
        let Scratch { group, prepared, copies } = scratch;
        let device = self.poller.open(device);
        for queued in group.drain(..) {
            match self.find_destination(&queued, &device, entries) {
                Ok(destination) => prepared.push(PreparedCopy { queued, destination }),
                Err(error) => {
                    self.return_encoder_ids(queued.texture.encoder_ids);
                    queued.fail(&error);
                }
            }
        }
        let Err(error) = self.try_submit(&device, queue, prepared, copies) else { return };
        if prepared.len() == 1 || error.may_be_in_flight {
            prepared.drain(..).for_each(|refused| self.give_up(refused, &error));
            return;
        }
        let mut alone = Vec::with_capacity(1);
        for refused in prepared.drain(..) {
            alone.push(refused);
            if let Err(error) = self.try_submit(&device, queue, &mut alone, copies) {
                alone.drain(..).for_each(|refused| self.give_up(refused, &error));
            }
        }
    }

    /// Finds a buffer for a copy.
    fn find_destination(
        &mut self,
        queued: &QueuedCopy,
        device: &Arc<dyn GpuDevice>,
        entries: &mut Entries,
    ) -> Result<Destination, PresentError> {
        let Some(entry) = entries.get_mut(queued.context) else {
            return Err(PresentError::ContextDestroyed);
        };
        entry.is_queued = false;
        let size = queued.layout.size();
        if size.width.max(size.height) > device.largest_texture() {
            // The device has no such texture, so memory for it is not even looked for.
            return Err(PresentError::TooLarge(size));
        }
        let bytes = queued.layout.byte_len();
        let take_youngest = |enough| match queued.purpose {
            Purpose::Present(_) => queued.data.take_youngest(device.id(), enough),
            Purpose::Capture(_) => None,
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
            Purpose::Capture(_) => queued.data.has_room_to_capture(),
        };
        let buffer = if has_room {
            entry.ring.acquire(&*self.gpu, &**device, bytes)
        } else {
            Err(PresentError::RingExhausted)
        };
        match (buffer, superseded) {
            (Ok(buffer), superseded) => Ok(Destination::Fresh(buffer, superseded)),
            // The ring has a single buffer. The newest frame is worth more than the one in flight.
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

    /// Submits copies, and makes tickets of them. Empties `prepared`, unless wgpu-core refuses.
    fn try_submit(
        &mut self,
        device: &Arc<dyn GpuDevice>,
        queue: QueueId,
        prepared: &mut Vec<PreparedCopy>,
        copies: &mut Vec<ReadbackCopy>,
    ) -> Result<(), SubmitError> {
        let Some(first) = prepared.first() else { return Ok(()) };
        copies.clear();
        copies.extend(prepared.iter().filter_map(PreparedCopy::copy));
        let submission = device.submit(queue, first.queued.texture.encoder_ids, copies)?;
        for PreparedCopy { queued, destination } in prepared.drain(..) {
            self.return_encoder_ids(queued.texture.encoder_ids);
            let (buffer, superseded) = match destination {
                Destination::Fresh(buffer, superseded) => (Some(buffer.submitted(submission)), superseded),
                Destination::Taken(mut ticket) => {
                    (ticket.buffer.take().map(|buffer| buffer.resubmitted(submission)), Some(ticket))
                }
            };
            let QueuedCopy { data, purpose, layout, .. } = queued;
            if let (Some(superseded), Purpose::Present(present)) = (superseded, &purpose) {
                data.supersede(superseded, present.sequence);
            }
            if let Some(buffer) = buffer {
                let number = data.submitted(purpose, layout, buffer);
                let then = Continuation::Complete { context: Arc::downgrade(&data), number };
                self.unawaited.push((submission.device, Wait { index: submission.index, then }));
            }
        }
        Ok(())
    }

    /// Ends a copy that was refused by itself, or whose device is lost.
    fn give_up(&mut self, refused: PreparedCopy, error: &SubmitError) {
        let PreparedCopy { queued, destination } = refused;
        match destination {
            Destination::Fresh(buffer, superseded) => {
                if error.may_be_in_flight {
                    buffer.abandon();
                }
                self.restore(&queued, superseded);
            }
            // The GPU may have copied to its buffer all the same, so its bytes may be those of the failed copy.
            Destination::Taken(ticket) if error.may_be_in_flight => {
                queued.data.fail_taken(ticket, &error.reason)
            }
            Destination::Taken(ticket) => self.restore(&queued, Some(ticket)),
        }
        self.return_encoder_ids(queued.texture.encoder_ids);
        queued.fail(&error.reason);
    }

    /// Puts a ticket that was to be superseded back in flight, and waits for it again under its new name.
    fn restore(&mut self, queued: &QueuedCopy, ticket: Option<Ticket>) {
        let Some(ticket) = ticket else { return };
        let submission = ticket.buffer.as_ref().map(|buffer| buffer.submission());
        let number = queued.data.restore(ticket);
        if let Some(submission) = submission {
            let then = Continuation::Complete { context: Arc::downgrade(&queued.data), number };
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
    /// The device and the queue that copy it.
    fn queue(&self) -> (DeviceId, QueueId) {
        let configuration = self.texture.configuration;
        (configuration.device_id, configuration.queue_id)
    }

    fn fail(self, error: &PresentError) {
        match self.purpose {
            Purpose::Present(present) => self.data.fail_present(&present, self.layout.size(), error),
            Purpose::Capture(reply) => {
                self.data.outbox().answer(reply, Err(GetImageError::Texture(error.clone())));
            }
        }
    }
}

impl PreparedCopy {
    fn copy(&self) -> Option<ReadbackCopy> {
        let QueuedCopy { texture, layout, .. } = &self.queued;
        let buffer = self.destination.buffer_id()?;
        Some(ReadbackCopy {
            texture: texture.texture_id,
            buffer,
            size: layout.size(),
            stride: layout.stride(),
        })
    }
}

impl Destination {
    fn buffer_id(&self) -> Option<BufferId> {
        match self {
            Self::Fresh(buffer, _) => Some(buffer.id()),
            Self::Taken(ticket) => ticket.buffer.as_ref().map(|buffer| buffer.id()),
        }
    }
}
