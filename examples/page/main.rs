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
mod pictures;
mod program;
mod report;
mod sample;
mod show;
mod verify;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::Failure;
use crate::pictures::{Picture, write_apng, write_png};
use crate::show::Show;

/// Frames of the animation, at most.
const ANIMATED: u32 = 40;

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

impl Gl {
    fn name(self) -> &'static str {
        match self {
            Self::Swgl => "swgl",
            Self::Egl => "OpenGL through EGL",
        }
    }
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
    let unwritable =
        |error: std::io::Error| Failure::Write { path: options.out.clone(), error: error.to_string() };
    std::fs::create_dir_all(&options.out).map_err(unwritable)?;
    let mut show = Show::new(options)?;
    let frames = options.frames.get();
    let bar = ProgressBar::new(frames.into());
    let style = ProgressStyle::with_template("{bar:40.cyan/238} {pos}/{len} frames  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));

    let every = frames.div_ceil(ANIMATED);
    let mut moments = Vec::new();
    let mut watch = Stopwatch::default();
    for frame in 0..frames {
        watch.time(|| show.frame(frame))?;
        if frame % every == 0 {
            moments.push(Picture::half(show.size(), &show.pixels()));
        }
        bar.set_message(format!("{:.1} frames/s", watch.per_second()));
        bar.inc(1);
    }
    show.settle()?;
    bar.finish();

    let [png, apng] = ["page.png", "page.apng"].map(|name| options.out.join(name));
    // Four moments, and not the very first, when everything begins.
    let chosen: Vec<_> = (1..=4).map(|part| moments[(moments.len() * part - 1) / 4].clone()).collect();
    if let Some(sheet) = Picture::sheet(&chosen) {
        write_png(&png, &sheet)?;
    }
    write_apng(&apng, &moments, 30u16.div_ceil(every.min(30) as u16))?;

    println!("\n{}", report::table(show.accounts()));
    println!("WebGPU      {}", show.adapter());
    println!("WebRender   {}", options.gl.name());
    println!("speed       {:.1} frames/s over {frames} frames", watch.per_second());
    println!("verified    {} regions of {} frames, every pixel", show.verified.regions, show.verified.frames);
    println!("pictures    {}, {}", png.display(), apng.display());
    show.take_down()
}

/// Counts what it times, and nothing in between.
#[derive(Default)]
struct Stopwatch {
    runs: u32,
    total: Duration,
}

impl Stopwatch {
    fn time<T>(&mut self, run: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = run();
        self.total += start.elapsed();
        self.runs += 1;
        result
    }

    fn per_second(&self) -> f64 {
        f64::from(self.runs) / self.total.as_secs_f64()
    }
}
