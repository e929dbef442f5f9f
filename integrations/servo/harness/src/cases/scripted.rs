//! Cases P17: frames as script makes them. In each frame a texture is made for each canvas, drawn, presented, destroyed and dropped,
//! without waiting for the GPU in between.

use std::time::Duration;

use euclid::default::Size2D;

use super::presents::check;
use super::{Case, FULL_HD, MEDIUM, micros, row, sides, square, take_turns};
use crate::entrant::AlphaMode;
use crate::rows::Row;

/// Frames of one side that follow each other, so that a frame begins while the one before is cleaned up.
const IN_A_ROW: usize = 8;
const WARM_UP: usize = 3;

/// How long a page does something else between frames.
const REST: Duration = Duration::from_millis(10);

pub fn cases() -> Vec<Case> {
    let case =
        |id: &'static str, what: &'static str, count: usize, size: Size2D<u32>, rest: Duration, rounds| {
            Case { id: id.into(), run: Box::new(move || vec![frames((id, what), count, size, rest, rounds)]) }
        };
    let none = Duration::ZERO;
    vec![
        case("P17-1080p", "1 × 1920×1080, back to back", 1, FULL_HD, none, 30),
        case("P17-1080p-rest", "1 × 1920×1080, 10 ms of rest between frames", 1, FULL_HD, REST, 15),
        case("P17-10", "10 × 256², back to back", 10, MEDIUM, none, 40),
        case("P17-100", "100 × 64², back to back", 100, square(64), none, 15),
    ]
}

/// Measures the median of a frame, until its image updates are there.
fn frames((id, what): (&str, &str), count: usize, size: Size2D<u32>, rest: Duration, rounds: usize) -> Row {
    let mut sides = sides();
    for side in &mut sides {
        for _ in 0..count {
            side.create_canvas(size, AlphaMode::Premultiplied);
        }
    }
    let frame: Vec<_> = (0..count).map(|canvas| (canvas, size)).collect();
    let mut all: Vec<_> = sides.iter().map(|side| crate::statistics::Samples::of(side.name())).collect();
    for round in 0..WARM_UP + rounds {
        take_turns(&mut sides, 1, |side, _| {
            // The side before left its own data in the heap and in the caches.
            side.script_frame(&frame);
            for _ in 0..IN_A_ROW {
                std::thread::sleep(rest);
                let time = side.script_frame(&frame);
                if round >= WARM_UP
                    && let Some(samples) = all.iter_mut().find(|samples| samples.side == side.name())
                {
                    samples.push(time);
                }
            }
            std::thread::sleep(REST);
            Duration::ZERO
        });
    }
    check(&sides, &(0..count).collect::<Vec<_>>());
    row(id, format!("as script does it: {what}"), "µs", &all, |samples| micros(samples.median()))
}
