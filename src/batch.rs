//! Presents that are submitted together: one encoder and one submit per device.

use std::sync::Arc;
use std::time::Instant;

use wgpu_core::id::{DeviceId, QueueId, TextureId};

use crate::context::ContextData;
use crate::gpu::{Copy, GpuDevice, SubmitError};
use crate::layout::{FrameLayout, check_size};
use crate::outbox::Reply;
use crate::presenter::Presenter;
use crate::staging::AvailableBuffer;
use crate::ticket::{Purpose, Ticket};
use crate::{
    CanvasEpoch, Contents, ContextId, GetImageError, PendingTexture, PresentError, Snapshot, UnknownContext,
};

/// Presents that are submitted together. Dropping it submits.
///
/// An engine that gets one message per canvas, each followed by the destruction of its texture, drains its channel into
/// one batch: presents, and `destroy` and `drop` of textures, which are held back until the submit; any other message
/// submits first. A hundred canvases then cost one submit instead of a hundred.
///
/// It is an optimisation only: each present has the outcome that it would have had alone.
#[must_use = "dropping it at once makes every present a submission of its own"]
pub struct Batch<'a> {
    presenter: &'a mut Presenter,
    recorded: Vec<Recorded>,
    textures: Vec<(TextureId, End)>,
}

/// A copy to be submitted.
struct Recorded {
    context: ContextId,
    data: Arc<ContextData>,
    purpose: Purpose,
    reply: Option<Reply>,
    texture: PendingTexture,
    layout: FrameLayout,
}

enum End {
    Destroy,
    Drop,
}

/// Where a copy goes.
enum Target {
    /// A buffer that nobody uses; and what is superseded by the copy, if anything.
    Fresh(AvailableBuffer, Option<Ticket>),
    /// The buffer of the copy that is superseded: the queue keeps the order.
    Taken(Ticket),
}

impl<'a> Batch<'a> {
    pub(crate) fn new(presenter: &'a mut Presenter) -> Self {
        Self { presenter, recorded: Vec::new(), textures: Vec::new() }
    }

    /// As [`Presenter::present`], but a texture is copied only at the submit. Its encoder ids are handed back then.
    pub fn present(
        &mut self,
        id: ContextId,
        contents: Contents,
        epoch: CanvasEpoch,
    ) -> Result<u64, PresentError> {
        let ids = match &contents {
            Contents::Texture(texture) => texture.encoder_ids,
            Contents::Cleared { .. } => None,
        };
        let Some(entry) = self.presenter.contexts.get_mut(&id) else {
            self.presenter.return_encoder_ids(ids);
            self.presenter.outbox.drain();
            return Err(UnknownContext(id).into());
        };
        entry.last_used = Instant::now();
        let data = entry.data.clone();
        let (size, alpha_mode) = match &contents {
            Contents::Texture(texture) => (texture.configuration.size, texture.configuration.alpha_mode),
            Contents::Cleared { size, alpha_mode } => (*size, *alpha_mode),
        };
        let present = data.begin(epoch, alpha_mode);
        let sequence = present.sequence;
        let layout = match contents {
            Contents::Texture(texture) if !size.is_empty() => {
                FrameLayout::for_copy(size, texture.configuration.format, alpha_mode)
                    .map(|layout| Some((texture, layout)))
            }
            // A texture without pixels is like none.
            Contents::Texture(_) | Contents::Cleared { .. } => check_size(size).map(|()| None),
        };
        match layout {
            Ok(Some((texture, layout))) => {
                let purpose = Purpose::Present(present);
                self.record(Recorded { context: id, data, purpose, reply: None, texture, layout });
                return Ok(sequence);
            }
            Ok(None) => data.clear(&present, size),
            Err(ref error) => data.fail_present(&present, size, error),
        }
        self.presenter.return_encoder_ids(ids);
        self.presenter.outbox.drain();
        layout.map(|_| sequence)
    }

    /// `Global::texture_destroy`, after the submit.
    pub fn destroy_texture(&mut self, texture: TextureId) {
        self.textures.push((texture, End::Destroy));
    }

    /// `Global::texture_drop`, after the submit.
    pub fn drop_texture(&mut self, texture: TextureId) {
        self.textures.push((texture, End::Drop));
    }

    /// Submits what was gathered.
    pub fn submit(self) {
        // By dropping it.
    }

    fn record(&mut self, recorded: Recorded) {
        // A ring may have a single buffer, so a context is in a submission once.
        if self.recorded.iter().any(|other| other.context == recorded.context) {
            self.flush();
        }
        self.recorded.push(recorded);
    }

