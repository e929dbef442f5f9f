//! Which frame answers which image update (I6).
//!
//! WebRender holds descriptors of updates that it has not drawn: it may build many frames before it renders one, and then
//! locks for each of them. The bytes must match the descriptor. So each update carries a *generation* in its
//! `channel_index`, which comes back in `lock`, and this table knows the layout behind each generation that may still be
//! asked for:
//!
//! ```text
//! issued:  oldest that may be locked … ── 7:a ── 8:a ── 9:b ── 10:a ── newest     (generation : layout)
//! kept:    a → newest frame of that layout,  b → newest frame of that layout      (never a third larger than a pixel)
//! held back: a frame that cannot be offered until something is locked
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::frame::Frame;
use crate::layout::FrameLayout;

/// Names an image update of one context among those that may still be locked. Wraps around.
pub(crate) type Generation = u8;

/// So many generations may be outstanding that none is ambiguous.
const MOST_ISSUED: usize = 255;

/// So many layouts may be outstanding, each with a frame that is kept. Single pixels (two layouts, transparent and opaque)
/// cost nothing and do not count.
const MOST_LARGE: usize = 2;

#[derive(Default)]
pub(crate) struct Offers {
    /// Oldest first; the last is what the compositor was told last. Empty until something was offered.
    issued: VecDeque<(Generation, FrameLayout)>,
    /// The newest offered frame of each layout in `issued`.
    kept: ArrayVec<Arc<Frame>, { MOST_LARGE + 2 }>,
    held_back: Option<Arc<Frame>>,
}

/// What the compositor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) generation: Generation,
    pub(crate) layout: FrameLayout,
}

impl Offers {
    /// Offers a frame, the newest there is. If it must be held back the result is the last offer again.
    pub(crate) fn offer(&mut self, frame: Arc<Frame>) -> Offer {
        // Whatever was held back is older.
        self.held_back = None;
        let layout = *frame.layout();
        let place = self.kept.iter().position(|kept| *kept.layout() == layout);
        let last = self.last();
        match (place, last) {
            (None, Some(last)) if !self.has_room_for(&layout) => return self.hold_back(frame, last),
            (_, Some(last)) if self.issued.len() >= MOST_ISSUED => return self.hold_back(frame, last),
            (Some(place), _) => self.kept[place] = frame,
            (None, _) => self.kept.push(frame),
        }
        let generation = last.map_or(0, |last| last.generation.wrapping_add(1));
        self.issued.push_back((generation, layout));
        Offer { generation, layout }
    }

    /// What the compositor was told last.
    pub(crate) fn last(&self) -> Option<Offer> {
        self.issued.back().map(|&(generation, layout)| Offer { generation, layout })
    }

    /// The frame that answers a generation: of its layout, and not older than it.
    pub(crate) fn frame(&self, generation: Generation) -> Option<&Arc<Frame>> {
        let (_, layout) = self.issued.iter().find(|(issued, _)| *issued == generation)?;
        self.kept.iter().find(|kept| kept.layout() == layout)
    }

    /// The compositor asked for a generation: it will not ask for older ones. Returns what was held back and can be
    /// offered now.
    pub(crate) fn locked(&mut self, generation: Generation) -> Option<Offer> {
        if self.issued.front().is_some_and(|&(oldest, _)| oldest == generation) && self.held_back.is_none() {
            return None;
        }
        let position = self.issued.iter().position(|(issued, _)| *issued == generation)?;
        self.issued.drain(..position);
        let issued = &self.issued;
        self.kept.retain(|kept| issued.iter().any(|(_, layout)| layout == kept.layout()));
        let held_back = self.held_back.take()?;
        let last = self.last();
        let offer = self.offer(held_back);
        (Some(offer) != last).then_some(offer)
    }

    fn has_room_for(&self, layout: &FrameLayout) -> bool {
        let large = self.kept.iter().filter(|kept| !kept.layout().is_one_pixel()).count();
        (layout.is_one_pixel() || large < MOST_LARGE) && !self.kept.is_full()
    }

    fn hold_back(&mut self, frame: Arc<Frame>, last: Offer) -> Offer {
        self.held_back = Some(frame);
        last
    }
}

#[cfg(test)]
mod tests {
    use euclid::default::Size2D;
    use wgpu_types::TextureFormat;

    use super::*;
    use crate::AlphaMode;
    use crate::frame::tests::frame_of;

    fn frame(width: u32) -> Arc<Frame> {
        frame_of(
            FrameLayout::for_copy(Size2D::new(width, 1), TextureFormat::Bgra8Unorm, AlphaMode::Opaque)
                .unwrap(),
        )
    }

    fn answers(offers: &Offers, generation: Generation, frame: &Arc<Frame>) -> bool {
        offers.frame(generation).is_some_and(|kept| Arc::ptr_eq(kept, frame))
    }

    #[test]
    fn a_newer_frame_answers_for_an_older_one_of_its_layout() {
        let mut offers = Offers::default();
        let (a, b) = (frame(1), frame(1));
        let (first, second) = (offers.offer(a), offers.offer(b.clone()));
        assert_ne!(first.generation, second.generation);
        assert!(answers(&offers, first.generation, &b) && answers(&offers, second.generation, &b));
    }

    // D5: a canvas that shrinks while the compositor holds the larger descriptor.
    #[test]
    fn each_outstanding_layout_keeps_a_frame_of_its_own() {
        let mut offers = Offers::default();
        let (large, small) = (frame(100), frame(10));
        let (first, second) = (offers.offer(large.clone()), offers.offer(small.clone()));
        assert!(answers(&offers, first.generation, &large) && answers(&offers, second.generation, &small));
        assert_eq!(offers.locked(second.generation), None);
        assert!(offers.frame(first.generation).is_none(), "nobody asks for it any more");
        assert!(answers(&offers, second.generation, &small));
    }

    #[test]
    fn a_third_layout_is_held_back_until_a_lock() {
        let mut offers = Offers::default();
        offers.offer(Arc::new(Frame::cleared(AlphaMode::Opaque)));
        offers.offer(frame(2));
        let second = offers.offer(frame(3));
        let third = frame(4);
        assert_eq!(offers.offer(frame(5)), second);
        assert_eq!(offers.offer(third.clone()), second, "the newest replaces what was held back");
        let offered = offers.locked(second.generation).expect("it can be offered now");
        assert!(answers(&offers, offered.generation, &third));
        assert_eq!(offers.locked(offered.generation), None);
    }

    #[test]
    fn the_256th_unlocked_generation_is_held_back() {
        let mut offers = Offers::default();
        let first = offers.offer(frame(1));
        for _ in 1..MOST_ISSUED {
            offers.offer(frame(1));
        }
        let last = offers.last().unwrap();
        let newest = frame(1);
        assert_eq!(offers.offer(newest.clone()), last);
        assert!(!answers(&offers, last.generation, &newest));
        // The oldest was locked: that alone makes no room, its generation may be asked for by other tiles.
        assert_eq!(offers.locked(first.generation), None);
        let offered = offers.locked(first.generation.wrapping_add(1)).expect("there is room now");
        assert_eq!(offered.generation, first.generation.wrapping_sub(1));
        assert!(answers(&offers, offered.generation, &newest));
    }

    #[test]
    fn an_unknown_generation_changes_nothing() {
        let mut offers = Offers::default();
        let first = offers.offer(frame(1));
        assert_eq!(offers.locked(first.generation.wrapping_add(9)), None);
        assert!(offers.frame(first.generation).is_some());
    }
}
