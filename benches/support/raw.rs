//! wgpu-core as an engine uses it, without this crate.
//!
//! The harness in `integrations/servo` and the comparison `vs-wgpu-belt` include this file: their floors are made of it, and the sides that
//! they compare get their devices here. Whatever wgpu-core refuses is a panic, since a comparison has no use for half of
//! its sides.

use std::sync::Arc;
use std::time::Duration;

use wgpu_core::SubmissionIndex;
use wgpu_core::global::Global;
use wgpu_core::id::{AdapterId, BufferId, CommandEncoderId, DeviceId, QueueId};
use wgpu_core::resource::BufferDescriptor;
use wgpu_types as wgt;

/// How long a comparison waits for anything before it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// wgpu-core's hub, and its first Vulkan adapter.
pub struct Core {
    pub global: Arc<Global>,
    adapter: AdapterId,
    memory_hints: wgt::MemoryHints,
}

/// A device and its queue. Cheap to clone.
#[derive(Clone)]
pub struct Device {
    pub global: Arc<Global>,
    pub id: DeviceId,
    pub queue: QueueId,
}

impl Core {
    /// Returns `None` without a Vulkan adapter. All devices get the same hints.
    pub fn new(descriptor: wgt::InstanceDescriptor, memory_hints: wgt::MemoryHints) -> Option<Self> {
        let global = Arc::new(Global::new("comparison", descriptor, None));
        let options = wgt::RequestAdapterOptions::default();
        let adapter = global.request_adapter(&options, wgt::Backends::VULKAN, None).ok()?;
        Some(Self { global, adapter, memory_hints })
    }

    pub fn adapter(&self) -> wgt::AdapterInfo {
        self.global.adapter_get_info(self.adapter)
    }

    pub fn device(&self) -> Device {
        let descriptor =
            wgt::DeviceDescriptor { memory_hints: self.memory_hints.clone(), ..Default::default() };
        let (id, queue) = self
            .global
            .adapter_request_device(self.adapter, &descriptor, None, None)
            .expect("the adapter gives a device");
        Device { global: self.global.clone(), id, queue }
    }
}

impl Device {
    pub fn buffer(&self, size: u64, usage: wgt::BufferUsages, mapped_at_creation: bool) -> BufferId {
        let descriptor = BufferDescriptor { label: None, size, usage, mapped_at_creation };
        let (id, error) = self.global.device_create_buffer(self.id, &descriptor, None);
        assert!(error.is_none(), "{error:?}");
        id
    }

    pub fn encoder(&self) -> CommandEncoderId {
        let (id, error) = self.global.device_create_command_encoder(self.id, &Default::default(), None);
        assert!(error.is_none(), "{error:?}");
        id
    }

    /// Submits what the encoder holds.
    pub fn submit(&self, encoder: CommandEncoderId) -> SubmissionIndex {
        let global = &self.global;
        let (commands, error) = global.command_encoder_finish(encoder, &Default::default(), None);
        assert!(error.is_none(), "{error:?}");
        let index = global.queue_submit(self.queue, &[commands]).expect("it can be submitted");
        global.command_buffer_drop(commands);
        global.command_encoder_drop(encoder);
        index
    }

    /// Waits until the GPU has done a submission.
    ///
    /// Precondition: no other thread uses the device. Otherwise wgpu-core may panic after a time-out.
    pub fn wait(&self, submission: SubmissionIndex) {
        let poll = wgt::PollType::Wait { submission_index: Some(submission), timeout: Some(PATIENCE) };
        self.global.device_poll(self.id, poll).expect("the GPU is done in time");
    }
}
