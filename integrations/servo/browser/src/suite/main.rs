//! Opens every page of a folder in two builds of Servo, and compares what they found out.
//!
//! Each page is opened by a browser of its own, first as published, then on this crate, so that a crash or a hang is the result of
//! that page and nothing more. The suite prints one table, the frame rates and what failed, and writes a contact sheet with the
//! pages side by side.
//!
//! The files, in the order of a run: `error`, `pages` (what there is to open, and how), `server` (serves it on localhost),
//! `browsers` (opens one page in one build), `results` (all of it, as JSON), `tables` (as text), `lettering` and `sheet` (as a
//! picture).

mod error;

mod pages;
mod server;
mod browsers;

mod results;
mod tables;
mod lettering;
mod sheet;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use browsers::Browser;
use error::SuiteError;
use pages::Page;
use results::{Results, Row};
use server::Server;

/// Opens pages that check themselves in Servo as published and on this crate.
///
/// The exit status is 1 if a page is not right on this crate.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folder of the pages.
    #[arg(long)]
    pages: PathBuf,

    /// The browser with Servo as published.
    #[arg(long, value_name = "PROGRAM")]
    published: Option<PathBuf>,

    /// The browser with Servo on this crate.
    #[arg(long, value_name = "PROGRAM")]
    adapted: PathBuf,

    /// The folder for screenshots and logs, which is made.
    #[arg(long)]
    out: PathBuf,

    /// Write a contact sheet.
    #[arg(long, value_name = "PNG")]
    sheet: Option<PathBuf>,

    /// Write all results.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Open only pages whose names contain one of these.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Runs the suite, and returns whether all was right on this crate.
fn run(arguments: &Arguments) -> Result<bool, SuiteError> {
    let pages = pages::find(&arguments.pages, &arguments.names)?;
    let server = Server::start(&arguments.pages)?;
    let published = match &arguments.published {
        Some(program) => Some(Browser::new(program, arguments.out.join("published"))?),
        None => None,
    };
    let adapted = Browser::new(&arguments.adapted, arguments.out.join("adapted"))?;

    let progress = progress_bar(pages.len());
    let mut rows = Vec::new();
    for page in pages {
        progress.set_message(page.name.clone());
        rows.push(open(page, &server, published.as_ref(), &adapted)?);
        progress.inc(1);
    }
    progress.finish_and_clear();

    let results = Results { rows };
    print!("{}", tables::verdicts(&results));
    print!("{}", tables::rates(&results));
    print!("{}", tables::failures(&results));
    if let Some(file) = &arguments.json {
        results.write(file)?;
    }
    if let Some(file) = &arguments.sheet {
        sheet::write(&results, file)?;
    }
    Ok(results.rows.iter().all(|row| row.adapted.is_right()))
}

fn open(
    page: Page,
    server: &Server,
    published: Option<&Browser>,
    adapted: &Browser,
) -> Result<Row, SuiteError> {
    let published = match published {
        Some(browser) => Some(browser.open(&page, server)?),
        None => None,
    };
    let adapted = adapted.open(&page, server)?;
    Ok(Row { page: page.name, title: page.title, published, adapted })
}

/// Returns a bar that shows nothing where the output is no terminal.
fn progress_bar(pages: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{pos:>3}/{len} {elapsed} {wide_bar} {msg:24}");
    let bar = ProgressBar::new(pages as u64);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
