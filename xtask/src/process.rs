//! Starting other programs.
//!
//! [`cargo`] is the one place that decides how the project's builds run: every command uses it, so that all of them
//! share their compiled dependencies. [`run`] gives a program this terminal; [`succeeds`] and [`stdout_of`] only ask a
//! question and show nothing.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::XtaskError;

/// Whether the folders of `PATH` hold a program of this name.
pub fn on_path(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Whether the program can be started and exits with success.
pub fn succeeds(program: impl AsRef<OsStr>, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Returns what the program prints on stdout: nothing if it cannot be started.
pub fn stdout_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// Runs the command with this terminal as its own.
pub fn run(command: &mut Command) -> Result<(), XtaskError> {
    let status =
        command.status().map_err(|source| XtaskError::Start { command: written(command), source })?;
    if status.success() { Ok(()) } else { Err(XtaskError::Failed { command: written(command), status }) }
}

/// Returns a command for the cargo that started xtask, which builds C++ with clang if it can.
///
/// The choice is the same in every command because cargo builds swgl anew whenever `CC` or `CXX` changes.
pub fn cargo() -> Command {
    let mut command = Command::new(cargo_path());
    if uses_clang() {
        command.env("CC", "clang").env("CXX", "clang++");
    }
    if env::var_os("XDG_RUNTIME_DIR").is_none() {
        // Mesa warns about the missing variable at every start, in the midst of what the tests print.
        command.env("XDG_RUNTIME_DIR", env::temp_dir());
    }
    command
}

/// Returns the folder of the repository.
pub fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

pub fn cargo_path() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Whether [`cargo`] names clang as the compiler: swgl runs 2 to 4 times faster than when GCC builds it.
pub fn uses_clang() -> bool {
    !compiler_is_chosen() && on_path("clang") && on_path("clang++")
}

/// Whether the user has chosen a compiler, which xtask then leaves alone.
pub fn compiler_is_chosen() -> bool {
    env::var_os("CC").is_some() || env::var_os("CXX").is_some()
}

/// Returns the command as one would type it, without its environment.
pub fn written(command: &Command) -> String {
    let program = match command.get_program() {
        program if program == cargo_path() => "cargo".into(),
        program => program.to_string_lossy(),
    };
    let mut line = program.into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_written_without_its_path() {
        assert_eq!(written(cargo().args(["fmt", "--all"])), "cargo fmt --all");
    }

    #[test]
    fn a_program_that_is_not_there_neither_succeeds_nor_prints() {
        assert!(!on_path("no-such-program-anywhere"));
        assert!(!succeeds("no-such-program-anywhere", &[]));
        assert_eq!(stdout_of("no-such-program-anywhere", &[]), "");
    }
}
