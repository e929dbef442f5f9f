//! `cargo xtask setup`, and the beginning of most other commands.
//!
//! [`ensure`] compares the machine with the list of packages, and installs with apt-get what is missing: as root or
//! with sudo, on Debian and its descendants. Elsewhere it names what is missing and stops. rustfmt and clippy, which a
//! minimal toolchain leaves out, come from rustup.

use std::path::Path;
use std::process::Command;

use crate::error::XtaskError;
use crate::packages::{PACKAGES, Package, adapters, vulkan_summary};
use crate::process::{cargo_path, on_path, run, stdout_of, succeeds, uses_clang};

/// Makes the machine ready, and prints all that it has.
pub fn command() -> Result<(), XtaskError> {
    ensure()?;
    println!("Found: {}", PACKAGES.map(|package| package.purpose).join(", "));
    if uses_clang() {
        println!("C++ is built with clang. A plain `cargo build` shares these builds after");
        println!("    export CC=clang CXX=clang++");
    }
    Ok(())
}

/// Installs what is missing, and prints which Vulkan adapters there are. Takes half a second if nothing is missing.
pub fn ensure() -> Result<(), XtaskError> {
    ensure_packages(&PACKAGES)?;
    ensure_components()?;
    for adapter in adapters(&vulkan_summary()) {
        println!("Vulkan adapter: {adapter}");
    }
    Ok(())
}

/// Installs those of the packages that are missing.
pub fn ensure_packages(packages: &[Package]) -> Result<(), XtaskError> {
    let missing = missing(packages, &vulkan_summary());
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)?;
    let missing = self::missing(packages, &vulkan_summary());
    if missing.is_empty() { Ok(()) } else { Err(XtaskError::StillMissing(listed(&missing))) }
}

fn missing<'a>(packages: &'a [Package], vulkan: &str) -> Vec<&'a Package> {
    packages.iter().filter(|package| !(package.is_present)(vulkan)).collect()
}

/// Lists packages, one on each line, for a reader whose distribution may call them something else.
fn listed(packages: &[&Package]) -> String {
    let line = |package: &&Package| format!("\n    {}: {}", package.name, package.purpose);
    packages.iter().map(line).collect()
}

fn install(missing: &[&Package]) -> Result<(), XtaskError> {
    let as_root = stdout_of("id", &["-u"]).trim() == "0";
    let is_debian = Path::new("/etc/debian_version").exists() && on_path("apt-get");
    if !is_debian || !(as_root || on_path("sudo")) {
        return Err(XtaskError::Missing(listed(missing)));
    }
    println!("Missing:{}", listed(missing));
    run(apt_get(as_root).arg("update"))?;
    let names = missing.iter().map(|package| package.name);
    run(apt_get(as_root).args(["install", "-y", "--no-install-recommends"]).args(names))
}

/// Returns a command that asks no questions, whether sudo, which clears the environment, runs it or not.
fn apt_get(as_root: bool) -> Command {
    let mut command = Command::new(if as_root { "env" } else { "sudo" });
    if !as_root {
        command.arg("env");
    }
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    command
}

/// Makes sure of `cargo fmt` and `cargo clippy`.
fn ensure_components() -> Result<(), XtaskError> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        // rustup leaves a program of this name on PATH even if the component is not installed, so it has to be run.
        if succeeds(cargo_path(), &[subcommand, "--version"]) {
            continue;
        }
        if !on_path("rustup") {
            return Err(XtaskError::MissingComponent(component));
        }
        run(Command::new("rustup").args(["component", "add", component]))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_get_asks_no_questions_under_sudo_either() {
        let arguments: Vec<_> = apt_get(false).get_args().map(ToOwned::to_owned).collect();
        assert_eq!(arguments, ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    }

    #[test]
    fn a_missing_package_is_listed_with_its_purpose() {
        // An empty summary has neither adapter nor layer.
        let shown = listed(&missing(&PACKAGES, ""));
        assert!(shown.contains("\n    mesa-vulkan-drivers: Vulkan driver with an adapter"), "{shown}");
        assert!(shown.contains("\n    vulkan-validationlayers: Vulkan validation layers"), "{shown}");
    }
}
