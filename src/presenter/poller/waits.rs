//! The submissions of one device that are waited for, and what is to be done when each is over.

use std::collections::VecDeque;
use std::sync::Weak;
use std::time::Instant;

use wgpu_core::SubmissionIndex;
use wgpu_core::id::QueueId;

use crate::context::ContextData;

/// A wait for one submission.
pub(in crate::presenter) struct Wait {
    pub(in crate::presenter) index: SubmissionIndex,
    pub(in crate::presenter) then: Continuation,
}

/// What is to be done once a submission is over.
pub(in crate::presenter) enum Continuation {
    /// The ticket of this name can be completed. It is waited for once, because names are not used twice.
    Complete {
        context: Weak<ContextData>,
        number: u64,
        /// When the copy was asked for.
        asked: Instant,
    },
    /// Closures that the engine gave to wgpu-core can run.
    RunClosures,
    /// The queue can be dropped, in which wgpu-core waits until the device is idle.
    DropQueue(QueueId),
}

/// Waits in the order of submissions, which is nearly always the order in which they come.
#[derive(Default)]
pub(super) struct Waits(VecDeque<Wait>);

impl Waits {
    /// Adds a wait. A second wait that runs the closures of the same submission adds nothing.
    pub(super) fn insert(&mut self, wait: Wait) {
        let place = self.0.partition_point(|other| other.index <= wait.index);
        let mut same = self.0.iter().take(place).rev().take_while(|other| other.index == wait.index);
        let runs_closures = |wait: &Wait| matches!(wait.then, Continuation::RunClosures);
        if !(runs_closures(&wait) && same.any(runs_closures)) {
            self.0.insert(place, wait);
        }
    }

    /// The oldest submission that is waited for.
    pub(super) fn oldest(&self) -> Option<SubmissionIndex> {
        self.0.front().map(|wait| wait.index)
    }

    /// Whether any of them is for a copy.
    pub(super) fn have_copies(&self) -> bool {
        self.0.iter().any(|wait| matches!(wait.then, Continuation::Complete { .. }))
    }

    /// Whether all that is waited for is to drop queues.
    pub(super) fn only_drop_queues(&self) -> bool {
        self.0.iter().all(|wait| matches!(wait.then, Continuation::DropQueue(_)))
    }

    /// Moves the waits for copies that were asked for at `limit` or before to the end of `into`, in order.
    pub(super) fn take_asked_until(&mut self, limit: Instant, into: &mut Vec<Wait>) {
        let is_late =
            |wait: &Wait| matches!(wait.then, Continuation::Complete { asked, .. } if asked <= limit);
        self.take_where(is_late, into);
    }

    /// Moves all waits to the end of `into`, in order, but those that drop queues.
    pub(super) fn take_all_but_queues(&mut self, into: &mut Vec<Wait>) {
        self.take_where(|wait| !matches!(wait.then, Continuation::DropQueue(_)), into);
    }

    /// Moves the waits for one submission to the end of `into`, in order.
    pub(super) fn take_only(&mut self, index: SubmissionIndex, into: &mut Vec<Wait>) {
        self.take_where(|wait| wait.index == index, into);
    }

    fn take_where(&mut self, condition: impl Fn(&Wait) -> bool, into: &mut Vec<Wait>) {
        // It is rare that any wait ends in this way.
        if self.0.iter().any(&condition) {
            let (taken, left) = std::mem::take(&mut self.0).into_iter().partition::<Vec<_>, _>(condition);
            into.extend(taken);
            self.0.extend(left);
        }
    }

    /// Moves the waits for submissions up to `index` to the end of `into`, in order.
    pub(super) fn take_until(&mut self, index: SubmissionIndex, into: &mut Vec<Wait>) {
        let over = self.0.partition_point(|wait| wait.index <= index);
        into.extend(self.0.drain(..over));
    }
}
