//! Case P4: presents while another page keeps the GPU busy.

use std::time::{Duration, Instant};

use super::{Case, MEDIUM, millis, row, sides, take_turns};
use crate::entrant::{AlphaMode, Entrant, Then};
use crate::rows::Row;
use crate::statistics::Samples;

const ROUNDS: usize = 12;

/// Upper bound of the tries to find how much work takes long enough.
const TRIES: usize = 12;

/// How long the other page's work should take.
const LONG: Duration = Duration::from_millis(220);

pub fn case() -> Case {
    Case { id: "P4".into(), run: Box::new(|| beside_long_work().into()) }
}

fn beside_long_work() -> [Row; 2] {
    let mut sides = sides();
    let mut units = 0;
    for side in &mut sides {
        side.create_canvas(MEDIUM, AlphaMode::Premultiplied);
        side.draw(&[(0, MEDIUM)]);
        side.present(&[0], Then::Destroy);
        units = calibrate(&mut **side);
    }
    let mut long_work = Samples::of("all");
    let mut second: Vec<_> = sides.iter().map(|side| Samples::of(side.name())).collect();
    let first = take_turns(&mut sides, ROUNDS, |side, _| {
        side.draw(&[(0, MEDIUM)]);
        let start = Instant::now();
        side.start_long_work(units);
        // A texture that was drawn meanwhile would wait for the other page: llvmpipe draws for all devices in one queue.
        let time = side.present(&[0], Then::Keep);
        let next = side.present(&[0], Then::Destroy);
        side.finish_long_work();
        long_work.push(start.elapsed());
        if let Some(samples) = second.iter_mut().find(|samples| samples.side == side.name()) {
            samples.push(next);
        }
        time
    });
    let (shortest, median) = (long_work.percentile(0), long_work.median());
    assert!(shortest > LONG / 4, "the other page's work took {shortest:?} only");
    let work = |which| format!("{which} present, 256², beside {:.0} ms of another device", millis(median));
    let figure = |samples: &Samples| millis(samples.median());
    [
        row("P4-first", work("first"), "ms", &first, figure),
        row("P4-second", work("second"), "ms", &second, figure),
    ]
}

/// Returns how many units of work take about as long as [`LONG`].
fn calibrate(side: &mut dyn Entrant) -> u32 {
    let mut time = |units| {
        let start = Instant::now();
        side.start_long_work(units);
        side.finish_long_work();
        start.elapsed()
    };
    // The driver compiles the shader in the first submission.
    time(1);
    let mut units = 1;
    for _ in 0..TRIES {
        let factor = LONG.div_duration_f64(time(units));
        if factor < 1.1 {
            break;
        }
        // A short measurement says little about a long one, so the estimate grows in steps.
        units = (f64::from(units) * factor.min(16.0)).ceil() as u32;
    }
    units
}
