//! The layer itself does what these tests expect of it.

use std::time::{Duration, Instant};

use wgpu_hal::vulkan as hal;

use super::world::*;

/// Calls Vulkan on a device of wgpu-core's.
fn on<T>(gpu: &Gpu, device: Device, call: impl FnOnce(&hal::Device) -> T) -> T {
    // SAFETY: nothing that wgpu-core made is destroyed or changed.
    let device = unsafe { gpu.global.device_as_hal::<Vulkan>(device.id) };
    call(&device.expect("a Vulkan device"))
}

fn allocate(device: &hal::Device) -> Result<vk::DeviceMemory, vk::Result> {
    let info = vk::MemoryAllocateInfo::default().allocation_size(1000).memory_type_index(0);
    // SAFETY: every device has a memory type of index 0.
    unsafe { device.raw_device().allocate_memory(&info, None) }
}

fn free(device: &hal::Device, memory: vk::DeviceMemory) {
    // SAFETY: the test made the memory, and nothing uses it.
    unsafe { device.raw_device().free_memory(memory, None) };
}

/// A semaphore that counts, and has the value 0.
fn semaphore(device: &hal::Device) -> vk::Semaphore {
    let mut kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
    let info = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
    // SAFETY: wgpu-core's devices have such semaphores.
    unsafe { device.raw_device().create_semaphore(&info, None) }.unwrap()
}

fn wait(device: &hal::Device, semaphore: vk::Semaphore, value: u64, timeout: Duration) -> vk::Result {
    let (semaphores, values) = ([semaphore], [value]);
    let info = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
    // SAFETY: the semaphore exists.
    let result = unsafe { device.raw_device().wait_semaphores(&info, timeout.as_nanos() as u64) };
    result.err().unwrap_or(vk::Result::SUCCESS)
}

fn value(device: &hal::Device, semaphore: vk::Semaphore) -> Result<u64, vk::Result> {
    // SAFETY: the semaphore exists.
    unsafe { device.raw_device().get_semaphore_counter_value(semaphore) }
}

fn signal(device: &hal::Device, semaphore: vk::Semaphore, value: u64) {
    let info = vk::SemaphoreSignalInfo::default().semaphore(semaphore).value(value);
    // SAFETY: the semaphore exists, and its values rise.
    unsafe { device.raw_device().signal_semaphore(&info) }.unwrap();
}

fn destroy(device: &hal::Device, semaphore: vk::Semaphore) {
    // SAFETY: nothing uses the semaphore.
    unsafe { device.raw_device().destroy_semaphore(semaphore, None) };
}

#[test]
fn a_device_has_no_more_objects_than_the_limit() {
    let layer = layer();
    layer.set_limit(100);
    let Some(gpu) = adapter(&layer) else { return };
    let (one, other) = (gpu.device(), gpu.device());
    let before = (layer.objects(), layer.bytes());
    let reported = on(&gpu, one, |device| {
        let instance = device.shared_instance().raw_instance();
        // SAFETY: the physical device belongs to the instance.
        let properties = unsafe { instance.get_physical_device_properties(device.raw_physical_device()) };
        let mut properties2 = vk::PhysicalDeviceProperties2::default();
        // SAFETY: the physical device belongs to the instance.
        unsafe {
            instance.get_physical_device_properties2(device.raw_physical_device(), &mut properties2);
        }
        [properties, properties2.properties].map(|properties| properties.limits.max_memory_allocation_count)
    });
    assert_eq!(reported, [100; 2]);

    // wgpu-core may have some of them.
    let mut objects = vec![];
    let error = on(&gpu, one, |device| {
        loop {
            match allocate(device) {
                Ok(memory) => objects.push(memory),
                Err(error) => break error,
            }
        }
    });
    assert_eq!(error, vk::Result::ERROR_TOO_MANY_OBJECTS);
    assert!((90..=100).contains(&objects.len()), "{}", objects.len());
    let count = objects.len() as u64;
    assert_eq!((layer.objects(), layer.bytes()), (before.0 + count, before.1 + count * 1000));
    assert_eq!((layer.most_objects_of_a_device(), layer.refused()), (100, 1));
    on(&gpu, other, |device| free(device, allocate(device).unwrap()));
    on(&gpu, one, |device| {
        free(device, objects.pop().unwrap());
        objects.push(allocate(device).unwrap());
        assert_eq!(allocate(device), Err(vk::Result::ERROR_TOO_MANY_OBJECTS));
        objects.into_iter().for_each(|memory| free(device, memory));
    });
    assert_eq!((layer.objects(), layer.bytes()), before);
    assert_eq!(
        (layer.most_objects(), layer.most_bytes()),
        (before.0 + count + 1, before.1 + (count + 1) * 1000)
    );
}

