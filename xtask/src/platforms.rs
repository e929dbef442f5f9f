//! `cargo xtask platforms`: checks and lints the library for systems that this machine is not.
//!
//! No linker and no standard library of those systems is needed: nothing is linked, and cargo compiles the standard library too. That
//! takes a compiler with the source of its library, which Debian has. Nothing is run, so this shows that the code compiles, no more.

use crate::error::XtaskError;
use crate::packages::PLATFORM_PACKAGES;
use crate::process::{cargo, root, run};
use crate::setup;

/// Systems, and the sets of features that matter there.
const PLATFORMS: [(&str, &[&str]); 4] = [
    ("x86_64-pc-windows-msvc", &["dx12", "dx12,vulkan,gles,serde"]),
    ("aarch64-apple-darwin", &["metal", "metal,serde"]),
    ("aarch64-linux-android", &["vulkan", "vulkan,gles,serde"]),
    ("x86_64-unknown-freebsd", &["vulkan"]),
];

pub fn command() -> Result<(), XtaskError> {
    setup::ensure_packages(&PLATFORM_PACKAGES)?;
    for (target, features) in PLATFORMS {
        for features in features {
            println!("=== {target}, {features}");
            let mut command = cargo();
            // The compiler is a stable one, which builds its library if it takes itself for a nightly one.
            command.envs([("RUSTC", "/usr/bin/rustc"), ("RUSTC_BOOTSTRAP", "1")]);
            command.env("RUSTC_WORKSPACE_WRAPPER", "/usr/bin/clippy-driver").env("CLIPPY_ARGS", "-Dwarnings");
            command.env("CARGO_TARGET_DIR", root().join("target/platforms"));
            command.args(["check", "--package", "webgpu-presentation", "--lib", "--no-default-features"]);
            command.args(["-Zbuild-std=std,panic_abort", "--target", target, "--features", features]);
            run(&mut command)?;
        }
    }
    Ok(())
}
