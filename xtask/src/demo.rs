//! `cargo xtask demo`: the example `page`, which tells itself what it draws and where the pictures are.

use std::ffi::OsString;

use crate::process::{ProcessError, cargo, run};
use crate::setup::{self, SetupError};

#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Process(#[from] ProcessError),
}

pub fn command(arguments: &[OsString]) -> Result<(), DemoError> {
    setup::ensure()?;
    let page = ["run", "--release", "--package", "webgpu-presentation", "--features", "webrender"];
    Ok(run(cargo().args(page).args(["--example", "page", "--"]).args(arguments))?)
}
