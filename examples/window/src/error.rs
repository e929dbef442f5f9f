//! Why the example stops.

use std::sync::mpsc::RecvTimeoutError;

use webgpu_presentation::{Awaited, CreateContextError, SetImageKeyError, UnknownContext};

use crate::gfx::GpuError;

#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    #[error("there is no display: {0}")]
    NoDisplay(#[from] winit::error::EventLoopError),
    #[error("there is no Vulkan adapter; a software one is enough (Debian: apt install mesa-vulkan-drivers)")]
    NoAdapter,
    #[error("the window: {0}")]
    Window(#[from] winit::error::OsError),
    #[error("the window: {0}")]
    Handle(#[from] winit::raw_window_handle::HandleError),
    #[error("GL: {0:?}")]
    Gl(surfman::Error),
    #[error("WebRender: {0}")]
    WebRender(String),
    #[error(transparent)]
    Gpu(#[from] GpuError),
    #[error(transparent)]
    CreateContext(#[from] CreateContextError),
    #[error(transparent)]
    UnknownContext(#[from] UnknownContext),
    #[error(transparent)]
    SetImageKey(#[from] SetImageKeyError),
    #[error("the last frame of a canvas: {0:?}")]
    NotPresented(Awaited),
    #[error("WebRender did not build a frame in time")]
    Late(#[from] RecvTimeoutError),
    #[error("the screenshot: {0}")]
    File(#[from] std::io::Error),
    #[error("the screenshot: {0}")]
    Png(#[from] png::EncodingError),
}

impl WindowError {
    /// Whether the example needs something that this machine does not have.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::NoDisplay(_) | Self::NoAdapter)
    }
}

impl From<surfman::Error> for WindowError {
    fn from(error: surfman::Error) -> Self {
        Self::Gl(error)
    }
}
