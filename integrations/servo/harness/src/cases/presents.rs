//! Cases P1 to P3: from a present to its image update.

use std::time::Duration;

use euclid::default::Size2D;
use indicatif::ProgressBar;
use webgpu_presentation::AlphaMode;

use super::{Case, FULL_HD, MEDIUM, ULTRA_HD, micros, millis, row, sides, take_turns};
use crate::entrant::{Entrant, Then, pixel};
use crate::floor::threads::{self, OnThreads};
use crate::ours::{Ours, SPINNING};
use crate::rows::Row;
use crate::statistics::Samples;

/// How many rounds precede those that are measured: buffers are created, and caches warm up.
const WARM_UP: usize = 5;

pub fn cases() -> Vec<Case> {
    let one = |id: &'static str, work: &'static str, size: Size2D<u32>, rounds: usize| Case {
        id: id.into(),
        steps: (WARM_UP + rounds) as u64,
        run: Box::new(move |bar| one_canvas(id, work, size, rounds, bar)),
    };
    vec![
        one("P1-64", "present, 64²", square(64), 1000),
        one("P1-256", "present, 256²", MEDIUM, 1000),
        one("P1-1024", "present, 1024²", square(1024), 400),
        one("P1-1080p", "present, 1920×1080", FULL_HD, 200),
        one("P1-4k", "present, 3840×2160", ULTRA_HD, 80),
        Case {
            id: "P2".into(),
            steps: (WARM_UP + MANY_ROUNDS) as u64,
            run: Box::new(|bar| vec![many_canvases(bar)]),
        },
        Case {
            id: "P3".into(),
            steps: (WARM_UP + RESIZE_ROUNDS) as u64,
            run: Box::new(|bar| resizes(bar).into()),
        },
    ]
}

fn square(side: u32) -> Size2D<u32> {
    Size2D::new(side, side)
}

/// Presents two frames, and returns how long the second one takes. The first one is not measured because the side before left its
/// own data in the heap and in the caches.
fn two_frames(side: &mut dyn Entrant, canvases: &[usize], sizes: [Size2D<u32>; 2]) -> Duration {
    let [_, time] = sizes.map(|size| {
        let frame: Vec<_> = canvases.iter().map(|canvas| (*canvas, size)).collect();
        side.draw(&frame);
        side.present(canvases, Then::Destroy)
    });
    time
}

fn measure(
    sides: &mut [Box<dyn Entrant>],
    rounds: usize,
    canvases: &[usize],
    size: Size2D<u32>,
    bar: &ProgressBar,
) -> Vec<Samples> {
    let turn = |side: &mut dyn Entrant, _: usize| two_frames(side, canvases, [size; 2]);
    take_turns(sides, WARM_UP, bar, turn);
    let samples = take_turns(sides, rounds, bar, turn);
    check(sides, canvases);
    samples
}

/// Makes sure that each side shows what it presented: a present that failed would have been fast.
fn check(sides: &[Box<dyn Entrant>], canvases: &[usize]) {
    for side in sides {
        let Some(mut locker) = side.locker() else { continue };
        for canvas in canvases {
            let shown = locker.first_pixel(*canvas);
            assert_eq!(shown, Some(pixel(AlphaMode::Premultiplied)), "what {} shows", side.name());
        }
    }
}

fn one_canvas(id: &str, work: &str, size: Size2D<u32>, rounds: usize, bar: &ProgressBar) -> Vec<Row> {
    let mut sides = sides();
    sides.push(Box::new(OnThreads::new()));
    if is_small(size) {
        sides.push(Box::new(Ours::spinning()));
    }
    for side in &mut sides {
        side.create_canvas(size, AlphaMode::Premultiplied);
    }
    let samples = measure(&mut sides, rounds, &[0], size, bar);
    let median = |samples: &Samples| micros(samples.median());
    let plain = row(id, work, "µs", &samples, median);
    let of = |side| samples.iter().find(|samples| samples.side == side).map(median);
    let spinning = of(SPINNING).map(|median| Row {
        id: format!("{id}-spin"),
        work: format!("{work}, with a spin of 100 µs"),
        ours: Some(median),
        ..plain.clone()
    });
    let threads = Row {
        id: format!("{id}-threads"),
        work: format!("{work}, the floor on three threads"),
        floor: of(threads::NAME),
        ..plain.clone()
    };
    let with_targets = std::iter::once(plain).chain(spinning).map(|row| with_target(row, size));
    with_targets.chain([threads]).collect()
}

/// Whether a canvas is so small that waking a thread takes longer than its copy.
fn is_small(size: Size2D<u32>) -> bool {
    size.area() < 1 << 20
}

fn with_target(row: Row, size: Size2D<u32>) -> Row {
    let (target, factor, addend) = if is_small(size) {
        ("≤ floor + 30 µs, ≤ peer", 1.0, 30.0)
    } else {
        ("≤ 1.15 × floor, ≤ peer", 1.15, 0.0)
    };
    row.with_target(target, |row| Some(row.ours? <= factor * row.floor? + addend && row.ours? <= row.peer?))
}

const MANY: usize = 100;
const MANY_ROUNDS: usize = 80;

fn many_canvases(bar: &ProgressBar) -> Row {
    let canvases: Vec<_> = (0..MANY).collect();
    let mut sides = sides();
    for side in &mut sides {
        for _ in &canvases {
            side.create_canvas(MEDIUM, AlphaMode::Premultiplied);
        }
    }
    let samples = measure(&mut sides, MANY_ROUNDS, &canvases, MEDIUM, bar);
    let work = format!("{MANY} canvases of 256² in a frame");
    row("P2", work, "ms", &samples, |samples| millis(samples.median()))
        .with_target("≤ 1.2 × floor, ≤ peer / 7", |row| {
            Some(row.ours? <= 1.2 * row.floor? && 7.0 * row.ours? <= row.peer?)
        })
}

const RESIZE_ROUNDS: usize = 300;
/// How many sizes a canvas has that is resized, from 256² on.
const SIZES: usize = 64;

fn resizes(bar: &ProgressBar) -> [Row; 2] {
    let sized = |index: usize| square(256 + index as u32);
    let mut sides = sides();
    for side in &mut sides {
        for _ in 0..2 {
            side.create_canvas(sized(SIZES), AlphaMode::Premultiplied);
        }
    }
    // The ratio of the two figures counts, so they are measured in turn.
    let mut constant: Vec<_> = sides.iter().map(|side| Samples::of(side.name())).collect();
    let changing = take_turns(&mut sides, WARM_UP + RESIZE_ROUNDS, bar, |side, round| {
        // The constant size is in the middle of the changing ones.
        let time = two_frames(side, &[0], [sized(SIZES / 2); 2]);
        if let Some(samples) = constant.iter_mut().find(|samples| samples.side == side.name()) {
            samples.push(time);
        }
        two_frames(side, &[1], [2 * round, 2 * round + 1].map(|number| sized(number % SIZES)))
    });
    check(&sides, &[0, 1]);
    let median = |samples: &Samples| micros(samples.median());
    let constant = row("P3-constant", "present, 288²", "µs", &constant, median);
    let bound = constant.ours.map(|ours| 1.5 * ours);
    let changing = row("P3-resize", "present, (256 + i)², i from 0 to 63", "µs", &changing, median);
    [constant, changing.with_target("≤ 1.5 × ours constant", |row| Some(row.ours? <= bound?))]
}
