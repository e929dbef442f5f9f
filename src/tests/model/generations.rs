//! The table of offers against lists of all frames and all updates there ever were, with two renderers. Each draws the updates
//! in their order; it may leave some out, and it may lag behind the other.
//!
//! - what is not drawn yet by any renderer gets a frame of its layout, no older than the one it was sent for;
//! - a renderer that lags behind gets such a frame or none;
//! - what may still be drawn is of different generations, unless it is the same update again;
//! - the largest image that may still be drawn is known;
//! - no more than three large frames are kept, and two single pixels;
//! - the first renderer to draw everything sees the newest frame.
//!
//! A renderer that lags 255 generations behind the other leaves these out: one byte cannot name them any more.
//!
//! The table may be handed on to another life of its context in between: then what was sent before may get no frame.

use euclid::default::Size2D;

use super::{Choices, Violation, run_all};
use crate::AlphaMode;
use crate::delivery::Generations;
use crate::frame::FrameLayout;
use crate::frame::testing::frame_layout;
use crate::frame::testing::marked_frame;
use crate::frame::{Frame, SharedFrame, WeakFrame};

const MOST_LARGE: usize = 3;
const MOST_PIXELS: usize = 2;
const LONGEST_LAG: usize = 255;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// New frames of one layout.
    Offer { layout: u32, count: u32 },
    /// A renderer draws so many updates, each or only the last of them.
    Draw { renderer: usize, count: usize, each: bool },
    /// The context ends, and another one gets its id.
    End,
}

fn history(choices: &mut Choices) -> Vec<Step> {
    (0..1 + choices.below(24)).map(|_| step(choices)).collect()
}

fn step(choices: &mut Choices) -> Step {
    match choices.below(1000) {
        0..=598 => Step::Offer { layout: choices.below(6), count: 1 },
        599 => Step::Offer { layout: choices.below(6), count: 1 + choices.below(300) },
        600..=989 => {
            let renderer = usize::from(choices.one_in(4));
            let count = if choices.one_in(4) { usize::MAX } else { choices.below(6) as usize };
            Step::Draw { renderer, count, each: choices.one_in(2) }
        }
        _ => Step::End,
    }
}

fn layout(index: u32) -> FrameLayout {
    match index {
        0 => FrameLayout::cleared(AlphaMode::Opaque),
        1 => FrameLayout::cleared(AlphaMode::Premultiplied),
        width => frame_layout(Size2D::new(width, width)),
    }
}

#[derive(Clone, Copy)]
struct Update {
    generation: u8,
    layout: FrameLayout,
    /// The frame it was first sent for. Frames are numbered from 1.
    frame: u32,
    /// Counts generations.
    issue: usize,
}

#[derive(Default)]
struct Table {
    offers: Generations,
    alive: Vec<WeakFrame>,
    newest: u32,
    updates: Vec<Update>,
    /// How many of them each renderer has drawn or left out.
    drawn: [usize; 2],
    /// The newest frame of the life before.
    ended: u32,
}

impl Table {
    fn go(&mut self, step: Step) -> Result<(), Violation> {
        match step {
            Step::Offer { layout: index, count } => {
                for _ in 0..count {
                    self.newest += 1;
                    let frame = marked_frame(layout(index), self.newest);
                    self.alive.push(frame.downgrade());
                    self.offer(frame)?;
                }
            }
            Step::Draw { renderer, count, each } => {
                let largest = self.outstanding().iter().map(|update| update.layout.byte_len()).max();
                if largest > Some(self.offers.largest_outstanding()) {
                    return Err("a larger image may be drawn than the table knows".into());
                }
                let first = self.drawn[renderer];
                let end = self.updates.len().min(first.saturating_add(count));
                let first = if each { first } else { end.saturating_sub(1).max(first) };
                (first..end).try_for_each(|index| self.draw(renderer, index))?;
            }
            Step::End => {
                self.offers = self.offers.end();
                self.ended = self.newest;
            }
        }
        self.alive.retain(|frame| frame.upgrade().is_some());
        let frames = self.alive.iter().filter_map(WeakFrame::upgrade);
        let (pixels, large): (Vec<_>, Vec<_>) = frames.partition(|frame| frame.layout().is_one_pixel());
        if large.len() > MOST_LARGE || pixels.len() > MOST_PIXELS + 1 {
            return Err(format!("{} large frames and {} pixels are kept", large.len(), pixels.len()));
        }
        Ok(())
    }

    /// Those that may be drawn for the first time, and the one before, of which a tile may be missing.
    fn outstanding(&self) -> &[Update] {
        let front = self.drawn[0].max(self.drawn[1]);
        &self.updates[front.saturating_sub(1)..]
    }

    fn offer(&mut self, frame: SharedFrame) -> Result<(), Violation> {
        let (mark, its_layout) = (mark(&frame), *frame.layout());
        let offer = self.offers.offer(frame);
        let last = self.updates.last().copied();
        if let Some(last) = last
            && (last.generation, last.layout) == (offer.generation, offer.layout)
        {
            self.updates.push(last);
            return Ok(());
        }
        if offer.layout != its_layout {
            return Err(format!("frame {mark} is offered with the layout of another"));
        }
        if self.outstanding().iter().any(|update| update.generation == offer.generation) {
            return Err(format!("generation {} is issued again", offer.generation));
        }
        let issue = last.map_or(0, |last| last.issue + 1);
        let (generation, layout) = (offer.generation, offer.layout);
        self.updates.push(Update { generation, layout, frame: mark, issue });
        Ok(())
    }

    fn draw(&mut self, renderer: usize, index: usize) -> Result<(), Violation> {
        let update = self.updates[index];
        let is_first = index >= self.drawn[0].max(self.drawn[1]);
        self.drawn[renderer] = index + 1;
        if self.updates.last().is_some_and(|last| last.issue - update.issue >= LONGEST_LAG) {
            return Ok(());
        }
        let frame = self.offers.frame(update.generation).cloned();
        let held_back = self.offers.locked(update.generation);
        match frame {
            Some(frame) if *frame.layout() != update.layout || mark(&frame) < update.frame => {
                return Err(format!("frame {} answers update {index}, of {}", mark(&frame), update.frame));
            }
            None if is_first && update.frame > self.ended => {
                return Err(format!("no frame answers update {index}, of {}", update.frame));
            }
            Some(_) | None => {}
        }
        held_back.map_or(Ok(()), |frame| self.offer(frame))
    }

    /// The first renderer draws everything.
    fn end(mut self) -> Result<(), Violation> {
        while self.drawn[0] < self.updates.len() {
            self.draw(0, self.drawn[0])?;
        }
        let last = self.offers.last().and_then(|last| self.offers.frame(last.generation));
        let shown = last.map_or(self.ended, |frame| mark(frame));
        if shown == self.newest { Ok(()) } else { Err(format!("{shown} is shown, not {}", self.newest)) }
    }
}

fn mark(frame: &Frame) -> u32 {
    frame.bytes().first_chunk().copied().map_or(0, u32::from_le_bytes)
}

#[test]
fn the_newest_frame_of_the_right_layout_answers_in_200_000_histories() {
    run_all(200_000, history, |steps| {
        let mut table = Table::default();
        steps.iter().try_for_each(|step| table.go(*step))?;
        table.end()
    });
}
