//! The test's side: it makes the loader use the layer, and tells the layer what to do.

use std::env;
use std::fs;
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use ash::vk;
use libloading::Library;

use crate::state::{ALL, Call, State};

const NAME: &str = "VK_LAYER_WEBGPU_PRESENTATION_test";

/// The layer of this process, for one test at a time.
///
/// When it is dropped, nothing is limited and nothing fails any more.
pub struct Layer {
    state: &'static State,
    _alone: MutexGuard<'static, ()>,
}

impl Layer {
    /// Makes the loader use the layer in all instances that this process makes, and waits until no other test has it.
    ///
    /// # Safety
    ///
    /// The environment is changed on the first call in a process. Until then no other thread uses it but through Rust's
    /// standard library. In particular no Vulkan instance has been made, which would be without the layer, too. It is
    /// enough if each test of a program begins with this call.
    pub unsafe fn install() -> Self {
        static STATE: OnceLock<&State> = OnceLock::new();
        static ALONE: Mutex<()> = Mutex::new(());
        // A test that failed leaves nothing behind in it.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the caller keeps the promise.
        let state = STATE.get_or_init(|| unsafe { install() });
        let layer = Self { state, _alone: alone };
        layer.reset();
        layer
    }

    /// Sets how many memory objects a device may have. A device learns of it when it is made.
    pub fn set_limit(&self, objects: u32) {
        self.state.limit.store(objects.into(), Ordering::SeqCst);
    }

    /// Returns how many memory objects all devices have.
    pub fn objects(&self) -> u64 {
        self.state.objects.now()
    }

    /// Returns how many memory objects all devices had at most, since the last call of [`forget_most`](Self::forget_most).
    pub fn most_objects(&self) -> u64 {
        self.state.objects.highest()
    }

    /// Returns how many memory objects one device had at most after an allocation, since the last call of [`forget_most`](Self::forget_most).
    pub fn most_objects_of_a_device(&self) -> u64 {
        self.state.most_of_a_device.load(Ordering::SeqCst)
    }

    /// Returns the bytes of all memory objects.
    pub fn bytes(&self) -> u64 {
        self.state.bytes.now()
    }

    /// Returns the bytes that all memory objects had at most, since the last call of [`forget_most`](Self::forget_most).
    pub fn most_bytes(&self) -> u64 {
        self.state.bytes.highest()
    }

    /// Returns how many allocations the limit refused, since the last call of [`forget_most`](Self::forget_most).
    pub fn refused(&self) -> u64 {
        self.state.refused.load(Ordering::SeqCst)
    }

    /// Returns how many instances were made. None means that the loader did not find the layer.
    pub fn instances(&self) -> u64 {
        self.state.instances.load(Ordering::SeqCst)
    }

    /// Returns how many devices were made: the number that the next one gets.
    pub fn devices(&self) -> u64 {
        self.state.devices.load(Ordering::SeqCst)
    }

    /// Lets calls return `result`, on all devices: those in `range`, counted from now on. `..` is all of them, `..1` the
    /// next one, `3..` all but three. What was said of this call before holds no more.
    pub fn fail(&self, call: Call, result: vk::Result, range: impl RangeBounds<u64>) {
        self.set(ALL, call, result, range);
    }

    /// Lets calls on one device return `result`: see [`fail`](Self::fail) and [`devices`](Self::devices).
    pub fn fail_on(&self, device: u64, call: Call, result: vk::Result, range: impl RangeBounds<u64>) {
        self.set(device, call, result, range);
    }

    fn set(&self, device: u64, call: Call, result: vk::Result, range: impl RangeBounds<u64>) {
        let passing = match range.start_bound() {
            Bound::Unbounded => 0,
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before + 1,
        };
        let failing = match range.end_bound() {
            Bound::Unbounded => ALL,
            Bound::Included(last) => (last + 1).saturating_sub(passing),
            Bound::Excluded(end) => end.saturating_sub(passing),
        };
        self.state.fault(call).set(device, result, passing, failing);
    }

    /// Lets a GPU hang: its waits time out, and its semaphores keep the values that they had. What is submitted is done all
    /// the same, unseen. Drops of queues and devices wait until [`pass_all`](Self::pass_all) ends it.
    pub fn hang(&self) {
        self.hang_on(ALL);
    }

