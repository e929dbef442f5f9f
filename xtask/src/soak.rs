//! `cargo xtask soak`: the example `soak`, for as long as asked.
//!
//! The example prints itself what it measured. It is built with the features of the tests, in the same profile, so that
//! cargo has most of it already.

use crate::error::XtaskError;
use crate::process::{cargo, run};
use crate::setup;

pub fn command(minutes: f64, seed: Option<u64>) -> Result<(), XtaskError> {
    setup::ensure()?;
    let mut soak = cargo();
    soak.args([
        "run",
        "--package",
        "webgpu-presentation",
        "--features",
        "webrender,gles",
        "--example",
        "soak",
    ]);
    soak.args(["--", "--minutes", &minutes.to_string()]);
    if let Some(seed) = seed {
        soak.args(["--seed", &seed.to_string()]);
    }
    run(&mut soak)
}
