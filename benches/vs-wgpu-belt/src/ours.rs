//! This crate's belt, with default settings.

use webgpu_presentation::belt::{BeltDescriptor, StagingBelt};
use wgpu_core::id::BufferId;

use crate::Side;
use crate::cases::Case;
use crate::raw::Device;

pub struct Ours {
    device: Device,
    belt: StagingBelt,
    targets: Vec<BufferId>,
}

impl Ours {
    pub fn new(device: Device, case: &Case) -> Self {
        let descriptor = BeltDescriptor::default();
        let global = device.global.clone();
        // SAFETY: the comparison names no buffer but those that it created itself.
        let belt = unsafe { StagingBelt::new(global, device.id, device.queue, &descriptor) }
            .expect("Vulkan is known");
        let targets = case.targets(&device);
        Self { device, belt, targets }
    }
}

impl Side for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn frame(&mut self, case: &Case, data: &[u8]) {
        for (buffer, offset, data) in case.writes(data) {
            self.belt.write_buffer(self.targets[buffer], offset, data).expect("it can be written");
        }
        let encoder = self.device.encoder();
        let chunks = self.belt.finish(encoder).expect("it can be recorded");
        let submission = self.device.submit(encoder);
        self.belt.recall(chunks, submission).expect("it was submitted");
        self.device.wait(submission);
    }
}
