//! What the process uses while there is neither canvas nor device.

use std::fmt;

use vulkan_test_layer::Layer;

use crate::support::memory::{heap, resident, threads};

#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Bytes that Rust code holds.
    pub heap: usize,
    /// Bytes of the process in memory.
    pub resident: usize,
    pub threads: usize,
    /// Entries in wgpu-core's hub.
    pub hub: usize,
    /// Memory objects of the driver.
    pub objects: usize,
    /// Bytes of these objects.
    pub bytes: usize,
    /// Devices made so far.
    pub devices: usize,
}

impl Usage {
    pub fn measure(layer: &Layer, hub_entries: &[(usize, &str)], devices: usize) -> Self {
        Self {
            heap: heap(),
            resident: resident(),
            threads: threads(),
            hub: hub_entries.iter().map(|(count, _)| count).sum(),
            objects: layer.objects() as usize,
            bytes: layer.bytes() as usize,
            devices,
        }
    }

    /// Returns the median of each number.
    pub fn median(usages: &[Self]) -> Self {
        let of = |value: fn(&Self) -> usize| {
            let mut values: Vec<_> = usages.iter().map(value).collect();
            values.sort_unstable();
            values[values.len() / 2]
        };
        Self {
            heap: of(|usage| usage.heap),
            resident: of(|usage| usage.resident),
            threads: of(|usage| usage.threads),
            hub: of(|usage| usage.hub),
            objects: of(|usage| usage.objects),
            bytes: of(|usage| usage.bytes),
            devices: of(|usage| usage.devices),
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { heap, resident, threads, hub, objects, bytes, devices } = self;
        let (heap, resident, bytes) = (heap / 1024, resident / 1024, bytes / 1024);
        write!(f, "{heap} KiB of Rust, {resident} KiB of the process, {threads} threads, ")?;
        write!(f, "{hub} entries in the hub, {objects} objects of {bytes} KiB, after {devices} devices")
    }
}
