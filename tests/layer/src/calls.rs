//! The calls that the layer intercepts.
//!
//! Each function has the signature of the Vulkan call whose name it bears, and is called by the loader or the layer
//! before, with what that call may be given. It fails as the [`State`](crate::state::State) says, or passes the call on
//! and notes what came of it.

use std::ffi::{CStr, c_char};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ash::vk;
use ash::vk::Handle;

use crate::chain::{self, DEVICES, Device, DeviceLink, INSTANCES, InstanceLink};
use crate::state::{ALL, Call, State, vulkan_test_layer_state};

/// Between two looks whether a call that hangs may go on.
const LOOK: Duration = Duration::from_millis(1);

fn state() -> &'static State {
    vulkan_test_layer_state()
}

/// Returns the layer's own function of a name, as a pointer to any function.
fn own(name: &CStr, list: &[(&CStr, vk::PFN_vkVoidFunction)]) -> vk::PFN_vkVoidFunction {
    list.iter().find(|(known, _)| *known == name).and_then(|(_, function)| *function)
}

/// Lists functions by name, each with the type that Vulkan gives it.
macro_rules! functions {
    ($($name:literal: $function:ident as $type:ty,)*) => {
        [$({
            let function: $type = $function;
            // SAFETY: a function pointer may be kept as a pointer to any function; whoever calls it casts it back.
            let function = unsafe { std::mem::transmute::<$type, unsafe extern "system" fn()>(function) };
            ($name, Some(function))
        },)*]
    };
}

fn own_of_instance(name: &CStr) -> vk::PFN_vkVoidFunction {
    own(
        name,
        &functions![
            c"vkGetInstanceProcAddr": get_instance_proc_addr as vk::PFN_vkGetInstanceProcAddr,
            c"vkCreateInstance": create_instance as vk::PFN_vkCreateInstance,
            c"vkDestroyInstance": destroy_instance as vk::PFN_vkDestroyInstance,
            c"vkCreateDevice": create_device as vk::PFN_vkCreateDevice,
            c"vkGetPhysicalDeviceProperties": get_properties as vk::PFN_vkGetPhysicalDeviceProperties,
            c"vkGetPhysicalDeviceProperties2": get_properties2 as vk::PFN_vkGetPhysicalDeviceProperties2,
            // The loader calls this one whenever the application has enabled its extension.
            c"vkGetPhysicalDeviceProperties2KHR": get_properties2 as vk::PFN_vkGetPhysicalDeviceProperties2,
        ],
    )
}

fn own_of_device(name: &CStr) -> vk::PFN_vkVoidFunction {
    own(
        name,
        &functions![
            c"vkGetDeviceProcAddr": get_device_proc_addr as vk::PFN_vkGetDeviceProcAddr,
            c"vkDestroyDevice": destroy_device as vk::PFN_vkDestroyDevice,
            c"vkAllocateMemory": allocate_memory as vk::PFN_vkAllocateMemory,
            c"vkFreeMemory": free_memory as vk::PFN_vkFreeMemory,
            c"vkQueueSubmit": queue_submit as vk::PFN_vkQueueSubmit,
            c"vkQueueSubmit2": queue_submit2 as vk::PFN_vkQueueSubmit2,
            c"vkWaitForFences": wait_for_fences as vk::PFN_vkWaitForFences,
            c"vkWaitSemaphores": wait_semaphores as vk::PFN_vkWaitSemaphores,
            c"vkGetSemaphoreCounterValue": get_counter as vk::PFN_vkGetSemaphoreCounterValue,
            c"vkDestroySemaphore": destroy_semaphore as vk::PFN_vkDestroySemaphore,
            c"vkQueueWaitIdle": queue_wait_idle as vk::PFN_vkQueueWaitIdle,
            c"vkDeviceWaitIdle": device_wait_idle as vk::PFN_vkDeviceWaitIdle,
        ],
    )
}

pub(crate) unsafe extern "system" fn get_instance_proc_addr(
    instance: vk::Instance,
    name: *const c_char,
) -> vk::PFN_vkVoidFunction {
    // SAFETY: the caller passes a C string.
    let known = unsafe { CStr::from_ptr(name) };
    own_of_instance(known).or_else(|| own_of_device(known)).or_else(|| {
        if instance.is_null() {
            return None;
        }
        // SAFETY: the caller passes an instance that exists.
        let instance_data = unsafe { INSTANCES.get(instance) };
        // SAFETY: this is the same call, of the next layer.
        unsafe { (instance_data.get)(instance, name) }
    })
}

