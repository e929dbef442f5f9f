//! What is measured.

mod busy;
mod images;
mod locks;
mod memory;
mod presents;
mod waiting;

use std::time::Duration;

use euclid::default::Size2D;
use indicatif::ProgressBar;

use crate::entrant::Entrant;
use crate::floor::Floor;
use crate::ours::Ours;
use crate::peer::Peer;
use crate::rows::Row;
use crate::statistics::Samples;

pub struct Case {
    /// A part of it selects the case.
    pub id: String,
    /// How often `run` advances the bar.
    pub steps: u64,
    pub run: Run,
}

type Run = Box<dyn Fn(&ProgressBar) -> Vec<Row>>;

pub fn all() -> Vec<Case> {
    let mut cases = presents::cases();
    cases.push(busy::case());
    cases.extend(images::cases());
    cases.extend(memory::cases());
    cases.extend(locks::cases());
    cases.extend(waiting::cases());
    cases
}

const MEDIUM: Size2D<u32> = Size2D::new(256, 256);
const FULL_HD: Size2D<u32> = Size2D::new(1920, 1080);
const ULTRA_HD: Size2D<u32> = Size2D::new(3840, 2160);

/// New ones for each case: what one leaves behind is not the next one's.
fn sides() -> Vec<Box<dyn Entrant>> {
    vec![Box::new(Ours::new()), Box::new(Peer::new()), Box::new(Floor::new())]
}

/// Lets the sides take turns, each of them first in its round, and returns their samples.
fn take_turns(
    sides: &mut [Box<dyn Entrant>],
    rounds: usize,
    bar: &ProgressBar,
    mut turn: impl FnMut(&mut dyn Entrant, usize) -> Duration,
) -> Vec<Samples> {
    let mut samples: Vec<_> = sides.iter().map(|side| Samples::of(side.name())).collect();
    for round in 0..rounds {
        for place in 0..sides.len() {
            let index = (round + place) % sides.len();
            let time = turn(&mut *sides[index], round);
            samples[index].push(time);
        }
        bar.inc(1);
    }
    samples
}

/// A row with a figure of each side.
fn row(
    id: impl Into<String>,
    work: impl Into<String>,
    unit: &'static str,
    samples: &[Samples],
    figure: impl Fn(&Samples) -> f64,
) -> Row {
    let of = |side| samples.iter().find(|samples| samples.side == side).map(&figure);
    Row { ours: of("ours"), peer: of("peer"), floor: of("floor"), ..Row::new(id, work, unit) }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
