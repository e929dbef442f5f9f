//! `cargo xtask setup`, and the beginning of every other command.

use crate::components::{COMPONENTS, Component, Machine};
use crate::distribution::{InstallError, install};
use crate::process::uses_clang;
use crate::toolchain::{self, ToolchainError};

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(transparent)]
    Install(#[from] InstallError),
    #[error("after installing, still missing: {0}")]
    StillMissing(String),
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
}

/// Makes the machine ready, and tells in full what it has.
pub fn command() -> Result<(), SetupError> {
    ensure()?;
    println!("Found: {}", names(&COMPONENTS.iter().collect::<Vec<_>>()));
    if uses_clang() {
        println!("C++ is built with clang. A plain `cargo build` shares these builds after");
        println!("    export CC=clang CXX=clang++");
    }
    Ok(())
}

/// Installs what is missing, and says which Vulkan adapters there are. Quick when all is there.
pub fn ensure() -> Result<(), SetupError> {
    let mut machine = Machine::look();
    let missing = missing_on(&machine);
    if !missing.is_empty() {
        println!("Missing: {}", names(&missing));
        install(&missing)?;
        machine = Machine::look();
        let missing = missing_on(&machine);
        if !missing.is_empty() {
            return Err(SetupError::StillMissing(names(&missing)));
        }
    }
    toolchain::ensure()?;
    for adapter in &machine.vulkan.adapters {
        println!("Vulkan adapter: {adapter}");
    }
    Ok(())
}

fn missing_on(machine: &Machine) -> Vec<&'static Component> {
    COMPONENTS.iter().filter(|component| !component.is_there(machine)).collect()
}

fn names(components: &[&Component]) -> String {
    components.iter().map(|component| component.name).collect::<Vec<_>>().join(", ")
}
