#![doc = include_str!("../README.md")]
#![deny(missing_docs, unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![cfg_attr(
    not(all(feature = "vulkan", not(any(target_vendor = "apple", target_family = "wasm")))),
    expect(dead_code, reason = "without Vulkan no frame is read yet")
)]

// In the order in which a frame travels; what comes later imports what comes before.
mod message;
mod error;
mod layout;
mod gpu;
mod staging;
mod ring;
mod frame;
mod snapshot;
mod sink;
mod outbox;
mod ticket;
mod offers;
mod blank;
mod display;
mod content;
mod context;
mod map;
mod device_poller;
mod poller;
mod submission;
mod batch;
mod presenter;
mod external_images;
#[cfg(feature = "webrender")]
mod webrender_sink;

// The other direction.
pub mod belt;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use parking_lot::Mutex;

pub use self::batch::Batch;
pub use self::error::{CreateContextError, GetImageError, PresentError, UnknownContext};
pub use self::external_images::ExternalImages;
pub use self::map::ContextMap;
pub use self::message::{
    AlphaMode, BufferIds, CanvasEpoch, Contents, ContextConfiguration, ContextDescriptor, ContextId,
    EncoderIds, PendingTexture, PresentEnd, PresentOutcome, ReturnedId, Statistics,
};
pub use self::poller::Poller;
pub use self::presenter::{Presenter, PresenterOptions};
pub use self::sink::ImageSink;
pub use self::snapshot::Snapshot;
#[cfg(feature = "webrender")]
pub use self::webrender_sink::WebRenderSink;

/// Does something rare on a thread of its own, because this one must not be kept waiting; or on this one, if there can be
/// no other.
fn elsewhere<F: FnOnce() + Send + 'static>(action: F) {
    fn run<F: FnOnce()>(slot: &Mutex<Option<F>>) {
        let action = slot.lock().take();
        if let Some(action) = action {
            action();
        }
    }
    let slot = Arc::new(Mutex::new(Some(action)));
    let theirs = slot.clone();
    let thread = std::thread::Builder::new().name("webgpu presentation".into());
    if let Err(error) = thread.spawn(move || run(&theirs)) {
        log::error!("webgpu-presentation: no thread: {error}");
        run(&slot);
    }
}
