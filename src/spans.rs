//! Spans for a profiler, which show how long each step of a frame took on which thread.
//!
//! [`span!`] is the one place that opens them. They go through the crate `profiling`, as those of wgpu-core do, and exist with the feature
//! `profiling` alone: without it the macro is empty, and the crate is no dependency. `docs/engines.md` lists the spans, and says
//! how an engine chooses its profiler. The macro is used by any room.

/// Opens a span that ends with the block it stands in. The name is that of the function, with its type, as in `Presenter::present`.
macro_rules! span {
    ($name:literal) => {
        #[cfg(feature = "profiling")]
        ::profiling::scope!($name);
    };
}
