//! `cargo xtask bench`: comparisons with a peer, each a crate outside the workspace with its own lock file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{ProcessError, cargo, run};
use crate::setup::{self, SetupError};

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Process(#[from] ProcessError),
}

pub fn command(arguments: &[OsString]) -> Result<(), BenchError> {
    setup::ensure()?;
    Ok(run(&mut vs_wgpu_belt(arguments))?)
}

/// The upload belt against wgpu's. Built into a folder of its own below that of all other builds.
fn vs_wgpu_belt(arguments: &[OsString]) -> Command {
    let root = root();
    let mut command = cargo();
    command.args(["run", "--release", "--locked", "--manifest-path"]);
    command.arg(root.join("benches/vs-wgpu-belt/Cargo.toml"));
    command.arg("--target-dir").arg(root.join("target/vs-wgpu-belt"));
    command.arg("--").args(arguments);
    command
}

fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::written;

    #[test]
    fn the_belt_is_compared_in_release_with_its_own_lock_file_and_gets_the_arguments() {
        let line = written(&vs_wgpu_belt(&["scattered".into()]));
        assert!(line.starts_with("cargo run --release --locked --manifest-path "), "{line}");
        assert!(line.ends_with("target/vs-wgpu-belt -- scattered"), "{line}");
    }

    #[test]
    fn the_crate_of_the_comparison_is_where_it_is_looked_for() {
        assert!(root().join("benches/vs-wgpu-belt/Cargo.toml").is_file());
        assert!(root().join("benches/vs-wgpu-belt/Cargo.lock").is_file());
    }
}
