//! What the Vulkan loader offers, as `vulkaninfo` tells it. Asking the loader, rather than looking for the files
//! of its drivers, takes its environment variables and broken drivers into account.

use std::fmt;

use crate::process::stdout_of;

/// The layer the tests switch on.
const VALIDATION: &str = "VK_LAYER_KHRONOS_validation";

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Vulkan {
    pub adapters: Vec<Adapter>,
    pub has_validation: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Adapter {
    name: String,
    driver: String,
}

impl Vulkan {
    /// Nothing at all when there is no `vulkaninfo`.
    pub fn of_this_machine() -> Self {
        parse(&stdout_of("vulkaninfo", &["--summary"]))
    }
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.driver.is_empty() { Ok(()) } else { write!(f, ", {}", self.driver) }
    }
}

/// Reads `vulkaninfo --summary`: a list of layers, then a block `GPU0:` of `key = value` lines per adapter.
fn parse(summary: &str) -> Vulkan {
    let mut vulkan = Vulkan::default();
    for line in summary.lines() {
        if line.split_whitespace().next() == Some(VALIDATION) {
            vulkan.has_validation = true;
        } else if is_adapter_heading(line) {
            vulkan.adapters.push(Adapter::default());
        } else if let (Some(adapter), Some((key, value))) = (vulkan.adapters.last_mut(), line.split_once('='))
        {
            match key.trim() {
                "deviceName" => adapter.name = value.trim().to_owned(),
                "driverInfo" => adapter.driver = value.trim().to_owned(),
                _ => {}
            }
        }
    }
    vulkan.adapters.retain(|adapter| !adapter.name.is_empty());
    vulkan
}

fn is_adapter_heading(line: &str) -> bool {
    let number = line.trim().strip_prefix("GPU").and_then(|rest| rest.strip_suffix(':'));
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = "==========
VULKANINFO
==========

Vulkan Instance Version: 1.3.239

Instance Layers: count = 2
--------------------------
VK_LAYER_KHRONOS_validation Khronos Validation Layer     1.3.239  version 1
VK_LAYER_MESA_device_select Linux device selection layer 1.3.211  version 1

Devices:
========
GPU0:
\tapiVersion         = 1.3.230
\tdeviceType         = PHYSICAL_DEVICE_TYPE_DISCRETE_GPU
\tdeviceName         = Some Card = 2
\tdriverName         = radv
GPU1:
\tdeviceName         = llvmpipe (LLVM 15.0.6, 256 bits)
\tdriverInfo         = Mesa 22.3.6 (LLVM 15.0.6)
\tconformanceVersion = 1.3.1.1
";

    #[test]
    fn each_adapter_is_named_with_its_driver_when_it_tells_it() {
        let shown: Vec<String> = parse(SUMMARY).adapters.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["Some Card = 2", "llvmpipe (LLVM 15.0.6, 256 bits), Mesa 22.3.6 (LLVM 15.0.6)"]);
    }

    #[test]
    fn the_validation_layer_is_seen_among_the_layers() {
        assert!(parse(SUMMARY).has_validation);
        assert!(!parse(&SUMMARY.replace("KHRONOS", "OTHER")).has_validation);
    }

    #[test]
    fn no_output_means_no_adapter() {
        assert_eq!(parse(""), Vulkan::default());
        assert_eq!(
            parse("ERROR: vkCreateInstance failed with ERROR_INCOMPATIBLE_DRIVER\n"),
            Vulkan::default()
        );
    }
}
