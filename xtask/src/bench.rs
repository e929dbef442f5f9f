//! `cargo xtask bench`: comparisons with others, each a crate outside the workspace with its own lock file.

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

/// Which one: exactly one.
#[derive(clap::Args, Clone, Copy, Debug, PartialEq, Eq)]
#[group(required = true, multiple = false)]
pub struct Comparison {
    /// The upload belt, with wgpu's `StagingBelt`, with `queue_write_buffer`, and with a floor. Takes a minute, and the first
    /// build a few.
    #[arg(long)]
    belt: bool,
    /// Presents, snapshots and locks, with Servo's crate `servo-webgpu` and with a floor. Takes a minute and a half, and the first
    /// build a quarter of an hour.
    #[arg(long)]
    peer: bool,
}

impl Comparison {
    /// The crate's name and the folder's.
    fn name(self) -> &'static str {
        if self.peer { "vs-servo" } else { "vs-wgpu-belt" }
    }
}

pub fn command(comparison: Comparison, arguments: &[OsString]) -> Result<(), BenchError> {
    setup::ensure()?;
    Ok(run(&mut comparing(comparison, arguments))?)
}

/// Built into a folder of its own below that of all other builds.
fn comparing(comparison: Comparison, arguments: &[OsString]) -> Command {
    let (root, name) = (root(), comparison.name());
    let mut command = cargo();
    command.args(["run", "--release", "--locked", "--manifest-path"]);
    command.arg(root.join("benches").join(name).join("Cargo.toml"));
    command.arg("--target-dir").arg(root.join("target").join(name));
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

    const BELT: Comparison = Comparison { belt: true, peer: false };
    const PEER: Comparison = Comparison { belt: false, peer: true };

    #[test]
    fn a_comparison_is_built_in_release_with_its_own_lock_file_and_gets_the_arguments() {
        let line = written(&comparing(BELT, &["scattered".into()]));
        assert!(line.starts_with("cargo run --release --locked --manifest-path "), "{line}");
        assert!(line.ends_with("target/vs-wgpu-belt -- scattered"), "{line}");
        let line = written(&comparing(PEER, &["P1".into(), "--json".into(), "out".into()]));
        assert!(line.starts_with("cargo run --release --locked --manifest-path "), "{line}");
        assert!(line.ends_with("target/vs-servo -- P1 --json out"), "{line}");
    }

    #[test]
    fn the_crates_of_the_comparisons_are_where_they_are_looked_for() {
        for comparison in [BELT, PEER] {
            let folder = root().join("benches").join(comparison.name());
            assert!(folder.join("Cargo.toml").is_file(), "{comparison:?}");
            assert!(folder.join("Cargo.lock").is_file(), "{comparison:?}");
        }
    }
}
