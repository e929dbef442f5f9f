//! Which frame answers which image update (I6).
//!
//! WebRender holds descriptors of updates that it has not drawn: it may build many frames before it renders one, and then
//! locks for each of them. The bytes must match the descriptor. So each update carries a *generation* in its
//! `channel_index`, which comes back in `lock`, and this table knows the layout behind each generation that may still be
//! asked for:
//!
//! ```text
//! issued:  … 4:a 5:a 6:b │ 7:a 8:a 9:b 10:a      (generation : layout, the last 255)
//!             locked ────┘ └──── outstanding: may still be locked, the last one always
//! kept:    a → newest frame of that layout,  b → newest frame of that layout      (never a third larger than a pixel)
//! held back: a frame that cannot be offered until something is locked
//! ```
//!
//! What was issued before is remembered, without frames, for a second renderer that lags behind the first.

use std::collections::VecDeque;

use arrayvec::ArrayVec;

use crate::frame::FrameLayout;
use crate::frame::SharedFrame;

/// Names an image update of one context among those that may still be locked. Wraps around.
pub(crate) type Generation = u8;

/// So many generations may be outstanding that none is ambiguous.
const MOST_ISSUED: usize = 255;

/// So many layouts may be outstanding, each with a frame that is kept. Single pixels (two layouts, transparent and opaque)
/// cost nothing and do not count.
const MOST_LARGE: usize = 2;

/// Consecutive generations of one layout.
struct Run {
    layout: FrameLayout,
    count: usize,
}

#[derive(Default)]
pub(crate) struct Generations {
    /// The generation that was issued last.
    last: Generation,
    /// What was issued, up to `last`; oldest first. Counts 255 generations at most, so none is ambiguous.
    runs: VecDeque<Run>,
    /// How many of them may still be locked: the last one always, as soon as there is one.
    outstanding: usize,
    /// The newest offered frame of each outstanding layout.
    kept: ArrayVec<SharedFrame, { MOST_LARGE + 2 }>,
    held_back: Option<SharedFrame>,
}

/// What the compositor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) generation: Generation,
    pub(crate) layout: FrameLayout,
}

impl Generations {
    /// What is left when its context is gone, for a later one with the same id: what was issued may still be locked, and no
    /// frame answers.
    #[must_use]
    pub(crate) fn end(&mut self) -> Self {
        let Self { last, outstanding, .. } = *self;
        let runs = self.runs.iter().map(|run| Run { ..*run }).collect();
        Self { last, outstanding, runs, kept: ArrayVec::new(), held_back: None }
    }

    /// Offers a frame, the newest there is. If it must be held back the result is the last offer again.
    pub(crate) fn offer(&mut self, frame: SharedFrame) -> Offer {
        // Whatever was held back is older.
        self.held_back = None;
        let layout = *frame.layout();
        let place = self.kept.iter().position(|kept| *kept.layout() == layout);
        if let Some(last) = self.last()
            && (self.outstanding >= MOST_ISSUED || (place.is_none() && !self.has_room_for(&layout)))
        {
            self.held_back = Some(frame);
            return last;
        }
        match place {
            Some(place) => self.kept[place] = frame,
            None => self.kept.push(frame),
        }
        self.issue(layout);
        Offer { generation: self.last, layout }
    }

    /// What the compositor was told last.
    pub(crate) fn last(&self) -> Option<Offer> {
        self.runs.back().map(|run| Offer { generation: self.last, layout: run.layout })
    }

    /// The frame that answers a generation: of its layout, and not older than it.
    pub(crate) fn frame(&self, generation: Generation) -> Option<&SharedFrame> {
        let layout = self.layout(self.age(generation))?;
        self.kept.iter().find(|kept| *kept.layout() == layout)
    }

    /// Bytes of the largest image that may still be locked.
    pub(crate) fn largest_outstanding(&self) -> usize {
        let layouts = (0..self.outstanding).filter_map(|age| self.layout(age));
        layouts.map(|layout| layout.byte_len()).max().unwrap_or(0)
    }

    /// The compositor asked for a generation: it will not ask for older ones. Returns what was held back and can be
    /// offered now.
    pub(crate) fn locked(&mut self, generation: Generation) -> Option<SharedFrame> {
        let age = self.age(generation);
        if age + 1 < self.outstanding {
            self.outstanding = age + 1;
            let kept = std::mem::take(&mut self.kept);
            let outstanding = |frame: &SharedFrame| {
                (0..self.outstanding).any(|age| self.layout(age) == Some(*frame.layout()))
            };
            self.kept = kept.into_iter().filter(outstanding).collect();
        }
        let place = self.held_back.as_ref().map(|frame| *frame.layout());
        let room = place.is_some_and(|layout| {
            self.outstanding < MOST_ISSUED
                && (self.has_room_for(&layout) || self.kept.iter().any(|kept| *kept.layout() == layout))
        });
        if room { self.held_back.take() } else { None }
    }

