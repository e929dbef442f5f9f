//! The compositor, as far as this crate knows it: a sink for image updates.
//!
//! The engine implements [`ImageSink`], or uses `WebRenderSink`. The outbox of a presenter calls it, one call
//! at a time.

use webrender_api::{ExternalImageData, ImageDescriptor, ImageKey};

use super::ids::CanvasEpoch;

/// Takes the image updates of canvases, in the order in which they must reach the compositor.
///
/// Called on the WebGPU thread, on the threads of pollers, and on threads that call
/// [`ContextMap`](crate::ContextMap); one presenter never makes two calls at a time. No
/// lock of this crate is held. A call should not block, because the outcomes and replies of all canvases of
/// the presenter wait for it, and should not call a [`Presenter`](crate::Presenter). A panic is logged and
/// otherwise ignored.
///
/// `data.channel_index` is the generation of the frame. It must come back in
/// [`lock`](crate::ExternalImages::lock) unchanged. An implementation that serves several WebRender instances
/// routes by the namespace of the key.
pub trait ImageSink: Send {
    /// Adds an image, because the engine set the image key of a context. The key can be displayed from now
    /// on.
    fn add_image(&mut self, key: ImageKey, descriptor: ImageDescriptor, data: ExternalImageData);

    /// Updates an image, because it shows another frame, or because an epoch is to be acknowledged, or both.
    ///
    /// `epoch` is the largest one that was acknowledged. Each update carries one, so an engine that renders a document when a canvas
    /// epoch arrives misses no frame.
    fn update_image(
        &mut self,
        key: ImageKey,
        descriptor: ImageDescriptor,
        data: ExternalImageData,
        epoch: CanvasEpoch,
    );

    /// Deletes an image. No call for this key follows.
    fn delete_image(&mut self, key: ImageKey);

    /// Ends a series of calls: what was gathered can be sent, for example in one transaction.
    fn flush(&mut self) {}
}
