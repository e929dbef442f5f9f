//! `cargo xtask bench`: a comparison of the upload belt with others.
//!
//! It is a crate in `benches`, outside the workspace, so that nobody else has to download what it compares with. It has a lock file
//! of its own, which this command obeys, and is built into a folder of its own below `target`.

use std::ffi::OsString;
use std::process::Command;

use crate::error::XtaskError;
use crate::process::{cargo, root, run};
use crate::setup;

/// The name of the crate, which is that of its folder too.
const NAME: &str = "vs-wgpu-belt";

pub fn command(arguments: &[OsString]) -> Result<(), XtaskError> {
    setup::ensure()?;
    run(&mut comparing(arguments))
}

fn comparing(arguments: &[OsString]) -> Command {
    let mut command = cargo();
    command.args(["run", "--release", "--locked", "--manifest-path"]);
    command.arg(root().join("benches").join(NAME).join("Cargo.toml"));
    command.arg("--target-dir").arg(root().join("target").join(NAME));
    command.arg("--").args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::written;

    #[test]
    fn the_comparison_is_built_in_release_with_its_own_lock_file_and_gets_the_arguments() {
        let line = written(&comparing(&["scattered".into()]));
        assert!(line.starts_with("cargo run --release --locked --manifest-path "), "{line}");
        assert!(line.ends_with("target/vs-wgpu-belt -- scattered"), "{line}");
        for file in ["Cargo.toml", "Cargo.lock"] {
            assert!(root().join("benches").join(NAME).join(file).is_file(), "{file}");
        }
    }
}
