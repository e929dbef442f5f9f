//! Case P4: a present while another page keeps the GPU busy.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use webgpu_presentation::AlphaMode;

use super::{Case, MEDIUM, millis, row, sides, take_turns};
use crate::entrant::{Entrant, Then};
use crate::rows::Row;
use crate::statistics::Samples;

const ROUNDS: usize = 12;

/// Upper bound of the tries to find how much work takes long enough.
const TRIES: usize = 12;

/// How long the other page's work should take.
const LONG: Duration = Duration::from_millis(220);

pub fn case() -> Case {
    Case { id: "P4".into(), steps: 1 + ROUNDS as u64, run: Box::new(|bar| vec![beside_long_work(bar)]) }
}

fn beside_long_work(bar: &ProgressBar) -> Row {
    let mut sides = sides();
    let mut units = 0;
    for side in &mut sides {
        side.create_canvas(MEDIUM, AlphaMode::Premultiplied);
        side.draw(&[(0, MEDIUM)]);
        side.present(&[0], Then::Destroy);
        units = calibrate(&mut **side);
    }
    bar.inc(1);
    let mut long_work = Samples::of("all");
    let samples = take_turns(&mut sides, ROUNDS, bar, |side, _| {
        side.draw(&[(0, MEDIUM)]);
        let start = Instant::now();
        side.start_long_work(units);
        let time = side.present(&[0], Then::Destroy);
        side.finish_long_work();
        long_work.push(start.elapsed());
        time
    });
    let (shortest, median) = (long_work.percentile(0), long_work.median());
    assert!(shortest > LONG / 4, "the other page's work took {shortest:?} only");
    let work = format!("present, 256², beside {:.0} ms of another device", millis(median));
    row("P4", work, "ms", &samples, |samples| millis(samples.median()))
        .with_target("≤ 1 ms", |row| Some(row.ours? <= 1.0))
}

/// Returns how many units of work take about as long as [`LONG`].
pub(super) fn calibrate(side: &mut dyn Entrant) -> u32 {
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
