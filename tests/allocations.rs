//! This crate allocates and logs nothing for a frame, once it has allocated everything that it keeps, with one exception: wgpu-core takes a boxed
//! callback for a staging buffer in owned memory, which it knows only during the submission.
//!
//! Every allocation of the process is recorded with its stack, on all threads, and belongs to the innermost crate on the stack that
//! is known by name. So an allocation of wgpu-core does not count, and one of the standard library for this crate does. The
//! maintenance, which runs once a second, is left out, and so is the thread that frees idle memory.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use euclid::default::Size2D;
use support::gpu::{Device, Gpu};
use webgpu_presentation::*;
use webrender_api::{
    ExternalImageData, ExternalImageHandler, ExternalImageId, IdNamespace, ImageDescriptor, ImageKey,
};
use wgpu_types::{InstanceFlags, TextureFormat};

const TIMEOUT: Duration = Duration::from_secs(30);
const WARM_UP: u64 = 100;
const FRAMES: u64 = 200;
const CANVASES: usize = 4;

#[global_allocator]
static ALLOCATOR: Recording = Recording;

struct Recording;

type Stack = Vec<usize>;

static ON: AtomicBool = AtomicBool::new(false);
static STACKS: Mutex<Vec<Stack>> = Mutex::new(Vec::new());

thread_local! {
    /// Set while this thread's allocations are not recorded.
    static EXEMPT: Cell<bool> = const { Cell::new(false) };
}

fn exempt<T>(action: impl FnOnce() -> T) -> T {
    let before = EXEMPT.replace(true);
    let result = action();
    EXEMPT.set(before);
    result
}

fn record() {
    if ON.load(Ordering::Relaxed) && !EXEMPT.get() {
        exempt(|| {
            let mut stack = Stack::new();
            backtrace::trace(|frame| {
                stack.push(frame.ip().addr());
                true
            });
            STACKS.lock().unwrap().push(stack);
        });
    }
}

// SAFETY: every call is passed on to the allocator of the system as it is; what recording allocates is not recorded.
unsafe impl GlobalAlloc for Recording {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        record();
        // SAFETY: the caller promises what the allocator of the system asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller promises what the allocator of the system asks for, from which `alloc` got the memory.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        record();
        // SAFETY: the caller promises what the allocator of the system asks for, from which `alloc` got the memory.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Names of the functions that led to an allocation, the innermost first, without those that record it.
fn names(stack: &[usize]) -> Vec<String> {
    let mut names = Vec::new();
    for ip in stack {
        backtrace::resolve(*ip as *mut _, |symbol| names.extend(symbol.name().map(|name| name.to_string())));
    }
    let allocates = |name: &String| name.contains("__rust_alloc") || name.contains("__rust_realloc");
    let allocates = names.iter().position(allocates);
    names.split_off(allocates.map_or(0, |index| index + 1))
}

/// The crate that allocated.
fn culprit(names: &[String]) -> &'static str {
    const KNOWN: [&str; 5] = ["webgpu_presentation", "wgpu_core", "wgpu_hal", "allocations", "support"];
    let known = |name: &String| {
        KNOWN.into_iter().find(|known| {
            let path = format!("{known}::");
            name.starts_with(&path) || name.starts_with(&format!("<{path}"))
        })
    };
    // This generic function of wgpu-core's is compiled as part of the crate that calls it, under a name without a path.
    if names.iter().any(|name| name.starts_with("create_buffer_from_hal<")) {
        return "wgpu_core";
    }
    names.iter().find_map(known).unwrap_or("nobody known")
}

/// Whether the thread that frees idle memory allocated, or its start. It starts at any time, and looks at a context twice a second.
fn is_reclaimer(names: &[String]) -> bool {
    let of_reclaimer = |name: &String| {
        name.contains("webgpu_presentation::staging::reclaimer::Shared::run")
            || name.contains("webgpu_presentation::staging::recycler::Recycler::watch")
    };
    names.iter().any(of_reclaimer)
}

/// Whether a thread allocated before it ran anything. One that was started before the first frame may run late.
fn is_start_of_thread(names: &[String]) -> bool {
    names.iter().any(|name| name.contains("stack_overflow::thread_info::set_current_info"))
}

/// Whether an allocation is the callback of a staging buffer.
fn is_callback(names: &[String]) -> bool {
    names.iter().any(|name| {
        name.starts_with("new<webgpu_presentation::gpu::vulkan::") && name.contains("::register::")
    })
}

/// What this crate has logged while allocations were recorded.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("webgpu_presentation")
    }

    fn log(&self, record: &log::Record<'_>) {
        if ON.load(Ordering::Relaxed) && self.enabled(record.metadata()) {
            exempt(|| LINES.lock().unwrap().push(format!("{}: {}", record.level(), record.args())));
        }
    }

    fn flush(&self) {}
}

struct Sink(Sender<(ExternalImageId, u8)>);

impl ImageSink for Sink {
    fn add_image(&mut self, _: ImageKey, _: ImageDescriptor, _: ExternalImageData) {}

    fn update_image(&mut self, _: ImageKey, _: ImageDescriptor, data: ExternalImageData, _: CanvasEpoch) {
        exempt(|| self.0.send((data.id, data.channel_index)).unwrap());
    }

    fn delete_image(&mut self, _: ImageKey) {}
}

fn canvas(gpu: &Gpu, device: Device, format: TextureFormat, opaque: bool, side: u32) -> PendingTexture {
    let alpha_mode = if opaque { AlphaMode::Opaque } else { AlphaMode::Premultiplied };
    let configuration = device.configuration(Size2D::new(side, side));
    let configuration = ContextConfiguration { format, alpha_mode, ..configuration };
    gpu.canvas(device, configuration, &vec![7; (side * side * 4) as usize])
}

