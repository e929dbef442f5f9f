//! Locks and threads, as far as what renderers, pollers and the WebGPU thread share is made of them.
//!
//! Under `cfg(loom)`, in tests only, they are loom's, which tries all orders in which threads can take them. Pollers are not
//! tested that way, nor are waits with a time: they have locks of their own.

use std::panic::{AssertUnwindSafe, catch_unwind};

#[cfg(not(all(test, loom)))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
#[cfg(not(all(test, loom)))]
pub(crate) use std::thread::{self, ThreadId};

#[cfg(all(test, loom))]
pub(crate) use self::doubles::{Condvar, Mutex, MutexGuard, RwLock};
#[cfg(all(test, loom))]
pub(crate) use loom::thread::{self, ThreadId};

/// Does something rare on a thread of its own, because this one must not be kept waiting; or on this one, if there can be
/// no other.
#[cfg(not(all(test, loom)))]
pub(crate) fn elsewhere<F: FnOnce() + Send + 'static>(action: F) -> Option<thread::JoinHandle<()>> {
    use std::sync::Arc;

    fn run<F: FnOnce()>(slot: &Mutex<Option<F>>) {
        let action = slot.lock().take();
        if let Some(action) = action {
            action();
        }
    }
    let slot = Arc::new(Mutex::new(Some(action)));
    let theirs = slot.clone();
    let thread = thread::Builder::new().name("webgpu presentation".into());
    let spawned = thread.spawn(move || run(&theirs));
    if let Err(error) = &spawned {
        log::error!("webgpu-presentation: no thread: {error}");
        run(&slot);
    }
    spawned.ok()
}

#[cfg(all(test, loom))]
pub(crate) fn elsewhere<F: FnOnce() + Send + 'static>(action: F) -> Option<thread::JoinHandle<()>> {
    Some(thread::spawn(action))
}

/// A panic of the engine's code must not stop what comes after it.
pub(crate) fn contain_panic(call: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(call)).is_err() {
        log::error!("webgpu-presentation: a callback of the engine panicked");
    }
}

#[cfg(not(all(test, loom)))]
pub(crate) fn is_finished(thread: &thread::JoinHandle<()>) -> bool {
    thread.is_finished()
}

/// Loom's threads do not tell.
#[cfg(all(test, loom))]
pub(crate) fn is_finished(_: &thread::JoinHandle<()>) -> bool {
    false
}

/// Loom's, in the shape of parking_lot's.
#[cfg(all(test, loom))]
mod doubles {
    use std::ops::{Deref, DerefMut};

    use loom::sync;

    #[derive(Default)]
    pub(crate) struct Mutex<T>(sync::Mutex<T>);

    /// Empty while a [`Condvar`] waits.
    pub(crate) struct MutexGuard<'a, T>(Option<sync::MutexGuard<'a, T>>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(self.0.lock().unwrap()))
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_deref().unwrap()
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_deref_mut().unwrap()
        }
    }

    pub(crate) struct Condvar(sync::Condvar);

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self(sync::Condvar::new())
        }

        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            guard.0 = guard.0.take().map(|guard| self.0.wait(guard).unwrap());
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }

    #[derive(Default)]
    pub(crate) struct RwLock<T>(sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn read(&self) -> sync::RwLockReadGuard<'_, T> {
            self.0.read().unwrap()
        }

        pub(crate) fn write(&self) -> sync::RwLockWriteGuard<'_, T> {
            self.0.write().unwrap()
        }
    }
}
