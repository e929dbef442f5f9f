//! Opens one page in Servo without a window, and reports what the page checked.
//!
//! The page is drawn into memory by `SoftwareRenderingContext`, so no display is needed. It speaks to the browser on its console,
//! in the messages of `servo_browser::protocol`. The report is one line of JSON on the standard output; whatever else there is to
//! say goes to the standard error.
//!
//! The files: `error`, `panics` (what threads said that panicked), `content` (Servo's content processes, which are this program as
//! well), `waker` (the event loop), `view` (one page: what it asked for, and what was found).

mod error;
mod panics;

mod content;
mod waker;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::Parser;
use dpi::PhysicalSize;
use servo::{Opts, Preferences, RenderingContext, Servo, ServoBuilder, SoftwareRenderingContext};
use url::Url;

use error::BrowserError;
use servo_browser::report::{Outcome, Report};
use view::View;
use waker::Waker;

/// Opens a page in Servo and prints a report of its checks.
#[derive(Debug, Parser)]
struct Arguments {
    /// The page. WebGPU is there for pages over https, and over http from localhost.
    #[arg(required_unless_present = "content_process")]
    url: Option<Url>,

    /// The folder for screenshots, which is made.
    #[arg(long, default_value = ".")]
    out: PathBuf,

    /// For how long the page may take.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    timeout: u64,

    /// How large the viewport is.
    #[arg(long, default_value = "400x300", value_name = "WIDTHxHEIGHT")]
    size: ViewSize,

    /// Let the threads of Servo speak by messages between processes, though there is one process.
    #[arg(long)]
    force_ipc: bool,

    /// Let script run in a process of its own.
    #[arg(long)]
    multiprocess: bool,

    /// What Servo draws WebGPU with.
    #[arg(long, default_value = "vulkan")]
    backend: String,

    /// Serve the browser that started this process. Servo itself starts the program like this.
    #[arg(long, hide = true, value_name = "TOKEN")]
    content_process: Option<String>,
}

/// The size of the viewport, in pixels.
#[derive(Clone, Copy, Debug)]
struct ViewSize(PhysicalSize<u32>);

impl FromStr for ViewSize {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        match sides {
            Some((width @ 1..=4096, height @ 1..=4096)) => Ok(Self(PhysicalSize { width, height })),
            Some(_) => Err("a side is between 1 and 4096"),
            None => Err("a size is written like 400x300"),
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (url, token) = (&arguments.url, &arguments.content_process);
    let result = match (url, token) {
        (_, Some(token)) => {
            content::serve(token.clone());
            return ExitCode::SUCCESS;
        }
        (Some(url), None) => open(url.clone(), &arguments),
        (None, None) => Err(BrowserError::NoPage),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Opens the page, prints the report, and returns whether all was right.
fn open(url: Url, arguments: &Arguments) -> Result<bool, BrowserError> {
    panics::remember();
    // A content process has a logger of Servo's own.
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| BrowserError::Cryptography)?;
    std::fs::create_dir_all(&arguments.out)
        .map_err(|source| BrowserError::Folder { folder: arguments.out.clone(), source })?;

    let start = Instant::now();
    let ViewSize(size) = arguments.size;
    let context =
        SoftwareRenderingContext::new(size).map_err(|error| BrowserError::Rendering(format!("{error:?}")))?;
    let context = Rc::new(context);
    context.make_current().map_err(|error| BrowserError::Rendering(format!("{error:?}")))?;

    let waker = Waker::of_this_thread();
    let servo = ServoBuilder::default()
        .opts(options(arguments))
        .preferences(preferences(arguments))
        .event_loop_waker(Box::new(waker.clone()))
        .build();
    let view = View::new(&servo, context, url, arguments.out.clone());
    let outcome = run(&servo, &view, &waker, start + Duration::from_secs(arguments.timeout));

    let mut report = Report::of_outcome(outcome, start.elapsed().as_secs_f64());
    view.finish(&mut report);
    report.panics = panics::so_far();
    println!("{}", serde_json::to_string(&report)?);
    Ok(report.is_right())
}

/// Lets Servo work until the page is done, crashes, or its time is up.
fn run(servo: &Servo, view: &View, waker: &Waker, deadline: Instant) -> Outcome {
    loop {
        servo.spin_event_loop();
        view.serve();
        if let Some(outcome) = view.outcome() {
            return outcome;
        }
        let now = Instant::now();
        if now >= deadline {
            return Outcome::TimedOut;
        }
        waker.wait((deadline - now).min(Duration::from_millis(20)));
    }
}

fn options(arguments: &Arguments) -> Opts {
    Opts {
        force_ipc: arguments.force_ipc,
        multiprocess: arguments.multiprocess,
        temporary_storage: true,
        ..Opts::default()
    }
}

/// Returns preferences with WebGPU, and without a proxy between the browser and localhost.
fn preferences(arguments: &Arguments) -> Preferences {
    Preferences {
        dom_webgpu_enabled: true,
        dom_webgpu_wgpu_backend: arguments.backend.clone(),
        dom_offscreen_canvas_enabled: true,
        network_http_proxy_uri: String::new(),
        network_https_proxy_uri: String::new(),
        ..Preferences::default()
    }
}
