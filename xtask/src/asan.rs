//! `cargo xtask asan`: the tests that use memory hardest, under the address and leak sanitizers.
//!
//! These are the unit tests, the tests on Vulkan, the stress test, and those of images that GL imports. They are built by a
//! nightly compiler into a folder of their own, because sanitizers need flags that differ from those of all other builds.

use std::path::Path;

use crate::error::XtaskError;
use crate::nightly::nightly_cargo;
use crate::process::run;
use crate::setup;

/// Leaks of others, which are not reported. The file says why.
const SUPPRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/lsan.supp");

pub fn command() -> Result<(), XtaskError> {
    setup::ensure()?;
    sanitized(&["--lib", "--test", "presenting", "--test", "stress", "--no-fail-fast"], true)?;
    // GL's drivers keep memory until the process ends. Programs with swgl's context run one test at a time.
    sanitized(&["--test", "compositing", "shared", "--", "--test-threads=1"], false)
}

/// Runs tests under the address sanitizer, and under the leak sanitizer too if `detect_leaks` is set.
fn sanitized(tests: &[&str], detect_leaks: bool) -> Result<(), XtaskError> {
    let (mut cargo, host) = nightly_cargo()?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target").join("asan");
    cargo.env("CARGO_TARGET_DIR", folder);
    cargo.env("RUSTFLAGS", "-Zsanitizer=address");
    // Several libraries of the drivers define the same names, which is no fault of this crate. Tests let allocations fail.
    let options = "detect_odr_violation=0:allocator_may_return_null=1";
    cargo.env("ASAN_OPTIONS", format!("detect_leaks={}:{options}", u8::from(detect_leaks)));
    cargo.env("LSAN_OPTIONS", format!("suppressions={SUPPRESSIONS}:print_suppressions=0"));
    cargo.env("WEBGPU_PRESENTATION_REQUIRE_ADAPTER", "1");
    // The loader of Debian 12 (1.3.239) walks its list of devices for a layer while another thread removes one from it.
    cargo.env("WEBGPU_PRESENTATION_WITHOUT_LAYERS", "1");
    cargo.args(["test", "--target", &host, "--features", "webrender"]).args(tests);
    run(&mut cargo)
}
