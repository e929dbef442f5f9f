//! Whether the renderers of a map can sample the images of a device.
//!
//! Each handler says, when it is made, which device its GL context is on, if it can import images of it. Frames are
//! shared as long as all handlers name the same device, and none has failed to import one. When that changes, presenters
//! are woken, and replace the shared frames that are shown.
//!
//! Usable on any thread. The presenters' wakes are called with no lock held.

use std::sync::{Arc, Weak};

use super::HandlerId;
use crate::frame::DeviceUuids;
use crate::sync::{Mutex, contain_panic, rank};

/// Asks the engine for maintenance.
pub(crate) type Wake = dyn Fn() + Send + Sync;

#[derive(Default)]
pub(crate) struct Sharing(Mutex<rank::Leaf, State>);

#[derive(Default)]
struct State {
    /// All handlers, and the device of those that can import.
    handlers: Vec<(HandlerId, Option<DeviceUuids>)>,
    /// A handler could not import an image. It will not succeed with others.
    has_failed: bool,
    /// Frames can have been shared.
    was_possible: bool,
    presenters: Vec<Weak<Wake>>,
}

impl State {
    fn device(&self) -> Option<DeviceUuids> {
        let ((_, first), others) = self.handlers.split_first()?;
        let is_same = others.iter().all(|(_, device)| device == first);
        first.filter(|_| is_same && !self.has_failed)
    }
}

impl Sharing {
    /// Returns the device whose images all renderers can sample.
    pub(crate) fn device(&self) -> Option<DeviceUuids> {
        self.0.lock().device()
    }

    /// Whether frames can have been shared at any time.
    pub(crate) fn was_possible(&self) -> bool {
        self.0.lock().was_possible
    }

    /// Adds a presenter, which is woken when frames can be shared no more.
    pub(crate) fn add_presenter(&self, wake: &Arc<Wake>) {
        let mut state = self.0.lock();
        state.presenters.retain(|presenter| presenter.strong_count() > 0);
        state.presenters.push(Arc::downgrade(wake));
    }

    pub(crate) fn add(&self, handler: HandlerId, device: Option<DeviceUuids>) {
        self.change(|state| state.handlers.push((handler, device)));
    }

    pub(crate) fn remove(&self, handler: HandlerId) {
        self.change(|state| state.handlers.retain(|(known, _)| *known != handler));
    }

    /// Notes that an image could not be imported. No frame is shared from now on.
    pub(crate) fn fail(&self) {
        self.change(|state| state.has_failed = true);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.lock();
        let before = state.device();
        change(&mut state);
        let device = state.device();
        state.was_possible |= device.is_some();
        if device != before {
            match device {
                Some(_) => log::info!("webgpu-presentation: renderers can sample the images of a GPU"),
                None => log::info!("webgpu-presentation: not all renderers can sample images any more"),
            }
        }
        drop(state);
        if before.is_some() && device != before {
            self.wake_presenters();
        }
    }

    /// Asks for maintenance, in which shared frames become bytes where they must.
    pub(crate) fn wake_presenters(&self) {
        let presenters = self.0.lock().presenters.clone();
        for wake in presenters.iter().filter_map(Weak::upgrade) {
            contain_panic(|| wake());
        }
    }
}
