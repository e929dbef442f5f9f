//! The nightly toolchain, which sanitizers and fuzzing need.

use std::process::Command;

use crate::process::{cargo, on_path, stdout_of};

#[derive(Debug, thiserror::Error)]
pub enum NightlyError {
    #[error("this needs rustup, to run a nightly compiler beside the stable one: https://rustup.rs")]
    NoRustup,
    #[error("this needs a nightly compiler: rustup toolchain install nightly --profile minimal")]
    NoNightly,
}

/// The nightly cargo, with the environment of all our builds, and the target triple of this machine.
pub fn nightly_cargo() -> Result<(Command, String), NightlyError> {
    if !on_path("rustup") {
        return Err(NightlyError::NoRustup);
    }
    let version = stdout_of("rustup", &["run", "nightly", "rustc", "-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or(NightlyError::NoNightly)?;
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]);
    let environment = cargo();
    command.envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
    // The loader's chatter hides what the tests say.
    command.env_remove("VK_LOADER_DEBUG");
    Ok((command, host.to_owned()))
}
