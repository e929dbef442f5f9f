//! Contexts, devices and sizes come and go for minutes, and nothing is left of them.
//!
//! It is the stress test's engine, over and over, without validation: the layers keep memory. After each
//! round everything is destroyed, and what the process then uses is measured: memory that Rust code holds, memory of the process,
//! threads, entries in wgpu-core's hub, memory objects of the driver. Memory may not grow after the warm-up, but for what bare
//! devices cost that nothing of this crate touched: drivers leak.
//!
//! Two short phases follow, which random messages do not reach: `crowds`, on a driver that allows few memory objects, and
//! `idle`, memory that comes back though nothing calls. They come last, because the C library takes what it allocates from other
//! places once large blocks were freed.

#[path = "../../tests/support/mod.rs"]
mod support;

mod crowds;
mod idle;
mod usage;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use support::chaos::Ids;
use support::gpu::Gpu;
use support::memory::{Counting, heap, resident};
use support::oracle::Witness;
use support::real::{engine, judge_threads, page, with_renderers};
use usage::Usage;
use vulkan_test_layer::Layer;
use webgpu_presentation::FrameMemoryKind;
use wgpu_types::InstanceFlags;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One round of pages.
const ROUND: Duration = Duration::from_secs(1);

/// So long pollers of dropped devices need to end, and the thread that waited for deadlines.
const AFTERWARDS: Duration = Duration::from_millis(700);

/// Rounds that are measured at either end; their medians count.
const MEASURED: usize = 5;

/// Bare devices that are made to see what one costs, after as many to warm up.
const BARE: usize = 60;

/// What Rust code may hold more in the end: the map remembers a thousand contexts that are gone, with what each had offered, and
/// tables grow in steps. A byte for each of 30,000 presents would not hide in it ten times over.
const HEAP_SLACK: usize = 256 << 10;

/// What the process may hold more: the C library's arenas are not given back whole. With portable memory, which the driver
/// allocates there, it wanders by some MiB, while what Rust code holds stays the same and the leak sanitizer finds nothing.
fn resident_slack(memory: FrameMemoryKind) -> usize {
    match memory {
        FrameMemoryKind::Owned => 4 << 20,
        FrameMemoryKind::Portable => 16 << 20,
    }
}

/// Makes canvases and devices come and go, and fails if memory, ids, threads or hub entries are left of them.
#[derive(Parser)]
#[command(name = "soak")]
struct Options {
    /// For how long
    #[arg(long, value_name = "N", default_value_t = 2.0)]
    minutes: f64,

    /// In memory that wgpu-core maps, as on backends other than Vulkan
    #[arg(long)]
    portable: bool,

