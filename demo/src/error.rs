//! Why the demo stops without a picture.

use std::path::PathBuf;
use std::time::Duration;

use webgpu_presentation::{
    CreateContextError, GlImportError, PresentError, SetImageKeyError, UnknownContext,
};

use crate::gfx::GpuError;

#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("there is no Vulkan adapter; a software one is enough (Debian: apt install mesa-vulkan-drivers)")]
    NoAdapter,
    #[error("{0}")]
    Page(String),
    #[error(transparent)]
    Gpu(#[from] GpuError),
    #[error(transparent)]
    CreateContext(#[from] CreateContextError),
    #[error(transparent)]
    UnknownContext(#[from] UnknownContext),
    #[error(transparent)]
    SetImageKey(#[from] SetImageKeyError),
    #[error(transparent)]
    Present(#[from] PresentError),
    #[error("WebRender cannot sample the canvases, which --frames shared asks for: {0} (--gl egl may help)")]
    NoSharedFrames(GlImportError),
    #[error("{open} presents have not ended after {waited:?}")]
    NoOutcome { open: usize, waited: Duration },
    #[error("{open} snapshots have not come after {waited:?}")]
    NoSnapshot { open: usize, waited: Duration },
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: std::io::Error },
    #[error("{}: {error}", path.display())]
    Png { path: PathBuf, error: png::EncodingError },
}
