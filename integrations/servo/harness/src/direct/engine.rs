//! The thread that owns the presenter, and serves requests in order.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use webgpu_presentation::{
    AlphaMode, BufferIds, Contents, ContextConfiguration, ContextDescriptor, ContextMap, OwnerId,
    PendingTexture, PredefinedColorSpace, Presenter, PresenterOptions,
};
use webrender_api::{IdNamespace, ImageKey};
use wgpu_core::SubmissionIndex;

use super::{Request, Sink, context};
use crate::common::texture_descriptor;
use crate::entrant::{self, FORMAT, Source};
use crate::raw::{Core, Device};

pub struct Engine {
    presenter: Presenter,
    device: Device,
    /// The last one of a drawing.
    submission: Option<SubmissionIndex>,
    canvases: Vec<Canvas>,
}

struct Canvas {
    alpha_mode: AlphaMode,
    texture: Option<PendingTexture>,
}

impl Engine {
    pub fn new(core: &Core, map: &ContextMap, sink: Sink) -> Self {
        let options = PresenterOptions::default();
        // SAFETY: only the presenter names its staging buffers. The engine names no buffers.
        let presenter = unsafe { Presenter::new(core.global.clone(), map, sink, options) };
        Self { presenter, device: core.device(), submission: None, canvases: Vec::new() }
    }

    /// Serves requests until their channel is closed.
    pub fn run(mut self, requests: &Receiver<Request>) {
        let mut next = None;
        while let Some(request) = next.take().or_else(|| self.wait(requests)) {
            next = self.serve(request, requests);
        }
    }

    /// Waits for a request, and does the maintenance that is due meanwhile.
    fn wait(&mut self, requests: &Receiver<Request>) -> Option<Request> {
        while let Some(deadline) = self.presenter.maintenance_deadline() {
            match requests.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(request) => return Some(request),
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        requests.recv().ok()
    }

    /// Gathers a batch of what waits in the channel, and returns the first request that does not belong in it.
    fn gather(&mut self, first: Request, requests: &Receiver<Request>) -> Option<Request> {
        let mut batch = self.presenter.batch();
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                Request::Present(canvas, epoch) => {
                    let texture = self.canvases[canvas].texture.expect("it was created");
                    batch.present(context(canvas), Contents::Texture(texture), epoch).expect("it exists");
                }
                Request::DestroyTexture(canvas) => {
                    if let Some(texture) = self.canvases[canvas].texture.take() {
                        batch.destroy_texture(texture.texture_id);
                        batch.drop_texture(texture.texture_id);
                    }
                }
                other => return Some(other),
            }
            next = requests.try_recv().ok();
        }
        None
    }

    /// Serves a request, and returns one that waited behind it and is to be served next, if there is one. An answer is not missed if its
    /// receiver is gone.
    fn serve(&mut self, request: Request, requests: &Receiver<Request>) -> Option<Request> {
        match request {
            Request::Present(..) | Request::DestroyTexture(_) => return self.gather(request, requests),
            Request::CreateCanvas(canvas, size, alpha_mode) => {
                let descriptor =
                    ContextDescriptor { owner: OwnerId(0), size, buffer_ids: BufferIds::Allocated };
                self.presenter.create_context(context(canvas), descriptor).expect("the id is free");
                let key = ImageKey(IdNamespace(1), canvas as u32);
                self.presenter.set_image_key(context(canvas), key).expect("it was created");
                let alpha_mode = match alpha_mode {
                    entrant::AlphaMode::Opaque => AlphaMode::Opaque,
                    entrant::AlphaMode::Premultiplied => AlphaMode::Premultiplied,
                };
                self.canvases.push(Canvas { alpha_mode, texture: None });
            }
            Request::DestroyCanvas(canvas) => {
                self.presenter.destroy_context(context(canvas)).expect("it exists");
            }
            Request::CreateTexture(canvas, size) => {
                let configuration = ContextConfiguration {
                    device_id: self.device.id,
                    queue_id: self.device.queue,
                    format: FORMAT,
                    color_space: PredefinedColorSpace::Srgb,
                    alpha_mode: self.canvases[canvas].alpha_mode,
                    size,
                };
                let descriptor = texture_descriptor(size, FORMAT);
                let (texture_id, error) =
                    self.presenter.create_canvas_texture(context(canvas), &configuration, &descriptor, None);
                assert!(error.is_none(), "{error:?}");
                let texture = PendingTexture { texture_id, encoder_ids: None, configuration };
                self.canvases[canvas].texture = Some(texture);
            }
            Request::Draw(canvases) => {
                let texture =
                    |canvas: usize| self.canvases[canvas].texture.expect("it was created").texture_id;
                let textures: Vec<_> = canvases.into_iter().map(texture).collect();
                self.submission = Some(self.device.clear(&textures));
            }
            Request::GetImage(canvas, source, reply) => {
                let texture = match source {
                    Source::Shown => None,
                    Source::Drawn => self.canvases[canvas].texture,
                };
                self.presenter.get_image(context(canvas), texture, move |image| drop(reply.send(image)));
            }
            Request::CatchUp(reply) => {
                if let Some(submission) = self.submission.take() {
                    self.device.wait(submission);
                }
                self.presenter.maintain();
                let _ = reply.send(());
            }
            Request::Statistics(canvas, reply) => {
                let _ = reply.send(self.presenter.statistics(context(canvas)).expect("it exists"));
            }
            Request::Memory(reply) => {
                let _ = reply.send(self.presenter.memory_report().iter().map(|report| report.bytes).sum());
            }
        }
        None
    }
}
