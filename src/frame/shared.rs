//! Who holds a frame, and what is left when nobody does: an empty shell, for the next frame of the context. So that no frame
//! allocates.

use std::ops::Deref;
use std::sync::Arc;

use arrayvec::ArrayVec;
use parking_lot::Mutex;

use super::Frame;
use crate::AlphaMode;

/// The newest frame, what a renderer or two last locked, and one that is being made.
const MOST_SHELLS: usize = 4;

/// A frame that has several holders. With the last one its buffer goes.
#[derive(Clone)]
pub(crate) struct SharedFrame(Arc<Shell>);

struct Shell {
    frame: Frame,
    /// Where the shell goes; `None` while it is there.
    home: Option<Arc<Shells>>,
}

/// Shells of a context that hold no frame.
#[derive(Default)]
pub(crate) struct Shells(Mutex<ArrayVec<Arc<Shell>, MOST_SHELLS>>);

impl SharedFrame {
    pub(crate) fn new(frame: Frame, shells: &Arc<Shells>) -> Self {
        let mut shell = shells.take().unwrap_or_else(|| Arc::new(Shell { frame: nothing(), home: None }));
        let home = Some(shells.clone());
        match Arc::get_mut(&mut shell) {
            Some(shell) => *shell = Shell { frame, home },
            // Who put it there has not quite let go of it.
            None => shell = Arc::new(Shell { frame, home }),
        }
        Self(shell)
    }

    /// The frame that is shown instead if the pixel of a frame of one pixel is to have another byte order.
    pub(crate) fn sibling(&self, frame: Frame) -> Self {
        match &self.0.home {
            Some(shells) => Self::new(frame, shells),
            None => frame.into(),
        }
    }

    /// The frame, if nobody else holds it and its memory is to be freed, which takes milliseconds.
    pub(crate) fn into_orphan(mut self) -> Option<Frame> {
        let shell = Arc::get_mut(&mut self.0).filter(|shell| shell.frame.is_orphan())?;
        Some(std::mem::replace(&mut shell.frame, nothing()))
    }
}

impl From<Frame> for SharedFrame {
    /// Of no context, or of one that is cleared.
    fn from(frame: Frame) -> Self {
        Self(Arc::new(Shell { frame, home: None }))
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
        // If two let go at the same time neither sees it, and the shell is freed with its frame.
        if let Some(shell) = Arc::get_mut(&mut self.0)
            && let Some(home) = shell.home.take()
        {
            shell.frame = nothing();
            home.put(self.0.clone());
        }
    }
}

impl Shells {
    fn take(&self) -> Option<Arc<Shell>> {
        self.0.lock().pop()
    }

    fn put(&self, shell: Arc<Shell>) {
        // There may be enough.
        drop(self.0.lock().try_push(shell));
    }
}

/// No bytes of anybody's.
fn nothing() -> Frame {
    Frame::cleared(AlphaMode::Premultiplied)
}

#[cfg(test)]
impl SharedFrame {
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn downgrade(&self) -> WeakFrame {
        WeakFrame(Arc::downgrade(&self.0))
    }
}

/// Tells whether a frame is held. One that is watched leaves no shell.
#[cfg(test)]
pub(crate) struct WeakFrame(std::sync::Weak<Shell>);

#[cfg(test)]
impl WeakFrame {
    pub(crate) fn upgrade(&self) -> Option<SharedFrame> {
        self.0.upgrade().map(SharedFrame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tests::marked_frame;
    use crate::layout::FrameLayout;

    fn frame(mark: u32, shells: &Arc<Shells>) -> SharedFrame {
        let marked = marked_frame(FrameLayout::cleared(AlphaMode::Opaque), mark);
        let frame = marked.single(crate::layout::ByteOrder::Bgra).unwrap();
        SharedFrame::new(frame, shells)
    }

    #[test]
    fn the_last_holder_leaves_a_shell_for_the_next_frame() {
        let shells = Arc::default();
        let first = frame(1, &shells);
        let shell = Arc::as_ptr(&first.0);
        let second = first.clone();
        drop(first);
        assert_eq!(second.bytes(), [1, 0, 0, 0]);
        assert!(shells.0.lock().is_empty(), "it is held");
        drop(second);
        let third = frame(2, &shells);
        assert_eq!((Arc::as_ptr(&third.0), third.bytes()), (shell, &[2, 0, 0, 0][..]));
    }

    #[test]
    fn few_shells_are_kept_and_they_keep_nothing() {
        let shells: Arc<Shells> = Arc::default();
        let frames: Vec<_> = (0..9).map(|mark| frame(mark, &shells)).collect();
        drop(frames);
        assert_eq!(shells.0.lock().len(), MOST_SHELLS);
        assert_eq!(Arc::strong_count(&shells), 1);
    }
}
