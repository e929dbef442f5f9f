//! The project's commands, run as `cargo xtask <command>`.
//!
//! Most commands first make sure that the machine has what they need, and then start cargo. The files, in the order a
//! command travels:
//!
//! - `error`: why a command stops;
//! - `process`: starting programs, and the environment that every build gets;
//! - `packages`: what the project needs of the machine, and how each thing is recognized;
//! - `setup`: installing what is missing;
//! - `demo`, `soak`, `bench`: one program each;
//! - `steps`, `tally`, `test`: what is tested, how results are counted, and running it;
//! - `nightly`, `asan`, `fuzz`: what needs a nightly compiler;
//! - `features`: the library with each of its features, alone and together;
//! - `platforms`: this crate on other systems, as far as it can be known without them;
//! - `servo`: this crate in Servo.

#![forbid(unsafe_code)]

mod error;
mod process;

mod packages;
mod setup;

mod demo;
mod soak;
mod bench;

mod steps;
mod tally;
mod test;

mod nightly;
mod asan;
mod fuzz;

mod features;
mod platforms;

mod servo;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use servo::ServoCommand;
use steps::Step;

/// Builds, shows and tests webgpu-presentation.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Check that the machine has what the project needs, and install what is missing.
    ///
    /// Needed are a Vulkan driver (Mesa's software driver will do), the validation layers, EGL, an X server
    /// without a screen and X11's client libraries, FreeType and clang (or another C++ compiler, named by CXX). Missing packages are installed on Debian and Ubuntu, with
    /// sudo unless run as root; on other systems they are named. The other commands begin with this one.
    Setup,

    /// Draw a page of WebGPU canvases and check every pixel of it: the package `demo`.
    ///
    /// All arguments go to the demo; `cargo xtask demo --help` lists them.
    #[command(disable_help_flag = true)]
    Demo {
        /// Arguments for the demo.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<OsString>,
    },

    /// Run every check: formatting, lints, documentation and tests.
    ///
    /// Stops at the first step that fails, and ends with the number of tests passed and failed.
    Test {
        /// Run these steps only.
        #[arg(long, value_enum, num_args = 1.., value_name = "STEP")]
        only: Vec<Step>,
    },

    /// Let canvases and devices come and go for minutes: nothing may be left of them.
    ///
    /// Fails if memory, threads, entries in wgpu-core's hub or memory objects of the driver grow, or an id does not come
    /// back. Two minutes of it are a step of `test`.
    Soak {
        /// For how long.
        #[arg(long, value_name = "N", default_value_t = 10.0)]
        minutes: f64,
        /// Which run it is; a failure tells.
        #[arg(long)]
        seed: Option<u64>,
    },

    /// Compare the upload belt with wgpu's `StagingBelt`, with `queue_write_buffer`, and with a floor: the least that the work
    /// costs.
    ///
    /// All of them run in turn in one process; medians are shown. Takes a minute, and the first build a few. Servo's WebGPU thread
    /// is compared by `servo harness`, and what there is to tune by `cargo bench`.
    Bench {
        /// Names the comparison; there is one.
        #[arg(long, required = true)]
        belt: bool,
        /// Arguments for the comparison: a part of the names of its cases.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<OsString>,
    },

    /// Run the unit tests, those on Vulkan, the stress test and those of images that GL imports under sanitizers.
    ///
    /// Needs a nightly compiler. Everything is compiled anew the first time, which takes minutes.
    Asan,

    /// Let a fuzzer write messages, on a backend that needs no driver: see fuzz/README.md.
    ///
    /// Needs a nightly compiler. Everything is compiled anew the first time, which takes minutes.
    Fuzz {
        /// For how long.
        #[arg(long, value_name = "N", default_value_t = 60)]
        seconds: u64,
    },

    /// Check the library with each feature alone, with none, with pairs of them and with all: a warning is an error.
    ///
    /// A dependency that the code does not use is a warning too. wgpu-core is checked anew for each set of its features, which takes
    /// minutes the first time.
    Features,

    /// Check and lint the library for Windows, macOS, Android and FreeBSD, without running anything.
    ///
    /// Installs a compiler that can build its own standard library, on Debian and Ubuntu. Takes three minutes for each system the first time.
    Platforms,

    /// Build Servo's WebGPU thread on this crate, and compare it with the one that was published.
    ///
    /// See integrations/servo/README.md.
    Servo {
        #[command(subcommand)]
        command: ServoCommand,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Subcommands::Setup => setup::command(),
        Subcommands::Demo { arguments } => demo::command(&arguments),
        Subcommands::Test { only } => test::command(&only),
        Subcommands::Soak { minutes, seed } => soak::command(minutes, seed),
        Subcommands::Bench { belt: _, arguments } => bench::command(&arguments),
        Subcommands::Asan => asan::command(),
        Subcommands::Fuzz { seconds } => fuzz::command(seconds),
        Subcommands::Features => features::command(),
        Subcommands::Platforms => platforms::command(),
        Subcommands::Servo { command } => servo::command(&command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Subcommands {
        Arguments::try_parse_from(["cargo xtask"].into_iter().chain(line.split(' '))).unwrap().command
    }

    #[test]
    fn everything_after_demo_goes_to_the_demo() {
        for line in ["--help", "-h", "--length 3 --gl egl", "out --only"] {
            let Subcommands::Demo { arguments } = parse(&format!("demo {line}")) else { panic!("{line}") };
            assert_eq!(arguments, line.split(' ').map(OsString::from).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_follows_belt_goes_to_the_comparison() {
        for (line, expected) in [("bench --belt", vec![]), ("bench --belt scattered", vec!["scattered"])] {
            let Subcommands::Bench { arguments, .. } = parse(line) else { panic!("{line}") };
            assert_eq!(arguments, expected.into_iter().map(OsString::from).collect::<Vec<_>>());
        }
    }

    #[test]
    fn everything_after_harness_goes_to_the_harness() {
        for line in ["--help", "--check", "present --json out"] {
            let Subcommands::Servo { command: ServoCommand::Harness { arguments } } =
                parse(&format!("servo harness {line}"))
            else {
                panic!("{line}")
            };
            assert_eq!(arguments, line.split(' ').map(OsString::from).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_comparison_is_named() {
        for line in ["bench", "bench --peer", "bench P1"] {
            assert!(Arguments::try_parse_from(["cargo xtask"].into_iter().chain(line.split(' '))).is_err());
        }
    }

    #[test]
    fn steps_may_be_listed_together_or_one_by_one() {
        for line in ["test --only fmt docs", "test --only fmt --only docs"] {
            let Subcommands::Test { only } = parse(line) else { panic!("{line}") };
            assert_eq!(only, [Step::Fmt, Step::Docs]);
        }
    }
}
