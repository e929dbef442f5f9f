//! The channels to the peer's WebGPU thread and back, and the ids that script chooses.

use std::sync::mpsc::{Receiver, Sender, channel};

use paint_api::{CrossProcessPaintApi, ImageUpdate, PaintMessage, WebRenderExternalImageIdManager};
use servo_base::generic_channel::{self, GenericCallback, GenericReceiver};
use servo_base::id::TEST_PIPELINE_ID;
use servo_config::prefs;
use webgpu::canvas_context::WebGpuExternalImageMap;
use webgpu_traits::{IdentityManager, WebGPU, WebGPUAdapter, WebGPUMsg, WebGPURequest, markers};
use wgpu_core::instance::RequestAdapterOptions;
use wgpu_types::{AdapterInfo, DeviceDescriptor};

use super::Device;
use crate::entrant::{Update, receive};
use crate::raw::PATIENCE;

pub struct Connection {
    thread: WebGPU,
    script: GenericReceiver<WebGPUMsg>,
    pub images: WebGpuExternalImageMap,
    pub ids: Ids,
    adapter: WebGPUAdapter,
    pub adapter_info: AdapterInfo,
}

#[derive(Default)]
pub struct Ids {
    pub adapters: Identities<markers::Adapter>,
    pub devices: Identities<markers::Device>,
    pub queues: Identities<markers::Queue>,
    pub buffers: Identities<markers::Buffer>,
    pub textures: Identities<markers::Texture>,
    pub views: Identities<markers::TextureView>,
    pub encoders: Identities<markers::CommandEncoder>,
    pub command_buffers: Identities<markers::CommandBuffer>,
    pub render_passes: Identities<markers::RenderPassEncoder>,
    pub compute_passes: Identities<markers::ComputePassEncoder>,
    pub compute_pipelines: Identities<markers::ComputePipeline>,
    pub bind_groups: Identities<markers::BindGroup>,
    pub bind_group_layouts: Identities<markers::BindGroupLayout>,
    pub shaders: Identities<markers::ShaderModule>,
}

pub struct Identities<T: wgpu_core::id::Marker>(IdentityManager<T>);

impl<T: wgpu_core::id::Marker> Default for Identities<T> {
    fn default() -> Self {
        Self(IdentityManager::new())
    }
}

impl<T: wgpu_core::id::Marker> std::ops::Deref for Identities<T> {
    type Target = IdentityManager<T>;

    fn deref(&self) -> &IdentityManager<T> {
        &self.0
    }
}

impl Connection {
    /// Starts the peer's thread, with a compositor that passes image updates on.
    pub fn new(updates: Sender<Update>) -> Self {
        let mut preferences = prefs::get().clone();
        preferences.dom_webgpu_enabled = true;
        preferences.dom_webgpu_wgpu_backend = "vulkan".into();
        prefs::set(preferences);
        let compositor = CrossProcessPaintApi::dummy_with_callback(Some(Box::new(move |message| {
            let PaintMessage::UpdateImages(_, images) = message else { return };
            for image in images {
                if let ImageUpdate::UpdateImage(key, _, _, Some(epoch)) = image {
                    // The receiver is gone once the case is over.
                    let _ = updates.send(Update { canvas: key.1 as usize, epoch: epoch.0.into() });
                }
            }
        })));
        let images = WebGpuExternalImageMap::default();
        let manager = WebRenderExternalImageIdManager::default();
        let (thread, script) = webgpu::start_webgpu_thread(compositor, manager, images.clone())
            .expect("WebGPU is enabled, and channels can be made");
        let ids = Ids::default();
        let (sender, receiver) = callback();
        let options = RequestAdapterOptions::default();
        let request = WebGPURequest::RequestAdapter { sender, options, adapter_id: ids.adapters.process() };
        thread.0.send(request).expect("the peer's thread runs");
        let adapter = receive(&receiver, "the peer's adapter")
            .expect("there is an answer")
            .expect("there is an adapter");
        Self { thread, script, images, ids, adapter: adapter.adapter_id, adapter_info: adapter.adapter_info }
    }

    pub fn send(&self, request: WebGPURequest) {
        self.thread.0.send(request).expect("the peer's thread runs");
    }

    pub fn device(&self) -> Device {
        let device = Device { id: self.ids.devices.process(), queue: self.ids.queues.process() };
        let (sender, receiver) = callback();
        self.send(WebGPURequest::RequestDevice {
            sender,
            adapter_id: self.adapter,
            descriptor: DeviceDescriptor::default(),
            device_id: device.id,
            queue_id: device.queue,
            pipeline_id: TEST_PIPELINE_ID,
        });
        receive(&receiver, "the peer's device").2.expect("the adapter gives a device");
        device
    }

    /// Returns a receiver that gets a message once the device has done what was submitted.
    pub fn end_of_work(&self, device: Device) -> Receiver<()> {
        let (sender, receiver) = callback();
        self.send(WebGPURequest::QueueOnSubmittedWorkDone { sender, queue_id: device.queue });
        receiver
    }

    /// Waits until the peer has served all messages.
    pub fn catch_up(&self, device: Device) {
        let (callback, receiver) = callback();
        self.send(WebGPURequest::PopErrorScope { device_id: device.id, callback });
        // The answer is that there is no scope. Errors outside scopes arrive in `hear`.
        let _ = receive(&receiver, "an answer of the peer's");
    }

    /// Takes what the peer told script: ids that are free again, and errors, which are panics here.
    pub fn hear(&self) {
        while let Ok(message) = self.script.try_recv() {
            match message {
                WebGPUMsg::FreeTexture(id) => self.ids.textures.free(id),
                WebGPUMsg::FreeTextureView(id) => self.ids.views.free(id),
                WebGPUMsg::FreeCommandEncoder(id) => self.ids.encoders.free(id),
                WebGPUMsg::FreeCommandBuffer(id) => self.ids.command_buffers.free(id),
                WebGPUMsg::FreeRenderPass(id) => self.ids.render_passes.free(id),
                WebGPUMsg::FreeComputePass(id) => self.ids.compute_passes.free(id),
                WebGPUMsg::UncapturedError { error, .. } => panic!("the peer: {error:?}"),
                WebGPUMsg::DeviceLost { msg, .. } => panic!("the peer lost a device: {msg}"),
                _ => (),
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some((sender, receiver)) = generic_channel::oneshot() else { return };
        if self.thread.exit(sender).is_ok() {
            // If the thread panicked, its message is printed already.
            let _ = receiver.recv();
        }
        // `Exit` is the last message of the thread.
        while let Ok(message) = self.script.try_recv_timeout(PATIENCE) {
            if matches!(message, WebGPUMsg::Exit) {
                break;
            }
        }
    }
}

/// Returns a callback for an answer, and the receiver that gets it.
pub fn callback<T>() -> (GenericCallback<T>, Receiver<T>)
where
    T: serde::Serialize + for<'de> serde::Deserialize<'de> + Send + 'static,
{
    let (sender, receiver) = channel();
    let callback = GenericCallback::new(move |answer| {
        if let Ok(answer) = answer {
            let _ = sender.send(answer);
        }
    });
    (callback.expect("a callback can be made"), receiver)
}
