//! What can go wrong, in words for whoever runs the demo.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("there is no Vulkan adapter; Debian and Ubuntu have one for the CPU in mesa-vulkan-drivers")]
    NoAdapter,
    #[error("the adapter {adapter} gives no device: {error}")]
    NoDevice { adapter: String, error: String },
    #[error("WebRender does not start on {gl:?}: {error}")]
    NoPage { gl: crate::Gl, error: String },
    #[error("{what} of the canvas {canvas}: {error}")]
    Canvas { canvas: &'static str, what: &'static str, error: String },
    #[error("{what} did not end within {seconds} s: {missing} missing")]
    Late { what: &'static str, seconds: u64, missing: usize },
    #[error(
        "frame {frame}, {canvas}, pixel ({x}, {y}): expected {expected:?}, got {got:?} as RGBA ({wrong} pixels differ)"
    )]
    Mismatch {
        frame: u32,
        canvas: &'static str,
        x: u32,
        y: u32,
        expected: [u8; 4],
        got: [u8; 4],
        wrong: usize,
    },
    #[error("frame {frame}: get_image of {canvas} is not what was drawn")]
    Snapshot { frame: u32, canvas: &'static str },
    #[error("frame {frame}: a present of {canvas} failed: {error}")]
    Present { frame: u32, canvas: &'static str, error: String },
    #[error("a page of {0} × {1} is too small for nine canvases; try 480x320 or more")]
    TooSmall(u32, u32),
    #[error("{path} cannot be written: {error}", path = path.display())]
    Write { path: PathBuf, error: String },
}
