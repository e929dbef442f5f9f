//! The nightly toolchain, which sanitizers and fuzzing need.
//!
//! xtask runs it through rustup, beside the stable toolchain, and says how to install it rather than doing so: it is
//! large, and no other command needs it.

use std::process::Command;

use crate::error::XtaskError;
use crate::process::{cargo, on_path, stdout_of};

/// Returns the nightly cargo, with the environment of all other builds, and the target triple of this machine.
pub fn nightly_cargo() -> Result<(Command, String), XtaskError> {
    if !on_path("rustup") {
        return Err(XtaskError::NoRustup);
    }
    let version = stdout_of("rustup", &["run", "nightly", "rustc", "-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or(XtaskError::NoNightly)?;
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]);
    let environment = cargo();
    command.envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
    // The messages of the Vulkan loader would hide those of the tests.
    command.env_remove("VK_LOADER_DEBUG");
    Ok((command, host.to_owned()))
}
