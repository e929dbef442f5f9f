//! Locks and threads: what the threads of the crate share is built from these.
//!
//! Contexts and their map, outboxes, recyclers and the fallback image use the locks of this module, each of which has a rank:
//! debug builds check that they are taken in order. In a normal build these are `parking_lot`'s. In tests with `cfg(loom)` they are loom's, which runs a test once
//! for every order in which its threads can take them; `src/tests/loom.rs` holds those tests. Everything else
//! that has a lock uses `parking_lot` directly and is not explored: pollers, the pool of frames, the code
//! that calls wgpu-core, the WebRender sink, and waits with a time-out.
//!
//! The module also starts threads and contains panics of the engine's code. It imports nothing of the crate.

use std::panic::{AssertUnwindSafe, catch_unwind};

#[cfg(all(test, loom))]
use self::loom_locks as locks;
#[cfg(not(all(test, loom)))]
use parking_lot as locks;

pub(crate) use self::ranked::{Condvar, Mutex, RwLock};
#[cfg(all(test, loom))]
pub(crate) use loom::thread::{self, ThreadId};
#[cfg(not(all(test, loom)))]
pub(crate) use std::thread::{self, ThreadId};

/// The order of the locks: a thread that holds one takes only locks of a higher rank. `docs/architecture.md` has the same table.
pub(crate) mod rank {
    /// The rank of a lock, as a type.
    pub(crate) trait Rank {
        const RANK: u8;
    }

    macro_rules! ranks {
        ($($(#[$doc:meta])* $name:ident = $rank:literal,)*) => {
            $($(#[$doc])* pub(crate) enum $name {}
            impl Rank for $name {
                const RANK: u8 = $rank;
            })*
            #[cfg(test)]
            pub(crate) const TABLE: &[(&str, u8)] = &[$((stringify!($name), $rank),)*];
        };
    }

    ranks! {
        /// The map of contexts.
        Registry = 0,
        /// One context.
        Context = 1,
        /// A queue, a list or a pool, under whose lock no other one is taken.
        Leaf = 2,
    }
}

/// The locks with their ranks, which debug builds check.
mod ranked {
    use std::marker::PhantomData;
    use std::ops::{Deref, DerefMut};

    use super::locks;
    use super::rank::Rank;

    pub(crate) struct Mutex<R, T>(locks::Mutex<T>, PhantomData<fn() -> R>);
    pub(crate) struct RwLock<R, T>(locks::RwLock<T>, PhantomData<fn() -> R>);
    pub(crate) struct Condvar(locks::Condvar);

    /// A guard of a lock, and the note that this thread holds it. The lock is released first.
    pub(crate) struct Guard<G> {
        guard: G,
        _held: Held,
    }

    impl<G: Deref> Deref for Guard<G> {
        type Target = G::Target;

        fn deref(&self) -> &G::Target {
            &self.guard
        }
    }

    impl<G: DerefMut> DerefMut for Guard<G> {
        fn deref_mut(&mut self) -> &mut G::Target {
            &mut self.guard
        }
    }

    impl<R: Rank, T> Mutex<R, T> {
        pub(crate) fn new(value: T) -> Self {
            Self(locks::Mutex::new(value), PhantomData)
        }

        pub(crate) fn lock(&self) -> Guard<locks::MutexGuard<'_, T>> {
            let _held = Held::note(R::RANK);
            Guard { guard: self.0.lock(), _held }
        }
    }

    impl<R: Rank, T: Default> Default for Mutex<R, T> {
        fn default() -> Self {
            Self::new(T::default())
        }
    }

    impl<R: Rank, T> RwLock<R, T> {
        pub(crate) fn read(&self) -> Guard<locks::RwLockReadGuard<'_, T>> {
            let _held = Held::note(R::RANK);
            Guard { guard: self.0.read(), _held }
        }

        pub(crate) fn write(&self) -> Guard<locks::RwLockWriteGuard<'_, T>> {
            let _held = Held::note(R::RANK);
            Guard { guard: self.0.write(), _held }
        }
    }

    impl<R, T: Default> Default for RwLock<R, T> {
        fn default() -> Self {
            Self(locks::RwLock::default(), PhantomData)
        }
    }

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self(locks::Condvar::new())
        }

        pub(crate) fn wait<T>(&self, guard: &mut Guard<locks::MutexGuard<'_, T>>) {
            self.0.wait(&mut guard.guard);
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }

    #[cfg(all(debug_assertions, not(loom)))]
    thread_local! {
        /// The ranks of the locks that this thread holds.
        #[allow(clippy::missing_const_for_thread_local, reason = "it is const, which the lint does not see on Android")]
        static RANKS: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
    }

    /// Notes that this thread holds a lock, or is about to. (Loom runs all its threads on one, so there is nothing to note with it.)
    struct Held {
        #[cfg(all(debug_assertions, not(loom)))]
        rank: u8,
    }

    impl Held {
        #[cfg(all(debug_assertions, not(loom)))]
        fn note(rank: u8) -> Self {
            RANKS.with_borrow_mut(|held| {
                // During another panic this would abort the process.
                let in_order = held.iter().all(|other| *other < rank) || std::thread::panicking();
                assert!(in_order, "a lock of rank {rank} is taken while those of {held:?} are held");
                held.push(rank);
            });
            Self { rank }
        }

        #[cfg(not(all(debug_assertions, not(loom))))]
        fn note(_: u8) -> Self {
            Self {}
        }
    }

    #[cfg(all(debug_assertions, not(loom)))]
    impl Drop for Held {
        fn drop(&mut self) {
            RANKS.with_borrow_mut(|held| {
                let index = held.iter().rposition(|other| *other == self.rank);
                index.map(|index| held.remove(index));
            });
        }
    }
}

/// Runs `action` on a new thread, because the calling thread must not wait for it. If no thread can be
/// started, runs it on the calling thread and returns `None`.
#[cfg(not(all(test, loom)))]
pub(crate) fn spawn_or_run<F: FnOnce() + Send + 'static>(action: F) -> Option<thread::JoinHandle<()>> {
    use std::sync::Arc;

    fn run<F: FnOnce()>(slot: &locks::Mutex<Option<F>>) {
        let action = slot.lock().take();
        if let Some(action) = action {
            action();
        }
    }
    // `spawn` consumes its closure even if it fails, so the action itself stays reachable from here.
    let slot = Arc::new(locks::Mutex::new(Some(action)));
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
    catch_panic("a callback of the engine", call);
}

/// Runs `call` and returns its result, or `None` if it panics, which is logged as a panic of `culprit`.
///
/// The locks of this crate and of wgpu-core are not poisoned by the panic: they are released, and guard what `call`
/// had written by then.
pub(crate) fn catch_panic<T>(culprit: &str, call: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => Some(result),
        Err(payload) => {
            log::error!("webgpu-presentation: {culprit} panicked");
            // The payload may be the engine's, and dropping it may panic.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(payload))).map_err(std::mem::forget);
            None
        }
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

    pub(crate) use sync::{RwLockReadGuard, RwLockWriteGuard};

    #[derive(Default)]
    pub(crate) struct RwLock<T>(sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().unwrap()
        }

        pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().unwrap()
        }
    }
}