pub(crate) unsafe extern "system" fn get_device_proc_addr(
    device: vk::Device,
    name: *const c_char,
) -> vk::PFN_vkVoidFunction {
    // SAFETY: the caller passes a device that exists.
    let get = unsafe { DEVICES.get(device) }.get;
    // SAFETY: this is the same call, of the next layer.
    let next = unsafe { get(device, name) };
    // A function that the driver does not have is not there either.
    next?;
    // SAFETY: the caller passes a C string.
    own_of_device(unsafe { CStr::from_ptr(name) }).or(next)
}

unsafe extern "system" fn create_instance(
    info: *const vk::InstanceCreateInfo<'_>,
    allocator: *const vk::AllocationCallbacks<'_>,
    into: *mut vk::Instance,
) -> vk::Result {
    // SAFETY: the caller passes the loader's description, whose links of this kind are those of instances.
    let link = unsafe { InstanceLink::take((*info).p_next, vk::StructureType::LOADER_INSTANCE_CREATE_INFO) };
    let Some((get, _)) = link else { return vk::Result::ERROR_INITIALIZATION_FAILED };
    // SAFETY: this function is found without an instance.
    let create = unsafe { get(vk::Instance::null(), c"vkCreateInstance".as_ptr()) };
    let Some(create) = create else { return vk::Result::ERROR_INITIALIZATION_FAILED };
    // SAFETY: the function of this name has this type.
    let create: vk::PFN_vkCreateInstance = unsafe { std::mem::transmute(create) };
    // SAFETY: this is the same call, of the next layer.
    let result = unsafe { create(info, allocator, into) };
    if result == vk::Result::SUCCESS {
        state().instances.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the next layer has just made the instance.
        unsafe { INSTANCES.insert(*into, chain::instance(get, *into)) };
    }
    result
}

unsafe extern "system" fn destroy_instance(
    instance: vk::Instance,
    allocator: *const vk::AllocationCallbacks<'_>,
) {
    if instance.is_null() {
        return;
    }
    // SAFETY: the caller passes an instance that exists until the end of this call.
    if let Some(known) = unsafe { INSTANCES.remove(instance) } {
        // SAFETY: this is the same call, of the next layer.
        unsafe { (known.next.fp_v1_0().destroy_instance)(instance, allocator) };
    }
}

unsafe extern "system" fn get_properties(
    device: vk::PhysicalDevice,
    into: *mut vk::PhysicalDeviceProperties,
) {
    // SAFETY: the caller passes a physical device of an instance that exists, and a place for the answer.
    unsafe {
        (INSTANCES.get(device).next.fp_v1_0().get_physical_device_properties)(device, into);
        limit(&mut *into);
    }
}

unsafe extern "system" fn get_properties2(
    device: vk::PhysicalDevice,
    into: *mut vk::PhysicalDeviceProperties2<'_>,
) {
    // SAFETY: the caller passes a physical device of an instance that exists, and a place for the answer.
    unsafe {
        (INSTANCES.get(device).next.fp_v1_1().get_physical_device_properties2)(device, into);
        limit(&mut (*into).properties);
    }
}

fn limit(properties: &mut vk::PhysicalDeviceProperties) {
    let limit = &mut properties.limits.max_memory_allocation_count;
    *limit = (*limit).min(state().limit.load(Ordering::SeqCst).try_into().unwrap_or(u32::MAX));
}

unsafe extern "system" fn create_device(
    physical: vk::PhysicalDevice,
    info: *const vk::DeviceCreateInfo<'_>,
    allocator: *const vk::AllocationCallbacks<'_>,
    into: *mut vk::Device,
) -> vk::Result {
    // SAFETY: the caller passes the loader's description, whose links of this kind are those of devices.
    let link = unsafe { DeviceLink::take((*info).p_next, vk::StructureType::LOADER_DEVICE_CREATE_INFO) };
    let Some((get_instance, Some(get))) = link else { return vk::Result::ERROR_INITIALIZATION_FAILED };
    // SAFETY: the caller passes a physical device of an instance that exists.
    let instance = unsafe { INSTANCES.get(physical) };
    // SAFETY: the instance exists.
    let create = unsafe { get_instance(instance.next.handle(), c"vkCreateDevice".as_ptr()) };
    let Some(create) = create else { return vk::Result::ERROR_INITIALIZATION_FAILED };
    // SAFETY: the function of this name has this type.
    let create: vk::PFN_vkCreateDevice = unsafe { std::mem::transmute(create) };
    // SAFETY: this is the same call, of the next layer.
    let result = unsafe { create(physical, info, allocator, into) };
    if result == vk::Result::SUCCESS {
        let number = state().devices.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the next layer has just made the device.
        unsafe { DEVICES.insert(*into, chain::device(get, *into, number)) };
    }
    result
}

