//! What presenting costs, on real wgpu-core and the first Vulkan adapter: `cargo bench --bench presenting`.
//!
//! - `latency`: from `present` to the image update, by size and kind of frame memory; many canvases in one batch; a new size in each frame.
//! - `frames`: frames that are copied to host memory, and direct ones, beside floors of raw wgpu-core.
//! - `composited`: from a new texture to the composited page, on the GL of the driver, with the feature `webrender`.
//! - `snapshots`: `get_image`, and the bytes of what it answers with.
//! - `locking`: `lock` and `unlock` of a renderer while another thread presents.
//! - `contexts`: what one operation costs while up to 10,000 other canvases are shown.
//!
//! A duration begins before the call and ends when the sink, or a reply, is called: that the thread which waits for it must wake up
//! is not part of it. What the GPU draws is drawn before. Without an adapter there is nothing to measure.

#[cfg(feature = "webrender")]
mod composited;
mod contexts;
mod frames;
mod latency;
mod locking;
mod snapshots;
mod world;
#[allow(dead_code, reason = "tests need more of it")]
#[path = "../../tests/support/gpu.rs"]
mod gpu;
#[cfg(feature = "webrender")]
#[allow(dead_code, reason = "tests need more of it")]
#[path = "../../tests/support/page.rs"]
mod page;

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{Bencher, BenchmarkGroup, Criterion, SamplingMode};

use self::world::World;

/// Tests run everything once, not optimised.
const TEST: bool = cfg!(debug_assertions);

fn main() {
    // What precedes a measurement takes longer than the measurement: few samples. The command line has the last word.
    let criterion = Criterion::default().sample_size(20).nresamples(10_000).without_plots();
    let criterion =
        criterion.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    let mut criterion = criterion.configure_from_args();
    let Some(adapter) = World::adapter() else {
        return eprintln!("SKIPPED: every benchmark that needs a Vulkan adapter, there is none");
    };
    eprintln!("adapter: {adapter}");
    latency::benchmarks(&mut criterion);
    frames::benchmarks(&mut criterion);
    #[cfg(feature = "webrender")]
    composited::benchmarks(&mut criterion);
    snapshots::benchmarks(&mut criterion);
    locking::benchmarks(&mut criterion);
    contexts::benchmarks(&mut criterion);
    criterion.final_summary();
}

/// A group whose samples are all of the same length.
fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    group
}

/// Measures what says itself how long it took.
fn measure(bencher: &mut Bencher<'_>, mut once: impl FnMut() -> Duration) {
    bencher.iter_custom(|times| (0..times).map(|_| once()).sum());
}
