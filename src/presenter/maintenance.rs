//! What a presenter keeps, what it frees when it is asked, and what it reports of its memory.

use std::time::{Duration, Instant};

use super::{Presenter, budget};
use crate::api::ids::OwnerId;
use crate::api::report::{MemoryKind, MemoryReport};

/// Time without a present after which a context keeps no memory but that of what it shows. Also the shortest time between two
/// looks at the memory of all contexts.
const IDLE: Duration = Duration::from_secs(1);

impl Presenter {
    /// Does what must happen on the WebGPU thread from time to time: submits copies that waited for room, takes ids back, runs the closures of destroyed devices, lets
    /// wgpu-core release what finished submissions used, and frees the memory of idle contexts.
    ///
    /// Call it when [`wake`](crate::PresenterOptions::wake) asks for it; more calls do no harm. Without it copies that wait for room are made only with the next present
    /// or read, the closures of destroyed devices do not run, and memory and ids are kept.
    pub fn maintain(&mut self) {
        self.flush();
        self.forget_ended();
        let now = Instant::now();
        for entry in self.entries.iter_mut() {
            if now.saturating_duration_since(entry.last_used) >= IDLE {
                entry.ring.trim(&*self.gpu);
            } else {
                entry.ring.collect(&*self.gpu);
            }
        }
        // An engine may call this in each frame. What is freed here although it is needed is made anew at most once a second.
        if self.last_settled.is_none_or(|last| now.saturating_duration_since(last) >= IDLE) {
            self.last_settled = Some(now);
            for entry in self.entries.iter_mut() {
                entry.ring.shrink_to_demand(&*self.gpu);
                entry.data.settle();
            }
            budget::enforce(&mut self.entries, &*self.gpu);
        }
        for device in self.poller.devices() {
            self.poll(device);
        }
        self.outbox.drain();
    }

    /// Frees the memory of all staging buffers of an owner that rest between two frames, for example because its page is hidden.
    /// The next present allocates again.
    ///
    /// [`maintain`](Self::maintain) does so for contexts without a present for a second, and bounds what the others keep: the
    /// resting bytes of an owner, at this presenter, are no more than those in use and 64 MiB.
    pub fn trim(&mut self, owner: OwnerId) {
        for entry in self.entries.iter_mut().filter(|entry| entry.data.owner() == owner) {
            entry.ring.trim(&*self.gpu);
        }
    }

    /// Returns the bytes that the contexts of this presenter hold, by context and kind, in no order.
    ///
    /// Contexts that have ended are reported as long as frames of theirs are shown, locked or read. Kinds without bytes are left
    /// out.
    pub fn memory_report(&self) -> Vec<MemoryReport> {
        let mut reports = Vec::new();
        let mut report = |owner, context, kind, bytes| {
            if bytes > 0 {
                reports.push(MemoryReport { owner, context, kind, bytes });
            }
        };
        let living = self.entries.iter().map(|(id, entry)| {
            (entry.data.owner(), id, entry.ring.available(), entry.ring.recycler().clone())
        });
        let ended = self.entries.ended();
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
