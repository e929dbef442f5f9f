//! Cases P17: frames as script makes them. In each frame a texture is made for each canvas, presented, destroyed and dropped, without
//! waiting for the GPU in between. In some cases it is drawn too, which takes longer than all else.

use std::time::Duration;

use euclid::default::Size2D;

use super::presents::check;
use super::{Case, FULL_HD, MEDIUM, ULTRA_HD, micros, row, sides_and_direct, square};
use crate::entrant::AlphaMode;
use crate::rows::Row;
use crate::statistics::Samples;

/// Frames of one side that follow each other, so that a frame begins while the one before is cleaned up.
const IN_A_ROW: usize = 8;
const WARM_UP: usize = 3;

/// How long a page does something else between frames.
const REST: Duration = Duration::from_millis(10);

/// What the frames of a case are.
#[derive(Clone, Copy)]
struct Frames {
    count: usize,
    size: Size2D<u32>,
    rest: Duration,
    drawn: bool,
    rounds: usize,
}

pub fn cases() -> Vec<Case> {
    let case = |id: &'static str, what: &'static str, frames: Frames| Case {
        id: id.into(),
        run: Box::new(move || vec![measure(id, what, frames)]),
    };
    let large = Frames { count: 1, size: FULL_HD, rest: Duration::ZERO, drawn: false, rounds: 40 };
    let ultra = Frames { size: ULTRA_HD, rounds: 15, ..large };
    let ten = Frames { count: 10, size: MEDIUM, ..large };
    let hundred = Frames { count: 100, size: square(64), rounds: 20, ..large };
    let drawn = |frames| Frames { drawn: true, ..frames };
    vec![
        case("P17-1080p", "1 × 1920×1080, back to back", large),
        case(
            "P17-1080p-rest",
            "1 × 1920×1080, 10 ms of rest between frames",
            Frames { rest: REST, rounds: 15, ..large },
        ),
        case("P17-1080p-drawn", "1 × 1920×1080, drawn, back to back", drawn(large)),
        case("P17-4k", "1 × 3840×2160, back to back", ultra),
        case("P17-4k-drawn", "1 × 3840×2160, drawn, back to back", drawn(ultra)),
        case("P17-10", "10 × 256², back to back", ten),
        case("P17-10-drawn", "10 × 256², drawn, back to back", drawn(ten)),
        case("P17-100", "100 × 64², back to back", hundred),
        case("P17-100-drawn", "100 × 64², drawn, back to back", drawn(hundred)),
    ]
}

/// Measures the median of a frame, until its image updates are there.
fn measure(id: &str, what: &str, frames: Frames) -> Row {
    let Frames { count, size, rest, drawn, rounds } = frames;
    let mut sides = sides_and_direct();
    for side in &mut sides {
        for _ in 0..count {
            side.create_canvas(size, AlphaMode::Premultiplied);
        }
    }
    let frame: Vec<_> = (0..count).map(|canvas| (canvas, size)).collect();
    let mut all: Vec<_> = sides.iter().map(|side| Samples::of(side.name())).collect();
    for round in 0..WARM_UP + rounds {
        for place in 0..sides.len() {
            let index = (round + place) % sides.len();
            // The side before left its own data in the heap and in the caches.
            sides[index].script_frame(&frame, drawn);
            for _ in 0..IN_A_ROW {
                std::thread::sleep(rest);
                let time = sides[index].script_frame(&frame, drawn);
                if round >= WARM_UP {
                    all[index].push(time);
                }
            }
            std::thread::sleep(REST);
        }
    }
    if drawn {
        check(&sides, &(0..count).collect::<Vec<_>>());
    }
    row(id, format!("as script does it: {what}"), "µs", &all, |samples| micros(samples.median()))
}
