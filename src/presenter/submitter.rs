//! From textures to tickets: finds buffers, records the copies, submits them, and takes everything back if that fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};
use wgpu_core::id::{BufferId, DeviceId, QueueId, TextureId};

use super::entries::{Ended, Entry};
use super::poller::Poller;
use super::poller::waits::{Target as WatchTarget, Watch};
use crate::api::canvas::PendingTexture;
use crate::api::error::{GetImageError, PresentError};
use crate::api::ids::{ContextId, EncoderIds, OwnerId, ReturnedId};
use crate::context::ContextData;
use crate::context::{MOST_IN_FLIGHT, Purpose, Ticket};
use crate::delivery::{Message, Outbox, Reply};
use crate::frame::CopyLayout;
use crate::gpu::{Copy, Gpu, GpuDevice, SubmitError};
use crate::staging::AvailableBuffer;
use crate::staging::StagingRing;

/// What a presenter submits with. On the WebGPU thread.
pub(crate) struct Submitter {
    pub(crate) gpu: Arc<dyn Gpu>,
    pub(crate) contexts: FxHashMap<ContextId, Entry>,
    pub(super) by_owner: FxHashMap<OwnerId, FxHashSet<ContextId>>,
    pub(crate) poller: Poller,
    pub(crate) outbox: Arc<Outbox>,
    /// Contexts that have ended, whose frames live on.
    pub(crate) ended: Vec<Ended>,
    /// How long a flush waits for what it submitted, on this thread.
    spin: Duration,
    /// Not yet submitted, at most one for each context: a ring may have a single buffer.
    recorded: Vec<Recorded>,
    /// What becomes of textures after the submit.
    held_back: Vec<(TextureId, End)>,
    /// In flight, and not waited for yet. Those of a submission lie together.
    unwatched: Vec<(DeviceId, Watch)>,
    /// Kept for its capacity.
    watches: Vec<Watch>,
    scratch: Scratch,
}

/// Longer the WebGPU thread waits for nothing.
const LONGEST_SPIN: Duration = Duration::from_secs(1);

/// Of one submission; kept for their capacity: no present allocates.
#[derive(Default)]
struct Scratch {
    group: Vec<Recorded>,
    ready: Vec<Ready>,
    copies: Vec<Copy>,
}

pub(crate) enum End {
    Destroy,
    Drop,
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

/// A copy, and where it goes.
struct Ready {
    recorded: Recorded,
    target: Target,
}

enum Target {
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
            recorded: Vec::new(),
            held_back: Vec::new(),
            unwatched: Vec::new(),
            watches: Vec::new(),
            scratch: Scratch::default(),
        }
    }

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
        self.submit();
        for (texture, end) in self.held_back.drain(..) {
            match end {
                End::Destroy => self.gpu.destroy_texture(texture),
                End::Drop => self.gpu.drop_texture(texture),
            }
        }
        self.watch((!self.spin.is_zero()).then(|| Instant::now() + self.spin));
        self.outbox.drain();
    }

    /// Hands ids back, once what was recorded with them is submitted.
    pub(crate) fn return_encoder_ids(&self, ids: Option<EncoderIds>) {
        if let Some(EncoderIds { command_encoder, command_buffer }) = ids {
            self.outbox.message(Message::Return(ReturnedId::CommandEncoder(command_encoder)));
            self.outbox.message(Message::Return(ReturnedId::CommandBuffer(command_buffer)));
        }
    }

    /// Submits copies, those of one device together.
    fn submit(&mut self) {
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some((device, queue)) = self.recorded.first().map(Recorded::target) {
            let same = |recorded: &mut Recorded| recorded.target() == (device, queue);
            scratch.group.extend(self.recorded.extract_if(.., same));
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
        for recorded in group.drain(..) {
            match self.target(&recorded, &device) {
                Ok(target) => ready.push(Ready { recorded, target }),
                Err(error) => {
                    self.return_encoder_ids(recorded.texture.encoder_ids);
                    recorded.fail(&error);
                }
            }
        }
        let Err(error) = self.try_submit(&device, queue, ready, copies) else { return };
        if ready.len() == 1 || error.may_be_running {
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

    /// Empties `ready`, unless wgpu-core refuses.
    fn try_submit(
        &mut self,
        device: &Arc<dyn GpuDevice>,
        queue: QueueId,
        ready: &mut Vec<Ready>,
        copies: &mut Vec<Copy>,
    ) -> Result<(), SubmitError> {
        let Some(first) = ready.first() else { return Ok(()) };
        copies.clear();
        copies.extend(ready.iter().filter_map(Ready::copy));
        let submission = device.submit(queue, first.recorded.texture.encoder_ids, copies)?;
        for Ready { recorded, target } in ready.drain(..) {
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
                let target = WatchTarget::Ticket { context: Arc::downgrade(&data), number };
                self.unwatched.push((submission.device, Watch { index: submission.index, target }));
            }
        }
        Ok(())
    }

    /// A copy was refused, alone, or the device is lost.
    fn give_up(&mut self, refused: Ready, error: &SubmitError) {
        let Ready { recorded, target } = refused;
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
    fn restore(&mut self, recorded: &Recorded, ticket: Option<Ticket>) {
        let Some(ticket) = ticket else { return };
        let submission = ticket.buffer.as_ref().and_then(|buffer| buffer.submission());
        let number = recorded.data.restore(ticket);
        if let Some(submission) = submission {
            let target = WatchTarget::Ticket { context: Arc::downgrade(&recorded.data), number };
            self.unwatched.push((submission.device, Watch { index: submission.index, target }));
        }
    }

    /// Waits for what was submitted, on the pollers' threads: for the last of it until `until` on this one.
    fn watch(&mut self, until: Option<Instant>) {
        while let Some((device, first)) = self.unwatched.first() {
            let (device, index) = (*device, first.index);
            let same = |(other, watch): &(DeviceId, Watch)| *other == device && watch.index == index;
            let count = self.unwatched.iter().take_while(|unwatched| same(unwatched)).count();
            self.watches.extend(self.unwatched.drain(..count).map(|(_, watch)| watch));
            let until = until.filter(|_| self.unwatched.is_empty());
            self.poller.wait_for_submission(device, until, &mut self.watches);
        }
    }
}

impl Recorded {
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

impl Ready {
    fn copy(&self) -> Option<Copy> {
        let Recorded { texture, layout, .. } = &self.recorded;
        let buffer = self.target.id()?;
        Some(Copy { texture: texture.texture_id, buffer, size: layout.size(), stride: layout.stride() })
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
