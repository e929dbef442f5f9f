//! Where image updates go: the compositor, as far as this crate knows it.

use webrender_api::{ExternalImageData, ImageDescriptor, ImageKey};

use super::ids::CanvasEpoch;

/// Takes the image updates of canvases, in the order in which they must reach the compositor.
///
/// Called from the WebGPU thread, from pollers and from short-lived threads of this crate, never from two at a time for one
/// presenter. No lock of this crate is held; outcomes and replies of all its canvases come after it. It should neither block nor call a [`Presenter`](crate::Presenter). An
/// implementation that serves several WebRender instances routes by the key's namespace.
///
/// `data.channel_index` is the generation of the frame: it must come back in
/// [`lock`](crate::ExternalImages::lock) as it is.
pub trait ImageSink: Send + Sync {
    /// The key was set: from now on it can be displayed.
    fn add_image(&self, key: ImageKey, descriptor: ImageDescriptor, data: ExternalImageData);

    /// There is something to show, or an epoch to acknowledge, or both. `None` tells of a frame whose epoch was
    /// acknowledged before.
    fn update_image(
        &self,
        key: ImageKey,
        descriptor: ImageDescriptor,
        data: ExternalImageData,
        epoch: Option<CanvasEpoch>,
    );

    /// The key is not used any more; nothing follows for it.
    fn delete_image(&self, key: ImageKey);

    /// No call follows for now: what was gathered can be sent, in one transaction say.
    fn flush(&self) {}
}
