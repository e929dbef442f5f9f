//! From textures to tickets: finds buffers, records the copies, submits them, and takes everything back if that fails.

use std::sync::{Arc, Weak};
use std::time::Instant;

use rustc_hash::FxHashMap;
use wgpu_core::id::{BufferId, DeviceId, QueueId, TextureId};

use crate::context::ContextData;
use crate::gpu::{Copy, Gpu, GpuDevice, SubmitError};
use crate::layout::CopyLayout;
use crate::outbox::{Message, Outbox, Reply};
use crate::ring::StagingRing;
use crate::staging::AvailableBuffer;
use crate::ticket::{MOST_IN_FLIGHT, Purpose, Ticket};
use crate::tray::Tray;
use crate::{
    ContextId, EncoderIds, GetImageError, OwnerId, PendingTexture, Poller, PresentError, ReturnedId,
};

/// What a presenter submits with. On the WebGPU thread.
pub(crate) struct Submitter {
    pub(crate) gpu: Arc<dyn Gpu>,
    pub(crate) contexts: FxHashMap<ContextId, Entry>,
    pub(crate) poller: Poller,
    pub(crate) outbox: Arc<Outbox>,
    /// Not yet submitted, at most one for each context: a ring may have a single buffer.
    pub(crate) recorded: Vec<Recorded>,
    /// What becomes of textures after the submit.
    pub(crate) held_back: Vec<(TextureId, End)>,
    /// Contexts that have ended, whose frames live on.
    pub(crate) ended: Vec<Ended>,
}

pub(crate) struct Ended {
    pub(crate) context: ContextId,
    pub(crate) owner: OwnerId,
    pub(crate) tray: Weak<Tray>,
}

pub(crate) enum End {
    Destroy,
    Drop,
}

/// A context and what only the WebGPU thread touches of it.
pub(crate) struct Entry {
    pub(crate) data: Arc<ContextData>,
    pub(crate) ring: StagingRing,
    pub(crate) last_used: Instant,
    /// It has a copy among those not yet submitted.
    pub(crate) recorded: bool,
}

/// A copy to be submitted.
pub(crate) struct Recorded {
    pub(crate) context: ContextId,
    pub(crate) data: Arc<ContextData>,
    pub(crate) purpose: Purpose,
    pub(crate) reply: Option<Reply>,
    pub(crate) texture: PendingTexture,
    pub(crate) layout: CopyLayout,
}

/// Where a copy goes.
enum Target {
    /// A buffer that nobody uses; and what is superseded by the copy, if anything.
    Fresh(AvailableBuffer, Option<Ticket>),
    /// The buffer of the copy that is superseded: the queue keeps the order.
    Taken(Ticket),
}

impl Submitter {
    /// Notes a copy for the next flush.
    pub(crate) fn record(&mut self, recorded: Recorded) {
        let second = self.contexts.get_mut(&recorded.context).is_some_and(|entry| entry.recorded);
        if second {
            self.flush();
        }
        if let Some(entry) = self.contexts.get_mut(&recorded.context) {
            entry.recorded = true;
        }
        self.recorded.push(recorded);
    }

    /// Notes what becomes of a texture after the next flush.
    pub(crate) fn hold_back(&mut self, texture: TextureId, end: End) {
        self.held_back.push((texture, end));
    }

    /// Submits what was noted.
    pub(crate) fn flush(&mut self) {
        let recorded = std::mem::take(&mut self.recorded);
        self.submit(recorded);
        for (texture, end) in self.held_back.drain(..) {
            match end {
                End::Destroy => self.gpu.destroy_texture(texture),
                End::Drop => self.gpu.drop_texture(texture),
            }
        }
        self.outbox.drain();
    }

    /// Submits copies, those of one device together.
    fn submit(&mut self, mut recorded: Vec<Recorded>) {
        while let Some(first) = recorded.first() {
            let target = first.target();
            let (group, rest) = recorded.into_iter().partition(|recorded| recorded.target() == target);
            self.submit_group(target.0, target.1, group);
            recorded = rest;
        }
    }

