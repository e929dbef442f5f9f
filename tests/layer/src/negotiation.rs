//! The function that the loader looks for in a layer.

use std::ffi::c_void;

use ash::vk;

use crate::calls;

/// The version of the interface between loader and layers that this layer speaks.
const VERSION: u32 = 2;

/// `VkNegotiateLayerInterface` of `vk_layer.h`.
#[repr(C)]
pub(crate) struct Interface {
    kind: i32,
    next: *const c_void,
    version: u32,
    get_instance: Option<vk::PFN_vkGetInstanceProcAddr>,
    get_device: Option<vk::PFN_vkGetDeviceProcAddr>,
    /// A function that the layer may leave out: it has no calls of physical devices that the loader does not know.
    get_physical_device: Option<unsafe extern "system" fn()>,
}

/// Gives the loader the layer's functions.
///
/// # Safety
///
/// `interface` points to a valid structure, as the loader passes it.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "the loader looks for this name")]
pub(crate) unsafe extern "system" fn vkNegotiateLoaderLayerInterfaceVersion(
    interface: *mut Interface,
) -> vk::Result {
    // SAFETY: the caller keeps the promise.
    let interface = unsafe { &mut *interface };
    if interface.version < VERSION {
        return vk::Result::ERROR_INITIALIZATION_FAILED;
    }
    interface.version = VERSION;
    interface.get_instance = Some(calls::get_instance_proc_addr);
    interface.get_device = Some(calls::get_device_proc_addr);
    interface.get_physical_device = None;
    vk::Result::SUCCESS
}
