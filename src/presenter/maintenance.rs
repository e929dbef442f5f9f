//! What a presenter keeps, what it frees when it is asked, and what it reports of its memory.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Presenter, budget};
use crate::api::ids::OwnerId;
use crate::api::report::{DeviceMemoryReport, MemoryKind, MemoryReport};
use crate::gpu::HeapUsage;
use crate::staging::IDLE;

/// Shortest time between two looks at the memory of all contexts.
const SETTLE: Duration = Duration::from_secs(1);

/// Time after which an engine's loop looks for maintenance while copies wait for room.
const ROOM: Duration = Duration::from_millis(2);

/// Time after which an engine's loop looks for maintenance while a poller runs.
const IN_FLIGHT: Duration = Duration::from_millis(30);

impl Presenter {
    /// Does what must happen on the WebGPU thread from time to time: submits copies that waited for room, takes ids back, runs the closures
    /// of destroyed devices, lets wgpu-core release what finished submissions used, and bounds the memory that rests. (Idle memory is freed without
    /// it, except buffers of portable memory.)
    ///
    /// Maintenance that is due is also done at the beginning of each call that creates, presents, reads or destroys. In between, an engine
    /// calls this in one of two ways; more calls do no harm:
    ///
    /// - [`wake`](crate::PresenterOptions::wake) sends its WebGPU thread a message;
    /// - or, if its messages have no place for that, its loop waits for the next message until
    ///   [`maintenance_deadline`](Self::maintenance_deadline), which does what is due.
    ///
    /// Otherwise copies that wait for room, the closures of destroyed devices, portable memory and ids wait for the next call. wgpu-core's closures can
    /// run in it, so an engine holds no lock there that they take.
    pub fn maintain(&mut self) {
        span!("Presenter::maintain");
        self.maintenance_due.store(false, Ordering::Release);
        self.flush();
        self.copy_unread_images();
        self.collect_kept();
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
        if self.last_settled.is_none_or(|last| now.saturating_duration_since(last) >= SETTLE) {
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

    /// Does the maintenance that is due, and returns the time at which the engine's loop calls this again, unless a message comes before: 2 ms
    /// from now while copies wait for room, and 30 ms while a poller runs, which it does until a second after the GPU's last work.
    /// Returns `None` if nothing is in flight: the loop waits for a message.
    ///
    /// Two things are not foreseen, and wait for the next call: ids of contexts that another thread ends through the
    /// [`ContextMap`](crate::ContextMap), and closures of a destroyed device that another thread waits for.
    ///
    /// ```
    /// use std::sync::mpsc::{Receiver, RecvTimeoutError};
    /// use std::time::Instant;
    /// use webgpu_presentation::Presenter;
    ///
    /// fn next<Request>(presenter: &mut Presenter, requests: &Receiver<Request>) -> Option<Request> {
    ///     while let Some(deadline) = presenter.maintenance_deadline() {
    ///         match requests.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
    ///             Ok(request) => return Some(request),
    ///             Err(RecvTimeoutError::Timeout) => {}
    ///             Err(RecvTimeoutError::Disconnected) => return None,
    ///         }
    ///     }
    ///     requests.recv().ok()
    /// }
    /// ```
    pub fn maintenance_deadline(&mut self) -> Option<Instant> {
        // A poller asks before its thread ends, so what was asked for is looked at last.
        let polls = self.poller.any_runs();
        self.maintain_if_due();
        let wait = match (self.submitter.is_waiting(), polls) {
            (true, _) => ROOM,
            (false, true) => IN_FLIGHT,
            // Maintenance itself may have started a poller.
            (false, false) if self.poller.any_runs() => IN_FLIGHT,
            (false, false) => return None,
        };
        Some(Instant::now() + wait)
    }

    /// Does maintenance that was asked for.
    pub(super) fn maintain_if_due(&mut self) {
        if self.maintenance_due.load(Ordering::Acquire) {
            self.maintain();
        }
    }

    /// Frees the memory of all staging buffers of an owner that rest between two frames, for example because its page is hidden.
    /// The next present allocates again.
    ///
    /// Memory of a context without a present for a second is freed anyway, within two seconds. [`maintain`](Self::maintain) bounds what
    /// the others keep: the resting bytes of an owner, at this presenter, are no more than those in use and 64 MiB.
    pub fn trim(&mut self, owner: OwnerId) {
        for entry in self.entries.iter_mut().filter(|entry| entry.data.owner() == owner) {
            entry.ring.trim(&*self.gpu);
        }
    }

    /// Frees the memory of all staging buffers that rest, as [`trim`](Self::trim) does for one owner, for example because the system is
    /// short of memory.
    pub fn trim_all(&mut self) {
        for entry in self.entries.iter_mut() {
            entry.ring.trim(&*self.gpu);
        }
    }

    /// Returns what the devices of this presenter have taken of their drivers for owned frame memory, in no order. Devices that have no
    /// owned memory are left out, and so are devices that were dropped.
    pub fn device_memory_report(&self) -> Vec<DeviceMemoryReport> {
        let heaps = self.poller.heaps().into_iter();
        heaps
            .filter(|(_, heap)| heap.objects > 0)
            .map(|(device, HeapUsage { objects, reserved, used })| DeviceMemoryReport {
                device,
                objects,
                reserved,
                used,
            })
            .collect()
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
        let living =
            self.entries.iter().map(|(id, entry)| (entry.data.owner(), id, entry.ring.recycler().clone()));
        let ended = self.entries.ended();
        let ended = ended.filter_map(|ended| Some((ended.owner, ended.context, ended.recycler.upgrade()?)));
        for (owner, context, recycler) in living.chain(ended) {
            report(owner, context, MemoryKind::Recycled, recycler.recycled());
            for lent in recycler.lent() {
                let frames =
                    if lent.device_gone { MemoryKind::FramesOfLostDevices } else { MemoryKind::Frames };
                report(owner, context, MemoryKind::CanvasTextures, lent.drawn);
                report(owner, context, MemoryKind::InFlight, lent.in_flight);
                report(owner, context, frames, lent.frames);
            }
        }
        reports
    }
}
