//! Lays out the two crates of Servo below `target/servo`.
//!
//! Cargo says where it unpacked them, after comparing them with the checksums of a lock file. `published` holds them as they are but
//! for the list of dependencies, `adapted` with our edits and our adapter, and `variant` a copy of either. A file is only written if
//! its contents differ, because cargo builds anew what was written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;

use super::edits::{self, Edit, EditError};
use crate::process::cargo;

/// The crates that are changed.
const CRATES: [&str; 2] = ["servo-webgpu", "servo-paint-api"];
/// The file that the adapter takes the place of.
const ADAPTED_FILE: &str = "servo-webgpu/canvas_context.rs";
/// The file that nothing takes the place of.
const REMOVED_FILE: &str = "servo-webgpu/poll_thread.rs";

#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cargo could not be asked for the crates of Servo: {0}")]
    NotAsked(io::Error),
    #[error("cargo does not have the crates of Servo:\n{0}")]
    NotThere(String),
    #[error("cargo describes the crates of Servo in an unknown way: {0}")]
    Metadata(#[from] serde_json::Error),
    #[error("the crates of Servo lack {0}")]
    Missing(String),
    #[error("edits.toml: {0}")]
    Edits(#[from] toml::de::Error),
    #[error(transparent)]
    Edit(#[from] EditError),
}

/// Which crates of Servo a program is built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// As Servo published them, with one more dependency.
    Published,
    /// As they are on this crate.
    Adapted,
}

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Adapted => "adapted",
        }
    }
}

/// The files of both crates, by their path below the folder that holds the crates.
type Files = BTreeMap<String, Vec<u8>>;

/// The laid out crates.
pub struct Sources {
    /// The folder `target/servo`.
    folder: PathBuf,
    published: Files,
    adapted: Files,
}

/// Lays out the crates as published and as adapted.
pub fn lay_out(root: &Path) -> Result<Sources, SourcesError> {
    let ours = root.join("integrations/servo");
    let text = read_text(&ours.join("edits.toml"))?;
    let edits = edits::parse(&text)?;
    let original = published(&ours.join("sources/Cargo.toml"))?;
    let published = changed(&original, edits.iter().filter(|edit| edit.both))?;
    let mut adapted = changed(&original, &edits)?;
    for file in [ADAPTED_FILE, REMOVED_FILE] {
        adapted.remove(file).ok_or_else(|| SourcesError::Missing(file.into()))?;
    }
    adapted.insert(ADAPTED_FILE.into(), read(&ours.join("adapter.rs"))?);
    let sources = Sources { folder: root.join("target/servo"), published, adapted };
    for variant in [Variant::Published, Variant::Adapted] {
        write(&sources.folder_of(variant), sources.files_of(variant))?;
    }
    Ok(sources)
}

impl Sources {
    /// Returns the folder that holds the crates of a variant.
    pub fn folder_of(&self, variant: Variant) -> PathBuf {
        self.folder.join(variant.name())
    }

    /// Lays a variant where the browser looks for it: in `target/servo/variant`.
    #[expect(dead_code, reason = "the browser, which is built apart, calls it")]
    pub fn choose(&self, variant: Variant) -> Result<(), SourcesError> {
        write(&self.folder.join("variant"), self.files_of(variant))
    }

    fn files_of(&self, variant: Variant) -> &Files {
        match variant {
            Variant::Published => &self.published,
            Variant::Adapted => &self.adapted,
        }
    }
}

