//! What an engine and a presenter say to each other: ids, canvases, outcomes, reports, errors, options, and the compositor's side.
//!
//! These are plain types without behaviour. Everything below uses them, and they use nothing but the vocabulary of `pixels`.

pub(crate) mod ids;
pub(crate) mod canvas;
pub(crate) mod error;
pub(crate) mod outcome;
pub(crate) mod report;
pub(crate) mod options;
pub(crate) mod image_sink;
#[cfg(feature = "webrender")]
pub(crate) mod webrender_sink;
