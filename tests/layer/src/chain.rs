//! The next layer, or the driver, of each instance and device.
//!
//! The loader hands a layer the next one's functions when an instance or a device is made. They are kept by the
//! *dispatch key*, the pointer that each dispatchable handle of Vulkan points to: a physical device has that of its
//! instance, a queue that of its device.

use std::collections::HashMap;
use std::ffi::{CStr, c_void};
use std::sync::{Arc, Mutex, RwLock};

use ash::vk;
use ash::vk::Handle;

/// An instance, as the next layer has it.
pub(crate) struct Instance {
    pub(crate) next: ash::Instance,
    pub(crate) get: vk::PFN_vkGetInstanceProcAddr,
}

/// A device, as the next layer has it, and what the layer knows of it.
pub(crate) struct Device {
    pub(crate) next: ash::Device,
    pub(crate) get: vk::PFN_vkGetDeviceProcAddr,
    /// How many devices were made before it.
    pub(crate) number: u64,
    pub(crate) memory: Mutex<Memory>,
    /// The value of each semaphore that was last seen by the application.
    pub(crate) counters: Mutex<HashMap<vk::Semaphore, u64>>,
}

#[derive(Default)]
pub(crate) struct Memory {
    /// Objects that there are, and those that are being allocated.
    pub(crate) objects: u64,
    pub(crate) sizes: HashMap<vk::DeviceMemory, u64>,
}

pub(crate) static INSTANCES: Chain<Instance> = Chain(RwLock::new(None));
pub(crate) static DEVICES: Chain<Device> = Chain(RwLock::new(None));

/// What is known by its dispatch key.
pub(crate) struct Chain<T>(RwLock<Option<HashMap<usize, Arc<T>>>>);

impl<T> Chain<T> {
    /// # Safety
    ///
    /// `handle` is a dispatchable handle that the loader made, and that still exists.
    pub(crate) unsafe fn insert(&self, handle: impl Handle, value: T) {
        // SAFETY: the caller keeps the promise.
        let key = unsafe { key(handle) };
        self.0.write().unwrap().get_or_insert_default().insert(key, Arc::new(value));
    }

    /// Returns what belongs to a handle.
    ///
    /// # Safety
    ///
    /// `handle` is a dispatchable handle that the loader made, and that still exists.
    pub(crate) unsafe fn get(&self, handle: impl Handle) -> Arc<T> {
        // SAFETY: the caller keeps the promise.
        let key = unsafe { key(handle) };
        self.0
            .read()
            .unwrap()
            .as_ref()
            .and_then(|known| known.get(&key))
            .expect("a handle of this layer")
            .clone()
    }

    /// # Safety
    ///
    /// `handle` is a dispatchable handle that the loader made, and that still exists.
    pub(crate) unsafe fn remove(&self, handle: impl Handle) -> Option<Arc<T>> {
        // SAFETY: the caller keeps the promise.
        let key = unsafe { key(handle) };
        self.0.write().unwrap().as_mut().and_then(|known| known.remove(&key))
    }
}

/// # Safety
///
/// `handle` is a dispatchable handle that the loader made, and that still exists.
unsafe fn key(handle: impl Handle) -> usize {
    // SAFETY: such a handle is a pointer to an object that begins with the loader's pointer.
    unsafe { *(handle.as_raw() as *const usize) }
}

/// What the loader hands to a layer when an instance is made: `VkLayerInstanceCreateInfo` of `vk_layer.h`.
pub(crate) type InstanceLink = Link<vk::PFN_vkGetInstanceProcAddr>;

/// What the loader hands to a layer when a device is made: `VkLayerDeviceCreateInfo` of `vk_layer.h`.
pub(crate) type DeviceLink = Link<vk::PFN_vkGetDeviceProcAddr>;

#[repr(C)]
pub(crate) struct Link<F> {
    kind: vk::StructureType,
    next: *const c_void,
    function: i32,
    /// A union. Precondition: `function` is `LINK_INFO`.
    layers: *mut Next<F>,
}

const LINK_INFO: i32 = 0;

/// The next layer's functions: `VkLayerInstanceLink` and `VkLayerDeviceLink` of `vk_layer.h`.
#[repr(C)]
pub(crate) struct Next<F> {
    next: *mut Self,
    pub(crate) get_instance: vk::PFN_vkGetInstanceProcAddr,
    /// For a device its `vkGetDeviceProcAddr`; what an instance has here is not used, and may be null.
    pub(crate) get: Option<F>,
}

impl<F: Copy> Link<F> {
    /// Takes the next layer's functions from a chain of structures, and leaves those that are for the next layer.
    ///
    /// # Safety
    ///
    /// `chain` is the `pNext` that the loader passed to this layer, and `kind` that of the links in it: of an
    /// instance with `InstanceLink`, of a device with `DeviceLink`.
    pub(crate) unsafe fn take(
        chain: *const c_void,
        kind: vk::StructureType,
    ) -> Option<(vk::PFN_vkGetInstanceProcAddr, Option<F>)> {
        let mut at = chain.cast_mut().cast::<vk::BaseOutStructure<'_>>();
        // SAFETY: every structure of the chain is valid and begins like this one.
        while let Some(structure) = unsafe { at.as_ref() } {
            if structure.s_type == kind {
                let link = at.cast::<Self>();
                // SAFETY: a structure of this kind is a link, which the loader lets each layer change.
                if let Some(link) = unsafe { link.as_mut() }.filter(|link| link.function == LINK_INFO) {
                    // SAFETY: the loader put a valid pointer there for each layer.
                    let layer = unsafe { link.layers.as_ref() }?;
                    link.layers = layer.next;
                    return Some((layer.get_instance, layer.get));
                }
            }
            at = structure.p_next;
        }
        None
    }
}

/// Makes the pointer that `ash` loads functions from.
pub(crate) fn pointer(function: vk::PFN_vkVoidFunction) -> *const c_void {
    function.map_or(std::ptr::null(), |function| function as *const c_void)
}

/// # Safety
///
/// `instance` was made by the next layer, whose function `get` is.
pub(crate) unsafe fn instance(get: vk::PFN_vkGetInstanceProcAddr, instance: vk::Instance) -> Instance {
    // SAFETY: the name is a C string and the instance exists, so `get` returns functions of these names.
    let load = |name: &CStr| pointer(unsafe { get(instance, name.as_ptr()) });
    // SAFETY: as above.
    Instance { next: unsafe { ash::Instance::load_with(load, instance) }, get }
}

/// # Safety
///
/// `device` was made by the next layer, whose function `get` is.
pub(crate) unsafe fn device(get: vk::PFN_vkGetDeviceProcAddr, device: vk::Device, number: u64) -> Device {
    // SAFETY: the name is a C string and the device exists, so `get` returns functions of these names.
    let load = |name: &CStr| pointer(unsafe { get(device, name.as_ptr()) });
    Device {
        // SAFETY: as above.
        next: unsafe { ash::Device::load_with(load, device) },
        get,
        number,
        memory: Mutex::default(),
        counters: Mutex::default(),
    }
}
