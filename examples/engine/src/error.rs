//! Why the example stops.

use ipc_channel::IpcError;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("there is no Vulkan adapter; a software one is enough (Debian: apt install mesa-vulkan-drivers)")]
    NoAdapter,
    #[error("WebRender: {0}")]
    Page(Box<dyn std::error::Error>),
    #[error("a channel between processes: {0}")]
    Ipc(#[from] IpcError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("the picture: {0}")]
    Png(#[from] png::EncodingError),
    #[error("{0} did not come in time")]
    Late(&'static str),
    #[error("the arguments are PICTURE.png, or none")]
    Arguments,
    /// A check of the story failed.
    #[error("wrong: {0}")]
    Wrong(String),
}