    /// Takes back what only this thread can of a context that has ended.
    pub(crate) fn forget(&mut self, id: ContextId) {
        if !self.contexts.contains_key(&id) {
            return;
        }
        // What was recorded for it finds its ring, not that of the next context with this id.
        self.flush();
        let Some(entry) = self.contexts.remove(&id) else { return };
        self.ended.retain(|ended| ended.tray.strong_count() > 0);
        let tray = Arc::downgrade(entry.ring.tray());
        self.ended.push(Ended { context: id, owner: entry.data.owner(), tray });
        let Entry { data, ring, .. } = entry;
        let tray = ring.tray().clone();
        for buffer in ring.destroy(&*self.gpu) {
            self.outbox.message(Message::Return(ReturnedId::Buffer(buffer)));
        }
        // One that lingers does so when it is over.
        if !data.lingers() {
            tray.close();
        }
        self.outbox.drain();
    }

    /// The same of all contexts that another thread has ended.
    pub(crate) fn forget_ended(&mut self) {
        let ended: Vec<_> =
            self.contexts.iter().filter(|(_, entry)| !entry.data.is_alive()).map(|(id, _)| *id).collect();
        ended.into_iter().for_each(|id| self.forget(id));
    }

    /// A context, unless it has ended: another thread may have done that.
    pub(crate) fn living(&mut self, id: ContextId) -> Option<&mut Entry> {
        if !self.contexts.get(&id)?.data.is_alive() {
            self.forget(id);
        }
        self.contexts.get_mut(&id)
    }

    /// Hands ids back, once what was recorded with them is submitted.
    pub(crate) fn return_encoder_ids(&self, ids: Option<EncoderIds>) {
        if let Some(EncoderIds { command_encoder, command_buffer }) = ids {
            self.outbox.message(Message::Return(ReturnedId::CommandEncoder(command_encoder)));
            self.outbox.message(Message::Return(ReturnedId::CommandBuffer(command_buffer)));
        }
    }

    /// Submits copies of one device together, and if wgpu-core refuses them, one by one.
    fn submit_group(&mut self, device: DeviceId, queue: QueueId, group: Vec<Recorded>) {
        let device = self.poller.open(device);
        let mut ready = Vec::with_capacity(group.len());
        for recorded in group {
            match self.target(&recorded, &device) {
                Ok(target) => ready.push((recorded, target)),
                Err(error) => {
                    self.return_encoder_ids(recorded.texture.encoder_ids);
                    recorded.fail(&error);
                }
            }
        }
        if let Err((refused, error)) = self.try_submit(&device, queue, ready) {
            if refused.len() == 1 || error.may_be_running {
                refused.into_iter().for_each(|refused| self.give_up(refused, &error));
            } else {
                for alone in refused {
                    if let Err((refused, error)) = self.try_submit(&device, queue, vec![alone]) {
                        refused.into_iter().for_each(|refused| self.give_up(refused, &error));
                    }
                }
            }
        }
    }

    /// Finds a buffer for a copy.
    fn target(&mut self, recorded: &Recorded, device: &Arc<dyn GpuDevice>) -> Result<Target, PresentError> {
        let Some(entry) = self.contexts.get_mut(&recorded.context) else {
            return Err(PresentError::ContextDestroyed);
        };
        entry.recorded = false;
        let size = recorded.layout.size();
        if size.width.max(size.height) > device.largest_texture() {
            // No texture is: do not find memory for it.
            return Err(PresentError::TooLarge(size));
        }
        let bytes = recorded.layout.byte_len();
        let take_youngest = |enough| match recorded.purpose {
            Purpose::Present(_) => recorded.data.take_youngest(device.id(), enough),
            Purpose::Capture => None,
        };
        let fits = |ticket: &Ticket, ring: &StagingRing| {
            ticket.buffer.as_ref().is_some_and(|buffer| buffer.len() >= bytes && ring.owns(buffer))
        };
        let youngest = take_youngest(MOST_IN_FLIGHT);
        let superseded = match youngest {
            Some(youngest) if fits(&youngest, &entry.ring) => return Ok(Target::Taken(youngest)),
            youngest => youngest,
        };
        let has_room = match recorded.purpose {
            Purpose::Present(_) => superseded.is_some() || recorded.data.has_room_to_present(),
            Purpose::Capture => recorded.data.has_room_to_capture(),
        };
        let buffer = if has_room {
            entry.ring.acquire(&*self.gpu, &**device, bytes)
        } else {
            Err(PresentError::RingExhausted)
        };
        match (buffer, superseded) {
            (Ok(buffer), superseded) => Ok(Target::Fresh(buffer, superseded)),
            // Not even two buffers: the newest frame is worth more than the one in flight.
            (Err(PresentError::RingExhausted), None) => match take_youngest(1) {
                Some(youngest) if fits(&youngest, &entry.ring) => Ok(Target::Taken(youngest)),
                youngest => {
                    self.restore(recorded, youngest);
                    Err(PresentError::RingExhausted)
                }
            },
            (Err(error), superseded) => {
                self.restore(recorded, superseded);
                Err(error)
            }
        }
    }