#[test]
fn calls_fail_as_often_as_the_test_says() {
    let layer = layer();
    let Some(gpu) = adapter(&layer) else { return };
    let number = layer.devices();
    let failed = layer.failed(Call::Allocate);
    let (one, other) = (gpu.device(), gpu.device());
    let results = |device| {
        let once = |device: &_| allocate(device).map(|memory| free(device, memory)).err();
        on(&gpu, device, |device| [once(device), once(device), once(device)])
    };
    const FAILURE: vk::Result = vk::Result::ERROR_OUT_OF_DEVICE_MEMORY;
    let error = Some(FAILURE);
    layer.fail(Call::Allocate, FAILURE, ..1);
    assert_eq!(results(one), [error, None, None]);
    layer.fail(Call::Allocate, FAILURE, 1..);
    assert_eq!(results(one), [None, error, error]);
    layer.fail_on(number + 1, Call::Allocate, FAILURE, 1..=1);
    assert_eq!(results(one), [None; 3]);
    assert_eq!(results(other), [None, error, None]);
    layer.fail(Call::Allocate, FAILURE, ..);
    assert_eq!(results(other), [error; 3]);
    layer.pass(Call::Allocate);
    assert_eq!(results(other), [None; 3]);
    assert_eq!(layer.failed(Call::Allocate) - failed, 7);
}

#[test]
fn waits_lie_fail_and_hang() {
    let layer = layer();
    let Some(gpu) = adapter(&layer) else { return };
    let device = gpu.device();
    on(&gpu, device, |device| {
        let semaphore = semaphore(device);
        let short = Duration::from_millis(20);
        assert_eq!(wait(device, semaphore, 1, short), vk::Result::TIMEOUT);

        layer.fail(Call::Wait, vk::Result::SUCCESS, ..1);
        assert_eq!(wait(device, semaphore, 1, short), vk::Result::SUCCESS);
        assert_eq!(value(device, semaphore), Ok(0));
        layer.fail(Call::Wait, vk::Result::ERROR_OUT_OF_HOST_MEMORY, ..1);
        assert_eq!(wait(device, semaphore, 0, short), vk::Result::ERROR_OUT_OF_HOST_MEMORY);
        layer.fail(Call::Counter, vk::Result::ERROR_DEVICE_LOST, ..1);
        assert_eq!(value(device, semaphore), Err(vk::Result::ERROR_DEVICE_LOST));
        assert_eq!(value(device, semaphore), Ok(0));

        layer.hang();
        signal(device, semaphore, 7);
        let start = Instant::now();
        assert_eq!(wait(device, semaphore, 7, short), vk::Result::TIMEOUT);
        assert!(start.elapsed() >= short);
        assert_eq!(value(device, semaphore), Ok(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(short);
                layer.pass_all();
            });
            assert_eq!(wait(device, semaphore, 7, Duration::from_secs(60)), vk::Result::SUCCESS);
        });
        assert!(start.elapsed() < Duration::from_secs(30));
        assert_eq!(value(device, semaphore), Ok(7));
        destroy(device, semaphore);
    });
}

#[test]
fn submissions_fail_or_are_lost() {
    let layer = layer();
    let Some(gpu) = adapter(&layer) else { return };
    let device = gpu.device();
    on(&gpu, device, |device| {
        let semaphore = semaphore(device);
        // SAFETY: wgpu-core's queue has this family and index, and this thread alone uses the device.
        let queue = unsafe { device.raw_device().get_device_queue(device.queue_family_index(), 0) };
        let submit = |value| {
            let (semaphores, values) = ([semaphore], [value]);
            let mut timeline = vk::TimelineSemaphoreSubmitInfo::default().signal_semaphore_values(&values);
            let info = vk::SubmitInfo::default().signal_semaphores(&semaphores).push_next(&mut timeline);
            // SAFETY: the semaphore exists, and its values rise.
            unsafe { device.raw_device().queue_submit(queue, &[info], vk::Fence::null()) }
        };
        layer.fail(Call::Submit, vk::Result::ERROR_DEVICE_LOST, ..1);
        assert_eq!(submit(1), Err(vk::Result::ERROR_DEVICE_LOST));
        layer.fail(Call::Submit, vk::Result::SUCCESS, ..1);
        assert_eq!(submit(1), Ok(()));
        assert_eq!(wait(device, semaphore, 1, Duration::from_millis(50)), vk::Result::TIMEOUT);
        assert_eq!(submit(2), Ok(()));
        assert_eq!(wait(device, semaphore, 2, Duration::from_secs(60)), vk::Result::SUCCESS);
        // SAFETY: this thread alone uses the device.
        unsafe { device.raw_device().device_wait_idle() }.unwrap();
        destroy(device, semaphore);
    });
}
