//! Cases P6 and P7: what presents leave behind, and what a canvas holds, in memory of the process as the system counts it.

use std::time::Duration;

use euclid::default::Size2D;
use indicatif::ProgressBar;
use webgpu_presentation::AlphaMode;

use super::{Case, ULTRA_HD, sides};
use crate::entrant::Then;
use crate::memory::resident;
use crate::rows::Row;

pub fn cases() -> Vec<Case> {
    vec![
        Case { id: "P6".into(), steps: 3 * (WARM_UP + THOUSANDS), run: Box::new(|bar| vec![growth(bar)]) },
        Case { id: "P7".into(), steps: 2 * BURSTS, run: Box::new(|bar| staging(bar).into()) },
    ]
}

/// Thousands of presents that precede those that are measured: maps and queues grow to their size.
const WARM_UP: u64 = 4;
/// Thousands of presents that are measured.
const THOUSANDS: u64 = 20;

/// Growth in KiB that does not count: a queue or map may grow once more, and so may the allocator's own pages.
const NOISE: f64 = 64.0;

/// Presents one texture again and again, because what textures cost is a matter of the driver.
fn growth(bar: &ProgressBar) -> Row {
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
                bar.inc(1);
            }
        };
        present(WARM_UP);
        let before = resident();
        present(THOUSANDS);
        let kibibytes = (resident() as f64 - before as f64) / 1024.0;
        *figure_of(&mut row, side.name()) = Some(kibibytes);
    }
    row.with_target("0 (± 64 KiB)", |row| Some(row.ours? <= NOISE))
}

const BURSTS: u64 = 8;
/// Presents of a burst: more than the peer has buffers.
const IN_BURST: usize = 12;

/// How long to wait after a burst, since the peer may report its last present before it has copied the others.
const SETTLING: Duration = Duration::from_millis(100);

/// How long a canvas is left alone, which is long enough for it to count as idle.
const IDLE: Duration = Duration::from_millis(2500);

/// Measures a canvas that gets presents faster than they can be copied, and then gets none.
fn staging(bar: &ProgressBar) -> [Row; 2] {
    let mut busy = Row::new("P7-busy", "staging memory, 3840×2160, presents in bursts", "MB");
    let mut idle = Row::new("P7-idle", "the same after 2.5 s without presents", "MB");
    let frame = f64::from(ULTRA_HD.area()) * 4.0 / 1e6;
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
            bar.inc(1);
        }
        *figure_of(&mut busy, side.name()) = Some(most);
        std::thread::sleep(IDLE);
        *figure_of(&mut idle, side.name()) = Some(held());
    }
    // The factor leaves a fiftieth for what is not staging memory.
    [
        busy.with_target("≤ 4 frames (133 MB)", |row| Some(row.ours? <= 4.0 * frame * 1.02)),
        idle.with_target("1 frame (33 MB)", |row| Some(row.ours? <= frame * 1.02)),
    ]
}

fn figure_of<'a>(row: &'a mut Row, side: &str) -> &'a mut Option<f64> {
    match side {
        "ours" => &mut row.ours,
        "peer" => &mut row.peer,
        "floor" => &mut row.floor,
        _ => unreachable!("there are three sides"),
    }
}
