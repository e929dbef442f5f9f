//! Cases W: what waiting for the GPU costs, in CPU time of the thread that waits and in time of other threads.

use std::fs;
use std::thread;
use std::time::Duration;

use indicatif::ProgressBar;
use webgpu_presentation::AlphaMode;

use super::busy::calibrate;
use super::{Case, MEDIUM, micros};
use crate::entrant::{Entrant, Then};
use crate::ours::Ours;
use crate::peer::Peer;
use crate::rows::Row;
use crate::statistics::Samples;

const FRAMES: u32 = 120;
const PACE: Duration = Duration::from_micros(16_667);
/// How long nothing is presented, which is longer than a poller without work lives.
const IDLE: Duration = Duration::from_secs(2);
const TEXTURES: usize = 300;

pub fn cases() -> Vec<Case> {
    vec![
        Case { id: "W-poller".into(), steps: 4, run: Box::new(|bar| poller(bar).into()) },
        Case { id: "W-destroy".into(), steps: 1, run: Box::new(|bar| destroy(bar).into()) },
    ]
}

/// The names of the threads that poll.
const OURS: &str = "webgpu poller";
const PEER: &str = "WGPU poller";

fn poller(bar: &ProgressBar) -> [Row; 2] {
    let mut pace = Row::new("W-poller-60Hz", "CPU of the polling thread a frame, 256², 60 Hz", "µs");
    let mut idle = Row::new("W-poller-idle", "CPU of the polling thread a second, without presents", "µs");
    let measure = |side: &mut dyn Entrant, name| {
        side.create_canvas(MEDIUM, AlphaMode::Premultiplied);
        let mut frame = || {
            side.draw(&[(0, MEDIUM)]);
            side.present(&[0], Then::Destroy);
            thread::sleep(PACE);
        };
        (0..5).for_each(|_| frame());
        let before = cpu_of(name);
        (0..FRAMES).for_each(|_| frame());
        let busy = (cpu_of(name) - before) / FRAMES;
        bar.inc(1);
        thread::sleep(IDLE);
        let before = cpu_of(name);
        thread::sleep(IDLE);
        bar.inc(1);
        [busy, cpu_of(name).saturating_sub(before).div_f64(IDLE.as_secs_f64())].map(|time| Some(micros(time)))
    };
    [pace.ours, idle.ours] = measure(&mut Ours::new(), OURS);
    [pace.peer, idle.peer] = measure(&mut Peer::new(), PEER);
    [pace, idle.with_target("0", |row| Some(row.ours? == 0.0))]
}

/// Returns the CPU time of the threads of this name. Threads that have ended do not count.
fn cpu_of(name: &str) -> Duration {
    let tasks = fs::read_dir("/proc/self/task").expect("there is a proc file system");
    let of_task = |path: std::path::PathBuf| {
        let read = |file| fs::read_to_string(path.join(file)).ok();
        let is_it = read("comm")?.trim_end() == name;
        let nanoseconds = read("schedstat")?.split(' ').next()?.parse().ok()?;
        is_it.then(|| Duration::from_nanos(nanoseconds))
    };
    tasks.flatten().filter_map(|task| of_task(task.path())).sum()
}

/// Measures the destruction of textures on the WebGPU thread, while a poller waits for the same device.
fn destroy(bar: &ProgressBar) -> [Row; 2] {
    let mut ours = Ours::new();
    let units = calibrate(&mut ours);
    ours.start_long_work(units);
    let mut samples = Samples::of("ours");
    ours.destroy_busy_textures(TEXTURES).into_iter().for_each(|time| samples.push(time));
    ours.finish_long_work();
    bar.inc(1);
    let work = "destroying a texture of a device that is waited for";
    let row = |id: &str, what: &str, figure| {
        let mut row = Row::new(id, format!("{work}: {what}"), "µs");
        row.ours = Some(micros(figure));
        row
    };
    [
        row("W-destroy-median", "median", samples.median()),
        row("W-destroy-p99", "p99", samples.percentile(99))
            .with_target("≤ 50 µs", |row| Some(row.ours? <= 50.0)),
    ]
}
