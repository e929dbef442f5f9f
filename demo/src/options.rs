//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::support::page::PageGl;

/// Draws a page of WebGPU canvases without a display, and checks every pixel of them.
///
/// Each frame, WGSL shaders draw a new texture for each canvas through wgpu-core, on two devices; the textures are
/// presented and destroyed, as an engine does it, and WebRender composites the page. On every eighth frame each canvas's
/// part of the page is compared with an independent read of its texture.
///
/// Exit status: 0, or 1 if a pixel was wrong, a present failed that should not have, or nothing could be drawn.
#[derive(Parser)]
#[command(name = "demo", version)]
pub struct Options {
    /// How many frames to draw, thirty to a second of animation
    #[arg(long, value_name = "N", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..))]
    pub length: u32,

    /// How the frames of the canvases come to WebRender
    #[arg(long, value_enum, default_value_t = Frames::Auto)]
    pub frames: Frames,

    /// Size of the page in pixels, from 640x480 to 4096x4096
    #[arg(long, value_name = "WxH", default_value = "960x640", value_parser = page_size)]
    pub size: (u32, u32),

    /// What WebRender draws with
    #[arg(long, value_enum, default_value_t = Gl::Swgl)]
    pub gl: Gl,

    /// Where page.png (a contact sheet) and page.apng (the animation) go
    #[arg(long, value_name = "DIR", default_value = "target/demo")]
    pub out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Gl {
    /// WebRender's own software rasterizer: needs no driver
    Swgl,
    /// Mesa's llvmpipe through EGL without a surface
    Egl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Frames {
    /// The best way that each canvas can have
    Auto,
    /// Drawn where WebRender reads them, on an adapter that is a CPU
    Direct,
    /// Copied on the GPU to images that WebRender samples, with `--gl egl`
    Shared,
    /// Copied to host memory
    Readback,
}

impl Frames {
    /// Whether the presenter makes the canvas textures.
    pub fn are_canvas_textures(self) -> bool {
        matches!(self, Self::Auto | Self::Direct)
    }

    /// Whether WebRender samples images of the GPU's, if it can.
    pub fn are_sampled(self) -> bool {
        matches!(self, Self::Auto | Self::Shared)
    }
}

impl From<Gl> for PageGl {
    fn from(gl: Gl) -> Self {
        match gl {
            Gl::Swgl => Self::Swgl,
            Gl::Egl => Self::Egl,
        }
    }
}

fn page_size(text: &str) -> Result<(u32, u32), String> {
    let size = text.split_once(['x', '×']).and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    let (width, height) = size.ok_or("expected a width and a height, such as 960x640")?;
    if !(640..=4096).contains(&width) || !(480..=4096).contains(&height) {
        return Err("a page has 640x480 to 4096x4096 pixels".into());
    }
    Ok((width, height))
}