    fn flush(&mut self) {
        let mut recorded = std::mem::take(&mut self.recorded);
        while let Some(first) = recorded.first() {
            let configuration = first.texture.configuration;
            let target = (configuration.device_id, configuration.queue_id);
            let (group, rest) = recorded.into_iter().partition(|recorded| {
                let configuration = recorded.texture.configuration;
                (configuration.device_id, configuration.queue_id) == target
            });
            self.presenter.submit_group(target.0, target.1, group);
            recorded = rest;
        }
        for (texture, end) in self.textures.drain(..) {
            match end {
                End::Destroy => self.presenter.gpu.destroy_texture(texture),
                End::Drop => self.presenter.gpu.drop_texture(texture),
            }
        }
        self.presenter.outbox.drain();
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Presenter {
    /// Copies a texture for a `get_image`.
    pub(crate) fn capture(&mut self, id: ContextId, texture: PendingTexture, reply: Reply) {
        let Some(entry) = self.contexts.get_mut(&id) else { return };
        entry.last_used = Instant::now();
        let data = entry.data.clone();
        let configuration = texture.configuration;
        let (size, alpha_mode) = (configuration.size, configuration.alpha_mode);
        if size.is_empty() {
            self.return_encoder_ids(texture.encoder_ids);
            data.outbox().answer(reply, Ok(Snapshot::cleared(size, alpha_mode)));
            return;
        }
        match FrameLayout::for_copy(size, configuration.format, alpha_mode) {
            Ok(layout) => {
                let purpose = Purpose::Capture;
                let capture = Recorded { context: id, data, purpose, reply: Some(reply), texture, layout };
                self.submit_group(configuration.device_id, configuration.queue_id, vec![capture]);
            }
            Err(error) => {
                self.return_encoder_ids(texture.encoder_ids);
                data.outbox().answer(reply, Err(GetImageError::Texture(error)));
            }
        }
    }

    /// Submits copies of one device together, and if wgpu-core refuses them, one by one.
    fn submit_group(&mut self, device: DeviceId, queue: QueueId, group: Vec<Recorded>) {
        let device = self.device(device);
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
                refused.into_iter().for_each(|refused| self.give_up(&device, refused, &error));
            } else {
                for alone in refused {
                    if let Err((refused, error)) = self.try_submit(&device, queue, vec![alone]) {
                        refused.into_iter().for_each(|refused| self.give_up(&device, refused, &error));
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
        let bytes = recorded.layout.byte_len();
        let youngest = match recorded.purpose {
            Purpose::Present(_) => recorded.data.take_youngest(device.id()),
            Purpose::Capture => None,
        };
        let fits = |ticket: &Ticket| {
            ticket.buffer.as_ref().is_some_and(|buffer| buffer.len() >= bytes && entry.ring.owns(buffer))
        };
        let superseded = match youngest {
            Some(youngest) if fits(&youngest) => return Ok(Target::Taken(youngest)),
            youngest => youngest,
        };
        let buffer = if superseded.is_none() && !recorded.data.has_room() {
            Err(PresentError::RingExhausted)
        } else {
            entry.ring.acquire(&*self.gpu, &**device, bytes)
        };
        match buffer {
            Ok(buffer) => Ok(Target::Fresh(buffer, superseded)),
            Err(error) => {
                self.restore(device, recorded, superseded);
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
            if let Some(superseded) = superseded {
                data.supersede(superseded);
            }
            if let Some(buffer) = buffer {
                let number = data.submitted(purpose, layout, buffer, reply);
                self.poller.wait_for_ticket(device, submission, &data, number);
            }
        }
        Ok(())
    }

    /// A copy was refused, alone, or the device is lost.
    fn give_up(&mut self, device: &Arc<dyn GpuDevice>, refused: (Recorded, Target), error: &SubmitError) {
        let (recorded, target) = refused;
        match target {
            Target::Fresh(buffer, superseded) => {
                if error.may_be_running {
                    buffer.abandon();
                }
                self.restore(device, &recorded, superseded);
            }
            // Its bytes may be those of the failed copy.
            Target::Taken(ticket) if error.may_be_running => recorded.data.fail_taken(ticket, &error.reason),
            Target::Taken(ticket) => self.restore(device, &recorded, Some(ticket)),
        }
        self.return_encoder_ids(recorded.texture.encoder_ids);
        recorded.fail(&error.reason);
    }

    /// Puts a copy in flight back where it was, and waits for it again.
    fn restore(&self, device: &Arc<dyn GpuDevice>, recorded: &Recorded, ticket: Option<Ticket>) {
        let Some(ticket) = ticket else { return };
        let submission = ticket.buffer.as_ref().and_then(|buffer| buffer.submission());
        let number = ticket.number;
        recorded.data.restore(ticket);
        if let Some(submission) = submission {
            self.poller.wait_for_ticket(device, submission, &recorded.data, number);
        }
    }
}

impl Recorded {
    fn copy_to(&self, buffer: wgpu_core::id::BufferId) -> Copy {
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
    fn id(&self) -> Option<wgpu_core::id::BufferId> {
        match self {
            Self::Fresh(buffer, _) => Some(buffer.id()),
            Self::Taken(ticket) => ticket.buffer.as_ref().map(|buffer| buffer.id()),
        }
    }
}