unsafe extern "system" fn destroy_device(device: vk::Device, allocator: *const vk::AllocationCallbacks<'_>) {
    if device.is_null() {
        return;
    }
    // SAFETY: the caller passes a device that exists until the end of this call.
    if let Some(known) = unsafe { DEVICES.remove(device) } {
        // SAFETY: this is the same call, of the next layer.
        unsafe { (known.next.fp_v1_0().destroy_device)(device, allocator) };
    }
}

unsafe extern "system" fn allocate_memory(
    device: vk::Device,
    info: *const vk::MemoryAllocateInfo<'_>,
    allocator: *const vk::AllocationCallbacks<'_>,
    into: *mut vk::DeviceMemory,
) -> vk::Result {
    // SAFETY: the caller passes a device that exists.
    let known = unsafe { DEVICES.get(device) };
    let state = state();
    if let Some(failure) = state.fault(Call::Allocate).take(known.number) {
        return failure.result;
    }
    {
        let mut memory = known.memory.lock().unwrap();
        if memory.objects >= state.limit.load(Ordering::SeqCst) {
            state.refused.fetch_add(1, Ordering::SeqCst);
            return vk::Result::ERROR_TOO_MANY_OBJECTS;
        }
        memory.objects += 1;
    }
    // SAFETY: this is the same call, of the next layer.
    let result = unsafe { (known.next.fp_v1_0().allocate_memory)(device, info, allocator, into) };
    let mut memory = known.memory.lock().unwrap();
    if result == vk::Result::SUCCESS {
        // SAFETY: the caller passes a valid description, and the call has written the object.
        let (size, object) = unsafe { ((*info).allocation_size, *into) };
        memory.sizes.insert(object, size);
        state.objects.add(1);
        state.bytes.add(size);
        state.most_of_a_device.fetch_max(memory.objects, Ordering::SeqCst);
    } else {
        memory.objects -= 1;
    }
    result
}

unsafe extern "system" fn free_memory(
    device: vk::Device,
    object: vk::DeviceMemory,
    allocator: *const vk::AllocationCallbacks<'_>,
) {
    // SAFETY: the caller passes a device that exists.
    let known = unsafe { DEVICES.get(device) };
    // The driver may give the next object the same handle as soon as this one is gone.
    let size = known.memory.lock().unwrap().sizes.remove(&object);
    // SAFETY: this is the same call, of the next layer.
    unsafe { (known.next.fp_v1_0().free_memory)(device, object, allocator) };
    if let Some(size) = size {
        known.memory.lock().unwrap().objects -= 1;
        state().objects.subtract(1);
        state().bytes.subtract(size);
    }
}

unsafe extern "system" fn queue_submit(
    queue: vk::Queue,
    count: u32,
    submits: *const vk::SubmitInfo<'_>,
    fence: vk::Fence,
) -> vk::Result {
    // SAFETY: the caller passes a queue of a device that exists.
    let known = unsafe { DEVICES.get(queue) };
    match state().fault(Call::Submit).take(known.number) {
        Some(failure) => failure.result,
        // SAFETY: this is the same call, of the next layer.
        None => unsafe { (known.next.fp_v1_0().queue_submit)(queue, count, submits, fence) },
    }
}

unsafe extern "system" fn queue_submit2(
    queue: vk::Queue,
    count: u32,
    submits: *const vk::SubmitInfo2<'_>,
    fence: vk::Fence,
) -> vk::Result {
    // SAFETY: the caller passes a queue of a device that exists.
    let known = unsafe { DEVICES.get(queue) };
    match state().fault(Call::Submit).take(known.number) {
        Some(failure) => failure.result,
        // SAFETY: this is the same call, of the next layer.
        None => unsafe { (known.next.fp_v1_3().queue_submit2)(queue, count, submits, fence) },
    }
}

