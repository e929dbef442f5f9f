//! Cases P6 and P7: what presents leave behind, and what a canvas holds, in memory of the process as the system counts it. Case P15: what a
//! canvas with direct frames holds, as the presenter counts it, which includes the textures.

use std::time::Duration;

use euclid::default::Size2D;

use super::{Case, ULTRA_HD, sides};
use crate::direct::Direct;
use crate::entrant::{AlphaMode, Entrant, Then};
use crate::memory::resident;
use crate::rows::{Figure, Row};

pub fn cases() -> Vec<Case> {
    vec![
        Case { id: "P6".into(), run: Box::new(|| vec![growth()]) },
        Case { id: "P7".into(), run: Box::new(|| staging().into()) },
        Case { id: "P15".into(), run: Box::new(|| images().into()) },
    ]
}

/// Thousands of presents that precede those that are measured: maps and queues grow to their size.
const WARM_UP: u64 = 4;
/// Thousands of presents that are measured.
const THOUSANDS: u64 = 20;

/// Presents one texture again and again, because what textures cost is a matter of the driver.
fn growth() -> Row {
    let mut row = Row::new("P6", "growth over 20,000 presents, 1×1", "KiB");
    let size = Size2D::new(1, 1);
    for mut side in sides() {
        side.create_canvas(size, AlphaMode::Premultiplied);
        side.draw(&[(0, size)]);
        let mut present = |thousands| {
            for _ in 0..thousands {
                for _ in 0..1000 {
                    side.present(&[0], Then::Keep);
                }
            }
        };
        present(WARM_UP);
        let before = resident();
        present(THOUSANDS);
        let kibibytes = (resident() as f64 - before as f64) / 1024.0;
        *row.figure_of(side.name()) = Figure::Number(kibibytes);
    }
    row
}

const BURSTS: u64 = 8;
/// Presents of a burst: more than `servo-webgpu` has buffers.
const IN_BURST: usize = 12;

/// How long to wait after a burst, since the published variant may report its last present before it has copied the others.
const SETTLING: Duration = Duration::from_millis(100);

/// How long a canvas is left alone, which is long enough for it to count as idle.
const IDLE: Duration = Duration::from_millis(2500);

/// Measures a canvas that gets presents faster than they can be copied, and then gets none.
fn staging() -> [Row; 2] {
    let mut busy = Row::new("P7-busy", "staging memory, 3840×2160, presents in bursts", "MB");
    let mut idle = Row::new("P7-idle", "the same after 2.5 s without presents", "MB");
    for mut side in sides() {
        // The floor always has the two buffers that it was created with.
        if side.name() == "floor" {
            continue;
        }
        // A first canvas makes the driver allocate what it keeps.
        let [first, canvas] = [(), ()].map(|()| side.create_canvas(ULTRA_HD, AlphaMode::Premultiplied));
        side.draw(&[(first, ULTRA_HD)]);
        side.present(&[first; IN_BURST], Then::Keep);
        std::thread::sleep(SETTLING);
        side.destroy_canvas(first);
        side.draw(&[(canvas, ULTRA_HD)]);
        let before = resident();
        let held = || (resident() as f64 - before as f64) / 1e6;
        let mut most = 0.0_f64;
        for _ in 0..BURSTS {
            side.present(&[canvas; IN_BURST], Then::Keep);
            std::thread::sleep(SETTLING);
            most = most.max(held());
        }
        *busy.figure_of(side.name()) = Figure::Number(most);
        std::thread::sleep(IDLE);
        *idle.figure_of(side.name()) = Figure::Number(held());
    }
    [busy, idle]
}

/// Frames that are measured in case P15.
const FRAMES: usize = 48;

/// Measures how many images a canvas has while each frame is awaited and locked, and while frames are made faster than they are
/// awaited.
fn images() -> [Row; 2] {
    let image = f64::from(ULTRA_HD.area()) * 4.0;
    let most = |in_burst: usize| {
        let mut side = Direct::new();
        let canvas = side.create_canvas(ULTRA_HD, AlphaMode::Premultiplied);
        let mut renderer = side.locker();
        let mut most = 0;
        for _ in 0..FRAMES / in_burst {
            let mut epoch = 0;
            for _ in 0..in_burst {
                epoch = side.send_frame(canvas, ULTRA_HD);
                most = most.max(side.memory());
            }
            side.wait_for(canvas, epoch);
            most = most.max(side.memory());
            renderer.iter_mut().for_each(|renderer| renderer.lock_and_unlock(canvas));
        }
        let statistics = side.statistics(canvas);
        eprintln!("bursts of {in_burst}: {} frames direct, {} copied", statistics.direct, statistics.copied);
        Figure::Number(most as f64 / image)
    };
    let row = |id: &str, work: &str, direct| Row { direct, ..Row::new(id, work, "images") };
    [
        row("P15", "memory of a busy canvas, 3840×2160", most(1)),
        row("P15-burst", "the same, presents in bursts", most(IN_BURST)),
    ]
}
