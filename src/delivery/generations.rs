//! Which frame answers which image update.
//!
//! WebRender holds descriptors of updates that it has not drawn: it may build many frames before it renders one, and then it locks for each of
//! them. What a lock returns must fit the descriptor of its update. So each update carries a number in its `channel_index`, the *generation*,
//! which comes back in the lock.
//!
//! A generation stands for a layout, and the newest frame of that layout answers it. So an update may repeat the generation of an earlier one
//! of its layout, however many updates nobody has drawn. One rule limits that: what a renderer locked last is not given to the next update,
//! because that renderer answers the same generation with the same frame again. (It locks once for each tile of an image, and all tiles must
//! show one frame.) A canvas that keeps its size therefore uses one generation more than it has renderers.
//!
//! There are 256 generations, of which the last 16 stand for textures and the others for bytes: so the generation alone tells what the
//! renderer wants, even when nothing else is known of it any more. Once all of a kind are bound, the one whose updates are oldest is bound to the new layout. A renderer that is so far
//! behind that it may still hold the old descriptor gets a copy of the new frame, padded to the length that the old descriptor needs.
//!
//! Frames of layouts that are not the newest are kept for renderers that have yet to draw them, within bounds; a generation without a frame is
//! answered with zeros. All of this lies under the lock of a context.

use super::HandlerId;
use crate::frame::{FrameLayout, Place, SharedFrame};

/// Names the layout of image updates of one context; WebRender passes it back when it locks.
pub(crate) type Generation = u8;

/// Number of generations that stand for bytes. They come first.
const OF_BYTES: usize = 240;

/// Number of generations that stand for textures. They come last.
const OF_TEXTURES: usize = 16;

/// Upper bound of frames that are kept beside the newest one, each of another layout.
const MOST_OLDER_FRAMES: usize = 8;

/// Upper bound in bytes of the frames that are kept beside the newest one. One is kept in any case.
const MOST_OLDER_BYTES: usize = 64 << 20;

/// Upper bound of what is remembered of that a generation stood for before. What is older is merged.
const MOST_BEFORE: usize = 4;

/// The updates that were issued for one context id, and the frames that answer them.
pub(crate) struct Generations {
    /// Bound generations; the one whose newest update is oldest comes first.
    bindings: Vec<Binding>,
    /// The newest update of this life of the id.
    last: Option<Offer>,
    /// Number of updates issued; the number of an update is its *stamp*.
    issued: u64,
    /// Bindings with older stamps belong to contexts that have ended.
    began: u64,
    /// The newest frame of each layout, in the order of their newest updates.
    kept: Vec<KeptFrame>,
    /// How far renderers have come.
    seen: Vec<Seen>,
    /// Stamp of the newest update when a renderer locked last.
    answered: u64,
    /// Stamp of the newest update when [`settle`](Self::settle) was called last.
    settled: u64,
    /// Bytes of the largest image ever issued under this id.
    reach: usize,
    /// What was forgotten of earlier contexts with this id.
    forgotten: Forgotten,
}

/// What remains of the generations of a context that ended so long ago that the rest was forgotten.
#[derive(Clone, Copy, Default)]
pub(crate) struct Forgotten {
    /// Number of generations of each kind that were bound, from its first one on and wrapping around.
    bound: [usize; 2],
    /// Bytes of the largest image.
    reach: usize,
}

/// Returns what a renderer wants that locks with this generation.
pub(crate) fn place_of(generation: Generation) -> Place {
    if usize::from(generation) < OF_BYTES { Place::Memory } else { Place::Texture }
}

/// Returns the first generation of a kind, and how many there are.
fn range(place: Place) -> (usize, usize) {
    match place {
        Place::Memory => (0, OF_BYTES),
        Place::Texture => (OF_BYTES, OF_TEXTURES),
    }
}

impl Forgotten {
    pub(crate) fn reach(&self) -> usize {
        self.reach
    }
}

/// A generation and the layout that it stands for.
struct Binding {
    generation: Generation,
    layout: FrameLayout,
    /// Stamp of the oldest update that a renderer may still draw.
    oldest: u64,
    /// Stamp of the newest update.
    newest: u64,
    /// What the generation stood for before, oldest first.
    before: Vec<Before>,
}

/// What a generation stood for before: one layout, or several.
#[derive(Clone, Copy)]
struct Before {
    /// Bytes of the largest of those images.
    len: usize,
    /// Stamp of the oldest of those updates that a renderer may still draw.
    oldest: u64,
    /// Stamp of the newest of those updates.
    newest: u64,
}

struct KeptFrame {
    frame: SharedFrame,
    /// Stamp of the newest update of its layout.
    newest: u64,
}

