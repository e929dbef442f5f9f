//! The C library's allocator, and what this process holds.

/// Freed memory stays in the process, in one arena for all threads, so that no side pays for fresh pages where another does not.
pub fn keep_freed_memory() {
    // The largest value that glibc takes: no canvas here is larger.
    const LARGE: i32 = 32 << 20;
    for (option, value) in
        [(libc::M_MMAP_THRESHOLD, LARGE), (libc::M_TRIM_THRESHOLD, i32::MAX), (libc::M_ARENA_MAX, 1)]
    {
        // SAFETY: any values will do; no other thread runs yet.
        let taken = unsafe { libc::mallopt(option, value) };
        assert_eq!(taken, 1, "glibc refuses option {option}");
    }
}

/// Bytes of this process in memory, without what the C library keeps for later.
pub fn resident() -> u64 {
    // SAFETY: it may be called at any time, on any thread.
    unsafe { libc::malloc_trim(0) };
    let text = std::fs::read_to_string("/proc/self/statm").expect("there is a proc file system");
    let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("it is a number");
    // SAFETY: it reads a constant of the system.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages * u64::try_from(page).expect("pages have a size")
}
