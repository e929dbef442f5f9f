//! `cargo xtask demo`: the package `demo`.
//!
//! The demo prints itself what it draws and where its pictures are. It is built in release, because it draws with
//! software rasterizers.

use std::ffi::OsString;

use crate::error::XtaskError;
use crate::process::{cargo, run};
use crate::setup;

pub fn command(arguments: &[OsString]) -> Result<(), XtaskError> {
    setup::ensure()?;
    run(cargo().args(["run", "--release", "--package", "demo", "--"]).args(arguments))
}
