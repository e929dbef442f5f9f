//! Zeros to answer with when WebRender holds a descriptor that no frame fits.

use std::sync::Arc;

use crate::sync::Mutex;

/// Transparent black, shared by all contexts. Fresh zeros cost address space, not memory, until they are written.
pub(crate) type Zeros = Arc<Vec<u8>>;

/// So often the blank grows, at most.
const STEP: usize = 4 << 20;

/// A blank that is as large as any image of any context ever was: descriptors outlive contexts.
#[derive(Default)]
pub(crate) struct Fallback(Mutex<Zeros>);

impl Fallback {
    /// An image of so many bytes will be described to the compositor.
    pub(crate) fn cover(&self, len: usize) {
        let mut blank = self.0.lock();
        if blank.len() < len {
            *blank = Arc::new(vec![0; len.next_multiple_of(STEP)]);
        }
    }

    pub(crate) fn get(&self) -> Zeros {
        self.0.lock().clone()
    }
}
