//! Zeros to answer with when WebRender holds a descriptor that no frame fits.

use std::sync::Arc;

use parking_lot::Mutex;

/// Transparent black, shared by all contexts. Fresh zeros cost address space, not memory, until they are written.
pub(crate) type Blank = Arc<Vec<u8>>;

/// The largest blank so far.
#[derive(Default)]
pub(crate) struct Blanks(Mutex<Blank>);

impl Blanks {
    pub(crate) fn at_least(&self, len: usize) -> Blank {
        let mut blank = self.0.lock();
        if blank.len() < len {
            *blank = Arc::new(vec![0; len.next_power_of_two()]);
        }
        blank.clone()
    }
}
