//! Cases P1 to P3: from a present to its image update.

use std::time::Duration;

use euclid::default::Size2D;

use super::{
    Case, FULL_HD, MEDIUM, ULTRA_HD, micros, millis, row, sides, sides_and_direct, square, take_turns,
};
use crate::entrant::{AlphaMode, Entrant, Then, pixel};
use crate::floor::threads::{self, OnThreads};
use crate::floor::{self, Floor};
use crate::rows::{Figure, Row};
use crate::statistics::Samples;

/// How many rounds precede those that are measured: buffers are created, and caches warm up.
const WARM_UP: usize = 5;

pub fn cases() -> Vec<Case> {
    let one = |id: &'static str, work: &'static str, size: Size2D<u32>, rounds: usize| Case {
        id: id.into(),
        run: Box::new(move || one_canvas(id, work, size, rounds)),
    };
    let many = |id: &'static str, count: usize, rounds: usize| Case {
        id: id.into(),
        run: Box::new(move || vec![many_canvases(id, count, rounds)]),
    };
    vec![
        one("P1-64", "present, 64²", square(64), 1000),
        one("P1-256", "present, 256²", MEDIUM, 1000),
        one("P1-1024", "present, 1024²", square(1024), 400),
        one("P1-1080p", "present, 1920×1080", FULL_HD, 200),
        one("P1-4k", "present, 3840×2160", ULTRA_HD, 80),
        many("P2-10", 10, 300),
        many("P2-100", 100, 80),
        Case { id: "P3".into(), run: Box::new(|| resizes().into()) },
    ]
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
) -> Vec<Samples> {
    let turn = |side: &mut dyn Entrant, _: usize| two_frames(side, canvases, [size; 2]);
    take_turns(sides, WARM_UP, turn);
    let samples = take_turns(sides, rounds, turn);
    check(sides, canvases);
    samples
}

/// Makes sure that each side shows what it presented: a present that failed would have been fast.
pub fn check(sides: &[Box<dyn Entrant>], canvases: &[usize]) {
    for side in sides {
        side.check();
        let Some(mut locker) = side.locker() else { continue };
        for canvas in canvases {
            let shown = locker.first_pixel(*canvas);
            assert_eq!(shown, Some(pixel(AlphaMode::Premultiplied)), "what {} shows", side.name());
        }
    }
}

fn one_canvas(id: &str, work: &str, size: Size2D<u32>, rounds: usize) -> Vec<Row> {
    let mut sides = sides_and_direct();
    sides.push(Box::new(OnThreads::new()));
    sides.push(Box::new(Floor::empty()));
    sides.push(Box::new(OnThreads::empty()));
    for side in &mut sides {
        side.create_canvas(size, AlphaMode::Premultiplied);
    }
    let samples = measure(&mut sides, rounds, &[0], size);
    let median = |samples: &Samples| micros(samples.median());
    let plain = row(id, work, "µs", &samples, median);
    let other_floors = [
        ("threads", threads::NAME, "the floor on three threads"),
        ("empty", floor::EMPTY_NAME, "the floor copies nothing"),
        ("empty-threads", threads::EMPTY_NAME, "the floor copies nothing, on three threads"),
    ];
    let with_floor = |(suffix, side, what)| Row {
        id: format!("{id}-{suffix}"),
        work: format!("{work}, {what}"),
        floor: Figure::from(samples.iter().find(|samples| samples.side == side).map(median)),
        ..plain.clone()
    };
    let rows: Vec<_> = other_floors.into_iter().map(with_floor).collect();
    std::iter::once(plain).chain(rows).collect()
}

fn many_canvases(id: &str, count: usize, rounds: usize) -> Row {
    let canvases: Vec<_> = (0..count).collect();
    let mut sides = sides_and_direct();
    for side in &mut sides {
        for _ in &canvases {
            side.create_canvas(MEDIUM, AlphaMode::Premultiplied);
        }
    }
    let samples = measure(&mut sides, rounds, &canvases, MEDIUM);
    let work = format!("{count} canvases of 256² in a frame");
    row(id, work, "ms", &samples, |samples| millis(samples.median()))
}

const RESIZE_ROUNDS: usize = 300;
/// How many sizes a canvas has that is resized, from 256² on.
const SIZES: usize = 64;

fn resizes() -> [Row; 2] {
    let sized = |index: usize| square(256 + index as u32);
    let mut sides = sides();
    for side in &mut sides {
        for _ in 0..2 {
            side.create_canvas(sized(SIZES), AlphaMode::Premultiplied);
        }
    }
    // The ratio of the two figures counts, so they are measured in turn.
    let mut constant: Vec<_> = sides.iter().map(|side| Samples::of(side.name())).collect();
    let changing = take_turns(&mut sides, WARM_UP + RESIZE_ROUNDS, |side, round| {
        // The constant size is in the middle of the changing ones.
        let time = two_frames(side, &[0], [sized(SIZES / 2); 2]);
        if let Some(samples) = constant.iter_mut().find(|samples| samples.side == side.name()) {
            samples.push(time);
        }
        two_frames(side, &[1], [2 * round, 2 * round + 1].map(|number| sized(number % SIZES)))
    });
    check(&sides, &[0, 1]);
    let median = |samples: &Samples| micros(samples.median());
    [
        row("P3-constant", "present, 288²", "µs", &constant, median),
        row("P3-resize", "present, (256 + i)², i from 0 to 63", "µs", &changing, median),
    ]
}
