//! What the layer counts, and how it is told to fail.
//!
//! The library that the loader loaded has one [`State`], and the test in the same process reads and writes it. All
//! of it is atomic and laid out as in C, because the test has a compiled copy of this crate of its own.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use ash::vk;

/// Stands for "no limit", "every device" and "until told otherwise".
pub(crate) const ALL: u64 = u64::MAX;

/// The one state of this copy of the crate.
static STATE: State = State::new();

/// Returns the state. The test finds this function in the library that the loader loaded.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn vulkan_test_layer_state() -> &'static State {
    &STATE
}

/// A call, or several that mean the same, that can be told to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Call {
    /// `vkAllocateMemory`.
    Allocate,
    /// `vkQueueSubmit` and `vkQueueSubmit2`. What "succeeds" on command never reaches the driver.
    Submit,
    /// `vkWaitSemaphores` and `vkWaitForFences`. One that times out on command takes as long as it may.
    Wait,
    /// `vkGetSemaphoreCounterValue`. If it "succeeds" on command, it returns the value that it returned last.
    Counter,
    /// `vkQueueWaitIdle` and `vkDeviceWaitIdle`. One that times out on command, which Vulkan does not know, goes on
    /// until it is told otherwise.
    Idle,
}

const CALLS: usize = 5;

#[repr(C)]
pub(crate) struct State {
    /// The objects that a device may have.
    pub(crate) limit: AtomicU64,
    /// Memory objects of all devices.
    pub(crate) objects: Count,
    /// The bytes of these objects.
    pub(crate) bytes: Count,
    /// The most objects that one device had.
    pub(crate) most_of_a_device: AtomicU64,
    /// Allocations that the limit refused.
    pub(crate) refused: AtomicU64,
    /// Instances that were made.
    pub(crate) instances: AtomicU64,
    /// Devices that were made.
    pub(crate) devices: AtomicU64,
    faults: [Fault; CALLS],
}

impl State {
    const fn new() -> Self {
        Self {
            limit: AtomicU64::new(ALL),
            objects: Count::new(),
            bytes: Count::new(),
            most_of_a_device: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            instances: AtomicU64::new(0),
            devices: AtomicU64::new(0),
            faults: [const { Fault::new() }; CALLS],
        }
    }

    pub(crate) fn fault(&self, call: Call) -> &Fault {
        &self.faults[call as usize]
    }

    pub(crate) fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter()
    }
}

/// A number that rises and falls.
#[repr(C)]
pub(crate) struct Count {
    now: AtomicU64,
    highest: AtomicU64,
}

impl Count {
    const fn new() -> Self {
        Self { now: AtomicU64::new(0), highest: AtomicU64::new(0) }
    }

    pub(crate) fn add(&self, number: u64) {
        let now = self.now.fetch_add(number, Ordering::SeqCst) + number;
        self.highest.fetch_max(now, Ordering::SeqCst);
    }

    pub(crate) fn subtract(&self, number: u64) {
        self.now.fetch_sub(number, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::SeqCst)
    }

    pub(crate) fn highest(&self) -> u64 {
        self.highest.load(Ordering::SeqCst)
    }

    /// Forgets all but the number of now.
    pub(crate) fn forget(&self) {
        self.highest.store(self.now(), Ordering::SeqCst);
    }
}

/// How calls of one kind fail.
#[repr(C)]
pub(crate) struct Fault {
    /// Calls that fail now, after those of `passing`.
    failing: AtomicU64,
    /// Calls that pass before the first one that fails.
    passing: AtomicU64,
    /// The `VkResult` that a failing call returns.
    result: AtomicI32,
    /// The number of the only device whose calls fail.
    device: AtomicU64,
    /// Calls that have failed on command.
    failed: AtomicU64,
    /// How often the test has said something else.
    changes: AtomicU64,
}

/// What a call does instead of reaching the driver.
#[derive(Clone, Copy)]
pub(crate) struct Failure {
    pub(crate) result: vk::Result,
    change: u64,
}

impl Fault {
    const fn new() -> Self {
        Self {
            failing: AtomicU64::new(0),
            passing: AtomicU64::new(0),
            result: AtomicI32::new(0),
            device: AtomicU64::new(ALL),
            failed: AtomicU64::new(0),
            changes: AtomicU64::new(0),
        }
    }

    /// Lets `failing` calls return `result`, after `passing` ones that do not.
    pub(crate) fn set(&self, device: u64, result: vk::Result, passing: u64, failing: u64) {
        self.clear();
        self.device.store(device, Ordering::SeqCst);
        self.result.store(result.as_raw(), Ordering::SeqCst);
        self.passing.store(passing, Ordering::SeqCst);
        self.failing.store(failing, Ordering::SeqCst);
    }

    /// Lets all calls pass.
    pub(crate) fn clear(&self) {
        self.failing.store(0, Ordering::SeqCst);
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::SeqCst)
    }

    /// Counts a call of a device, and returns how it fails if it does.
    pub(crate) fn take(&self, device: u64) -> Option<Failure> {
        let change = self.changes.load(Ordering::SeqCst);
        let only = self.device.load(Ordering::SeqCst);
        if self.failing.load(Ordering::SeqCst) == 0 || (only != ALL && only != device) {
            return None;
        }
        let one_less = |count: &AtomicU64| {
            let less = |count: u64| if count == ALL { Some(ALL) } else { count.checked_sub(1) };
            count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
        };
        if one_less(&self.passing) || !one_less(&self.failing) {
            return None;
        }
        self.failed.fetch_add(1, Ordering::SeqCst);
        let result = vk::Result::from_raw(self.result.load(Ordering::SeqCst));
        Some(Failure { result, change })
    }

    /// Whether the test has said nothing else since `failure` was taken.
    pub(crate) fn lasts(&self, failure: Failure) -> bool {
        self.changes.load(Ordering::SeqCst) == failure.change
    }
}