    /// Lets one device hang: see [`hang`](Self::hang) and [`devices`](Self::devices).
    pub fn hang_on(&self, device: u64) {
        for call in [Call::Wait, Call::Idle] {
            self.fail_on(device, call, vk::Result::TIMEOUT, ..);
        }
        self.fail_on(device, Call::Counter, vk::Result::SUCCESS, ..);
    }

    /// Lets all calls of this kind pass again, and those that hang go on.
    pub fn pass(&self, call: Call) {
        self.state.fault(call).clear();
    }

    /// Lets all calls pass again, and those that hang go on.
    pub fn pass_all(&self) {
        self.state.faults().for_each(|fault| fault.clear());
    }

    /// Returns how many calls of this kind failed on command, in this process.
    pub fn failed(&self, call: Call) -> u64 {
        self.state.fault(call).failed()
    }

    /// Limits nothing, lets everything pass, and forgets the highest numbers.
    pub fn reset(&self) {
        self.state.limit.store(ALL, Ordering::SeqCst);
        self.pass_all();
        self.forget_most();
    }

    /// Lets the highest numbers be those of now, and counts refused allocations anew.
    pub fn forget_most(&self) {
        self.state.objects.forget();
        self.state.bytes.forget();
        for number in [&self.state.most_of_a_device, &self.state.refused] {
            AtomicU64::store(number, 0, Ordering::SeqCst);
        }
    }
}

impl Drop for Layer {
    fn drop(&mut self) {
        self.reset();
    }
}

/// # Safety
///
/// No other thread uses the environment but through Rust's standard library.
unsafe fn install() -> &'static State {
    let library = library();
    let folder = manifest(&library);
    // Without the folder the layer would be sought where those of the system are.
    for (variable, value) in
        [("VK_ADD_LAYER_PATH", folder.as_os_str()), ("VK_INSTANCE_LAYERS", NAME.as_ref())]
    {
        let before = env::var_os(variable);
        let all = env::join_paths(before.iter().map(|before| before.as_os_str()).chain([value]));
        // SAFETY: the caller keeps the promise.
        unsafe { env::set_var(variable, all.expect("a path without separators")) };
    }
    // SAFETY: the library is this crate, whose initialization does nothing.
    let library = unsafe { Library::new(&library) };
    // What the loader loads from the same file later is this very library, and it is never unloaded.
    let library = Box::leak(Box::new(library.expect("the layer can be loaded")));
    // SAFETY: this crate has a function of this name and type.
    let state = unsafe { library.get::<extern "C" fn() -> &'static State>(b"vulkan_test_layer_state\0") };
    state.expect("the library is the layer")()
}

/// Returns the library's file name.
fn file() -> String {
    format!("{}vulkan_test_layer{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX)
}

/// Returns the library, which cargo puts beside the programs of tests when it builds this crate for them. Examples are built
/// into a folder beside that.
fn library() -> PathBuf {
    let program = env::current_exe().expect("a program has a path");
    let folders = program.ancestors().skip(1).take(2);
    let mut places = folders.flat_map(|folder| [folder.to_owned(), folder.join("deps")]);
    let place = places.find(|place| place.join(file()).is_file());
    place.unwrap_or_else(|| panic!("{} is near {}", file(), program.display())).join(file())
}

/// Writes the manifest by which the loader finds the library, and returns its folder.
fn manifest(library: &Path) -> PathBuf {
    let folder = library.with_file_name("vulkan-test-layer");
    let manifest = format!(
        r#"{{
            "file_format_version": "1.0.0",
            "layer": {{
                "name": "{NAME}",
                "type": "GLOBAL",
                "library_path": "../{}",
                "api_version": "1.3.0",
                "implementation_version": "1",
                "description": "Limits allocations and lets calls fail"
            }}
        }}"#,
        file()
    );
    // Tests in other processes write the same file at the same time, and none may read half of it.
    let own = folder.join(format!("manifest.{}", std::process::id()));
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&own, manifest))
        .and_then(|()| fs::rename(&own, folder.join("manifest.json")))
        .expect("the folder of the library can be written");
    folder
}
