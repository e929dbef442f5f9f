//! Drives Servo's WebGPU thread without a browser: as it was published, and on this crate.
//!
//! ```text
//! cargo xtask servo harness                    # everything
//! cargo xtask servo harness P17 busy           # the cases whose ids contain one of these
//! cargo xtask servo harness --check            # correctness alone
//! cargo xtask servo harness --json out.json    # writes the figures too
//! ```
//!
//! `servo-webgpu` 0.7.0 is built twice, from the crate registry and with the changes in `integrations/servo`, and both are driven by
//! the same messages, those of Servo's script thread, through `start_webgpu_thread`. Beside them stands a floor: raw wgpu-core on one
//! thread, which records a copy, submits it and waits; and a thread with direct frames, for which Servo's messages do not suffice (`direct`).
//!
//! There are two kinds of cases. A comparison (`cases`) lets all sides take turns in one process, on the same adapter, each with a
//! `Global` and a device of its own, and shows medians. A trial (`trials`) is something that a page may do and a WebGPU thread must
//! survive; it is run for each variant alone, and tells whether it passed. Each of them runs in a process of its own (`children`), so
//! that one which crashes or hangs is told as such and takes nothing else down.
//!
//! A present is measured from sending the first message to observing the image update, which wakes the thread that measures over
//! a channel. Freed memory stays in the process, in one arena (`memory`): otherwise some sides would pay for fresh pages, by chance.

mod cases;
mod children;
mod common;
mod direct;
mod entrant;
mod floor;
mod long_work;
mod memory;
#[path = "../../../../benches/support/raw.rs"]
mod raw;
mod rows;
mod servo;
mod statistics;
mod table;
mod trials;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use crate::children::Job;
use crate::rows::{Figure, Row};
use crate::servo::Variant;

/// Drives Servo's WebGPU thread, as published and on webgpu-presentation, and compares them.
#[derive(Parser)]
#[command(name = "cargo xtask servo harness")]
struct Arguments {
    /// Run the cases whose ids contain one of these: P1, for example, or 4k.
    filters: Vec<String>,
    /// Test correctness alone. Exits with 1 if the adapted variant fails; what the published one fails is only told.
    #[arg(long)]
    check: bool,
    /// Write the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Run this case in this process, and print its figures as JSON.
    #[arg(long, hide = true, value_name = "ID")]
    child: Option<String>,
    /// The variant that is tried.
    #[arg(long, hide = true, requires = "child")]
    variant: Option<Variant>,
}

fn main() -> ExitCode {
    memory::keep_freed_memory();
    let arguments = Arguments::parse();
    if let Some(id) = &arguments.child {
        return children::run_as_child(id, arguments.variant);
    }
    let filters = &arguments.filters;
    let is_wanted = |id: &str| filters.is_empty() || filters.iter().any(|filter| id.contains(filter));
    let mut jobs: Vec<_> = trials::all().into_iter().map(Job::Trial).collect();
    if !arguments.check {
        jobs.splice(0..0, cases::all().into_iter().map(Job::Comparison));
    }
    jobs.retain(|job| is_wanted(job.id()) && (!arguments.check || job.is_check()));
    if jobs.is_empty() {
        eprintln!("error: no id contains {}", filters.join(" or "));
        return ExitCode::FAILURE;
    }
    println!("adapter: {}\n", adapter());
    let bar = ProgressBar::new(jobs.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_secs(1));
    let mut rows = Vec::new();
    for job in &jobs {
        bar.set_message(job.id().to_owned());
        rows.extend(job.run());
        bar.inc(1);
    }
    bar.finish_and_clear();
    table::print(&rows);
    if let Some(path) = &arguments.json
        && let Err(error) = write(path, &rows)
    {
        eprintln!("error: {}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    // A trial that is not a check may fail as a check does: a WebGPU thread must survive it.
    let failed = rows.iter().any(|row| matches!(row.adapted, Figure::Failed(_)));
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn adapter() -> String {
    let adapter = common::set_up().adapter();
    format!("{} ({})", adapter.name, adapter.driver_info)
}

fn write(path: &Path, rows: &[Row]) -> std::io::Result<()> {
    let mut text = serde_json::to_string_pretty(rows)?;
    text.push('\n');
    std::fs::write(path, text)
}
