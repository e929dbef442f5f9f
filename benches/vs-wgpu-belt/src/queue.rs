//! wgpu-core's `queue_write_buffer`.

use wgpu_core::id::BufferId;

use crate::Side;
use crate::cases::Case;
use crate::raw::Device;

pub struct Queue {
    device: Device,
    targets: Vec<BufferId>,
}

impl Queue {
    pub fn new(device: Device, case: &Case) -> Self {
        let targets = case.targets(&device);
        Self { device, targets }
    }
}

impl Side for Queue {
    fn name(&self) -> &'static str {
        "queue"
    }

    fn frame(&mut self, case: &Case, data: &[u8]) {
        for (buffer, offset, data) in case.writes(data) {
            self.device
                .global
                .queue_write_buffer(self.device.queue, self.targets[buffer], offset, data)
                .expect("it can be written");
        }
        let submission =
            self.device.global.queue_submit(self.device.queue, &[]).expect("it can be submitted");
        self.device.wait(submission);
    }
}
