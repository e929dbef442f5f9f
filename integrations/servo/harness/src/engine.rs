//! The WebGPU thread of an engine: it receives one message for each request of script, and gathers presents into batches.
//!
//! A batch takes the presents and destructions that wait in the channel, up to the first message that must not overtake or be
//! overtaken. Nothing waits for a batch to fill.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use webgpu_presentation::{
    CanvasEpoch, Contents, ContextId, ContextMap, GetImageError, ImageSink, PendingTexture, Presenter,
    PresenterOptions, Snapshot,
};
use wgpu_core::global::Global;
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
    /// Sent by `PresenterOptions::wake`.
    Maintain,
    /// Stands for whatever else script asks of wgpu-core.
    Other(Box<dyn FnOnce(&mut Presenter) + Send>),
    Exit,
}

pub type Reply = Box<dyn FnOnce(Result<Snapshot, GetImageError>) + Send>;

/// Starts the thread, which serves requests until `Exit`.
pub fn start(
    global: Arc<Global>,
    map: &ContextMap,
    sink: Arc<dyn ImageSink>,
    options: PresenterOptions,
) -> (Sender<Request>, JoinHandle<()>) {
    let (requests, receiver) = channel();
    let (wake, map) = (requests.clone(), map.clone());
    let wake = Arc::new(move || {
        // The WebGPU thread may have ended.
        let _ = wake.send(Request::Maintain);
    });
    let options = PresenterOptions { wake, ..options };
    let thread = Builder::new()
        .name("WebGPU".into())
        .spawn(move || run(Presenter::new(global, &map, sink, options), &receiver));
    (requests, thread.expect("a thread can be started"))
}

fn run(mut presenter: Presenter, requests: &Receiver<Request>) {
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
            // Maintenance can wait until the frame is submitted.
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
