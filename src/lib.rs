#![doc = include_str!("../README.md")]
#![deny(missing_docs, unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

// In the order in which a frame travels; what comes later imports what comes before.
mod sync;
mod pixels;
mod message;
mod error;
mod layout;
mod gpu;
mod tray;
mod staging;
mod ring;
mod opaque;
mod colour;
mod planes;
mod bytes;
mod convert;
mod original;
mod frame;
mod snapshot;
mod sink;
mod outbox;
mod options;
mod ticket;
mod offers;
mod blank;
mod display;
mod content;
mod waiters;
mod ends;
mod context;
mod owners;
mod compositors;
mod map;
mod watches;
mod threads;
mod device_poller;
mod poller;
mod submission;
mod batch;
mod recycling;
mod presenter;
mod external_images;
#[cfg(feature = "webrender")]
mod webrender_sink;

// The other direction.
pub mod belt;

#[cfg(test)]
mod tests;

pub use self::batch::Batch;
pub use self::error::{CopyPixelsError, CreateContextError, GetImageError, PresentError, UnknownContext};
pub use self::external_images::ExternalImages;
pub use self::map::ContextMap;
pub use self::message::{
    Awaited, BufferIds, CanvasEpoch, Contents, ContextConfiguration, ContextDescriptor, ContextId,
    EncoderIds, FrameMemoryKind, MemoryKind, MemoryReport, OwnerId, PendingTexture, PresentEnd,
    PresentOutcome, ReturnedId, Statistics, TransactionId,
};
pub use self::options::PresenterOptions;
pub use self::pixels::{Alpha, AlphaMode, ColorSpace, PixelEncoding, PixelFormat};
pub use self::poller::Poller;
pub use self::presenter::Presenter;
pub use self::sink::ImageSink;
pub use self::snapshot::Snapshot;
#[cfg(feature = "webrender")]
pub use self::webrender_sink::WebRenderSink;
