//! The steps of `cargo xtask test`, in their order: what fails soonest comes first.
//!
//! Building is most of the time. Cargo keeps apart what is only checked from what is compiled, and builds with
//! different features, so there are two large sets: clippy's, and that of `test`, `loom` and `doctest`. They share the
//! slow build scripts, of swgl and of WebRender's shaders.

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
    /// What threads share, in every order that they can take the locks in: nearly.
    Loom,
    /// The examples in the documentation.
    Doctest,
    /// Nothing is left after minutes of canvases and devices that come and go.
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

    /// Whether its output has lines of test results to count.
    pub fn runs_tests(self) -> bool {
        matches!(self, Self::Test | Self::Loom | Self::Doctest)
    }

    pub fn command(self) -> Command {
        let mut command = cargo();
        command.args(self.arguments().split(' ')).envs(self.environment().iter().copied());
        if self.runs_tests() || self == Self::Soak {
            // The loader's chatter hides what the tests say.
            command.env_remove("VK_LOADER_DEBUG");
        }
        command
    }

    /// The command and what is special in its environment, to show.
    pub fn written(self) -> String {
        let variables = self.environment().iter().map(|(name, value)| format!("{name}=\"{value}\" "));
        variables.collect::<String>() + &written(&self.command())
    }

    /// The tests to run of the program that the command builds, if it does not run it.
    pub fn builds(self) -> Option<&'static str> {
        (self == Self::Loom).then_some("tests::loom::")
    }

    fn arguments(self) -> &'static str {
        match self {
            // rustfmt colours its diff even where no terminal reads it.
            Self::Fmt => "fmt --all --check -- --color never",
            Self::Clippy => "clippy --workspace --all-targets --all-features -- -D warnings",
            Self::BuildMinimal => "check --package webgpu-presentation --no-default-features",
            // FreeType is the tests' choice. Naming it here lets WebRender's build script, which takes a
            // minute, count as built already.
            Self::Docs => {
                "doc --package webgpu-presentation --no-deps --features webrender,webrender/static_freetype"
            }
            // Other tests run on after a failure, so that the count is whole.
            Self::Test => "test --workspace --all-targets --features webrender,gles --no-fail-fast",
            // Loom's locks are for this crate alone: with RUSTFLAGS everything would be built again.
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
            // Without an adapter the tests are to fail, where they would else be skipped.
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
