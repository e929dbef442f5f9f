//! `cargo xtask servo harness`: builds the harness beside the laid out crates, and runs it.

use std::ffi::OsString;
use std::process::Command;

use super::{build_folder, cargo, sources};
use crate::error::XtaskError;
use crate::process::{root, run};
use crate::setup;

pub fn command(arguments: &[OsString]) -> Result<(), XtaskError> {
    setup::ensure()?;
    sources::lay_out(&root())?;
    run(&mut harness(arguments))
}

fn harness(arguments: &[OsString]) -> Command {
    let mut command = cargo();
    command.args(["run", "--release", "--locked", "--manifest-path"]);
    command.arg(root().join("integrations/servo/harness/Cargo.toml"));
    command.arg("--target-dir").arg(build_folder());
    command.arg("--").args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::written;

    #[test]
    fn the_harness_is_built_in_release_with_its_own_lock_file_and_gets_the_arguments() {
        let line = written(&harness(&["--check".into()]));
        assert!(line.starts_with("cargo run --release --locked --manifest-path "), "{line}");
        assert!(line.ends_with("target/servo/build -- --check"), "{line}");
        for file in ["Cargo.toml", "Cargo.lock"] {
            assert!(root().join("integrations/servo/harness").join(file).is_file(), "{file}");
        }
    }
}
