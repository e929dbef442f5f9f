//! `cargo xtask fuzz`: libFuzzer on sequences of messages, as `fuzz/README.md` describes it.
//!
//! It runs the package `fuzz` with the flags that cargo-fuzz would pass, so that cargo-fuzz need not be installed. No
//! driver is needed either: the messages go to wgpu-core's noop backend.

use std::fs;
use std::path::Path;

use crate::error::XtaskError;
use crate::nightly::nightly_cargo;
use crate::process::run;

/// What cargo-fuzz builds with: libFuzzer's coverage, and the address sanitizer.
const FLAGS: &str = "--cfg fuzzing -Zsanitizer=address -Cdebug-assertions -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Seconds for one input, after which it counts as hanging; and bytes of an input, enough for a few hundred messages.
const LIMITS: [&str; 2] = ["-timeout=60", "-max_len=3000"];

pub fn command(seconds: u64) -> Result<(), XtaskError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fuzz");
    let (mut cargo, host) = nightly_cargo()?;
    cargo.current_dir(&root).env("CARGO_TARGET_DIR", root.join("target")).env("RUSTFLAGS", FLAGS);
    cargo.args(["run", "--release", "--target", &host, "--bin", "messages", "--"]);
    // libFuzzer writes new inputs to the first folder, and only reads the second one, which is committed.
    cargo.args(["target/corpus", "corpus/messages", "-artifact_prefix=target/"]);
    cargo.args(LIMITS);
    cargo.arg(format!("-max_total_time={seconds}"));
    fs::create_dir_all(root.join("target/corpus")).map_err(XtaskError::NoCorpus)?;
    run(&mut cargo)
}
