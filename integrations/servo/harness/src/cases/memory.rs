//! Cases P6 and P7: what presents leave behind, and what a canvas holds, in memory of the process as the system counts it.

use std::time::Duration;

use euclid::default::Size2D;

use super::{Case, ULTRA_HD, sides};
use crate::entrant::{AlphaMode, Then};
use crate::memory::resident;
use crate::rows::{Figure, Row};

pub fn cases() -> Vec<Case> {
    vec![
        Case { id: "P6".into(), run: Box::new(|| vec![growth()]) },
        Case { id: "P7".into(), run: Box::new(|| staging().into()) },
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
