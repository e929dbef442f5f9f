//! The vocabulary between an engine and a presenter: ids, canvases, outcomes, reports, errors, options and
//! image sinks.
//!
//! Almost everything here is plain data that may be sent to any thread; nothing here starts a thread or calls
//! wgpu-core. The exceptions are [`ImageSink`](image_sink::ImageSink), a trait that the engine implements,
//! and the sink for WebRender, which implements it.
//!
//! This folder imports `pixels` and nothing else of the crate. Its public types are re-exported from the
//! crate root; the folders that do the work import them from here.

pub(crate) mod ids;
pub(crate) mod canvas;
pub(crate) mod error;
pub(crate) mod outcome;
pub(crate) mod report;
pub(crate) mod options;
pub(crate) mod image_sink;
#[cfg(feature = "webrender")]
pub(crate) mod webrender_sink;