    /// Everything back if wgpu-core refuses.
    fn try_submit(
        &mut self,
        device: &Arc<dyn GpuDevice>,
        queue: QueueId,
        ready: Vec<(Recorded, Target)>,
    ) -> Result<(), (Vec<(Recorded, Target)>, SubmitError)> {
        let copies: Vec<_> =
            ready.iter().filter_map(|(recorded, target)| Some(recorded.copy_to(target.id()?))).collect();
        let Some((first, _)) = ready.first() else { return Ok(()) };
        let submission = match device.submit(queue, first.texture.encoder_ids, &copies) {
            Ok(submission) => submission,
            Err(error) => return Err((ready, error)),
        };
        for (recorded, target) in ready {
            self.return_encoder_ids(recorded.texture.encoder_ids);
            let (buffer, superseded) = match target {
                Target::Fresh(buffer, superseded) => (Some(buffer.submitted(submission)), superseded),
                Target::Taken(mut ticket) => {
                    (ticket.buffer.take().map(|buffer| buffer.resubmitted(submission)), Some(ticket))
                }
            };
            let Recorded { data, purpose, layout, reply, .. } = recorded;
            if let (Some(superseded), Purpose::Present(present)) = (superseded, &purpose) {
                data.supersede(superseded, present.sequence);
            }
            if let Some(buffer) = buffer {
                let number = data.submitted(purpose, layout, buffer, reply);
                self.poller.wait_for_ticket(submission, &data, number);
            }
        }
        Ok(())
    }

    /// A copy was refused, alone, or the device is lost.
    fn give_up(&self, refused: (Recorded, Target), error: &SubmitError) {
        let (recorded, target) = refused;
        match target {
            Target::Fresh(buffer, superseded) => {
                if error.may_be_running {
                    buffer.abandon();
                }
                self.restore(&recorded, superseded);
            }
            // Its bytes may be those of the failed copy.
            Target::Taken(ticket) if error.may_be_running => recorded.data.fail_taken(ticket, &error.reason),
            Target::Taken(ticket) => self.restore(&recorded, Some(ticket)),
        }
        self.return_encoder_ids(recorded.texture.encoder_ids);
        recorded.fail(&error.reason);
    }

    /// Puts a copy in flight back where it was, and waits for it again.
    fn restore(&self, recorded: &Recorded, ticket: Option<Ticket>) {
        let Some(ticket) = ticket else { return };
        let submission = ticket.buffer.as_ref().and_then(|buffer| buffer.submission());
        let number = recorded.data.restore(ticket);
        if let Some(submission) = submission {
            self.poller.wait_for_ticket(submission, &recorded.data, number);
        }
    }
}

impl Recorded {
    fn target(&self) -> (DeviceId, QueueId) {
        let configuration = self.texture.configuration;
        (configuration.device_id, configuration.queue_id)
    }

    fn copy_to(&self, buffer: BufferId) -> Copy {
        Copy {
            texture: self.texture.texture_id,
            buffer,
            size: self.layout.size(),
            stride: self.layout.stride(),
        }
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

impl Target {
    fn id(&self) -> Option<BufferId> {
        match self {
            Self::Fresh(buffer, _) => Some(buffer.id()),
            Self::Taken(ticket) => ticket.buffer.as_ref().map(|buffer| buffer.id()),
        }
    }
}
