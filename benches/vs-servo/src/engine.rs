//! The WebGPU thread of an engine: one message per request of script, gathered into batches.

use std::sync::mpsc::Receiver;

use webgpu_presentation::{
    CanvasEpoch, Contents, ContextId, GetImageError, PendingTexture, Presenter, Snapshot,
};
use wgpu_core::id::TextureId;

pub enum Request {
    Present {
        context: ContextId,
        contents: Contents,
        epoch: CanvasEpoch,
    },
    DestroyTexture(TextureId),
    DropTexture(TextureId),
    GetImage {
        context: ContextId,
        texture: Option<PendingTexture>,
        reply: Reply,
    },
    /// From `PresenterOptions::wake`.
    Maintain,
    /// Whatever else script asks of wgpu-core.
    Other(Box<dyn FnOnce(&mut Presenter) + Send>),
    Exit,
}

pub type Reply = Box<dyn FnOnce(Result<Snapshot, GetImageError>) + Send>;

/// Serves requests until `Exit`.
pub fn run(mut presenter: Presenter, requests: &Receiver<Request>) {
    let mut next = requests.recv().ok();
    while let Some(request) = next.take() {
        match request {
            Request::Exit => return,
            Request::Other(other) => other(&mut presenter),
            Request::GetImage { context, texture, reply } => presenter.get_image(context, texture, reply),
            first => next = gather(&mut presenter, first, requests),
        }
        next = next.or_else(|| requests.recv().ok());
    }
}

/// Takes what waits in the channel into one batch, and returns the first request that must not pass it.
fn gather(presenter: &mut Presenter, first: Request, requests: &Receiver<Request>) -> Option<Request> {
    let mut maintain = false;
    let mut batch = presenter.batch();
    let mut next = Some(first);
    while let Some(request) = next.take() {
        match request {
            Request::Present { context, contents, epoch } => {
                if let Err(error) = batch.present(context, contents, epoch) {
                    log::warn!("{context:?}: {error}");
                }
            }
            Request::DestroyTexture(texture) => batch.destroy_texture(texture),
            Request::DropTexture(texture) => batch.drop_texture(texture),
            // It can wait, the frame cannot.
            Request::Maintain => maintain = true,
            other => {
                next = Some(other);
                break;
            }
        }
        next = requests.try_recv().ok();
    }
    batch.submit();
    if maintain {
        presenter.maintain();
    }
    next
}
