//! Presents that are submitted together: one encoder and one submit per device.

use std::time::Instant;

use wgpu_core::id::TextureId;

use super::submitter::{QueuedCopy, Submitter, TextureFate};
use crate::api::canvas::Contents;
use crate::api::error::{PresentError, UnknownContext};
use crate::api::ids::{CanvasEpoch, ContextId};
use crate::context::Purpose;
use crate::frame::CopyLayout;

/// Presents that are submitted together. Dropping it submits.
///
/// An engine that gets one message per canvas, each followed by the destruction of its texture, drains its channel into
/// one batch: presents, and `destroy` and `drop` of textures, which are held back until the submit; any other message
/// submits first. A hundred canvases then cost one submit instead of a hundred, and the compositor gets one transaction.
///
/// ```
/// use std::sync::mpsc::Receiver;
/// use webgpu_presentation::{CanvasEpoch, Contents, ContextId, Presenter};
/// use wgpu_core::id::TextureId;
///
/// enum Request {
///     Present(ContextId, Contents, CanvasEpoch),
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
///                 // An error is the present's end: `on_outcome` hears of it too.
///                 let _ = batch.present(canvas, contents, epoch);
///             }
///             Request::DestroyTexture(texture) => batch.destroy_texture(texture),
///             Request::DropTexture(texture) => batch.drop_texture(texture),
///             other => return Some(other),
///         }
///         next = requests.try_recv().ok();
///     }
///     None
/// }
/// ```
///
/// It is an optimisation only: one bad texture hurts no other (a device that is lost in the submit does). A batch that is forgotten
/// (`std::mem::forget`) is submitted with the next one.
#[must_use = "dropping it at once makes every present a submission of its own"]
pub struct Batch<'a> {
    submitter: &'a mut Submitter,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(submitter: &'a mut Submitter) -> Self {
        Self { submitter }
    }

    /// As [`Presenter::present`](crate::Presenter::present), but a texture is copied only at the submit. Its encoder ids
    /// are handed back then.
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
        let (size, alpha_mode) = match &contents {
            Contents::Texture(texture) => (texture.configuration.size, texture.configuration.alpha_mode),
            Contents::Cleared { size, alpha_mode } => (*size, *alpha_mode),
        };
        let begun = self.submitter.contexts.get_mut(&id).and_then(|entry| {
            entry.last_used = Instant::now();
            Some((entry.data.begin(epoch, alpha_mode)?, entry.data.clone()))
        });
        let Some((present, data)) = begun else {
            // It may have ended on another thread.
            self.submitter.forget(id);
            self.submitter.return_encoder_ids(ids);
            self.submitter.outbox.drain();
            return Err(UnknownContext(id).into());
        };
        let sequence = present.sequence;
        let layout = match contents {
            Contents::Texture(texture) if !size.is_empty() => {
                CopyLayout::of(&texture.configuration).map(|layout| Some((texture, layout)))
            }
            // A texture without pixels is like none. Cleared is one pixel on screen, whatever its size: only to read it is
            // too much for some.
            Contents::Texture(_) | Contents::Cleared { .. } => Ok(None),
        };
        match layout {
            Ok(Some((texture, layout))) => {
                let purpose = Purpose::Present(present);
                self.submitter.enqueue(QueuedCopy {
                    context: id,
                    data,
                    purpose,
                    reply: None,
                    texture,
                    layout,
                });
                return Ok(sequence);
            }
            Ok(None) => data.clear(&present, size),
            Err(ref error) => data.fail_present(&present, size, error),
        }
        self.submitter.return_encoder_ids(ids);
        self.submitter.outbox.drain();
        layout.map(|_| sequence)
    }

    /// `Global::texture_destroy`, after the submit.
    pub fn destroy_texture(&mut self, texture: TextureId) {
        self.submitter.hold_back(texture, TextureFate::Destroy);
    }

    /// `Global::texture_drop`, after the submit.
    pub fn drop_texture(&mut self, texture: TextureId) {
        self.submitter.hold_back(texture, TextureFate::Drop);
    }

    /// Submits what was gathered.
    pub fn submit(self) {
        // By dropping it.
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.submitter.flush();
    }
}
