//! Shared ownership of frames, without an allocation for each.
//!
//! A frame is shared by the context, by renderers that have locked it, and by snapshots. Its reference count lies in a *cell*. When the
//! last holder drops the frame, the emptied cell goes to the pool of the context, and the next frame of the context takes it from there.

use std::ops::Deref;
use std::sync::Arc;

use arrayvec::ArrayVec;
use parking_lot::Mutex;

use super::Frame;
use crate::pixels::AlphaMode;

/// Number of cells that a pool keeps: for the newest frame, for what a renderer or two last locked, and for one that is being made.
const MOST_POOLED: usize = 4;

/// A holder of a frame. When the last holder drops it, the frame's staging buffer returns to its ring.
#[derive(Clone)]
pub(crate) struct SharedFrame(Arc<FrameCell>);

/// A frame and the place to which its cell returns.
struct FrameCell {
    frame: Frame,
    /// The pool that the cell goes to when its frame is gone; `None` while it is there, and for frames without a context.
    home: Option<Arc<FramePool>>,
}

/// The empty cells of one context.
#[derive(Default)]
pub(crate) struct FramePool(Mutex<ArrayVec<Arc<FrameCell>, MOST_POOLED>>);

impl SharedFrame {
    /// Puts a frame into a cell of the pool, or into a new one.
    pub(crate) fn new(frame: Frame, pool: &Arc<FramePool>) -> Self {
        let mut cell = pool.take().unwrap_or_else(|| Arc::new(FrameCell { frame: nothing(), home: None }));
        let home = Some(pool.clone());
        match Arc::get_mut(&mut cell) {
            Some(cell) => *cell = FrameCell { frame, home },
            // The thread that put the cell into the pool has not dropped its own reference yet.
            None => cell = Arc::new(FrameCell { frame, home }),
        }
        Self(cell)
    }

    /// Puts another frame into a cell of the same pool.
    pub(crate) fn sibling(&self, frame: Frame) -> Self {
        match &self.0.home {
            Some(pool) => Self::new(frame, pool),
            None => frame.into(),
        }
    }

    /// Whether both hold the same frame.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns the frame, if this was the last holder and dropping the frame frees memory, which takes milliseconds.
    pub(crate) fn into_orphan(mut self) -> Option<Frame> {
        if !self.is_orphan() {
            return None;
        }
        // If several holders let go at the same time, `Arc::into_inner` gives the frame to exactly one of them.
        let cell = std::mem::replace(&mut self.0, Arc::new(FrameCell { frame: nothing(), home: None }));
        Arc::into_inner(cell).map(|cell| cell.frame)
    }
}

impl From<Frame> for SharedFrame {
    /// Makes a frame whose cell goes to no pool: that of a cleared canvas.
    fn from(frame: Frame) -> Self {
        Self(Arc::new(FrameCell { frame, home: None }))
    }
}

impl Deref for SharedFrame {
    type Target = Frame;

    fn deref(&self) -> &Frame {
        &self.0.frame
    }
}

impl Drop for SharedFrame {
    fn drop(&mut self) {
        // If two holders let go at the same time, neither finds itself the last; then the cell is freed together with the frame.
        if let Some(cell) = Arc::get_mut(&mut self.0)
            && let Some(home) = cell.home.take()
        {
            cell.frame = nothing();
            home.put(self.0.clone());
        }
    }
}

impl FramePool {
    fn take(&self) -> Option<Arc<FrameCell>> {
        self.0.lock().pop()
    }

    fn put(&self, cell: Arc<FrameCell>) {
        // A full pool gives the cell back, and it is freed.
        drop(self.0.lock().try_push(cell));
    }
}

/// The frame of an empty cell.
fn nothing() -> Frame {
    Frame::cleared(AlphaMode::Premultiplied)
}

#[cfg(test)]
impl SharedFrame {
    pub(crate) fn downgrade(&self) -> WeakFrame {
        WeakFrame(Arc::downgrade(&self.0))
    }
}

/// Tells whether a frame is still held. A frame that is watched leaves no cell.
#[cfg(test)]
pub(crate) struct WeakFrame(std::sync::Weak<FrameCell>);

#[cfg(test)]
impl WeakFrame {
    pub(crate) fn upgrade(&self) -> Option<SharedFrame> {
        self.0.upgrade().map(SharedFrame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::layout::FrameLayout;
    use crate::frame::testing::marked_frame;

    fn frame(mark: u32, pool: &Arc<FramePool>) -> SharedFrame {
        let marked = marked_frame(FrameLayout::cleared(AlphaMode::Opaque), mark);
        let frame = marked.single(super::super::layout::ByteOrder::Bgra).unwrap();
        SharedFrame::new(frame, pool)
    }

    #[test]
    fn the_last_holder_leaves_a_shell_for_the_next_frame() {
        let pool = Arc::default();
        let first = frame(1, &pool);
        let cell = Arc::as_ptr(&first.0);
        let second = first.clone();
        drop(first);
        assert_eq!(second.bytes(), [1, 0, 0, 0]);
        assert!(pool.0.lock().is_empty(), "it is held");
        drop(second);
        let third = frame(2, &pool);
        assert_eq!((Arc::as_ptr(&third.0), third.bytes()), (cell, &[2, 0, 0, 0][..]));
    }

    #[test]
    fn few_shells_are_kept_and_they_keep_nothing() {
        let pool: Arc<FramePool> = Arc::default();
        let frames: Vec<_> = (0..9).map(|mark| frame(mark, &pool)).collect();
        drop(frames);
        assert_eq!(pool.0.lock().len(), MOST_POOLED);
        assert_eq!(Arc::strong_count(&pool), 1);
    }

    // A renderer's thread must free nothing, so exactly one holder must learn that it was the last, whoever lets go at the same time.
    #[test]
    fn of_two_who_let_go_of_an_orphan_one_gets_it() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        const COUNT: usize = 5_000;
        let recycler = Arc::default();
        let layout = FrameLayout::cleared(AlphaMode::Opaque);
        let frames: Vec<_> = (0..COUNT)
            .map(|_| {
                let mapping = crate::staging::testing::mapping_buffer(&recycler, &[0; 4]);
                let Ok(buffer) = mapping.complete(&crate::gpu::fake::completed(), 4) else { panic!() };
                SharedFrame::new(
                    Frame { layout, pixels: super::super::Pixels::Staged(buffer) },
                    &Arc::default(),
                )
            })
            .collect();
        recycler.close();
        let (arrived, got) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let let_go = |frames: Vec<SharedFrame>| {
            for (index, frame) in frames.into_iter().enumerate() {
                arrived.fetch_add(1, Ordering::SeqCst);
                let mut turns = 0;
                while arrived.load(Ordering::SeqCst) < 2 * (index + 1) {
                    turns += 1;
                    // At the same time, if there are two cores for it.
                    if turns % 1000 == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
                }
                got.fetch_add(frame.into_orphan().is_some().into(), Ordering::SeqCst);
            }
        };
        std::thread::scope(|scope| {
            let others = frames.clone();
            scope.spawn(|| let_go(others));
            let_go(frames);
        });
        assert_eq!(got.into_inner(), COUNT);
    }
}