/// A renderer has locked an update with this stamp or a later one, and will lock no earlier ones.
struct Seen {
    handler: HandlerId,
    stamp: u64,
}

/// What the compositor is told of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) generation: Generation,
    pub(crate) layout: FrameLayout,
}

/// What answers a lock.
pub(super) struct Answer {
    /// The newest frame of the layout, unless it is gone.
    pub(super) frame: Option<SharedFrame>,
    /// Number of bytes that the renderer may read.
    pub(super) len: usize,
}

impl Generations {
    /// `forgotten` is what remains of earlier contexts with this id.
    pub(crate) fn new(forgotten: Forgotten) -> Self {
        Self {
            bindings: Vec::new(),
            last: None,
            issued: 0,
            began: 1,
            kept: Vec::new(),
            seen: Vec::new(),
            answered: 0,
            settled: 0,
            reach: forgotten.reach,
            forgotten,
        }
    }

    /// Ends this life of the id. Returns what a later context with this id must know, because renderers may still lock what was issued here; and
    /// the frames, to be dropped without a lock.
    #[must_use]
    pub(super) fn end(&mut self) -> (Self, impl Sized + use<>) {
        let ended = std::mem::replace(self, Self::new(Forgotten::default()));
        // A renderer may be gone when the id is used again, so nothing is known of any.
        let seen = Vec::new();
        (Self { last: None, began: ended.issued + 1, kept: Vec::new(), seen, ..ended }, ended.kept)
    }

    /// Reduces the generations of an ended context to a few bytes.
    pub(crate) fn forget(&self) -> Forgotten {
        let bound = [Place::Memory, Place::Texture].map(|place| {
            let (_, most) = range(place);
            let bound = self.forgotten.bound[place as usize].saturating_add(self.bound(place));
            // Beyond two rounds it only matters where the next round begins.
            if bound < most { bound } else { most + bound % most }
        });
        Forgotten { bound, reach: self.reach }
    }

    /// Whether no update was ever issued under this id.
    pub(crate) fn are_untouched(&self) -> bool {
        self.bindings.is_empty() && self.forgotten.bound == [0, 0]
    }

    /// Issues an update for a frame, the newest there is. `is_pinned` tells which generations renderers have locked last, and `renderers` how many
    /// there are.
    pub(super) fn offer(
        &mut self,
        frame: SharedFrame,
        renderers: usize,
        is_pinned: impl Fn(Generation) -> bool,
    ) -> Offer {
        self.issued += 1;
        let layout = *frame.layout();
        self.reach = self.reach.max(layout.byte_len());
        self.keep(frame);
        let mut binding = self.bind(layout, is_pinned);
        if self.have_all_seen(binding.newest.saturating_add(1), renderers) {
            binding.oldest = self.issued;
        }
        binding.newest = self.issued;
        let offer = Offer { generation: binding.generation, layout };
        self.bindings.push(binding);
        self.last = Some(offer);
        offer
    }

    /// The newest update.
    pub(super) fn last(&self) -> Option<Offer> {
        self.last
    }

    /// Bytes of the largest image that was ever issued under this id.
    pub(crate) fn reach(&self) -> usize {
        self.reach
    }

    /// Answers a lock of a renderer, and notes how far it has come. `renderers` is how many there are. Returns `None` for a generation that was
    /// issued for no update of this context.
    pub(super) fn answer(
        &mut self,
        handler: HandlerId,
        generation: Generation,
        renderers: usize,
    ) -> Option<Answer> {
        let binding = self.bindings.iter().find(|binding| binding.generation == generation)?;
        let seen = self.seen.iter().find(|seen| seen.handler == handler).map_or(0, |seen| seen.stamp);
        // The renderer may mean what the generation stood for before, unless it has drawn something newer than that.
        let before = binding.before.iter().skip_while(|before| before.newest < seen);
        let first = before.clone().next().map_or(binding.oldest, |before| before.oldest);
        let before_len = before.map(|before| before.len).max().unwrap_or(0);
        let is_over = binding.newest < self.began;
        let layout = binding.layout;
        let frame = self.kept.iter().find(|kept| *kept.frame.layout() == layout && !is_over);
        let answer =
            Answer { frame: frame.map(|kept| kept.frame.clone()), len: layout.byte_len().max(before_len) };
        self.see(handler, first);
        self.answered = self.issued;
        self.drop_seen(renderers);
        Some(answer)
    }

    /// Takes out all frames but the newest: all renderers lock without generations, and get that one.
    pub(super) fn drop_older(&mut self) -> Vec<SharedFrame> {
        let older = self.kept.len().saturating_sub(1);
        self.kept.drain(..older).map(|kept| kept.frame).collect()
    }

