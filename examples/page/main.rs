//! A page of WebGPU canvases: drawn with WGSL through wgpu-core, presented, composited by WebRender, and verified pixel for
//! pixel. `--help` says what can be chosen.

#[path = "../../tests/support/mod.rs"]
mod support;

mod canvas;
mod failure;
mod gallery;
mod layout;
mod ledger;
mod mesh;
mod painter;
mod program;
mod show;
mod verify;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::Failure;
use crate::show::Show;

/// Shows WebGPU canvases on a page, without a GPU or a display.
///
/// Each frame every canvas is drawn with WGSL into a new texture, presented, and the texture destroyed; WebRender composites
/// the page. Sampled frames are compared pixel for pixel with an independent read of the textures: a difference ends the run
/// with exit code 1. At the end there are two pictures and a table.
#[derive(Clone, Parser)]
#[command(name = "page")]
struct Options {
    /// How many frames to draw
    #[arg(long, default_value = "120")]
    frames: NonZeroU32,
    /// Size of the page in pixels
    #[arg(long, default_value = "960x640", value_name = "WxH", value_parser = parse_size)]
    size: (u32, u32),
    /// What WebRender draws with
    #[arg(long, default_value = "swgl")]
    gl: Gl,
    /// Compare every Nth frame; 0 compares none
    #[arg(long, default_value = "8", value_name = "N")]
    verify_every: u32,
    /// Folder for page.png and page.apng
    #[arg(long, default_value = "target/demo", value_name = "FOLDER")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Gl {
    /// WebRender's own software rasteriser
    Swgl,
    /// The driver's OpenGL through EGL without a surface: llvmpipe where there is no GPU
    Egl,
}

impl From<Gl> for support::page::PageGl {
    fn from(gl: Gl) -> Self {
        match gl {
            Gl::Swgl => Self::Swgl,
            Gl::Egl => Self::Egl,
        }
    }
}

fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let parsed = text.split_once(['x', '×']).and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    match parsed {
        Some((w @ 1..=8192, h @ 1..=8192)) => Ok((w, h)),
        Some(_) => Err("each side is 1 to 8192 pixels".into()),
        None => Err("a size is written like 960x640".into()),
    }
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("page: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let mut show = Show::new(options)?;
    println!("adapter: {}", show.adapter());
    let style = ProgressStyle::with_template("{bar:40.cyan/238} {pos}/{len} frames  {msg}");
    let bar = ProgressBar::new(options.frames.get().into());
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let start = Instant::now();
    let mut fps = 0.0;
    for frame in 0..options.frames.get() {
        show.frame(frame)?;
        fps = f64::from(frame + 1) / start.elapsed().as_secs_f64();
        bar.set_message(format!("{fps:.1} frames/s"));
        bar.inc(1);
    }
    show.settle()?;
    bar.finish();
    println!("{fps:.1} fps, {} regions verified", show.verified);
    show.take_down()
}
