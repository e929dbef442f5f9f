//! `cargo xtask servo`: Servo's WebGPU thread, as it was published and on this crate.
//!
//! Two crates of Servo are taken from the crate registry and changed: `servo-webgpu` presents through this crate, and
//! `servo-paint-api` passes generations on to it. What changes lies in `integrations/servo`; the changed copies are laid out below
//! `target/servo`. The files:
//!
//! - `edits`: small anchored replacements, and the errors when a place is not found;
//! - `sources`: the published files, the adapted ones, and the variant that a browser is built with;
//! - `harness`: the program that drives both variants and compares them;
//! - `browser`: a browser with each variant, and the pages that it opens.

mod browser;
mod edits;
mod harness;
mod sources;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use clap::Subcommand;

use crate::error::XtaskError;
use crate::process;

pub use self::sources::SourcesError;

#[derive(Subcommand)]
pub enum ServoCommand {
    /// Lay out the two crates of Servo, as published and adapted, below target/servo.
    ///
    /// Cargo downloads them and compares them with the checksums in integrations/servo/sources/Cargo.lock. Fails if a place that
    /// is to be changed is not there.
    Sources,

    /// Drive Servo's WebGPU thread without a browser, as published and on this crate, in turn.
    ///
    /// Needs no SpiderMonkey. The first build takes long, because Servo's style system is part of it. `--check` tests correctness
    /// alone; all arguments go to the harness, and `cargo xtask servo harness --help` lists them.
    #[command(disable_help_flag = true)]
    Harness {
        /// Arguments for the harness.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<OsString>,
    },

    /// Build Servo as published and on this crate, open pages that check themselves in both, and compare.
    ///
    /// Installs what Servo is built with. The first build takes about 50 minutes of one core, later ones seconds. Writes a contact
    /// sheet to target/servo/contact-sheet.png. All arguments go to the suite: parts of the names of pages, and `--json FILE`.
    Browser {
        /// Arguments for the suite.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<OsString>,
    },
}

pub fn command(command: &ServoCommand) -> Result<(), XtaskError> {
    match command {
        ServoCommand::Sources => {
            let sources = sources::lay_out(&process::root())?;
            for variant in [sources::Variant::Published, sources::Variant::Adapted] {
                println!("{}", sources.folder_of(variant).display());
            }
            Ok(())
        }
        ServoCommand::Harness { arguments } => harness::command(arguments),
        ServoCommand::Browser { arguments } => browser::command(arguments),
    }
}

/// Returns a command for cargo with the compilers that all programs with Servo's crates are built with: those that SpiderMonkey needs, if
/// they are there. Cargo would build C libraries anew, and all that depends on them, for another `CC`.
fn cargo() -> Command {
    let mut command = process::cargo();
    if process::on_path("clang-19") {
        command.env("CC", "clang-19").env("CXX", "clang++-19");
    }
    command
}

/// Returns the folder that all programs with Servo's crates are built in, so that what they share is built once.
fn build_folder() -> PathBuf {
    servo_folder().join("build")
}

/// Returns the folder of all that is made of Servo.
fn servo_folder() -> PathBuf {
    process::root().join("target/servo")
}
