//! What the operating system says about this process.

use std::fs;
use std::time::Duration;

/// Returns a number of `/proc/self/status`, by the name of its line; `None` where there is no such
/// file or line. Sizes are in KiB.
pub(crate) fn status(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Returns the largest resident memory, in bytes, since the last [`forget_peak`]; 0 where the
/// system does not tell.
pub(crate) fn peak_bytes() -> u64 {
    status("VmHWM").unwrap_or_default().saturating_mul(1024)
}

/// Lets the peak start again from what is resident now. Where the system refuses, the peak is that
/// of the whole process.
pub(crate) fn forget_peak() {
    /// The value that resets the peak, see proc(5).
    const RESET_PEAK: &str = "5";
    let _ = fs::write("/proc/self/clear_refs", RESET_PEAK);
}

/// Returns the user and system time of all threads so far; zero where the system does not tell.
pub(crate) fn cpu_time() -> Duration {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
    }
    #[cfg(not(unix))]
    Duration::ZERO
}

/// Held by tests that judge the peak of the process's memory: each uses much of it.
#[cfg(all(test, target_os = "linux"))]
pub(crate) static PEAK: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_figures_of_the_process_follow_what_it_does() {
        // 64 MiB are touched, which takes time and memory; after they are gone, the peak starts
        // again below them.
        let _alone = PEAK.lock();
        let before = cpu_time();
        let touched = std::hint::black_box(vec![1_u8; 64 << 20]);
        let peak = peak_bytes();
        assert!(peak >= 64 << 20, "{peak}");
        assert!(cpu_time() > before);
        drop(touched);
        forget_peak();
        assert!(peak_bytes() < peak);
        assert_eq!(status("NoSuchLine"), None);
    }
}
