//! Memory and threads of this process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The allocator of the system, which counts the bytes that Rust code holds. Those of drivers are not among them.
pub struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the allocator of the system as it is; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller promises what the allocator of the system asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller promises what the allocator of the system asks for, from which `alloc` got the memory.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Bytes that Rust code holds. Precondition: `Counting` is the global allocator.
pub fn heap() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// Bytes of this process in memory, without what the C library keeps for later.
pub fn resident() -> usize {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            /// Returns free memory of glibc to the system. Safe with any padding, on any thread.
            safe fn malloc_trim(padding: usize) -> i32;
        }
        malloc_trim(0);
    }
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

pub fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
