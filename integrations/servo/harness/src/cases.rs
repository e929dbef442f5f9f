//! Comparisons: each of them lets all sides take turns, and returns rows of figures.
//!
//! - `presents`: from a present to its image update, in cases P1 to P3;
//! - `scripted`: frames as script makes them, in cases P17;
//! - `busy`: presents beside another page's long work, in case P4;
//! - `images`: `get_image`, in cases P5;
//! - `memory`: what presents leave behind and what a canvas holds, in cases P6 and P7;
//! - `locks`: `lock` and `unlock` of a renderer, in cases P9.
//!
//! Unless a case says otherwise, textures are fresh in each frame. A render pass clears them, and the GPU has done that before the
//! clock starts. A message that destroys the texture follows each present; the floor destroys it when the clock has stopped. Where there
//! is a side with direct frames, its textures are drawn in place, and no frame of it is copied.

mod busy;
mod images;
mod locks;
mod memory;
mod presents;
mod scripted;

use std::time::Duration;

use euclid::default::Size2D;

use crate::direct::{self, Direct};
use crate::entrant::Entrant;
use crate::floor::Floor;
use crate::rows::Row;
use crate::servo::{Servo, Variant};
use crate::statistics::Samples;

pub struct Case {
    /// The name of the case. A part of it, on the command line, selects the case.
    pub id: String,
    pub run: Run,
}

type Run = Box<dyn Fn() -> Vec<Row>>;

pub fn all() -> Vec<Case> {
    let mut cases = presents::cases();
    cases.extend(scripted::cases());
    cases.push(busy::case());
    cases.extend(images::cases());
    cases.extend(memory::cases());
    cases.extend(locks::cases());
    cases
}

const MEDIUM: Size2D<u32> = Size2D::new(256, 256);
const FULL_HD: Size2D<u32> = Size2D::new(1920, 1080);
const ULTRA_HD: Size2D<u32> = Size2D::new(3840, 2160);

fn square(side: u32) -> Size2D<u32> {
    Size2D::new(side, side)
}

/// Starts all sides anew.
fn sides() -> Vec<Box<dyn Entrant>> {
    let servo = |variant| Box::new(Servo::new(variant));
    vec![servo(Variant::Published), servo(Variant::Adapted), Box::new(Floor::new())]
}

/// Starts all sides anew, and one whose frames are direct.
fn sides_and_direct() -> Vec<Box<dyn Entrant>> {
    let mut sides = sides();
    sides.push(Box::new(Direct::new()));
    sides
}

/// Lets the sides take turns, beginning with another side in each round, and returns their samples.
fn take_turns(
    sides: &mut [Box<dyn Entrant>],
    rounds: usize,
    mut turn: impl FnMut(&mut dyn Entrant, usize) -> Duration,
) -> Vec<Samples> {
    let mut samples: Vec<_> = sides.iter().map(|side| Samples::of(side.name())).collect();
    for round in 0..rounds {
        for place in 0..sides.len() {
            let index = (round + place) % sides.len();
            let time = turn(&mut *sides[index], round);
            samples[index].push(time);
        }
    }
    samples
}

/// Returns a row with a figure of each side.
fn row(
    id: impl Into<String>,
    work: impl Into<String>,
    unit: &str,
    samples: &[Samples],
    figure: impl Fn(&Samples) -> f64,
) -> Row {
    let of = |side| samples.iter().find(|samples| samples.side == side).map(&figure).into();
    Row {
        published: of(Variant::Published.name()),
        adapted: of(Variant::Adapted.name()),
        direct: of(direct::NAME),
        floor: of("floor"),
        ..Row::new(id, work, unit)
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
