//! `cargo xtask features`: the library compiles with each feature alone and with others, without a warning, and uses all of its dependencies.
//!
//! Sets that are checked: none; each feature alone; each one with `vulkan`, the default; each two that change code of this crate, with and
//! without `vulkan`; and all. A feature that only turns on features of wgpu-core changes no code here, so its pairs with others show nothing new.
//!
//! The lint `unused_crate_dependencies` tells of a dependency that no code names. A dependency that is used with a feature alone is to be
//! optional, so it is a finding that one set has such a dependency.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::error::XtaskError;
use crate::process::{cargo, cargo_path, run, stdout_of};

const PACKAGE: &str = "webgpu-presentation";

/// The default feature.
const VULKAN: &str = "vulkan";

/// What `cargo metadata` tells of the workspace.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    /// Each feature, and what it turns on.
    features: BTreeMap<String, Vec<String>>,
}

pub fn command() -> Result<(), XtaskError> {
    let sets = sets(&features()?);
    for (number, set) in (1..).zip(&sets) {
        println!("=== {number} of {}: {}", sets.len(), if set.is_empty() { "no feature" } else { set });
        let mut command = cargo();
        // Flags after the dashes are for the library alone, so that its dependencies need not be checked anew.
        command.args(["rustc", "--package", PACKAGE, "--lib", "--profile", "check", "--no-default-features"]);
        command.args(["--features", set, "--", "-D", "warnings", "-W", "unused-crate-dependencies"]);
        run(&mut command)?;
    }
    Ok(())
}

/// Returns the features of the library, as its Cargo.toml lists them.
fn features() -> Result<BTreeMap<String, Vec<String>>, XtaskError> {
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let json = stdout_of(&cargo_path().to_string_lossy(), &arguments);
    let Metadata { packages } = serde_json::from_str(&json).map_err(XtaskError::Metadata)?;
    let library = packages.into_iter().find(|package| package.name == PACKAGE);
    Ok(library.map(|package| package.features).unwrap_or_default())
}

/// Returns the sets of features that are checked, in the order of their size, each as cargo takes it.
fn sets(features: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let all: Vec<&str> = features.keys().map(String::as_str).filter(|name| *name != "default").collect();
    let changes_code = |name: &&&str| !features[**name].iter().all(|on| on.starts_with("wgpu-core/"));
    let own: Vec<&str> = all.iter().filter(changes_code).copied().collect();
    let alone = all.iter().map(|name| BTreeSet::from([*name]));
    let pairs = own.iter().flat_map(|one| own.iter().map(move |other| BTreeSet::from([*one, *other])));
    let without: Vec<_> = alone.chain(pairs).collect();
    let with_vulkan = without.iter().map(|set| set | &BTreeSet::from([VULKAN]));
    let every = BTreeSet::from_iter(all.iter().copied());
    let ends = [BTreeSet::new(), every];
    // The set of sets drops those that came about twice.
    let sets: BTreeSet<_> = with_vulkan.chain(without.iter().cloned()).chain(ends).collect();
    let mut sets: Vec<Vec<&str>> = sets.into_iter().map(|set| set.into_iter().collect()).collect();
    sets.sort_by_key(Vec::len);
    sets.into_iter().map(|set| set.join(",")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(features: &[(&str, &[&str])]) -> Vec<String> {
        let features = features.iter().map(|(name, on)| {
            (String::from(*name), on.iter().map(|on| String::from(*on)).collect::<Vec<_>>())
        });
        sets(&features.collect())
    }

    #[test]
    fn each_feature_is_checked_alone_and_those_with_code_in_pairs() {
        let sets = of(&[
            ("default", &["vulkan"]),
            ("vulkan", &["wgpu-core/vulkan", "dep:ash"]),
            ("gles", &["wgpu-core/gles"]),
            ("serde", &["dep:serde", "wgpu-core/serde"]),
            ("webrender", &["dep:webrender"]),
        ]);
        let expected = [
            "",
            "gles",
            "serde",
            "vulkan",
            "webrender",
            "gles,vulkan",
            "serde,vulkan",
            "serde,webrender",
            "vulkan,webrender",
            "serde,vulkan,webrender",
            "gles,serde,vulkan,webrender",
        ];
        assert_eq!(sets, expected);
    }

    #[test]
    fn each_feature_of_cargo_toml_is_checked_alone() {
        let features = features().unwrap();
        assert!(features.contains_key(VULKAN), "{features:?}");
        let sets = sets(&features);
        for name in features.keys().filter(|name| *name != "default") {
            assert!(sets.contains(name), "{name}: {sets:?}");
        }
    }
}
