//! `cargo xtask soak`: the example `soak`, which tells itself what it measured.

use crate::process::{ProcessError, cargo, run};
use crate::setup::{self, SetupError};

#[derive(Debug, thiserror::Error)]
pub enum SoakError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Process(#[from] ProcessError),
}

pub fn command(minutes: f64, seed: Option<u64>) -> Result<(), SoakError> {
    setup::ensure()?;
    let mut soak = cargo();
    // As the tests are built, so that cargo has most of it already.
    soak.args([
        "run",
        "--package",
        "webgpu-presentation",
        "--features",
        "webrender,gles",
        "--example",
        "soak",
        "--",
    ]);
    soak.args(["--minutes", &minutes.to_string()]);
    if let Some(seed) = seed {
        soak.args(["--seed", &seed.to_string()]);
    }
    Ok(run(&mut soak)?)
}
