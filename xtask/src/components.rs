//! What the project needs of the machine. Each component is looked for by what it is used for, and never by its
//! package, so that drivers and compilers from elsewhere count too.

use crate::libraries::Libraries;
use crate::process::{compiler_is_chosen, on_path, stdout_of, succeeds, uses_clang};
use crate::vulkan::Vulkan;

pub struct Component {
    pub name: &'static str,
    pub packages: Packages,
    is_there: fn(&Machine) -> bool,
}

/// The name of a component's package in the distributions we know.
pub struct Packages {
    pub debian: &'static str,
    pub fedora: &'static str,
    pub arch: &'static str,
}

/// What was found out about the machine, once for all components.
pub struct Machine {
    libraries: Libraries,
    pub vulkan: Vulkan,
}

impl Machine {
    pub fn look() -> Self {
        Self { libraries: Libraries::of_this_machine(), vulkan: Vulkan::of_this_machine() }
    }
}

impl Component {
    pub fn is_there(&self, machine: &Machine) -> bool {
        (self.is_there)(machine)
    }
}

pub static COMPONENTS: [Component; 10] = [
    Component {
        name: "Vulkan loader",
        packages: packages("libvulkan1", "vulkan-loader", "vulkan-icd-loader"),
        is_there: |machine| machine.libraries.find("libvulkan.so.1").is_some(),
    },
    Component {
        name: "vulkaninfo",
        packages: packages("vulkan-tools", "vulkan-tools", "vulkan-tools"),
        is_there: |_| on_path("vulkaninfo"),
    },
    // A machine may have drivers but no device for them: only an adapter will do.
    Component {
        name: "Vulkan driver with an adapter",
        packages: packages("mesa-vulkan-drivers", "mesa-vulkan-drivers", "vulkan-swrast"),
        is_there: |machine| !machine.vulkan.adapters.is_empty(),
    },
    // Without a driver the loader tells of no layers either: both are then called missing.
    Component {
        name: "Vulkan validation layers",
        packages: packages("vulkan-validationlayers", "vulkan-validation-layers", "vulkan-validation-layers"),
        is_there: |machine| machine.vulkan.has_validation,
    },
    // surfman and wgpu-hal load libEGL.so.1 at run time, and reach OpenGL through it alone.
    Component {
        name: "EGL",
        packages: packages("libegl1", "mesa-libEGL", "libglvnd"),
        is_there: |machine| machine.libraries.find("libEGL.so.1").is_some(),
    },
    Component {
        name: "software OpenGL",
        packages: packages("libgl1-mesa-dri", "mesa-dri-drivers", "mesa"),
        is_there: |machine| has_software_opengl(&machine.libraries),
    },
    Component {
        name: "pkg-config",
        packages: packages("pkg-config", "pkgconf-pkg-config", "pkgconf"),
        is_there: |_| on_path("pkg-config"),
    },
    // The version freetype-sys asks for.
    Component {
        name: "FreeType to build against",
        packages: packages("libfreetype-dev", "freetype-devel", "freetype2"),
        is_there: |_| succeeds("pkg-config", &["--exists", "freetype2 >= 24.3.18"]),
    },
    // Not needed where the user has chosen another compiler.
    Component {
        name: "clang",
        packages: packages("clang", "clang", "clang"),
        is_there: |_| compiler_is_chosen() || uses_clang(),
    },
    Component {
        name: "C++ standard library",
        packages: packages("g++", "gcc-c++", "gcc"),
        is_there: |_| linker_finds("libstdc++.so"),
    },
];

const fn packages(debian: &'static str, fedora: &'static str, arch: &'static str) -> Packages {
    Packages { debian, fedora, arch }
}

/// Mesa's drivers lie beside EGL in `dri/`; from version 24.3 on they are one library, libgallium.
fn has_software_opengl(libraries: &Libraries) -> bool {
    let beside_egl =
        libraries.find("libEGL.so.1").and_then(|egl| Some(egl.parent()?.join("dri/swrast_dri.so")));
    libraries.has_beginning("libgallium-") || beside_egl.is_some_and(|path| path.exists())
}

/// `cc` is what rustc links with. It prints the bare name of a file it does not find.
fn linker_finds(library: &str) -> bool {
    stdout_of("cc", &[&format!("-print-file-name={library}")]).trim().starts_with('/')
}
