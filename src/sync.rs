//! Locks and threads: what the threads of the crate share is built from these.
//!
//! Contexts and their map, outboxes, recyclers and the fallback image use the locks of this module. In a
//! normal build these are `parking_lot`'s. In tests with `cfg(loom)` they are loom's, which runs a test once
//! for every order in which its threads can take them; `src/tests/loom.rs` holds those tests. Everything else
//! that has a lock uses `parking_lot` directly and is not explored: pollers, the pool of frames, the code
//! that calls wgpu-core, the WebRender sink, and waits with a time-out.
//!
//! The module also starts threads and contains panics of the engine's code. It imports nothing of the crate.

use std::panic::{AssertUnwindSafe, catch_unwind};

#[cfg(not(all(test, loom)))]
pub(crate) use parking_lot::{Condvar, Mutex, RwLock};
#[cfg(not(all(test, loom)))]
pub(crate) use std::thread::{self, ThreadId};

#[cfg(all(test, loom))]
pub(crate) use self::loom_locks::{Condvar, Mutex, RwLock};
#[cfg(all(test, loom))]
pub(crate) use loom::thread::{self, ThreadId};

/// Runs `action` on a new thread, because the calling thread must not wait for it. If no thread can be
/// started, runs it on the calling thread and returns `None`.
#[cfg(not(all(test, loom)))]
pub(crate) fn spawn_or_run<F: FnOnce() + Send + 'static>(action: F) -> Option<thread::JoinHandle<()>> {
    use std::sync::Arc;

    fn run<F: FnOnce()>(slot: &Mutex<Option<F>>) {
        let action = slot.lock().take();
        if let Some(action) = action {
            action();
        }
    }
    // `spawn` consumes its closure even if it fails, so the action itself stays reachable from here.
    let slot = Arc::new(Mutex::new(Some(action)));
    let threads_slot = slot.clone();
    let thread = thread::Builder::new().name("webgpu presentation".into());
    let spawned = thread.spawn(move || run(&threads_slot));
    if let Err(error) = &spawned {
        log::error!("webgpu-presentation: no thread: {error}");
        run(&slot);
    }
    spawned.ok()
}

/// Runs `action` on a new thread of loom's.
#[cfg(all(test, loom))]
pub(crate) fn spawn_or_run<F: FnOnce() + Send + 'static>(action: F) -> Option<thread::JoinHandle<()>> {
    Some(thread::spawn(action))
}

/// Runs code of the engine's. A panic in it is logged and goes no further, so that the caller's next steps
/// happen.
pub(crate) fn contain_panic(call: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(call)).is_err() {
        log::error!("webgpu-presentation: a callback of the engine panicked");
    }
}

/// Returns whether joining the thread would return at once.
#[cfg(not(all(test, loom)))]
pub(crate) fn is_finished(thread: &thread::JoinHandle<()>) -> bool {
    thread.is_finished()
}

/// Returns `false`: a thread of loom's cannot be asked.
#[cfg(all(test, loom))]
pub(crate) fn is_finished(_: &thread::JoinHandle<()>) -> bool {
    false
}

/// Loom's locks with the interface of `parking_lot`'s: locking returns a guard instead of a result.
#[cfg(all(test, loom))]
mod loom_locks {
    use std::ops::{Deref, DerefMut};

    use loom::sync;

    #[derive(Default)]
    pub(crate) struct Mutex<T>(sync::Mutex<T>);

    /// Holds `None` only inside [`Condvar::wait`], which borrows the guard exclusively.
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
