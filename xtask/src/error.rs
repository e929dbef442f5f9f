//! Why a command stops.
//!
//! Every command ends the same way, with a message and an exit status of 1, so all of them share one error. A message
//! names what to do next where xtask knows it.

use std::io;
use std::process::ExitStatus;

#[derive(Debug, thiserror::Error)]
pub enum XtaskError {
    #[error("could not start `{command}`: {source}")]
    Start { command: String, source: io::Error },
    #[error("`{command}` failed ({status})")]
    Failed { command: String, status: ExitStatus },

    #[error(
        "this machine lacks what the demo and the tests need. Install it, on Debian and Ubuntu with apt-get, and run the command again\n{0}"
    )]
    Missing(String),
    #[error("apt-get installed its packages, and these are still missing\n{0}")]
    StillMissing(String),
    #[error("the toolchain lacks {0}; install it beside cargo and run the command again")]
    MissingComponent(&'static str),

    #[error("{step} could not be run: {source}")]
    StepNotRun { step: &'static str, source: io::Error },
    #[error("{step} failed ({status}). To repeat it alone: cargo xtask test --only {step}")]
    StepFailed { step: &'static str, status: ExitStatus },

    #[error("`cargo metadata` does not tell the features of the library: {0}")]
    Metadata(serde_json::Error),

    #[error("the browser could not be looked at or copied: {0}")]
    Browser(io::Error),

    #[error("this needs rustup, to run a nightly compiler beside the stable one: https://rustup.rs")]
    NoRustup,
    #[error("this needs a nightly compiler: rustup toolchain install nightly --profile minimal")]
    NoNightly,
    #[error("the fuzzer has no folder for new inputs: {0}")]
    NoCorpus(io::Error),

    #[error(transparent)]
    Sources(#[from] crate::servo::SourcesError),
}
