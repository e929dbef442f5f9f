//! The upload belt against wgpu's `StagingBelt`, against wgpu-core's `queue_write_buffer`, and against a floor.
//!
//! ```text
//! cargo run --release                # in this folder
//! cargo run --release -- scattered   # the cases whose names contain that
//! ```
//!
//! A frame is all writes of a case, one submission, and waiting until the GPU has done it. The sides take turns, with two frames each,
//! of which the second one is measured. Only `queue_write_buffer` is measured by itself. The floor is the least
//! that an upload costs, in raw wgpu-core: one copy of all bytes into a mapped buffer, and one GPU copy for each destination. Heap
//! allocations are those of the whole process in a frame, including wgpu-core's.
//!
//! All of this is done several times, with new devices each time, and the lowest median of each side is shown. A software driver
//! has a thread for each device, which the system puts on one core or another and then leaves there; if that is not the core of the
//! thread that waits, every wait of every side of that device takes 40 to 90 microseconds longer, which is several times a frame of a
//! single small write.

mod cases;
mod counting;
mod floor;
mod ours;
mod queue;
#[path = "../../support/raw.rs"]
mod raw;
mod theirs;

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cases::Case;

/// One way to upload.
trait Side {
    fn name(&self) -> &'static str;
    /// Performs all writes of a frame, submits them, and waits until the GPU has done them.
    fn frame(&mut self, case: &Case, data: &[u8]);
}

struct Measured {
    name: &'static str,
    times: Vec<Duration>,
    allocations: Vec<u64>,
}

/// The medians of a side.
#[derive(Clone, Copy)]
struct Medians {
    name: &'static str,
    time: Duration,
    allocations: u64,
}

impl Measured {
    fn medians(mut self) -> Medians {
        self.times.sort();
        self.allocations.sort();
        let time = self.times[self.times.len() / 2];
        Medians { name: self.name, time, allocations: self.allocations[self.allocations.len() / 2] }
    }
}

/// How many rounds precede those that are measured: belts make their chunks, and caches warm up.
const WARM_UP: usize = 5;

/// How often each case is measured, with new devices each time.
const DEVICES: usize = 5;

fn measure(case: &Case, sides: &mut [Box<dyn Side>], bar: &ProgressBar) -> Vec<Medians> {
    let data: Vec<u8> = (0..case.bytes()).map(|index| index as u8).collect();
    let mut measured: Vec<_> = sides
        .iter()
        .map(|side| Measured { name: side.name(), times: Vec::new(), allocations: Vec::new() })
        .collect();
    for round in 0..WARM_UP + case.rounds.div_ceil(DEVICES) {
        for (side, measured) in sides.iter_mut().zip(&mut measured) {
            // The first frame is not measured: the side before left its own data in the heap and in the caches.
            side.frame(case, &data);
            let (before, start) = (counting::allocations(), Instant::now());
            side.frame(case, &data);
            let (time, allocations) = (start.elapsed(), counting::allocations() - before);
            if round >= WARM_UP {
                measured.times.push(time);
                measured.allocations.push(allocations);
            }
        }
        bar.inc(1);
    }
    measured.into_iter().map(Measured::medians).collect()
}

/// Measures all sides on new devices: the floor, this crate's belt, wgpu's, and `queue_write_buffer`.
fn measure_on_new_devices(core: &raw::Core, case: &Case, bar: &ProgressBar) -> Vec<Medians> {
    let device = core.device();
    let mut sides: Vec<Box<dyn Side>> = vec![
        Box::new(floor::Floor::new(device.clone(), case)),
        Box::new(ours::Ours::new(device.clone(), case)),
        Box::new(theirs::Theirs::new(case)),
    ];
    let mut medians = measure(case, &mut sides, bar);
    // `queue_write_buffer` allocates tens of thousands of times in a frame, which would slow the other sides down.
    drop(sides);
    medians.extend(measure(case, &mut [Box::new(queue::Queue::new(device, case))], bar));
    medians
}

fn main() {
    let descriptor = wgpu_types::InstanceDescriptor {
        backends: wgpu_types::Backends::VULKAN,
        flags: wgpu_types::InstanceFlags::empty(),
        ..wgpu_types::InstanceDescriptor::new_without_display_handle()
    };
    let Some(core) = raw::Core::new(descriptor, wgpu_types::MemoryHints::default()) else {
        eprintln!("there is no Vulkan adapter");
        std::process::exit(1);
    };
    let only = std::env::args().nth(1).unwrap_or_default();
    let cases: Vec<_> = cases::all().into_iter().filter(|case| case.name.contains(&only)).collect();
    let rounds = |case: &Case| 2 * DEVICES * (WARM_UP + case.rounds.div_ceil(DEVICES));
    let total: usize = cases.iter().map(rounds).sum();
    let bar = ProgressBar::new(total as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} ({eta} left)") {
        bar.set_style(style);
    }
    let adapter = core.adapter();
    println!(
        "adapter: {} ({})\nmicroseconds in a frame, lowest of {DEVICES} medians (heap allocations)\n",
        adapter.name, adapter.driver_info
    );
    let mut lines = Vec::new();
    for case in &cases {
        bar.set_message(case.name);
        let mut lowest = measure_on_new_devices(&core, case, &bar);
        for _ in 1..DEVICES {
            for (lowest, medians) in lowest.iter_mut().zip(measure_on_new_devices(&core, case, &bar)) {
                if medians.time < lowest.time {
                    *lowest = medians;
                }
            }
        }
        let medians: Vec<_> = lowest.iter().map(|side| side.time.as_secs_f64() * 1e6).collect();
        let cells: Vec<_> = lowest
            .iter()
            .zip(&medians)
            .map(|(side, median)| format!("{} {median:.0} ({})", side.name, side.allocations))
            .collect();
        let (floor, wgpu) = (medians[1] / medians[0], medians[2] / medians[1]);
        lines.push(format!(
            "{:<38} {}  | {floor:.2} × the floor, {wgpu:.1} × faster than wgpu's belt",
            case.name,
            cells.join("  ")
        ));
    }
    bar.finish_and_clear();
    lines.iter().for_each(|line| println!("{line}"));
}
