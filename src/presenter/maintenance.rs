//! What a presenter keeps, and what it frees when it is asked.

use std::time::{Duration, Instant};

use super::Presenter;
use super::budget;
use crate::api::ids::OwnerId;
use crate::api::report::{MemoryKind, MemoryReport};

/// A context that was not presented to for this long keeps the memory of what it shows alone.
const IDLE: Duration = Duration::from_secs(1);

impl Presenter {
    /// Does what must happen on this thread: takes ids back, runs the callbacks of destroyed devices, lets wgpu-core release
    /// what finished submissions used, frees the memory of idle contexts. Call it when
    /// [`wake`](crate::PresenterOptions::wake) asks for it; more often does no harm. Without it closures of destroyed devices do not
    /// run, and memory and ids are kept.
    pub fn maintain(&mut self) {
        self.submitter.forget_ended();
        let now = Instant::now();
        for entry in self.submitter.contexts.values_mut() {
            if now.saturating_duration_since(entry.last_used) >= IDLE {
                entry.ring.trim(&*self.submitter.gpu);
            } else {
                entry.ring.collect(&*self.submitter.gpu);
            }
        }
        // Not in each frame, if this is called in each: what is freed though it is needed is made anew once a second.
        if self.bounded.is_none_or(|last| now.saturating_duration_since(last) >= IDLE) {
            self.bounded = Some(now);
            for entry in self.submitter.contexts.values_mut() {
                entry.ring.shrink_to_demand(&*self.submitter.gpu);
            }
            budget::enforce(&mut self.submitter.contexts, &*self.submitter.gpu);
        }
        for device in self.submitter.poller.devices() {
            self.poll(device);
        }
        self.submitter.outbox.drain();
    }

    /// Frees the memory of all staging buffers of an owner that rest between two frames, because its page is hidden, say. The
    /// next present allocates again.
    ///
    /// [`maintain`](Self::maintain) does so for contexts that were not presented to for a second, and bounds what the others
    /// keep: the resting bytes of an owner, at this presenter, are no more than those in use and 64 MiB.
    pub fn trim(&mut self, owner: OwnerId) {
        for entry in self.submitter.contexts.values_mut().filter(|entry| entry.data.owner() == owner) {
            entry.ring.trim(&*self.submitter.gpu);
        }
    }

    /// What the contexts of this presenter hold, by context and kind, in no order; those that have ended too, as long as frames of
    /// theirs are locked or read. Nothing is told of what is not held.
    pub fn memory_report(&self) -> Vec<MemoryReport> {
        let mut reports = Vec::new();
        let mut report = |owner, context, kind, bytes| {
            if bytes > 0 {
                reports.push(MemoryReport { owner, context, kind, bytes });
            }
        };
        let living = self.submitter.contexts.iter();
        let living = living.map(|(id, entry)| {
            (entry.data.owner(), *id, entry.ring.available(), entry.ring.recycler().clone())
        });
        let ended = self.submitter.ended.iter();
        let ended =
            ended.filter_map(|ended| Some((ended.owner, ended.context, 0, ended.recycler.upgrade()?)));
        for (owner, context, available, recycler) in living.chain(ended) {
            report(owner, context, MemoryKind::Recycled, available + recycler.recycled());
            for lent in recycler.lent() {
                let frames =
                    if lent.device_gone { MemoryKind::FramesOfLostDevices } else { MemoryKind::Frames };
                report(owner, context, MemoryKind::InFlight, lent.in_flight);
                report(owner, context, frames, lent.frames);
            }
        }
        reports
    }
}
