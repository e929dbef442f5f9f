//! wgpu-core, as an engine uses it.

use std::sync::Arc;

use wgpu_core::global::Global;
use wgpu_core::id::{AdapterId, BufferId, CommandEncoderId, DeviceId, QueueId};
use wgpu_core::resource::BufferDescriptor;
use wgpu_types as wgt;

pub struct Core {
    global: Arc<Global>,
    adapter: AdapterId,
}

#[derive(Clone)]
pub struct Device {
    pub global: Arc<Global>,
    pub id: DeviceId,
    pub queue: QueueId,
}

impl Core {
    /// With the adapter's name.
    pub fn new() -> Option<(Self, String)> {
        let descriptor = wgt::InstanceDescriptor {
            backends: wgt::Backends::VULKAN,
            flags: wgt::InstanceFlags::empty(),
            ..wgt::InstanceDescriptor::new_without_display_handle()
        };
        let global = Arc::new(Global::new("vs-wgpu-belt", descriptor, None));
        let options = wgt::RequestAdapterOptions::default();
        let adapter = global.request_adapter(&options, wgt::Backends::VULKAN, None).ok()?;
        let info = global.adapter_get_info(adapter);
        Some((Self { global, adapter }, format!("{} ({})", info.name, info.driver_info)))
    }

    pub fn device(&self) -> Device {
        let descriptor = wgt::DeviceDescriptor::default();
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

    pub fn targets(&self, count: usize, size: u64) -> Vec<BufferId> {
        (0..count).map(|_| self.buffer(size, wgt::BufferUsages::COPY_DST, false)).collect()
    }

    pub fn encoder(&self) -> CommandEncoderId {
        let (id, error) = self.global.device_create_command_encoder(self.id, &Default::default(), None);
        assert!(error.is_none(), "{error:?}");
        id
    }

    /// Submits what the encoder holds.
    pub fn submit(&self, encoder: CommandEncoderId) -> u64 {
        let global = &self.global;
        let (commands, error) = global.command_encoder_finish(encoder, &Default::default(), None);
        assert!(error.is_none(), "{error:?}");
        let index = global.queue_submit(self.queue, &[commands]).expect("it can be submitted");
        global.command_buffer_drop(commands);
        global.command_encoder_drop(encoder);
        index
    }

    pub fn wait(&self) {
        self.global.device_poll(self.id, wgt::PollType::wait_indefinitely()).expect("the device is alive");
    }
}
