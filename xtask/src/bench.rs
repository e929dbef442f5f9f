//! `cargo xtask bench`: comparisons of this crate with others.
//!
//! Each comparison is a crate in `benches`, outside the workspace, so that nobody else has to download what it compares
//! with. It has a lock file of its own, which this command obeys, and is built into a folder of its own below `target`.

use std::ffi::OsString;
use std::process::Command;

use crate::error::XtaskError;
use crate::process::{cargo, root, run};
use crate::setup;

/// Which comparison to make. Exactly one has to be named.
#[derive(clap::Args, Clone, Copy, Debug, PartialEq, Eq)]
#[group(required = true, multiple = false)]
pub struct Comparison {
    /// The upload belt, with wgpu's `StagingBelt`, with `queue_write_buffer`, and with a floor. Takes a minute, and the first
    /// build a few.
    #[arg(long)]
    belt: bool,
}

impl Comparison {
    /// Returns the name of the crate, which is that of its folder too.
    fn name(self) -> &'static str {
        debug_assert!(self.belt, "clap demands a comparison, and there is one");
        "vs-wgpu-belt"
    }
}

pub fn command(comparison: Comparison, arguments: &[OsString]) -> Result<(), XtaskError> {
    setup::ensure()?;
    run(&mut comparing(comparison, arguments))
}

fn comparing(comparison: Comparison, arguments: &[OsString]) -> Command {
    let (root, name) = (root(), comparison.name());
    let mut command = cargo();
    command.args(["run", "--release", "--locked", "--manifest-path"]);
    command.arg(root.join("benches").join(name).join("Cargo.toml"));
    command.arg("--target-dir").arg(root.join("target").join(name));
    command.arg("--").args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::written;

    const BELT: Comparison = Comparison { belt: true };

    #[test]
    fn a_comparison_is_built_in_release_with_its_own_lock_file_and_gets_the_arguments() {
        let line = written(&comparing(BELT, &["scattered".into()]));
        assert!(line.starts_with("cargo run --release --locked --manifest-path "), "{line}");
        assert!(line.ends_with("target/vs-wgpu-belt -- scattered"), "{line}");
    }

    #[test]
    fn the_crates_of_the_comparisons_are_where_they_are_looked_for() {
        let folder = root().join("benches").join(BELT.name());
        assert!(folder.join("Cargo.toml").is_file());
        assert!(folder.join("Cargo.lock").is_file());
    }
}
