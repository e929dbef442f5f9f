#![doc = include_str!("../README.md")]
#![deny(missing_docs, unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic), warn(unreachable_pub))]
#![cfg_attr(not(unix), allow(dead_code, unused_imports, reason = "images are shared on Unix alone"))]

// In the order in which a frame travels. `docs/architecture.md` says which of them may import which.
#[macro_use]
mod spans;
mod sync;
mod pixels;
mod api;
mod gpu;
mod staging;
mod frame;
mod delivery;
mod context;
mod presenter;
mod external_images;
pub mod belt;
#[cfg(doc)]
#[doc = include_str!("../docs/architecture.md")]
pub mod architecture {}
#[cfg(doc)]
#[doc = include_str!("../docs/engines.md")]
pub mod engines {}

// Tests of the public interface are included here too.
#[cfg(test)]
extern crate self as webgpu_presentation;
#[cfg(test)]
mod tests;

pub use self::api::canvas::{BufferIds, Contents, ContextConfiguration, ContextDescriptor, PendingTexture};
pub use self::api::error::{
    CopyPixelsError, CreateContextError, GetImageError, PresentError, RegionOutside, SetImageKeyError,
    UnknownContext, UnknownQueue,
};
pub use self::api::ids::{CanvasEpoch, ContextId, EncoderIds, OwnerId, ReturnedId, TransactionId};
pub use self::api::image_sink::ImageSink;
pub use self::api::options::PresenterOptions;
pub use self::api::outcome::{Awaited, PresentEnd, PresentOutcome};
pub use self::api::report::{
    DeviceMemoryReport, Failures, FrameMemoryKind, Latency, MemoryKind, MemoryReport, ReadbackReason,
    Statistics,
};
#[cfg(feature = "webrender")]
pub use self::api::webrender_sink::WebRenderSink;
pub use self::context::ContextMap;
pub use self::external_images::ExternalImages;
#[cfg(unix)]
pub use self::external_images::GlImportError;
pub use self::frame::{Rows, Snapshot};
pub use self::gpu::DiscardedAttachments;
pub use self::pixels::{AlphaEncoding, AlphaMode, PixelEncoding, PixelFormat, PredefinedColorSpace};
pub use self::presenter::{Batch, Poller, Presenter};
