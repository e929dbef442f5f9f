//! What a wait for the GPU came to, and how far it can be believed.
//!
//! Drivers end a wait in ways that look alike and mean different things: the work is done, the device is lost, or
//! memory was short for a moment. Vulkan even lets a wait succeed on a device that was lost, although the work
//! never ran. So [`judge`] asks for the value of the fence after each wait that succeeded, and makes the proof that the
//! work is done ([`Completed`]) only if the value says so too. Called on the poller's threads, and on the WebGPU
//! thread while it spins.

use wgpu_core::SubmissionIndex;
use wgpu_core::id::DeviceId;
use wgpu_hal::{DeviceError, FenceValue};

use super::Completed;

/// The result of [`GpuDevice::wait`](super::GpuDevice::wait).
#[derive(Clone, Copy, Debug)]
pub(crate) enum WaitResult {
    Done(Completed),
    TimedOut,
    /// The device is lost: submissions that are not done yet never will be.
    Lost,
    /// The wait failed for a reason that may pass. The submission may be done or not.
    Failed(WaitError),
    /// wgpu-hal panicked. It does at an index that it has never seen, if the device has a pool of fences; other waits
    /// are not concerned.
    Panicked,
    /// This crate has no access to the device's fence. [`Gpu::poll`](super::Gpu::poll) tells whether submissions are
    /// done.
    MustPoll,
}

/// Why a wait failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitError {
    /// The driver had no memory for the wait.
    OutOfMemory,
    /// The driver returned an error that Vulkan does not foresee, or said that work is done which its fence has not
    /// reached.
    Unexpected,
}

/// Judges a wait for `index`, which returned `waited`. `value` reads the fence.
#[cfg_attr(
    not(any(
        test,
        all(
            feature = "vulkan",
            any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")
        )
    )),
    expect(dead_code, reason = "only Vulkan devices wait on their fence")
)]
pub(super) fn judge(
    device: DeviceId,
    index: SubmissionIndex,
    waited: Result<bool, DeviceError>,
    value: impl FnOnce() -> Result<FenceValue, DeviceError>,
) -> WaitResult {
    match waited {
        Ok(true) => match judge_value(device, index, value()) {
            WaitResult::TimedOut => {
                log::warn!("webgpu-presentation: {device:?} ended a wait for {index} too early");
                WaitResult::Failed(WaitError::Unexpected)
            }
            judged => judged,
        },
        Ok(false) => WaitResult::TimedOut,
        Err(error) => failure(device, &error),
    }
}

/// Judges the value of a fence that has to reach `index`.
pub(super) fn judge_value(
    device: DeviceId,
    index: SubmissionIndex,
    value: Result<FenceValue, DeviceError>,
) -> WaitResult {
    match value {
        // Direct3D 12 documents this value for the fences of a removed device, and Vulkan drivers use it alike. No device
        // makes so many submissions.
        Ok(FenceValue::MAX) => WaitResult::Lost,
        Ok(value) if value >= index => WaitResult::Done(Completed { device, index }),
        Ok(_) => WaitResult::TimedOut,
        Err(error) => failure(device, &error),
    }
}

fn failure(device: DeviceId, error: &DeviceError) -> WaitResult {
    log::warn!("webgpu-presentation: waiting for {device:?}: {error}");
    match error {
        DeviceError::Lost => WaitResult::Lost,
        DeviceError::OutOfMemory => WaitResult::Failed(WaitError::OutOfMemory),
        _ => WaitResult::Failed(WaitError::Unexpected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::fake;

    #[test]
    fn a_wait_is_done_only_if_the_fence_says_so_too() {
        let judged = |waited, value| judge(fake::device(0), 5, waited, || value);
        assert!(matches!(judged(Ok(true), Ok(5)), WaitResult::Done(_)));
        assert!(matches!(judged(Ok(true), Ok(4)), WaitResult::Failed(WaitError::Unexpected)));
        assert!(matches!(judged(Ok(true), Ok(FenceValue::MAX)), WaitResult::Lost));
        assert!(matches!(judged(Ok(true), Err(DeviceError::Lost)), WaitResult::Lost));
        assert!(matches!(judged(Ok(false), Ok(5)), WaitResult::TimedOut));
        let transient = judged(Err(DeviceError::OutOfMemory), Ok(5));
        assert!(matches!(transient, WaitResult::Failed(WaitError::OutOfMemory)));
        assert!(matches!(judged(Err(DeviceError::Lost), Ok(5)), WaitResult::Lost));
    }
}
