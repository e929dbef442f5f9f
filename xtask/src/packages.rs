//! What the demo and the tests need of the machine, as Debian packages.
//!
//! A package counts as present when the machine has what it is needed for, wherever that came from: a driver of the
//! vendor or a compiler built from source will do. Vulkan is judged by what its loader offers, as `vulkaninfo` prints
//! it, rather than by the files of drivers: a machine may have drivers and no device for them. Libraries are looked for
//! with `cc`, which rustc links with, so it is there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::{compiler_is_chosen, on_path, stdout_of, succeeds, uses_clang};

pub struct Package {
    /// The package's name in Debian and Ubuntu.
    pub name: &'static str,
    pub purpose: &'static str,
    /// Whether the machine has what the package is needed for, given what `vulkaninfo --summary` prints.
    pub is_present: fn(vulkan: &str) -> bool,
}

pub const PACKAGES: [Package; 15] = [
    Package {
        name: "libvulkan1",
        purpose: "Vulkan loader",
        is_present: |_| library("libvulkan.so.1").is_some(),
    },
    Package { name: "vulkan-tools", purpose: "vulkaninfo", is_present: |_| on_path("vulkaninfo") },
    Package {
        name: "mesa-vulkan-drivers",
        purpose: "Vulkan driver with an adapter",
        is_present: |vulkan| !adapters(vulkan).is_empty(),
    },
    // Without a driver the loader lists no layers either: both packages are then called missing.
    Package {
        name: "vulkan-validationlayers",
        purpose: "Vulkan validation layers",
        is_present: |vulkan| vulkan.contains("VK_LAYER_KHRONOS_validation"),
    },
    // surfman and wgpu-hal load libEGL.so.1 at run time, and reach OpenGL through it alone.
    Package { name: "libegl1", purpose: "EGL", is_present: |_| library("libEGL.so.1").is_some() },
    Package {
        name: "libgl1-mesa-dri",
        purpose: "software OpenGL",
        is_present: |_| library("dri/swrast_dri.so").is_some() || has_gallium(),
    },
    // winit and surfman load these at run time, with what they depend on.
    Package {
        name: "libx11-xcb1",
        purpose: "X11 client libraries",
        is_present: |_| library("libX11-xcb.so.1").is_some() && library("libX11.so.6").is_some(),
    },
    Package {
        name: "libxcursor1",
        purpose: "X11 cursors",
        is_present: |_| library("libXcursor.so.1").is_some(),
    },
    Package { name: "libxi6", purpose: "X11 input", is_present: |_| library("libXi.so.6").is_some() },
    Package {
        name: "libxkbcommon-x11-0",
        purpose: "X11 keyboards",
        is_present: |_| library("libxkbcommon-x11.so.0").is_some(),
    },
    Package { name: "xvfb", purpose: "X server without a screen", is_present: |_| on_path("Xvfb") },
    Package { name: "pkg-config", purpose: "pkg-config", is_present: |_| on_path("pkg-config") },
    // The version is the one that freetype-sys asks for.
    Package {
        name: "libfreetype-dev",
        purpose: "FreeType to build against",
        is_present: |_| succeeds("pkg-config", &["--exists", "freetype2 >= 24.3.18"]),
    },
    Package { name: "clang", purpose: "clang", is_present: |_| compiler_is_chosen() || uses_clang() },
    Package {
        name: "g++",
        purpose: "C++ standard library",
        is_present: |_| library("libstdc++.so").is_some(),
    },
];

/// What Servo is built with, beside [`PACKAGES`].
pub const BROWSER_PACKAGES: [Package; 8] = [
    Package { name: "make", purpose: "make", is_present: |_| on_path("make") },
    Package { name: "python3", purpose: "Python", is_present: |_| on_path("python3") },
    Package { name: "clang-19", purpose: "clang for SpiderMonkey", is_present: |_| on_path("clang++-19") },
    Package { name: "llvm-19", purpose: "LLVM's archiver", is_present: |_| on_path("llvm-ar-19") },
    Package {
        name: "libclang-19-dev",
        purpose: "clang for bindgen",
        is_present: |_| exists("/usr/lib/llvm-19/lib/libclang.so"),
    },
    Package { name: "lld-19", purpose: "a linker for SpiderMonkey", is_present: |_| on_path("ld.lld-19") },
    Package {
        name: "libfontconfig1-dev",
        purpose: "fontconfig to build against",
        is_present: |_| headers("fontconfig"),
    },
    Package { name: "zlib1g-dev", purpose: "zlib to build against", is_present: |_| headers("zlib") },
];

