//! The oracle, shared by threads, and told of by presenters.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use webgpu_presentation::{CanvasEpoch, ImageSink, PresenterOptions};
use webrender_api::{ExternalImageData, ImageDescriptor, ImageKey};

use super::Oracle;

pub struct Witness {
    oracle: Mutex<Oracle>,
    told: Condvar,
    /// Nothing takes that long, unless something is broken.
    pub patience: Duration,
}

/// The sink of a presenter.
pub struct Sink {
    witness: Arc<Witness>,
    /// The number of the presenter.
    at: usize,
}

impl Witness {
    pub fn new(oracle: Oracle, patience: Duration) -> Arc<Self> {
        Arc::new(Self { oracle: Mutex::new(oracle), told: Condvar::new(), patience })
    }

    /// Tells the oracle of something, or asks it.
    pub fn tell<T>(&self, tell: impl FnOnce(&mut Oracle) -> T) -> T {
        let result = tell(&mut self.oracle.lock());
        self.told.notify_all();
        result
    }

    /// Waits until the oracle knows of something. Waiting in vain violates a rule.
    pub fn until(&self, what: &str, is_known: impl Fn(&Oracle) -> bool) -> bool {
        let deadline = Instant::now() + self.patience;
        let mut oracle = self.oracle.lock();
        while !is_known(&oracle) {
            if self.told.wait_until(&mut oracle, deadline).timed_out() {
                oracle.rule(false, || format!("waited in vain until {what}"));
                return false;
            }
        }
        true
    }

    /// Waits until the oracle knows of something, and does something again and again meanwhile.
    pub fn until_with(&self, what: &str, is_known: impl Fn(&Oracle) -> bool, mut act: impl FnMut()) -> bool {
        let deadline = Instant::now() + self.patience;
        loop {
            let mut oracle = self.oracle.lock();
            let wakes = Instant::now() + Duration::from_millis(2);
            while !is_known(&oracle) && !self.told.wait_until(&mut oracle, wakes).timed_out() {}
            if is_known(&oracle) {
                return true;
            }
            if Instant::now() > deadline {
                oracle.rule(false, || format!("waited in vain until {what}"));
                return false;
            }
            drop(oracle);
            act();
        }
    }

    pub fn violations(&self) -> Vec<String> {
        self.oracle.lock().violations().to_vec()
    }

    /// What a presenter tells, but for its sink.
    pub fn options(self: &Arc<Self>, at: usize) -> PresenterOptions {
        let (outcomes, ids) = (self.clone(), self.clone());
        PresenterOptions {
            on_outcome: Box::new(move |outcome| outcomes.tell(|oracle| oracle.ended(at, &outcome))),
            on_id: Box::new(move |id| ids.tell(|oracle| oracle.came_back(at, id))),
            ..PresenterOptions::default()
        }
    }

    pub fn sink(self: &Arc<Self>, at: usize) -> Sink {
        Sink { witness: self.clone(), at }
    }
}

impl ImageSink for Sink {
    fn add_image(&mut self, key: ImageKey, descriptor: ImageDescriptor, data: ExternalImageData) {
        self.witness.tell(|oracle| oracle.added(self.at, key, descriptor, &data));
    }

    fn update_image(
        &mut self,
        key: ImageKey,
        descriptor: ImageDescriptor,
        data: ExternalImageData,
        epoch: CanvasEpoch,
    ) {
        self.witness.tell(|oracle| oracle.updated(self.at, key, descriptor, &data, epoch));
    }

    fn delete_image(&mut self, key: ImageKey) {
        self.witness.tell(|oracle| oracle.deleted(self.at, key));
    }

    fn flush(&mut self) {
        self.witness.tell(|oracle| oracle.flushed(self.at));
    }
}
