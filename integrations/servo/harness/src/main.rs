//! This crate against its peer, `servo-webgpu` 0.7.0, and against a floor of raw wgpu-core.
//!
//! ```text
//! cargo run --release                     # in this folder
//! cargo run --release -- P1               # the cases whose ids contain that
//! cargo run --release -- --json out.json  # writes the figures too
//! ```
//!
//! All sides run in one process on the same adapter, each with a `Global` and a device of its own, which are set up alike. They take
//! turns, and medians are shown. The peer gets the messages of Servo's script thread. This crate gets similar ones, on a thread that
//! drains its channel into batches (`engine.rs`). Both are measured from sending the first message to observing the image update,
//! which wakes the thread that measures over a channel. The floor is one encoder, one submission, and waiting for it, without
//! messages and threads. Beside it stands the same on as many threads as an engine has, because waking a thread costs tens of
//! microseconds on an idle machine.
//!
//! Unless a case says otherwise, textures are fresh in each frame. A render pass clears them, and the GPU has done that before the
//! clock starts. A message that destroys the texture follows each present; the floor destroys it when the clock has stopped. Freed
//! memory stays in the process, in one arena (`memory.rs`): otherwise some sides would pay for fresh pages, by chance.

mod cases;
mod common;
mod engine;
mod entrant;
mod floor;
mod long_work;
mod memory;
mod ours;
mod peer;
#[path = "../../support/raw.rs"]
mod raw;
mod rows;
mod statistics;
mod table;
mod watchdog;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cases::Case;
use crate::rows::Row;

/// Compares webgpu-presentation with servo-webgpu and with raw wgpu-core.
#[derive(Parser)]
#[command(name = "vs-servo")]
struct Arguments {
    /// Run the cases whose ids contain one of these: P1, for example, or 4k.
    filters: Vec<String>,
    /// Write the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    memory::keep_freed_memory();
    let arguments = Arguments::parse();
    let filters = &arguments.filters;
    let is_wanted = |case: &Case| filters.is_empty() || filters.iter().any(|filter| case.id.contains(filter));
    let cases: Vec<_> = cases::all().into_iter().filter(is_wanted).collect();
    if cases.is_empty() {
        eprintln!("error: no id contains {}", filters.join(" or "));
        return ExitCode::FAILURE;
    }
    println!("adapter: {}\n", same_adapter());
    let bar = ProgressBar::new(cases.iter().map(|case| case.steps).sum());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    watchdog::watch(bar.clone());
    let mut rows = Vec::new();
    for case in &cases {
        bar.set_message(case.id.clone());
        rows.extend((case.run)(&bar));
    }
    bar.finish_and_clear();
    table::print(&rows);
    match arguments.json.map(|path| write(&path, &rows).map_err(|error| (path, error))) {
        Some(Err((path, error))) => {
            eprintln!("error: {}: {error}", path.display());
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Returns the name of the adapter, after making sure that all sides use the same one.
fn same_adapter() -> String {
    let ours = common::set_up().adapter();
    let peer = peer::Peer::new();
    assert_eq!((&ours.name, &ours.driver_info), (&peer.adapter().name, &peer.adapter().driver_info));
    format!("{} ({})", ours.name, ours.driver_info)
}

fn write(path: &std::path::Path, rows: &[Row]) -> std::io::Result<()> {
    let mut text = serde_json::to_string_pretty(rows)?;
    text.push('\n');
    std::fs::write(path, text)
}
