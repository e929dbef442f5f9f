//! The image sink of a WebRender instance in this process.
//!
//! An engine or a native program creates a [`WebRenderSink`] and gives it to its presenter, which calls it as
//! every
//! [`ImageSink`]: on any thread, one call at a time.

use std::fmt;

use parking_lot::Mutex;
use webrender::{RenderApi, Transaction};
use webrender_api::{
    DirtyRect, DocumentId, ExternalImageData, ImageData, ImageDescriptor, ImageKey, RenderReasons,
};

use super::ids::CanvasEpoch;
use super::image_sink::ImageSink;

/// Sends image updates to one document of a WebRender instance, gathered into transactions.
///
/// A transaction that updates an image asks for a frame; the scene is not rebuilt. Canvas epochs have no
/// meaning here and are dropped: an engine that waits for them implements [`ImageSink`] itself.
///
/// # Panics
///
/// WebRender panics at every message that is sent after its renderer is gone: drop the presenter before the
/// renderer.
pub struct WebRenderSink(Mutex<State>);

struct State {
    api: RenderApi,
    document: DocumentId,
    /// The calls since the last [`flush`](ImageSink::flush).
    transaction: Transaction,
    /// Whether `transaction` updates an image.
    needs_frame: bool,
    /// The frames asked for so far. The next one's id is one more.
    frames: u64,
}

impl WebRenderSink {
    /// Makes a sink that displays canvases in `document`. `api` is the sink's own:
    /// `RenderApiSender::create_api` makes one.
    pub fn new(api: RenderApi, document: DocumentId) -> Self {
        let transaction = Transaction::new();
        Self(Mutex::new(State { api, document, transaction, needs_frame: false, frames: 0 }))
    }
}

impl fmt::Debug for WebRenderSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebRenderSink").finish_non_exhaustive()
    }
}

impl ImageSink for WebRenderSink {
    fn add_image(&self, key: ImageKey, descriptor: ImageDescriptor, data: ExternalImageData) {
        self.0.lock().transaction.add_image(key, descriptor, ImageData::External(data), None);
    }

    fn update_image(
        &self,
        key: ImageKey,
        descriptor: ImageDescriptor,
        data: ExternalImageData,
        _epoch: Option<CanvasEpoch>,
    ) {
        let mut state = self.0.lock();
        state.transaction.update_image(key, descriptor, ImageData::External(data), &DirtyRect::All);
        state.needs_frame = true;
    }

    fn delete_image(&self, key: ImageKey) {
        self.0.lock().transaction.delete_image(key);
    }

    fn flush(&self) {
        let mut state = self.0.lock();
        let State { api, document, transaction, needs_frame, frames } = &mut *state;
        let mut transaction = std::mem::replace(transaction, Transaction::new());
        transaction.skip_scene_builder();
        if std::mem::take(needs_frame) {
            *frames += 1;
            transaction.generate_frame(*frames, true, false, RenderReasons::ASYNC_IMAGE);
        }
        api.send_transaction(*document, transaction);
    }
}
