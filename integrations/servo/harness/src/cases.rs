//! What is measured: each case runs all sides in turn and returns rows of figures.
//!
//! - `presents`: from a present to its image update, in cases P1 to P3;
//! - `busy`: a present beside another page's long work, in case P4;
//! - `images`: `get_image`, in cases P5;
//! - `memory`: what presents leave behind and what a canvas holds, in cases P6 and P7;
//! - `locks`: `lock` and `unlock` of a renderer, in cases P9;
//! - `waiting`: what waiting for the GPU costs, in cases W.

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
    /// The name of the case. A part of it, on the command line, selects the case.
    pub id: String,
    /// How often `run` advances the progress bar.
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

/// Starts all sides anew, so that a case is not affected by what another one leaves behind.
fn sides() -> Vec<Box<dyn Entrant>> {
    vec![Box::new(Ours::new()), Box::new(Peer::new()), Box::new(Floor::new())]
}

/// Lets the sides take turns, beginning with another side in each round, and returns their samples.
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

/// Returns a row with a figure of each side.
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
