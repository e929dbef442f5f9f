//! Owners, contexts that outlive their script for a while, and who waits for presents.

use super::*;

/// A context that is displayed until its compositor has done a transaction.
pub(super) struct Lingering {
    pub(super) slot: u32,
    pub(super) transaction: TransactionId,
}

/// The owner of what lives in a slot.
pub(super) fn owner_of(slot: u32) -> OwnerId {
    OwnerId(u64::from(slot % OWNERS))
}

impl Engine {
    /// A process died: its contexts end, by way of the WebGPU thread or not.
    pub(super) fn destroy_owner(&mut self, owner: OwnerId, elsewhere: bool) {
        let mut known = self.lingering.len();
        self.lingering.retain(|lingering| owner_of(lingering.slot) != owner);
        known -= self.lingering.len();
        for (slot, place) in (0..).zip(&mut self.slots) {
            if let Some(Slot { life, .. }) = place.take_if(|_| owner_of(slot) == owner) {
                self.ledger.end_life(life);
                known += 1;
            }
        }
        let ended = if elsewhere {
            let map = &self.map;
            std::thread::scope(|scope| scope.spawn(|| map.destroy_owner(owner)).join().unwrap_or(0))
        } else {
            self.presenter.destroy_owner(owner)
        };
        if ended != known {
            self.ledger.fault(format!("{owner:?} had {known} contexts, {ended} ended"));
        }
    }

    /// Script is done with a context; the compositor is not.
    pub(super) fn linger(&mut self, slot: u32) {
        self.transactions += 1;
        let transaction = TransactionId(self.transactions);
        let ended = self.slots[slot as usize].take();
        if let Some(Slot { life, key, .. }) = &ended {
            self.ledger.end_life(*life);
            if key.is_some() {
                self.lingering.push(Lingering { slot, transaction });
            }
        }
        let result = self.presenter.destroy_context_after(ContextId(slot.into()), transaction);
        if result.is_ok() != ended.is_some() {
            self.ledger.fault(format!("ending {slot} later came to {result:?}"));
        }
    }

    /// The compositor has done so many of the transactions that are waited for, and tells on a thread of its own.
    pub(super) fn do_transactions(&mut self, count: usize) {
        let done: Vec<_> = self.lingering.drain(..count.min(self.lingering.len())).collect();
        if let Some(Lingering { transaction, .. }) = done.last() {
            let map = &self.map;
            std::thread::scope(|scope| {
                scope.spawn(|| map.transaction_done(NAMESPACE, *transaction));
            });
        }
    }

    /// Waits for a present, or for time to be up.
    pub(super) fn wait(&mut self, slot: u32, epoch: u64, milliseconds: u32) {
        // Without a context nobody ends such a wait.
        let for_ever = milliseconds == 0 && self.slots[slot as usize].is_some();
        let timeout = if for_ever { Duration::MAX } else { Duration::from_millis(milliseconds.into()) };
        let (answered, ledger) = (self.awaited.clone(), self.ledger.clone());
        self.waits += 1;
        self.map.when_presented(ContextId(slot.into()), CanvasEpoch(epoch), timeout, move |end| {
            answered.fetch_add(1, Ordering::SeqCst);
            match end {
                Awaited::Presented { epoch: told, .. } if told.0 < epoch => {
                    ledger.fault(format!("epoch {told:?} ended the wait for {epoch}"));
                }
                Awaited::TimedOut if for_ever => ledger.fault("time was up that never is"),
                _ => {}
            }
        });
    }

    /// All contexts are gone: every wait has been answered, once.
    pub(super) fn judge_waits(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.awaited.load(Ordering::SeqCst) < self.waits && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        let answered = self.awaited.load(Ordering::SeqCst);
        if answered != self.waits {
            self.ledger.fault(format!("{} waits were answered {answered} times", self.waits));
        }
    }
}
