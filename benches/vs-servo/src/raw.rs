//! wgpu-core, set up as the peer sets it up.

use std::sync::Arc;
use std::time::Duration;

use euclid::default::Size2D;
use wgpu_core::SubmissionIndex;
use wgpu_core::command::{RenderPassColorAttachment, RenderPassDescriptor};
use wgpu_core::global::Global;
use wgpu_core::id::{AdapterId, BufferId, CommandEncoderId, DeviceId, QueueId, TextureId};
use wgpu_core::resource::{BufferDescriptor, TextureDescriptor, TextureViewDescriptor};
use wgpu_types as wgt;

use crate::entrant::{COLOUR, FORMAT, PATIENCE};

pub struct Core {
    pub global: Arc<Global>,
    adapter: AdapterId,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Device {
    pub global: Arc<Global>,
    pub id: DeviceId,
    pub queue: QueueId,
}

impl Core {
    pub fn new() -> Self {
        let flags = wgt::InstanceFlags::from_build_config()
            | wgt::InstanceFlags::AUTOMATIC_TIMESTAMP_NORMALIZATION
            | wgt::InstanceFlags::STRICT_WEBGPU_COMPLIANCE;
        let descriptor = wgt::InstanceDescriptor {
            backends: wgt::Backends::VULKAN,
            flags,
            memory_budget_thresholds: wgt::MemoryBudgetThresholds {
                for_resource_creation: Some(95),
                for_device_loss: Some(99),
            },
            ..wgt::InstanceDescriptor::new_without_display_handle()
        };
        let global = Arc::new(Global::new("vs-servo", descriptor, None));
        let options = wgt::RequestAdapterOptions::default();
        let adapter =
            global.request_adapter(&options, wgt::Backends::VULKAN, None).expect("there is a Vulkan adapter");
        Self { global, adapter }
    }

    pub fn adapter(&self) -> wgt::AdapterInfo {
        self.global.adapter_get_info(self.adapter)
    }

    pub fn device(&self) -> Device {
        let descriptor =
            wgt::DeviceDescriptor { memory_hints: wgt::MemoryHints::MemoryUsage, ..Default::default() };
        let (id, queue) = self
            .global
            .adapter_request_device(self.adapter, &descriptor, None, None)
            .expect("the adapter gives a device");
        Device { global: self.global.clone(), id, queue }
    }
}

impl Device {
    pub fn texture(&self, size: Size2D<u32>) -> TextureId {
        let (id, error) = self.global.device_create_texture(self.id, &texture_descriptor(size), None);
        assert!(error.is_none(), "{error:?}");
        id
    }

    /// Clears textures in one submission.
    pub fn clear(&self, textures: &[TextureId]) -> SubmissionIndex {
        let encoder = self.encoder();
        let views: Vec<_> = textures
            .iter()
            .map(|texture| {
                let (view, error) =
                    self.global.texture_create_view(*texture, &TextureViewDescriptor::default(), None);
                assert!(error.is_none(), "{error:?}");
                let descriptor = RenderPassDescriptor {
                    color_attachments: vec![Some(cleared(view))].into(),
                    ..Default::default()
                };
                let (mut pass, error) = self.global.command_encoder_begin_render_pass(encoder, &descriptor);
                assert!(error.is_none(), "{error:?}");
                self.global.render_pass_end(&mut pass).expect("it can be recorded");
                view
            })
            .collect();
        let submission = self.submit(encoder);
        views.into_iter().for_each(|view| self.global.texture_view_drop(view));
        submission
    }

    pub fn staging_buffer(&self, size: u64) -> BufferId {
        let usage = wgt::BufferUsages::MAP_READ | wgt::BufferUsages::COPY_DST;
        let descriptor = BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
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

    /// Only where no other thread uses the device: else wgpu-core may panic after a time-out.
    pub fn wait(&self, submission: SubmissionIndex) {
        let poll = wgt::PollType::Wait { submission_index: Some(submission), timeout: Some(PATIENCE) };
        self.global.device_poll(self.id, poll).expect("the GPU is done in time");
    }

    /// Sends once everything that was submitted is done and somebody polls.
    pub fn when_done(&self, done: impl FnOnce() + Send + 'static) -> SubmissionIndex {
        self.global.queue_on_submitted_work_done(self.queue, Box::new(done))
    }
}

/// Bytes from one row of a copy to the next.
pub fn stride(size: Size2D<u32>) -> u32 {
    (size.width * 4).next_multiple_of(wgt::COPY_BYTES_PER_ROW_ALIGNMENT)
}

pub fn extent(size: Size2D<u32>) -> wgt::Extent3d {
    wgt::Extent3d { width: size.width, height: size.height, depth_or_array_layers: 1 }
}

/// A canvas's texture, on every side.
pub fn texture_descriptor(size: Size2D<u32>) -> TextureDescriptor<'static> {
    TextureDescriptor {
        label: None,
        size: extent(size),
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgt::TextureDimension::D2,
        format: FORMAT,
        usage: wgt::TextureUsages::RENDER_ATTACHMENT | wgt::TextureUsages::COPY_SRC,
        view_formats: vec![],
    }
}

/// How a texture is drawn, on every side.
pub fn cleared<V>(view: V) -> RenderPassColorAttachment<V> {
    RenderPassColorAttachment {
        view,
        depth_slice: None,
        resolve_target: None,
        load_op: wgt::LoadOp::Clear(COLOUR),
        store_op: wgt::StoreOp::Store,
    }
}

/// What was started before is over: threads are parked, caches are as cold for one side as for the other.
pub fn rest() {
    std::thread::sleep(Duration::from_micros(300));
}
