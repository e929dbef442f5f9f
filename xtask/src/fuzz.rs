//! `cargo xtask fuzz`: libFuzzer on sequences of messages, see `fuzz/README.md`.

use std::path::Path;
use std::{fs, io};

use crate::nightly::{NightlyError, nightly_cargo};
use crate::process::{ProcessError, run};

#[derive(Debug, thiserror::Error)]
pub enum FuzzError {
    #[error(transparent)]
    Nightly(#[from] NightlyError),
    #[error("no folder for new inputs: {0}")]
    Folder(#[from] io::Error),
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// What cargo-fuzz builds with: libFuzzer's coverage, and the address sanitizer.
const FLAGS: &str = "--cfg fuzzing -Zsanitizer=address -Cdebug-assertions -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// No sequence of messages takes a minute: it hangs. A few thousand bytes are a few hundred messages.
const LIMITS: [&str; 2] = ["-timeout=60", "-max_len=3000"];

pub fn command(seconds: u64) -> Result<(), FuzzError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fuzz");
    let (mut cargo, host) = nightly_cargo()?;
    cargo.current_dir(&root).env("CARGO_TARGET_DIR", root.join("target")).env("RUSTFLAGS", FLAGS);
    cargo.args(["run", "--release", "--target", &host, "--bin", "messages", "--"]);
    // New inputs go to the first folder; what is committed is read only.
    cargo.args(["target/corpus", "corpus/messages", "-artifact_prefix=target/"]);
    cargo.args(LIMITS);
    cargo.arg(format!("-max_total_time={seconds}"));
    fs::create_dir_all(root.join("target/corpus"))?;
    Ok(run(&mut cargo)?)
}