/// Waits, or fails to. A wait that times out on command takes until `timeout` has passed, in nanoseconds, or until it
/// is told otherwise, and then goes to the driver after all.
fn wait(call: Call, device: &Device, timeout: u64, pass: impl FnOnce() -> vk::Result) -> vk::Result {
    let fault = state().fault(call);
    match fault.take(device.number) {
        Some(failure) if failure.result == vk::Result::TIMEOUT => {
            let start = Instant::now();
            while fault.lasts(failure) {
                if u128::from(timeout) <= start.elapsed().as_nanos() {
                    return vk::Result::TIMEOUT;
                }
                std::thread::sleep(LOOK.min(Duration::from_nanos(timeout)));
            }
            pass()
        }
        Some(failure) => failure.result,
        None => pass(),
    }
}

unsafe extern "system" fn wait_for_fences(
    device: vk::Device,
    count: u32,
    fences: *const vk::Fence,
    all: vk::Bool32,
    timeout: u64,
) -> vk::Result {
    // SAFETY: the caller passes a device that exists.
    let known = unsafe { DEVICES.get(device) };
    wait(Call::Wait, &known, timeout, || {
        // SAFETY: this is the same call, of the next layer.
        unsafe { (known.next.fp_v1_0().wait_for_fences)(device, count, fences, all, timeout) }
    })
}

unsafe extern "system" fn wait_semaphores(
    device: vk::Device,
    info: *const vk::SemaphoreWaitInfo<'_>,
    timeout: u64,
) -> vk::Result {
    // SAFETY: the caller passes a device that exists.
    let known = unsafe { DEVICES.get(device) };
    wait(Call::Wait, &known, timeout, || {
        // SAFETY: this is the same call, of the next layer.
        let result = unsafe { (known.next.fp_v1_2().wait_semaphores)(device, info, timeout) };
        // SAFETY: the caller passes a valid description.
        let info = unsafe { &*info };
        if result == vk::Result::SUCCESS && info.semaphore_count == 1 {
            // SAFETY: the description has one semaphore and one value.
            let (semaphore, value) = unsafe { (*info.p_semaphores, *info.p_values) };
            let mut counters = known.counters.lock().unwrap();
            let seen = counters.entry(semaphore).or_default();
            *seen = value.max(*seen);
        }
        result
    })
}

unsafe extern "system" fn get_counter(
    device: vk::Device,
    semaphore: vk::Semaphore,
    into: *mut u64,
) -> vk::Result {
    // SAFETY: the caller passes a device that exists.
    let known = unsafe { DEVICES.get(device) };
    let failure = state().fault(Call::Counter).take(known.number);
    if let Some(failure) = failure.filter(|failure| failure.result != vk::Result::SUCCESS) {
        return failure.result;
    }
    let mut counters = known.counters.lock().unwrap();
    let seen = counters.entry(semaphore).or_default();
    let mut value = *seen;
    let mut result = vk::Result::SUCCESS;
    if failure.is_none() {
        // SAFETY: this is the same call, of the next layer, into a place of its own.
        result = unsafe { (known.next.fp_v1_2().get_semaphore_counter_value)(device, semaphore, &mut value) };
    }
    if result == vk::Result::SUCCESS {
        *seen = value;
        // SAFETY: the caller passes a place for the value.
        unsafe { *into = value };
    }
    result
}

unsafe extern "system" fn destroy_semaphore(
    device: vk::Device,
    semaphore: vk::Semaphore,
    allocator: *const vk::AllocationCallbacks<'_>,
) {
    // SAFETY: the caller passes a device that exists.
    let known = unsafe { DEVICES.get(device) };
    known.counters.lock().unwrap().remove(&semaphore);
    // SAFETY: this is the same call, of the next layer.
    unsafe { (known.next.fp_v1_0().destroy_semaphore)(device, semaphore, allocator) };
}

unsafe extern "system" fn queue_wait_idle(queue: vk::Queue) -> vk::Result {
    // SAFETY: the caller passes a queue of a device that exists.
    let known = unsafe { DEVICES.get(queue) };
    // SAFETY: this is the same call, of the next layer.
    wait(Call::Idle, &known, ALL, || unsafe { (known.next.fp_v1_0().queue_wait_idle)(queue) })
}

unsafe extern "system" fn device_wait_idle(device: vk::Device) -> vk::Result {
    // SAFETY: the caller passes a device that exists.
    let known = unsafe { DEVICES.get(device) };
    // SAFETY: this is the same call, of the next layer.
    wait(Call::Idle, &known, ALL, || unsafe { (known.next.fp_v1_0().device_wait_idle)(device) })
}