    fn issue(&mut self, layout: FrameLayout) {
        self.last = self.last.wrapping_add(1);
        self.outstanding += 1;
        match self.runs.back_mut() {
            Some(run) if run.layout == layout => run.count += 1,
            _ => self.runs.push_back(Run { layout, count: 1 }),
        }
        if self.runs.iter().map(|run| run.count).sum::<usize>() > MOST_ISSUED
            && let Some(oldest) = self.runs.front_mut()
        {
            oldest.count -= 1;
            if oldest.count == 0 {
                self.runs.pop_front();
            }
        }
    }

    /// How many generations were issued after this one, if it was.
    fn age(&self, generation: Generation) -> usize {
        usize::from(self.last.wrapping_sub(generation))
    }

    /// The layout of the generation that was issued so many before the last.
    fn layout(&self, mut age: usize) -> Option<FrameLayout> {
        for run in self.runs.iter().rev() {
            if age < run.count {
                return Some(run.layout);
            }
            age -= run.count;
        }
        None
    }

    fn has_room_for(&self, layout: &FrameLayout) -> bool {
        let large = self.kept.iter().filter(|kept| !kept.layout().is_one_pixel()).count();
        (layout.is_one_pixel() || large < MOST_LARGE) && !self.kept.is_full()
    }
}

#[cfg(test)]
mod tests {
    use euclid::default::Size2D;

    use super::*;
    use crate::frame::Frame;
    use crate::frame::testing::frame_layout;
    use crate::frame::testing::frame_of;
    use crate::pixels::AlphaMode;

    fn frame(width: u32) -> SharedFrame {
        frame_of(frame_layout(Size2D::new(width, 1)))
    }

    fn answers(generations: &Generations, generation: Generation, frame: &SharedFrame) -> bool {
        generations.frame(generation).is_some_and(|kept| kept.is(frame))
    }

    #[test]
    fn a_newer_frame_answers_for_an_older_one_of_its_layout() {
        let mut generations = Generations::default();
        let (a, b) = (frame(1), frame(1));
        let (first, second) = (generations.offer(a), generations.offer(b.clone()));
        assert_ne!(first.generation, second.generation);
        assert!(answers(&generations, first.generation, &b) && answers(&generations, second.generation, &b));
    }

    // D5: a canvas that shrinks while the compositor holds the larger descriptor.
    #[test]
    fn each_outstanding_layout_keeps_a_frame_of_its_own() {
        let mut generations = Generations::default();
        let (large, small) = (frame(100), frame(10));
        let (first, second) = (generations.offer(large.clone()), generations.offer(small.clone()));
        assert!(
            answers(&generations, first.generation, &large)
                && answers(&generations, second.generation, &small)
        );
        assert!(generations.locked(second.generation).is_none());
        assert!(
            generations.frame(first.generation).is_none(),
            "nobody asks for it any more, its memory is free"
        );
        assert!(answers(&generations, second.generation, &small));
    }

    #[test]
    fn a_third_layout_is_held_back_until_a_lock() {
        let mut generations = Generations::default();
        generations.offer(Frame::cleared(AlphaMode::Opaque).into());
        generations.offer(frame(2));
        let second = generations.offer(frame(3));
        let third = frame(4);
        assert_eq!(generations.offer(frame(5)), second);
        assert_eq!(generations.offer(third.clone()), second, "the newest replaces what was held back");
        let held_back = generations.locked(second.generation).expect("it can be offered now");
        let offered = generations.offer(held_back);
        assert!(answers(&generations, offered.generation, &third));
        assert!(generations.locked(offered.generation).is_none());
    }

    #[test]
    fn the_256th_unlocked_generation_is_held_back() {
        let mut generations = Generations::default();
        let first = generations.offer(frame(1));
        for _ in 1..MOST_ISSUED {
            generations.offer(frame(1));
        }
        let last = generations.last().unwrap();
        let newest = frame(1);
        assert_eq!(generations.offer(newest.clone()), last);
        assert!(!answers(&generations, last.generation, &newest));
        // The oldest was locked: that alone makes no room, its generation may be asked for by other tiles.
        assert!(generations.locked(first.generation).is_none());
        let held_back = generations.locked(first.generation.wrapping_add(1)).expect("there is room now");
        let offered = generations.offer(held_back);
        assert_eq!(offered.generation, first.generation.wrapping_sub(1));
        assert!(answers(&generations, offered.generation, &newest));
    }

    #[test]
    fn a_renderer_that_lags_gets_the_newest_of_its_layout() {
        let mut generations = Generations { last: 250, ..Generations::default() };
        let issued: Vec<_> = (0..20).map(|_| generations.offer(frame(1)).generation).collect();
        generations.locked(issued[19]);
        let newest = frame(1);
        generations.offer(newest.clone());
        assert!(issued.iter().all(|generation| answers(&generations, *generation, &newest)));
    }

    #[test]
    fn an_unknown_generation_changes_nothing() {
        let mut generations = Generations::default();
        let first = generations.offer(frame(1));
        assert!(generations.locked(first.generation.wrapping_add(9)).is_none());
        assert!(generations.frame(first.generation).is_some());
    }
}