/// The stacks of all allocations for frames of a few canvases, by crate.
fn allocations(
    gpu: &Gpu,
    frame_memory: FrameMemoryKind,
    spin: Duration,
) -> BTreeMap<&'static str, Vec<Vec<String>>> {
    let device = gpu.device();
    let map = ContextMap::default();
    let (sender, updates) = channel();
    let wake = Arc::new(AtomicBool::new(false));
    let wakes = wake.clone();
    let options = PresenterOptions {
        frame_memory,
        spin,
        wake: Arc::new(move || wakes.store(true, Ordering::Relaxed)),
        ..Default::default()
    };
    // SAFETY: only the presenter names its staging buffers.
    let mut presenter = unsafe { Presenter::new(gpu.global.clone(), &map, Sink(sender), options) };
    let mut images = ExternalImages::new(&map);
    // One canvas is a single pixel, one is opaque, one has another byte order.
    let kinds: [_; CANVASES] = [
        (TextureFormat::Bgra8Unorm, false, 1),
        (TextureFormat::Bgra8Unorm, true, 20),
        (TextureFormat::Rgba8Unorm, false, 64),
        (TextureFormat::Bgra8Unorm, false, 65),
    ];
    for (id, _) in (0..).zip(kinds) {
        let size = Size2D::new(1, 1);
        let descriptor = ContextDescriptor { owner: OwnerId(0), size, buffer_ids: BufferIds::Allocated };
        presenter.create_context(ContextId(id), descriptor).unwrap();
        presenter.set_image_key(ContextId(id), ImageKey::new(IdNamespace(1), id as u32)).unwrap();
    }
    for frame in 0..WARM_UP + FRAMES {
        ON.store(false, Ordering::SeqCst);
        let textures = kinds.map(|(format, opaque, side)| canvas(gpu, device, format, opaque, side));
        if wake.swap(false, Ordering::Relaxed) {
            presenter.maintain();
        }
        ON.store(frame >= WARM_UP, Ordering::SeqCst);
        let mut batch = presenter.batch();
        for (id, texture) in (0..).zip(textures) {
            batch.present(ContextId(id), Contents::Texture(texture), CanvasEpoch(frame)).unwrap();
            batch.destroy_texture(texture.texture_id);
            batch.drop_texture(texture.texture_id);
        }
        batch.submit();
        for _ in kinds {
            let (id, generation) = updates.recv_timeout(TIMEOUT).expect("every canvas is shown");
            ExternalImageHandler::lock(&mut images, id, generation, false);
            ExternalImageHandler::unlock(&mut images, id, generation);
        }
        for (id, _) in (0..).zip(kinds) {
            let Statistics { latency, .. } = presenter.statistics(ContextId(id)).unwrap();
            assert!(latency.is_some());
        }
    }
    ON.store(false, Ordering::SeqCst);
    drop(presenter);
    let stacks = std::mem::take(&mut *STACKS.lock().unwrap());
    let mut known = BTreeMap::<Stack, Vec<String>>::new();
    let mut by_crate = BTreeMap::<_, Vec<_>>::new();
    for stack in stacks {
        let names = known.entry(stack).or_insert_with_key(|stack| names(stack)).clone();
        by_crate.entry(culprit(&names)).or_default().push(names);
    }
    by_crate
}

// Boxes, vectors and maps for each frame would cost more than the frame itself on a page with many canvases, and lines of a log more still.
#[test]
fn no_frame_allocates_or_logs_in_the_steady_state() {
    log::set_logger(&Logger).expect("the first logger");
    log::set_max_level(log::LevelFilter::Trace);
    let Some(gpu) = Gpu::new(InstanceFlags::empty()) else {
        assert!(
            std::env::var_os("WEBGPU_PRESENTATION_REQUIRE_ADAPTER").is_none(),
            "there is no Vulkan adapter"
        );
        return eprintln!("SKIPPED: there is no Vulkan adapter");
    };
    for memory in [FrameMemoryKind::Owned, FrameMemoryKind::Portable] {
        // Either no frame is completed on the poller's thread or every frame is, because the late start of the thread would be
        // counted.
        for spin in [Duration::ZERO, TIMEOUT] {
            let allocations = allocations(&gpu, memory, spin);
            let count = |name| allocations.get(name).map_or(0, Vec::len);
            assert!(
                count("wgpu_core") >= FRAMES as usize,
                "stacks are understood: wgpu-core allocates in each frame"
            );
            let unknown = allocations.get("nobody known").map_or(&[][..], Vec::as_slice);
            let unknown: Vec<_> = unknown.iter().filter(|names| !is_start_of_thread(names)).collect();
            assert!(unknown.is_empty(), "{unknown:#?}");
            let ours = allocations.get("webgpu_presentation").map_or(&[][..], Vec::as_slice);
            let (callbacks, others): (Vec<_>, Vec<_>) = ours.iter().partition(|names| is_callback(names));
            let others: BTreeSet<_> = others.into_iter().filter(|names| !is_reclaimer(names)).collect();
            assert!(others.is_empty(), "{memory:?}, {} allocations: {others:#?}", ours.len());
            let copies = match memory {
                FrameMemoryKind::Owned => FRAMES as usize * CANVASES,
                FrameMemoryKind::Portable => 0,
            };
            assert_eq!(callbacks.len(), copies, "{memory:?}");
        }
    }
    assert_eq!(*LINES.lock().unwrap(), [""; 0]);
}
