//! The rules by which updates of one image are numbered and answered, as a small table.
//!
//! 1. A generation stands for a layout. An update offers the newest frame under a generation of its layout, however many updates
//!    nobody has drawn.
//! 2. What a renderer locked last is not the generation of the next update.
//! 3. A renderer that locks the same generation again gets the same frame again.
//! 4. Otherwise the newest frame of the layout that the generation stands for answers. It is kept though a newer one has another layout.

use std::sync::Arc;

use super::generations::Image;
use super::machine::{KEY, data};
use crate::delivery::{Fallback, HandlerId, Locked};
use crate::frame::{FrameLayout, SharedFrame};
use crate::tests::oracle::Witness;
use crate::{CanvasEpoch, ImageSink};

/// More bytes than any image here has.
const LONGEST: usize = 4096;

/// A rule that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weakened {
    Nothing,
    /// Instead of rules 1 and 2 each update has a generation of its own. It is held back while 255 of them wait to be locked, or while those
    /// that wait have two other layouts.
    HoldsBack,
    /// Rule 1.
    IgnoresLayouts,
    /// Rule 2.
    RepeatsWhatWasLocked,
    /// Rule 3.
    AnswersAnew,
    /// Rule 4.
    AnswersWithAnyLayout,
    /// Rule 4.
    KeepsOneFrame,
}

pub(super) struct Table {
    weakened: Weakened,
    witness: Arc<Witness>,
    fallback: Arc<Fallback>,
    /// The number of each update, what its generation stands for, and whether it waits to be locked. The newest comes last.
    updates: Vec<(u8, FrameLayout, bool)>,
    /// The newest frame of each layout. The newest comes last.
    frames: Vec<SharedFrame>,
    last_locks: Vec<(HandlerId, u8, Locked)>,
    held_back: Option<SharedFrame>,
}

impl Table {
    pub(super) fn new(weakened: Weakened, witness: &Arc<Witness>, fallback: &Arc<Fallback>) -> Self {
        Self {
            weakened,
            witness: witness.clone(),
            fallback: fallback.clone(),
            updates: Vec::new(),
            frames: Vec::new(),
            last_locks: Vec::new(),
            held_back: None,
        }
    }

    fn bind(&self, layout: FrameLayout) -> u8 {
        let numbers = self.updates.iter().rev();
        let is_pinned = |number| self.last_locks.iter().any(|(_, locked, _)| *locked == number);
        let mut fitting = numbers.filter(|(number, bound, _)| match self.weakened {
            Weakened::HoldsBack => false,
            Weakened::IgnoresLayouts => !is_pinned(*number),
            Weakened::RepeatsWhatWasLocked => *bound == layout,
            _ => *bound == layout && !is_pinned(*number),
        });
        let next = || self.updates.last().map_or(0, |_| self.highest().wrapping_add(1));
        fitting.next().map_or_else(next, |(number, ..)| *number)
    }

    fn highest(&self) -> u8 {
        match self.weakened {
            Weakened::HoldsBack => self.updates.last().map_or(0, |(number, ..)| *number),
            _ => self.updates.iter().map(|(number, ..)| *number).max().unwrap_or(0),
        }
    }

    fn must_hold_back(&self, layout: FrameLayout) -> bool {
        let waiting = self.updates.iter().filter(|(.., waits)| *waits).map(|(_, layout, _)| *layout);
        let mut layouts = Vec::from_iter(waiting);
        let count = layouts.len();
        layouts.dedup();
        layouts.retain(|waiting| *waiting != layout);
        self.weakened == Weakened::HoldsBack && (count >= 255 || layouts.len() >= 2)
    }

    fn tell(&self, tell: impl FnOnce(&mut dyn ImageSink)) {
        let mut sink = self.witness.sink(0);
        tell(&mut sink);
        sink.flush();
    }

    fn offer(&mut self, frame: SharedFrame) -> (u8, FrameLayout) {
        let layout = *frame.layout();
        let number = self.bind(layout);
        self.updates.retain(|(before, ..)| *before != number);
        self.updates.push((number, layout, true));
        self.frames.retain(|frame| self.weakened != Weakened::KeepsOneFrame && *frame.layout() != layout);
        self.frames.push(frame);
        (number, layout)
    }
}

impl Image for Table {
    fn begin(&mut self, frame: SharedFrame) {
        let (number, layout) = self.offer(frame);
        self.tell(|sink| sink.add_image(KEY, layout.descriptor(), data(number)));
    }

    fn show(&mut self, frame: SharedFrame) {
        let last = self.updates.last().map(|(number, layout, _)| (*number, *layout));
        let (number, layout) = match last.filter(|_| self.must_hold_back(*frame.layout())) {
            Some(last) => {
                self.held_back = Some(frame);
                last
            }
            None => {
                self.held_back = None;
                self.offer(frame)
            }
        };
        self.tell(|sink| sink.update_image(KEY, layout.descriptor(), data(number), CanvasEpoch(0)));
    }

    fn lock(&mut self, handler: HandlerId, generation: Option<u8>) -> Locked {
        let newest = self.updates.last().map(|(number, ..)| *number);
        let asked = generation.or(newest).unwrap_or(0);
        let last = self.last_locks.iter().find(|(of, number, _)| (*of, *number) == (handler, asked));
        if let Some((.., locked)) = last.filter(|_| self.weakened != Weakened::AnswersAnew) {
            return locked.clone();
        }
        let index = self.updates.iter().position(|(number, ..)| *number == asked);
        let layout = index.map(|index| self.updates[index].1);
        let any = self.weakened == Weakened::AnswersWithAnyLayout;
        let frame = self.frames.iter().rev().find(|frame| any || Some(*frame.layout()) == layout);
        let Some(frame) = frame.cloned() else {
            return self.fallback.zeros(LONGEST).expect("there is memory");
        };
        let locked = Locked::Frame(frame);
        self.last_locks.retain(|(of, ..)| *of != handler);
        self.last_locks.push((handler, asked, locked.clone()));
        let until = index.unwrap_or(0);
        self.updates[..=until].iter_mut().for_each(|(.., waits)| *waits = false);
        if let Some(frame) = self.held_back.take() {
            self.show(frame);
        }
        locked
    }

    fn end(&mut self) {
        unreachable!("it has no rules for ids that are used again");
    }
}
