//! What an engine chooses for a presenter.

use std::sync::Arc;
use std::time::Duration;

use super::ids::ReturnedId;
use super::outcome::PresentOutcome;
use super::report::FrameMemoryKind;

/// What the engine wants to hear. All of it may be called on any thread, with no lock of this crate held; a panic is logged
/// and otherwise ignored. `on_outcome`, `on_id`, the sink and replies never run two at a time: a slow one delays all
/// canvases of the presenter. `wake` may run beside them.
#[derive(Clone)]
pub struct PresenterOptions {
    /// Each present's end, once.
    pub on_outcome: Arc<dyn Fn(PresentOutcome) + Send + Sync>,
    /// Each id that was handed in, once.
    pub on_id: Arc<dyn Fn(ReturnedId) + Send + Sync>,
    /// [`Presenter::maintain`](crate::Presenter::maintain) should be called soon, on the WebGPU thread.
    pub wake: Arc<dyn Fn() + Send + Sync>,
    /// What frames are copied to: [`Owned`](FrameMemoryKind::Owned) memory where it can be had and
    /// [`Portable`](FrameMemoryKind::Portable) elsewhere, or portable memory on every device.
    pub frame_memory: FrameMemoryKind,
    /// How long the WebGPU thread waits for what it has just submitted, busily, before it leaves that to the device's poller.
    ///
    /// In each present, batch and `get_image` of a texture, if the device's frames are of owned memory; for a second at most, and for
    /// one device of a batch. Zero, the default, lets them return at once. 100 µs, say, spare small canvases the time that a thread takes to wake up, if
    /// the GPU is quick and a core is idle; large ones gain nothing, and the thread loses that time in each frame. The sink, `on_outcome`
    /// and replies are called on it then, inside those calls, and so are wgpu-core's closures (as they are in `queue_submit` anyway).
    pub spin: Duration,
}

impl Default for PresenterOptions {
    fn default() -> Self {
        Self {
            on_outcome: Arc::new(|_| ()),
            on_id: Arc::new(|_| ()),
            wake: Arc::new(|| ()),
            frame_memory: FrameMemoryKind::Owned,
            spin: Duration::ZERO,
        }
    }
}