    /// Which run it is: the messages are the same for the same seed
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    // SAFETY: the program has no other thread yet, and no Vulkan instance.
    let layer = unsafe { Layer::install() };
    let options = Options::parse();
    // Ids of one instance are either wgpu-core's or an engine's, and the last two phases have those of wgpu-core.
    let [Some(gpu), Some(last_gpu)] = [(); 2].map(|()| Gpu::new(InstanceFlags::empty())) else {
        eprintln!("error: there is no Vulkan adapter");
        return ExitCode::FAILURE;
    };
    assert!(layer.instances() > 0, "the loader has loaded the layer");
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_nanos().into());
    let seed = options.seed.unwrap_or_else(now);
    println!("adapter   {}", gpu.name);
    println!("seed      {seed}");
    let bare = bare_device(&gpu);
    println!(
        "devices   cost {} bytes of Rust and {} of the process each, with nothing of ours",
        bare.0, bare.1
    );

    let memory = if options.portable { FrameMemoryKind::Portable } else { FrameMemoryKind::Owned };
    let time = Duration::from_secs_f64(options.minutes * 60.0);
    let (usages, witness) = soak(gpu, &layer, seed, memory, time);
    judge_threads(&witness);
    println!("traffic   {:?}", witness.tell(|oracle| oracle.tally));
    let mut faults = witness.violations();
    match usages.get(usages.len() / 4..) {
        Some(usages) if usages.len() >= 2 * MEASURED => {
            let first = Usage::median(&usages[..MEASURED]);
            let last = Usage::median(&usages[usages.len() - MEASURED..]);
            println!("warm      {first}");
            println!("end       {last}");
            faults.extend(growth(&first, &last, bare));
            faults.extend(process_growth(&first, &last, bare, resident_slack(memory)));
        }
        _ => println!("It was too short to tell of growth."),
    }

    let start = Instant::now();
    let (last_gpu, crowds_faults) = crowds::run(last_gpu, &layer, bare);
    let (_last_gpu, idle_faults) = idle::run(last_gpu, &layer);
    println!("phases    took {:.1} s", start.elapsed().as_secs_f64());
    faults.extend(crowds_faults.into_iter().chain(idle_faults));
    faults.iter().for_each(|fault| eprintln!("error: {fault}"));
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs pages, and measures after each round.
fn soak(
    gpu: Gpu,
    layer: &Layer,
    seed: u64,
    memory: FrameMemoryKind,
    time: Duration,
) -> (Vec<Usage>, Arc<Witness>) {
    // Every other run brings its own ids.
    let ids = if seed.is_multiple_of(2) { Ids::All } else { Ids::None };
    let progress = ProgressBar::new(time.as_secs());
    // The template is fixed; without it the bar is plainer, that is all.
    if let Ok(style) = ProgressStyle::with_template("{bar:40.cyan/blue} {pos}/{len} s  {msg}") {
        progress.set_style(style);
    }
    let mut usages = Vec::new();
    let witness = with_renderers(engine(gpu, ids, memory, false, 2), seed, |mut engine| {
        let start = Instant::now();
        while start.elapsed() < time && engine.witness.violations().is_empty() {
            page(&mut engine, seed.wrapping_add(usages.len() as u64), ROUND);
            engine.clear();
            engine.forget();
            let idle = Instant::now();
            while idle.elapsed() < AFTERWARDS {
                engine.perform([]);
                std::thread::sleep(Duration::from_millis(10));
            }
            let hub_entries = engine.seats[0].parts.hub_entries();
            let usage = Usage::measure(layer, &hub_entries, engine.devices_made as usize);
            usages.push(usage);
            progress.set_position(start.elapsed().as_secs());
            let presented = engine.witness.tell(|oracle| oracle.tally.presented);
            progress.set_message(format!("{presented} presents, {usage}"));
        }
        progress.finish_and_clear();
        engine.finish()
    });
    (usages, witness)
}

/// What the process has more in the end, and should not have.
fn process_growth(first: &Usage, last: &Usage, bare: (usize, usize), slack: usize) -> Option<String> {
    let most = first.resident + (last.devices - first.devices) * bare.1 + slack;
    let used = last.resident;
    (used > most).then(|| format!("memory of the process: {used} in the end, {most} at most"))
}

/// What has grown between two measurements, and should not have, beside memory of the process.
fn growth(first: &Usage, last: &Usage, bare: (usize, usize)) -> Vec<String> {
    let devices = last.devices - first.devices;
    let limits = [
        ("memory of Rust code", first.heap + devices * bare.0 + HEAP_SLACK, last.heap),
        ("threads", first.threads, last.threads),
        ("entries in the hub", 0, last.hub),
        ("memory objects of the driver", 0, last.objects),
        ("bytes of these objects", 0, last.bytes),
    ];
    let exceeded = limits.into_iter().filter(|(_, limit, used)| used > limit);
    exceeded.map(|(what, limit, used)| format!("{what}: {used} in the end, {limit} at most")).collect()
}

/// Waits until the threads of dropped devices have ended, and measures.
fn idle_usage(gpu: &Gpu, layer: &Layer, devices: usize) -> Usage {
    std::thread::sleep(AFTERWARDS);
    Usage::measure(layer, &gpu.hub_entries(), devices)
}

/// What is left of a device that was made and dropped: bytes that Rust code holds, and bytes of the process.
fn bare_device(gpu: &Gpu) -> (usize, usize) {
    let cycle = || {
        for _ in 0..BARE {
            let device = gpu.device();
            gpu.global.device_drop(device.id);
            gpu.global.queue_drop(device.queue);
        }
    };
    cycle();
    let before = (heap(), resident());
    cycle();
    (heap().saturating_sub(before.0) / BARE, resident().saturating_sub(before.1) / BARE)
}
