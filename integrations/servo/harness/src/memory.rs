//! The settings of the C library's allocator, and the memory of this process.

/// Keeps freed memory in the process, in one arena for all threads, so that no side pays for fresh pages while another does not.
pub fn keep_freed_memory() {
    // The largest threshold that glibc accepts. No canvas here has more bytes.
    const LARGE: i32 = 32 << 20;
    for (option, value) in
        [(libc::M_MMAP_THRESHOLD, LARGE), (libc::M_TRIM_THRESHOLD, i32::MAX), (libc::M_ARENA_MAX, 1)]
    {
        // SAFETY: `mallopt` checks its arguments. It must not race with other threads, and none has been started yet.
        let taken = unsafe { libc::mallopt(option, value) };
        assert_eq!(taken, 1, "glibc refuses option {option}");
    }
}

/// Returns the bytes of this process that are in memory, after the C library has given back what it keeps for later.
pub fn resident() -> u64 {
    // SAFETY: `malloc_trim` is thread-safe and has no conditions.
    unsafe { libc::malloc_trim(0) };
    let text = std::fs::read_to_string("/proc/self/statm").expect("there is a proc file system");
    let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("it is a number");
    // SAFETY: `sysconf` is thread-safe, and accepts any number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages * u64::try_from(page).expect("pages have a size")
}
