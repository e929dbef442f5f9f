//! The choices that an engine makes when it creates a presenter.
//!
//! An engine fills in [`PresenterOptions`] once and passes it to [`Presenter::new`](crate::Presenter::new).
//! It holds the callbacks that the presenter calls later, on any thread, the kind of frame memory, and how
//! long the WebGPU thread may wait for the GPU. None of it changes afterwards.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::ids::ReturnedId;
use super::outcome::PresentOutcome;
use super::report::FrameMemoryKind;

/// The callbacks and settings of a presenter.
///
/// A callback may be called on any thread. No lock of this crate is held, and a panic is logged and otherwise
/// ignored. Calls of `on_outcome`, `on_id`, the sink and replies never overlap: a slow one delays all
/// canvases of the presenter. `wake` may run at the same time as they, so it alone must be `Sync`.
pub struct PresenterOptions {
    /// Receives the outcome of each present, once.
    pub on_outcome: Box<dyn FnMut(PresentOutcome) + Send>,
    /// Receives each id that the engine handed in, once, when the engine may use it again.
    pub on_id: Box<dyn FnMut(ReturnedId) + Send>,
    /// Asks for a call of [`Presenter::maintain`](crate::Presenter::maintain), soon, on the WebGPU thread.
    pub wake: Arc<dyn Fn() + Send + Sync>,
    /// The memory that frames are copied to. [`Owned`](FrameMemoryKind::Owned), the default, falls back to
    /// portable memory on devices that have no other; [`Portable`](FrameMemoryKind::Portable) uses portable
    /// memory on every device.
    pub frame_memory: FrameMemoryKind,
    /// How long the WebGPU thread waits busily for what it has just submitted, before it leaves the wait to
    /// the device's poller.
    ///
    /// Zero, the default, lets every call return at once. Otherwise each present, each batch and each
    /// `get_image` of a texture waits, for one second at most, if the frames of the device are in owned
    /// memory; a batch waits for one of its devices. The sink, `on_outcome` and replies are then called on
    /// the WebGPU thread inside those calls, and so are wgpu-core's closures (as in `queue_submit` anyway).
    ///
    /// A value such as 100 µs spares small canvases the time that a thread takes to wake up, if the GPU is
    /// quick and a core is idle. Large canvases gain nothing, and the WebGPU thread loses that time in each
    /// frame.
    pub spin: Duration,
    /// How long a copy may take, from its present or its `get_image` on, before it is given up.
    ///
    /// This is for a GPU that hangs without being reset, and would otherwise leave reads unanswered and the compositor
    /// waiting for an epoch. A copy that is given up fails as [`TimedOut`](crate::PresentError::TimedOut): the canvas
    /// keeps its last good frame, the epoch is acknowledged, reads are answered. Nothing is shown of it should the GPU
    /// come back, and its memory is not used again. Later presents are accepted, each with its own time. A copy that
    /// waits for room ends only after it was submitted, a few milliseconds later if its time is up by then.
    ///
    /// The default is 30 seconds, because drivers that watch their GPU reset it sooner, which ends the copies as
    /// [`DeviceLost`](crate::PresentError::DeviceLost); so it concerns drivers that do not, and spares a page whose own
    /// work takes long. [`Duration::MAX`] gives up nothing.
    pub copy_timeout: Duration,
}

impl fmt::Debug for PresenterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { frame_memory, spin, copy_timeout, .. } = self;
        f.debug_struct("PresenterOptions")
            .field("frame_memory", frame_memory)
            .field("spin", spin)
            .field("copy_timeout", copy_timeout)
            .finish_non_exhaustive()
    }
}

impl Default for PresenterOptions {
    fn default() -> Self {
        Self {
            on_outcome: Box::new(|_| ()),
            on_id: Box::new(|_| ()),
            wake: Arc::new(|| ()),
            frame_memory: FrameMemoryKind::Owned,
            spin: Duration::ZERO,
            copy_timeout: Duration::from_secs(30),
        }
    }
}
