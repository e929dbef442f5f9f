//! `cargo xtask demo`: the package `demo`, which prints what it draws and where the pictures are.

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
    Ok(run(cargo().args(["run", "--release", "--package", "demo", "--"]).args(arguments))?)
}
