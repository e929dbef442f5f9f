//! The steps of `cargo xtask test`, in their order: what fails soonest comes first.
//!
//! Building takes most of the time. Cargo keeps what is only checked apart from what is compiled, and keeps builds with
//! different features apart, so there are two large sets of artifacts: those of clippy, and those that `test`, `loom`
//! and `doctest` share. The features of each step are chosen such that the slow build scripts, of swgl and of
//! WebRender's shaders, run once for both.

use std::process::Command;

use clap::ValueEnum;

use crate::process::{cargo, written};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Step {
    /// The code is formatted.
    Fmt,
    /// No lint finds anything, with all features.
    Clippy,
    /// The library compiles with no feature at all.
    BuildMinimal,
    /// The documentation builds without a warning.
    Docs,
    /// Unit tests, tests on a fake GPU, tests on Vulkan and tests against WebRender.
    Test,
    /// What threads share, in nearly every order in which they can take the locks.
    Loom,
    /// The examples in the documentation.
    Doctest,
    /// Canvases and devices that come and go for two minutes leave nothing behind.
    Soak,
}

impl Step {
    pub fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::BuildMinimal => "build-minimal",
            Self::Docs => "docs",
            Self::Test => "test",
            Self::Loom => "loom",
            Self::Doctest => "doctest",
            Self::Soak => "soak",
        }
    }

    /// Whether the step prints lines of test results to count.
    pub fn runs_tests(self) -> bool {
        matches!(self, Self::Test | Self::Loom | Self::Doctest)
    }

    pub fn command(self) -> Command {
        let mut command = cargo();
        command.args(self.arguments().split(' ')).envs(self.environment().iter().copied());
        if self.runs_tests() || self == Self::Soak {
            // The messages of the Vulkan loader would hide those of the tests.
            command.env_remove("VK_LOADER_DEBUG");
        }
        command
    }

    /// Returns the command as one would type it, with what is special in its environment.
    pub fn written(self) -> String {
        let variables = self.environment().iter().map(|(name, value)| format!("{name}=\"{value}\" "));
        variables.collect::<String>() + &written(&self.command())
    }

    /// Returns which tests to run of the program that the command builds, if the command does not run it itself.
    pub fn builds(self) -> Option<&'static str> {
        (self == Self::Loom).then_some("tests::loom::")
    }

    fn arguments(self) -> &'static str {
        match self {
            // rustfmt colors its diff even if it does not go to a terminal.
            Self::Fmt => "fmt --all --check -- --color never",
            Self::Clippy => "clippy --workspace --all-targets --all-features -- -D warnings",
            Self::BuildMinimal => "check --package webgpu-presentation --no-default-features",
            // The tests build WebRender with FreeType. With the same feature here, its build script, which takes a
            // minute, need not run again.
            Self::Docs => {
                "doc --package webgpu-presentation --no-deps --features webrender,webrender/static_freetype"
            }
            // After a failure the other tests run too, so that all of them are counted.
            Self::Test => "test --workspace --all-targets --features webrender,gles --no-fail-fast",
            // `--cfg loom` goes to this crate only. In RUSTFLAGS it would build every dependency anew.
            Self::Loom => concat!(
                "rustc --package webgpu-presentation --lib --profile test --features webrender,gles ",
                "--message-format json-render-diagnostics -- --cfg loom -D warnings"
            ),
            Self::Doctest => "test --package webgpu-presentation --doc --features webrender",
            Self::Soak => {
                "run --package webgpu-presentation --features webrender,gles --example soak -- --minutes 2"
            }
        }
    }

    fn environment(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Fmt | Self::Clippy | Self::BuildMinimal | Self::Loom | Self::Soak => &[],
            Self::Docs => &[("RUSTDOCFLAGS", "-D warnings")],
            // Without an adapter tests fail here, while a plain `cargo test` skips them.
            Self::Test | Self::Doctest => {
                &[("WEBGPU_PRESENTATION_REQUIRE_ADAPTER", "1"), ("RUST_BACKTRACE", "1")]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_called_what_the_command_line_calls_it() {
        for step in Step::value_variants() {
            assert_eq!(Step::from_str(step.name(), false), Ok(*step));
        }
    }

    #[test]
    fn a_step_is_written_as_one_would_type_it() {
        assert_eq!(Step::Fmt.written(), "cargo fmt --all --check -- --color never");
        assert!(Step::Docs.written().starts_with("RUSTDOCFLAGS=\"-D warnings\" cargo doc "));
    }
}
