//! The parts of the Rust toolchain that a minimal installation leaves out.

use std::process::Command;

use crate::process::{ProcessError, cargo_path, on_path, run, succeeds};

#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    #[error("the toolchain lacks {0}; install it beside cargo and run the command again")]
    NoRustup(&'static str),
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// Makes sure of `cargo fmt` and `cargo clippy`.
pub fn ensure() -> Result<(), ToolchainError> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        // rustup leaves a program of this name on PATH even when the component is not installed: run it.
        if succeeds(cargo_path(), &[subcommand, "--version"]) {
            continue;
        }
        if !on_path("rustup") {
            return Err(ToolchainError::NoRustup(component));
        }
        run(Command::new("rustup").args(["component", "add", component]))?;
    }
    Ok(())
}
