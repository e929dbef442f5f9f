//! The image sink of a WebRender instance in this process.
//!
//! An engine or a native program creates a [`WebRenderSink`] and gives it to its presenter, which calls it like
//! every [`ImageSink`]: on any thread, one call at a time.

use std::fmt;

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
pub struct WebRenderSink {
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
        Self { api, document, transaction: Transaction::new(), needs_frame: false, frames: 0 }
    }
}

impl fmt::Debug for WebRenderSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebRenderSink").finish_non_exhaustive()
    }
}

impl ImageSink for WebRenderSink {
    fn add_image(&mut self, key: ImageKey, descriptor: ImageDescriptor, data: ExternalImageData) {
        self.transaction.add_image(key, descriptor, ImageData::External(data), None);
    }

    fn update_image(
        &mut self,
        key: ImageKey,
        descriptor: ImageDescriptor,
        data: ExternalImageData,
        _epoch: CanvasEpoch,
    ) {
        self.transaction.update_image(key, descriptor, ImageData::External(data), &DirtyRect::All);
        self.needs_frame = true;
    }

    fn delete_image(&mut self, key: ImageKey) {
        self.transaction.delete_image(key);
    }

    fn flush(&mut self) {
        let mut transaction = std::mem::replace(&mut self.transaction, Transaction::new());
        transaction.skip_scene_builder();
        if std::mem::take(&mut self.needs_frame) {
            self.frames += 1;
            transaction.generate_frame(self.frames, true, false, RenderReasons::ASYNC_IMAGE);
        }
        self.api.send_transaction(self.document, transaction);
    }
}
