//! `cargo xtask servo browser`: builds the browser with each variant of the crates, and opens the pages in both.
//!
//! Cargo builds one variant at a time, in a folder that both share, and its program is copied out of there. A variant is built only if
//! something that it is made of is newer than its program: changing from one to the other builds all of Servo's script anew.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use std::{fs, io};

use super::sources::{self, Sources, Variant};
use super::{build_folder, cargo, servo_folder};
use crate::error::XtaskError;
use crate::packages::BROWSER_PACKAGES;
use crate::process::{root, run};
use crate::setup;

/// What SpiderMonkey and its bindings are built with: one clang, whose headers bindgen must find too.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("MOZJS_FROM_SOURCE", "1"),
    ("AR", "llvm-ar-19"),
    ("LIBCLANG_PATH", "/usr/lib/llvm-19/lib"),
    ("CLANG_PATH", "/usr/bin/clang-19"),
];

pub fn command(arguments: &[OsString]) -> Result<(), XtaskError> {
    setup::ensure()?;
    setup::ensure_packages(&BROWSER_PACKAGES)?;
    let sources = sources::lay_out(&root())?;
    for variant in [Variant::Published, Variant::Adapted] {
        ensure_built(&sources, variant).map_err(XtaskError::Browser)??;
    }
    run(&mut suite(arguments))
}

/// Builds the browser with a variant, unless that was done. The outer error is one of files.
fn ensure_built(sources: &Sources, variant: Variant) -> io::Result<Result<(), XtaskError>> {
    let program = program_of(variant);
    let mut inputs = vec![manifest_folder(), sources.folder_of(variant)];
    if variant == Variant::Adapted {
        inputs.extend(["src", "Cargo.toml"].map(|name| root().join(name)));
    }
    let newest = inputs.iter().map(|input| newest(input)).collect::<io::Result<Vec<_>>>()?.into_iter().max();
    let is_current = fs::metadata(&program).and_then(|program| program.modified()).ok() >= newest;
    if is_current && program.exists() && built("suite").exists() {
        return Ok(Ok(()));
    }
    println!("Building Servo, {variant}. The first build takes about 50 minutes of one core, and 5 GB.");
    if let Err(error) = sources.choose(variant) {
        return Ok(Err(error.into()));
    }
    if let Err(error) = run(&mut build()) {
        return Ok(Err(error));
    }
    fs::copy(built("browser"), program)?;
    Ok(Ok(()))
}

/// Returns when the newest file was modified that a path leads to.
fn newest(path: &Path) -> io::Result<SystemTime> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_dir() {
        return metadata.modified();
    }
    let mut newest_file = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(path)? {
        newest_file = newest_file.max(newest(&entry?.path())?);
    }
    Ok(newest_file)
}

fn build() -> Command {
    let mut command = cargo();
    command.args(["build", "--release", "--locked", "--manifest-path"]);
    command.arg(manifest_folder().join("Cargo.toml"));
    command.arg("--target-dir").arg(build_folder());
    command.envs(ENVIRONMENT);
    command
}

fn suite(arguments: &[OsString]) -> Command {
    let mut command = Command::new(built("suite"));
    command.arg("--pages").arg(root().join("integrations/servo/pages"));
    command.arg("--published").arg(program_of(Variant::Published));
    command.arg("--adapted").arg(program_of(Variant::Adapted));
    command.arg("--out").arg(servo_folder().join("pages"));
    command.arg("--sheet").arg(servo_folder().join("contact-sheet.png"));
    command.args(arguments);
    command
}

fn manifest_folder() -> PathBuf {
    root().join("integrations/servo/browser")
}

/// Returns where cargo puts a program.
fn built(name: &str) -> PathBuf {
    build_folder().join("release").join(name)
}

/// Returns the browser that was built with a variant.
fn program_of(variant: Variant) -> PathBuf {
    servo_folder().join(format!("browser-{variant}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::written;

    #[test]
    fn the_browser_is_built_in_release_with_its_own_lock_file() {
        let line = written(&build());
        assert!(line.starts_with("cargo build --release --locked --manifest-path "), "{line}");
        for file in ["Cargo.toml", "Cargo.lock"] {
            assert!(manifest_folder().join(file).is_file(), "{file}");
        }
    }

    #[test]
    fn the_suite_opens_the_pages_in_both_browsers_and_gets_the_arguments() {
        let line = written(&suite(&["hidden".into()]));
        for part in ["integrations/servo/pages", "browser-published", "browser-adapted", "contact-sheet.png"]
        {
            assert!(line.contains(part), "{line}");
        }
        assert!(line.ends_with(" hidden"), "{line}");
        assert!(root().join("integrations/servo/pages").is_dir());
    }

    #[test]
    fn the_newest_file_of_a_folder_counts_not_the_folder() {
        let folder = std::env::temp_dir().join(format!("xtask-newest-{}", std::process::id()));
        fs::create_dir_all(folder.join("below")).unwrap();
        let long_ago = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
        fs::write(folder.join("below/file"), "").unwrap();
        let file = fs::File::options().write(true).open(folder.join("below/file")).unwrap();
        file.set_modified(long_ago).unwrap();
        assert_eq!(newest(&folder).unwrap(), long_ago);
        assert!(newest(&folder.join("none")).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