/// What the library is checked with for other systems.
pub const PLATFORM_PACKAGES: [Package; 3] = [
    Package { name: "rustc-web", purpose: "Debian's Rust", is_present: |_| exists("/usr/bin/rustc") },
    Package {
        name: "rust-web-clippy",
        purpose: "its lints",
        is_present: |_| exists("/usr/bin/clippy-driver"),
    },
    Package {
        name: "rust-web-src",
        purpose: "the source of its library",
        is_present: |_| exists("/usr/lib/rustlib/src/rust/library/std/Cargo.toml"),
    },
];

fn exists(path: &str) -> bool {
    Path::new(path).exists()
}

fn headers(library: &str) -> bool {
    succeeds("pkg-config", &["--exists", library])
}

/// Returns what the Vulkan loader offers: nothing if `vulkaninfo` is missing.
pub fn vulkan_summary() -> String {
    stdout_of("vulkaninfo", &["--summary"])
}

/// Returns the name and, after a comma, the driver of each adapter in a summary of `vulkaninfo`.
pub fn adapters(summary: &str) -> Vec<String> {
    let mut adapters: Vec<String> = Vec::new();
    for (key, value) in summary.lines().filter_map(|line| line.split_once('=')) {
        match (key.trim(), adapters.last_mut()) {
            ("deviceName", _) => adapters.push(value.trim().into()),
            ("driverInfo", Some(adapter)) => *adapter += &format!(", {}", value.trim()),
            _ => {}
        }
    }
    adapters
}

/// Returns where the linker finds a library, whose name may begin with folders below the usual ones.
fn library(name: &str) -> Option<PathBuf> {
    // `cc` prints the bare name of a file that it does not find.
    let printed = stdout_of("cc", &[&format!("-print-file-name={name}")]);
    Some(PathBuf::from(printed.trim())).filter(|path| path.is_absolute())
}

/// Whether Mesa is 24.3 or newer, whose drivers are one library beside EGL instead of files in `dri/`.
fn has_gallium() -> bool {
    let files =
        library("libEGL.so.1").and_then(|egl| fs::read_dir(egl.parent().unwrap_or(Path::new("/"))).ok());
    let mut files = files.into_iter().flatten().flatten();
    files.any(|file| file.file_name().to_string_lossy().starts_with("libgallium-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = "Vulkan Instance Version: 1.3.239

Instance Layers: count = 2
--------------------------
VK_LAYER_KHRONOS_validation Khronos Validation Layer     1.3.239  version 1

Devices:
========
GPU0:
\tdeviceType         = PHYSICAL_DEVICE_TYPE_DISCRETE_GPU
\tdeviceName         = Some Card = 2
\tdriverName         = radv
GPU1:
\tdeviceName         = llvmpipe (LLVM 15.0.6, 256 bits)
\tdriverInfo         = Mesa 22.3.6 (LLVM 15.0.6)
\tconformanceVersion = 1.3.1.1
";

    #[test]
    fn each_adapter_is_named_with_its_driver_if_it_tells_it() {
        assert_eq!(
            adapters(SUMMARY),
            ["Some Card = 2", "llvmpipe (LLVM 15.0.6, 256 bits), Mesa 22.3.6 (LLVM 15.0.6)"]
        );
    }

    #[test]
    fn an_error_names_no_adapter() {
        assert!(adapters("ERROR: vkCreateInstance failed with ERROR_INCOMPATIBLE_DRIVER\n").is_empty());
    }

    #[test]
    fn the_linker_finds_a_library_that_is_there_and_no_other() {
        assert!(library("libc.so.6").is_some_and(|path| path.is_file()));
        assert_eq!(library("libno-such-library-anywhere.so"), None);
    }
}
