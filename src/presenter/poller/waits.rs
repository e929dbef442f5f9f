//! What is waited for on one device, by submission.

use std::collections::VecDeque;
use std::sync::Weak;

use wgpu_core::SubmissionIndex;

use crate::context::ContextData;

pub(crate) struct Wait {
    pub(crate) index: SubmissionIndex,
    pub(crate) target: Continuation,
}

/// What is to be done then.
pub(crate) enum Continuation {
    /// A frame can be made. A ticket is watched once: its number names no other one.
    Ticket { context: Weak<ContextData>, number: u64 },
    /// Closures of the engine's can run.
    Closures,
}

/// In the order of submissions. Nearly all come in that order.
#[derive(Default)]
pub(crate) struct Waits(VecDeque<Wait>);

impl Waits {
    /// To wait for the same closures twice is to wait once.
    pub(crate) fn insert(&mut self, watch: Wait) {
        let place = self.0.partition_point(|other| other.index <= watch.index);
        let mut same = self.0.iter().take(place).rev().take_while(|other| other.index == watch.index);
        let is_closures = |watch: &Wait| matches!(watch.target, Continuation::Closures);
        if !(is_closures(&watch) && same.any(is_closures)) {
            self.0.insert(place, watch);
        }
    }

    pub(crate) fn oldest(&self) -> Option<SubmissionIndex> {
        self.0.front().map(|watch| watch.index)
    }

    /// Appends what waits for submissions up to `index` to `into`, in order.
    pub(crate) fn take_until(&mut self, index: SubmissionIndex, into: &mut Vec<Wait>) {
        let done = self.0.partition_point(|watch| watch.index <= index);
        into.extend(self.0.drain(..done));
    }
}