    /// The newest frame.
    pub(super) fn newest(&self) -> Option<&SharedFrame> {
        self.kept.last().map(|kept| &kept.frame)
    }

    /// Takes out frames of other layouts than the newest that renderers have had time to draw: those that some renderer has passed, though others
    /// may not have; and those that were kept when this was called before, if anything was locked since they were the newest.
    pub(super) fn settle(&mut self) -> Vec<SharedFrame> {
        let older = self.kept.len().saturating_sub(1);
        let before = std::mem::replace(&mut self.settled, self.issued);
        let is_passed = |kept: &&KeptFrame| {
            (kept.newest <= before && kept.newest < self.answered)
                || self.seen.iter().any(|seen| seen.stamp > kept.newest)
        };
        let passed = self.kept.iter().take(older).filter(is_passed).count();
        self.kept.drain(..passed).map(|kept| kept.frame).collect()
    }

    /// A renderer is gone.
    pub(super) fn forget_handler(&mut self, handler: HandlerId) {
        self.seen.retain(|seen| seen.handler != handler);
    }

    /// Takes out the binding for the next update: one of the same layout that no renderer has locked last, or a new one.
    fn bind(&mut self, layout: FrameLayout, is_pinned: impl Fn(Generation) -> bool) -> Binding {
        let began = self.began;
        let fits = |binding: &Binding| {
            binding.layout == layout && binding.newest >= began && !is_pinned(binding.generation)
        };
        if let Some(index) = self.bindings.iter().rposition(fits) {
            return self.bindings.remove(index);
        }
        let place = layout.place();
        let (first, most) = range(place);
        let count = self.bound(place);
        if count < most {
            let number = self.forgotten.bound[place as usize] + count;
            let before = Before { len: self.forgotten.reach, oldest: 0, newest: 0 };
            return Binding {
                generation: (first + number % most) as Generation,
                layout,
                oldest: self.issued,
                newest: self.issued,
                before: if number < most { Vec::new() } else { vec![before] },
            };
        }
        // All are pinned only with as many renderers as there are generations of a kind.
        let of_kind = |binding: &Binding| place_of(binding.generation) == place;
        let is_free = |binding: &Binding| of_kind(binding) && !is_pinned(binding.generation);
        let index = self.bindings.iter().position(is_free);
        let index = index.or_else(|| self.bindings.iter().position(of_kind)).unwrap_or(0);
        let Binding { generation, layout: old, oldest, newest, mut before } = self.bindings.remove(index);
        before.push(Before { len: old.byte_len(), oldest, newest });
        if before.len() > MOST_BEFORE {
            let first = before.remove(0);
            before[0].oldest = first.oldest;
            before[0].len = before[0].len.max(first.len);
        }
        Binding { generation, layout, oldest: self.issued, newest: self.issued, before }
    }

    /// Keeps the newest frame of its layout, and drops the oldest of the others if they are too many.
    fn keep(&mut self, frame: SharedFrame) {
        self.kept.retain(|kept| kept.frame.layout() != frame.layout());
        let mut bytes = 0;
        let mut count = 0;
        let kept = self.kept.iter().rev().take_while(|kept| {
            bytes += kept.frame.layout().memory_len();
            count += 1;
            count == 1 || (count <= MOST_OLDER_FRAMES && bytes <= MOST_OLDER_BYTES)
        });
        let dropped = self.kept.len() - kept.count();
        self.kept.drain(..dropped);
        self.kept.push(KeptFrame { frame, newest: self.issued });
    }

    /// Number of bound generations of a kind.
    fn bound(&self, place: Place) -> usize {
        self.bindings.iter().filter(|binding| place_of(binding.generation) == place).count()
    }

    /// Notes that a renderer has locked an update with this stamp or a later one.
    fn see(&mut self, handler: HandlerId, stamp: u64) {
        match self.seen.iter_mut().find(|seen| seen.handler == handler) {
            Some(seen) => seen.stamp = seen.stamp.max(stamp),
            None => self.seen.push(Seen { handler, stamp }),
        }
    }

    /// Whether all renderers have locked an update with this stamp or a later one.
    fn have_all_seen(&self, stamp: u64, renderers: usize) -> bool {
        self.seen.len() >= renderers.max(1) && self.seen.iter().all(|seen| seen.stamp >= stamp)
    }

    /// Drops frames that no renderer will ask for any more, because all have drawn something newer.
    fn drop_seen(&mut self, renderers: usize) {
        let older = self.kept.len().saturating_sub(1);
        let seen = self.kept.iter().take(older).filter(|kept| self.have_all_seen(kept.newest + 1, renderers));
        let seen = seen.count();
        self.kept.drain(..seen);
    }
}
