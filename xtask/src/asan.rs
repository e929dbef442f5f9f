//! `cargo xtask asan`: the tests that use memory hardest, under the address and leak sanitizers.

use std::path::Path;

use crate::nightly::{NightlyError, nightly_cargo};
use crate::process::{ProcessError, run};
use crate::setup::{self, SetupError};

#[derive(Debug, thiserror::Error)]
pub enum AsanError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Nightly(#[from] NightlyError),
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// What leaks though nothing of ours does; the file says why.
const SUPPRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/lsan.supp");

pub fn command() -> Result<(), AsanError> {
    setup::ensure()?;
    let (mut cargo, host) = nightly_cargo()?;
    // Flags that differ from those of other builds want a folder of their own.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target").join("asan");
    cargo.env("CARGO_TARGET_DIR", folder);
    cargo.env("RUSTFLAGS", "-Zsanitizer=address");
    // Names that several of the drivers' libraries define are not ours to judge.
    cargo.env("ASAN_OPTIONS", "detect_leaks=1:detect_odr_violation=0");
    cargo.env("LSAN_OPTIONS", format!("suppressions={SUPPRESSIONS}:print_suppressions=0"));
    cargo.env("WEBGPU_PRESENTATION_REQUIRE_ADAPTER", "1");
    // The loader of Debian 12 (1.3.239) walks its list of devices, for a layer, while another thread takes one out.
    cargo.env("WEBGPU_PRESENTATION_WITHOUT_LAYERS", "1");
    cargo.args(["test", "--target", &host, "--features", "webrender"]);
    cargo.args(["--lib", "--test", "presenting", "--test", "stress", "--no-fail-fast"]);
    Ok(run(&mut cargo)?)
}