/// Returns the files that cargo unpacked.
fn published(manifest: &Path) -> Result<Files, SourcesError> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        manifest_path: PathBuf,
    }
    let mut command = cargo();
    command.args(["metadata", "--locked", "--format-version", "1", "--manifest-path"]).arg(manifest);
    let output = command.output().map_err(SourcesError::NotAsked)?;
    if !output.status.success() {
        return Err(SourcesError::NotThere(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let Metadata { packages } = serde_json::from_slice(&output.stdout)?;
    let mut files = Files::new();
    for name in CRATES {
        let package = packages.iter().find(|package| package.name == name);
        let folder = package.and_then(|package| package.manifest_path.parent());
        gather(folder.ok_or_else(|| SourcesError::Missing(name.into()))?, name, &mut files)?;
    }
    Ok(files)
}

/// Takes the files of a folder and of those below it. Cargo's own files are left out: lock files, dot files, and the manifest as
/// it was before cargo published it.
fn gather(folder: &Path, name: &str, files: &mut Files) -> Result<(), SourcesError> {
    for entry in fs::read_dir(folder).map_err(of(folder))? {
        let entry = entry.map_err(of(folder))?;
        let (path, file) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if file.starts_with('.') || ["Cargo.lock", "Cargo.toml.orig"].contains(&&*file) {
            continue;
        }
        let name = format!("{name}/{file}");
        if path.is_dir() {
            gather(&path, &name, files)?;
        } else {
            files.insert(name, read(&path)?);
        }
    }
    Ok(())
}

/// Returns the files after the edits.
fn changed<'a>(original: &Files, edits: impl IntoIterator<Item = &'a Edit>) -> Result<Files, SourcesError> {
    let mut files = original.clone();
    for edit in edits {
        let file = files.get_mut(&edit.file).ok_or_else(|| SourcesError::Missing(edit.file.clone()))?;
        *file = edit.apply(&String::from_utf8_lossy(file))?.into_bytes();
    }
    Ok(files)
}

/// Makes a folder hold these files and no others, and leaves alone what it holds already.
fn write(folder: &Path, files: &Files) -> Result<(), SourcesError> {
    for (name, contents) in files {
        let path = folder.join(name);
        if fs::read(&path).is_ok_and(|present| present == *contents) {
            continue;
        }
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(of(parent))?;
        fs::write(&path, contents).map_err(of(&path))?;
    }
    let names: BTreeSet<_> = files.keys().map(|name| folder.join(name)).collect();
    remove_others(folder, &names)
}

fn remove_others(folder: &Path, names: &BTreeSet<PathBuf>) -> Result<(), SourcesError> {
    for entry in fs::read_dir(folder).map_err(of(folder))? {
        let path = entry.map_err(of(folder))?.path();
        if path.is_dir() {
            remove_others(&path, names)?;
        } else if !names.contains(&path) {
            fs::remove_file(&path).map_err(of(&path))?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, SourcesError> {
    fs::read(path).map_err(of(path))
}

fn read_text(path: &Path) -> Result<String, SourcesError> {
    fs::read_to_string(path).map_err(of(path))
}

fn of(path: &Path) -> impl FnOnce(io::Error) -> SourcesError {
    move |source| SourcesError::File { path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of a test's own, which is removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("xtask-{test}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn files(pairs: &[(&str, &str)]) -> Files {
        pairs.iter().map(|(name, contents)| ((*name).into(), (*contents).into())).collect()
    }

    fn edit(file: &str, find: &str, with: &str) -> Edit {
        let text =
            format!("[[edit]]\nfile = {file:?}\nwhy = \"It is a test.\"\nfind = {find:?}\nwith = {with:?}\n");
        edits::parse(&text).unwrap().remove(0)
    }

    #[test]
    fn a_file_is_only_written_if_its_contents_differ_and_others_go() {
        let folder = Folder::new("write");
        write(&folder.0, &files(&[("a/b.rs", "1"), ("a/c.rs", "1"), ("a/d/e.rs", "1")])).unwrap();
        let [same, other] = ["a/b.rs", "a/c.rs"].map(|name| folder.0.join(name));
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        for path in [&same, &other] {
            fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
        }
        write(&folder.0, &files(&[("a/b.rs", "1"), ("a/c.rs", "2")])).unwrap();
        let modified = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
        assert_eq!(modified(&same), long_ago);
        assert_ne!(modified(&other), long_ago);
        assert_eq!(fs::read(&other).unwrap(), b"2");
        assert!(!folder.0.join("a/d/e.rs").exists());
    }

    #[test]
    fn what_belongs_to_cargo_is_not_copied() {
        let folder = Folder::new("gather");
        fs::create_dir_all(folder.0.join("tests")).unwrap();
        for name in ["lib.rs", "Cargo.toml", "Cargo.lock", "Cargo.toml.orig", ".cargo-ok", "tests/a.rs"] {
            fs::write(folder.0.join(name), "").unwrap();
        }
        let mut files = Files::new();
        gather(&folder.0, "crate", &mut files).unwrap();
        let names: Vec<_> = files.keys().map(String::as_str).collect();
        assert_eq!(names, ["crate/Cargo.toml", "crate/lib.rs", "crate/tests/a.rs"]);
    }

    #[test]
    fn an_edit_of_a_file_that_is_not_there_is_an_error() {
        let original = files(&[("a.rs", "old")]);
        assert_eq!(changed(&original, &[edit("a.rs", "old", "new")]).unwrap(), files(&[("a.rs", "new")]));
        let error = changed(&original, &[edit("b.rs", "old", "new")]).unwrap_err();
        assert_eq!(error.to_string(), "the crates of Servo lack b.rs");
    }
}
