//! Presents and reads that are submitted together: one encoder and one submission for each device.

use std::fmt;
use std::time::Instant;

use euclid::default::Box2D;
use wgpu_core::id::TextureId;

use super::Presenter;
use super::submitter::TextureFate;
use crate::api::canvas::{Contents, PendingTexture};
use crate::api::error::{GetImageError, RegionOutside, UnknownContext};
use crate::api::ids::{CanvasEpoch, ContextId};
use crate::context::Purpose;
use crate::delivery::reply_with_region;
use crate::frame::{CopyLayout, Snapshot};

/// Gathers presents and reads, and submits them together; dropping it submits.
///
/// An engine that gets one message per canvas, each followed by the destruction of its texture, drains its channel into one batch:
/// presents, reads, and the destruction of textures, which is held back until the submission. Any other message submits first. A hundred
/// canvases then cost one submission instead of a hundred, and the compositor gets one transaction.
///
/// A batch is an optimisation only: one bad texture hurts no other. (A device that is lost in the submission ends all copies of that
/// device.) A batch that is forgotten with `std::mem::forget` is submitted with the next one. Accessed only on the WebGPU thread.
///
/// ```
/// use std::sync::mpsc::{Receiver, Sender};
/// use webgpu_presentation::{
///     CanvasEpoch, Contents, ContextId, GetImageError, PendingTexture, Presenter, Snapshot,
/// };
/// use wgpu_core::id::TextureId;
///
/// enum Request {
///     Present(ContextId, Contents, CanvasEpoch),
///     GetImage(ContextId, Option<PendingTexture>, Sender<Result<Snapshot, GetImageError>>),
///     DestroyTexture(TextureId),
///     DropTexture(TextureId),
///     // …
/// #   Exit,
/// }
///
/// /// Takes what waits in the channel into one batch, and returns the first request that must not overtake it.
/// fn gather(presenter: &mut Presenter, first: Request, requests: &Receiver<Request>) -> Option<Request> {
///     let mut batch = presenter.batch();
///     let mut next = Some(first);
///     while let Some(request) = next {
///         match request {
///             Request::Present(canvas, contents, epoch) => {
///                 // An error means that there is no such canvas. How the present ends is told to `on_outcome`.
///                 let _ = batch.present(canvas, contents, epoch);
///             }
///             Request::GetImage(canvas, texture, reply) => batch.get_image(canvas, texture, move |image| {
///                 // Script may be gone.
///                 let _ = reply.send(image);
///             }),
///             Request::DestroyTexture(texture) => batch.destroy_texture(texture),
///             Request::DropTexture(texture) => batch.drop_texture(texture),
///             other => return Some(other),
///         }
///         next = requests.try_recv().ok();
///     }
///     None
/// }
/// ```
#[must_use = "dropping it at once makes every present a submission of its own"]
pub struct Batch<'a> {
    presenter: &'a mut Presenter,
}

impl<'a> Batch<'a> {
    pub(super) fn new(presenter: &'a mut Presenter) -> Self {
        Self { presenter }
    }

    /// Presents as [`Presenter::present`] does, but a texture is copied only when the batch is submitted. Its encoder ids are handed
    /// back then.
    ///
    /// # Errors
    ///
    /// This presenter has no such context.
    pub fn present(
        &mut self,
        id: ContextId,
        contents: Contents,
        epoch: CanvasEpoch,
    ) -> Result<u64, UnknownContext> {
        span!("Batch::present");
        let Presenter { entries, submitter, outbox, .. } = &mut *self.presenter;
        let (ids, size, alpha_mode) = match &contents {
            Contents::Texture(texture) => {
                (texture.encoder_ids, texture.configuration.size, texture.configuration.alpha_mode)
            }
            Contents::Cleared { size, alpha_mode } => (None, *size, *alpha_mode),
        };
        let begun = entries.get_mut(id).and_then(|entry| {
            entry.last_used = Instant::now();
            Some((entry.data.begin(epoch, alpha_mode)?, entry.data.clone()))
        });
        let Some((present, data)) = begun else {
            submitter.return_encoder_ids(ids);
            // Another thread may have ended the context.
            self.presenter.forget(id);
            self.presenter.outbox.drain();
            return Err(UnknownContext(id));
        };
        let sequence = present.sequence;
        let layout = match contents {
            Contents::Texture(texture) if !size.is_empty() => {
                CopyLayout::of(&texture.configuration).map(|layout| Some((texture, layout)))
            }
            // A texture without pixels is presented like none. A cleared canvas of any size is one pixel on screen; sizes that
            // are too large to be read are refused when they are read.
            Contents::Texture(_) | Contents::Cleared { .. } => Ok(None),
        };
        match layout {
            Ok(Some(copy)) => {
                submitter.enqueue(id, data, Purpose::Present(present), copy, entries);
                return Ok(sequence);
            }
            Ok(None) => data.clear(&present, size),
            Err(error) => data.fail_present(&present, size, &error),
        }
        submitter.return_encoder_ids(ids);
        outbox.drain();
        Ok(sequence)
    }

    /// Reads a canvas as [`Presenter::get_image`] does, but a texture is copied only when the batch is submitted.
    ///
    /// Reads of one texture for one canvas share a copy, if nothing else of that canvas is copied between them in the batch and the textures'
    /// configurations are equal. So what the engine submits or writes while it gathers a batch is in all of them or in none, and it submits the
    /// batch first if that matters.
    pub fn get_image(
        &mut self,
        id: ContextId,
        texture: Option<PendingTexture>,
        reply: impl FnOnce(Result<Snapshot, GetImageError>) + Send + 'static,
    ) {
        span!("Batch::get_image");
        let texture = texture.map(|texture| (texture, Box2D::from_size(texture.configuration.size)));
        self.presenter.read(id, texture, Box::new(reply));
    }

    /// Reads a part of a canvas as [`Presenter::get_image_region`] does, but a texture is copied only when the batch is submitted.
    ///
    /// It shares the copy of an earlier read, as [`get_image`](Self::get_image) does, if that contains the region.
    pub fn get_image_region(
        &mut self,
        id: ContextId,
        texture: Option<PendingTexture>,
        region: Box2D<u32>,
        reply: impl FnOnce(Result<Snapshot, GetImageError>) + Send + 'static,
    ) {
        span!("Batch::get_image_region");
        let Some(texture) = texture else {
            return self.presenter.read(id, None, reply_with_region(Box::new(reply), region));
        };
        match RegionOutside::check(region, texture.configuration.size) {
            Ok(()) => self.presenter.read(id, Some((texture, region)), Box::new(reply)),
            Err(outside) => {
                self.presenter.submitter.return_encoder_ids(texture.encoder_ids);
                self.presenter.outbox.answer(Box::new(reply), Err(outside.into()));
                self.presenter.outbox.drain();
            }
        }
    }

    /// Calls wgpu-core's `texture_destroy` after the submission. A copy of the texture that must wait is made first.
    pub fn destroy_texture(&mut self, texture: TextureId) {
        self.presenter.submitter.hold_back(texture, TextureFate::Destroy);
    }

    /// Calls wgpu-core's `texture_drop` after the submission, and hands the id back as [`ReturnedId::Texture`](crate::ReturnedId::Texture).
    /// A copy of the texture that must wait is made first.
    pub fn drop_texture(&mut self, texture: TextureId) {
        self.presenter.submitter.hold_back(texture, TextureFate::Drop);
    }

    /// Submits what was gathered, as dropping the batch does.
    pub fn submit(self) {}
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("presenter", self.presenter).finish()
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        span!("Batch::submit");
        self.presenter.flush();
    }
}
