//! How packages are installed on this system.

use std::fmt::{self, Write};
use std::fs;
use std::process::Command;

use crate::components::Component;
use crate::process::{ProcessError, on_path, run, stdout_of};

#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error("the demo and the tests run on Linux only; the library itself builds here")]
    NotLinux,
    #[error("this machine lacks some packages. Install them and run the command again:\n{0}")]
    Unknown(Advice),
    #[error(
        "this machine lacks some packages, and installing them takes root. Run\n\n    {0}\n\nand try again"
    )]
    NeedsRoot(String),
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// Installs the packages of these components, where we know how to.
pub fn install(missing: &[&Component]) -> Result<(), InstallError> {
    if !cfg!(target_os = "linux") {
        return Err(InstallError::NotLinux);
    }
    let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !on_path("apt-get") || !is_debian_like(&os_release) {
        return Err(InstallError::Unknown(Advice::for_missing(missing)));
    }
    let packages: Vec<&str> = missing.iter().map(|component| component.packages.debian).collect();
    let as_root = stdout_of("id", &["-u"]).trim() == "0";
    if !as_root && !on_path("sudo") {
        return Err(InstallError::NeedsRoot(format!(
            "apt-get update && apt-get install -y --no-install-recommends {}",
            packages.join(" ")
        )));
    }
    run(apt_get(as_root).arg("update"))?;
    Ok(run(apt_get(as_root).args(["install", "-y", "--no-install-recommends"]).args(packages))?)
}

/// sudo clears the environment, so that the variable has to be set behind it.
fn apt_get(as_root: bool) -> Command {
    let mut command = Command::new(if as_root { "env" } else { "sudo" });
    if !as_root {
        command.arg("env");
    }
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    command
}

/// Whether `ID` or `ID_LIKE` of an os-release file names Debian or Ubuntu.
fn is_debian_like(os_release: &str) -> bool {
    let fields = os_release.lines().filter_map(|line| line.trim().split_once('='));
    fields
        .filter(|(key, _)| matches!(*key, "ID" | "ID_LIKE"))
        .flat_map(|(_, value)| value.trim_matches(['"', '\'']).split_whitespace())
        .any(|name| matches!(name, "debian" | "ubuntu"))
}

/// The commands that install what is missing, for the distributions we know.
#[derive(Debug)]
pub struct Advice {
    debian: String,
    fedora: String,
    arch: String,
}

impl Advice {
    fn for_missing(missing: &[&Component]) -> Self {
        let mut advice = Self { debian: String::new(), fedora: String::new(), arch: String::new() };
        for component in missing {
            let packages = &component.packages;
            // Writing to a string does not fail.
            let _ = write!(advice.debian, " {}", packages.debian);
            let _ = write!(advice.fedora, " {}", packages.fedora);
            let _ = write!(advice.arch, " {}", packages.arch);
        }
        advice
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "    Debian, Ubuntu   apt-get install{}", self.debian)?;
        writeln!(f, "    Fedora           dnf install{}", self.fedora)?;
        write!(f, "    Arch             pacman -S{}", self.arch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::COMPONENTS;

    #[test]
    fn debian_and_its_descendants_are_recognised() {
        assert!(is_debian_like("PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n"));
        assert!(is_debian_like("ID=ubuntu\nID_LIKE=debian\n"));
        assert!(is_debian_like("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
    }

    #[test]
    fn other_systems_are_not_taken_for_debian() {
        assert!(!is_debian_like(""));
        assert!(!is_debian_like("ID=fedora\nVARIANT_ID=debian\n"));
        assert!(!is_debian_like("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\nNAME=debian\n"));
    }

    #[test]
    fn advice_names_every_missing_package() {
        let missing: Vec<&Component> = COMPONENTS.iter().collect();
        let shown = Advice::for_missing(&missing).to_string();
        for component in missing {
            let packages = &component.packages;
            for package in [packages.debian, packages.fedora, packages.arch] {
                assert!(shown.contains(&format!(" {package}")), "{package} is not in:\n{shown}");
            }
        }
    }

    #[test]
    fn apt_get_asks_no_questions_under_sudo_either() {
        let arguments: Vec<String> =
            apt_get(false).get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
        assert_eq!(arguments, ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    }
}
