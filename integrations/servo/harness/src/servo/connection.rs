//! The channels to a WebGPU thread and back, and the ids that script chooses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use clap::ValueEnum;
use paint_api::{
    CrossProcessPaintApi, ImageUpdate, PaintMessage, SerializableImageData, WebRenderExternalImageApi,
    WebRenderExternalImageIdManager,
};
use servo_base::generic_channel::{self, GenericCallback, GenericReceiver};
use servo_base::id::TEST_PIPELINE_ID;
use servo_config::prefs;
use webgpu_traits::{IdentityManager, WebGPU, WebGPUAdapter, WebGPUMsg, WebGPURequest, markers};
use wgpu_core::instance::RequestAdapterOptions;
use wgpu_types::DeviceDescriptor;

use super::Device;
use crate::entrant::{PATIENCE, Update, receive};

/// Which WebGPU thread is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Variant {
    /// As Servo published it.
    Published,
    /// On this crate.
    Adapted,
}

/// Makes the renderer's side, as often as it is asked.
type MakeImages = Box<dyn Fn() -> Box<dyn WebRenderExternalImageApi + Send> + Send>;

impl Variant {
    pub fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Adapted => "adapted",
        }
    }

    /// Starts the thread.
    fn start(self, compositor: CrossProcessPaintApi) -> (WebGPU, GenericReceiver<WebGPUMsg>, MakeImages) {
        macro_rules! start {
            ($servo_webgpu:ident) => {{
                let map = $servo_webgpu::canvas_context::WebGpuExternalImageMap::default();
                let manager = WebRenderExternalImageIdManager::default();
                let (thread, script) = $servo_webgpu::start_webgpu_thread(compositor, manager, map.clone())
                    .expect("WebGPU is enabled, and channels can be made");
                let images = Box::new(move || {
                    Box::new($servo_webgpu::WebGpuExternalImages::new(map.clone()))
                        as Box<dyn WebRenderExternalImageApi + Send>
                });
                (thread, script, images)
            }};
        }
        match self {
            Self::Published => start!(published),
            Self::Adapted => start!(adapted),
        }
    }
}

/// The generation that each canvas's last image update announced.
#[derive(Clone)]
pub struct Channels(Arc<[AtomicU8]>);

/// Upper bound of the canvases of a case.
const MOST_CANVASES: usize = 4096;

impl Channels {
    pub fn new() -> Self {
        Self((0..MOST_CANVASES).map(|_| AtomicU8::new(0)).collect())
    }

    pub fn set(&self, canvas: usize, channel_index: u8) {
        self.0[canvas].store(channel_index, Ordering::Release);
    }

    pub fn get(&self, canvas: usize) -> u8 {
        self.0[canvas].load(Ordering::Acquire)
    }
}

pub struct Connection {
    thread: WebGPU,
    script: GenericReceiver<WebGPUMsg>,
    images: MakeImages,
    pub channels: Channels,
    pub ids: Ids,
    adapter: WebGPUAdapter,
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
    /// Starts a thread, with a compositor that passes image updates on.
    pub fn new(variant: Variant, updates: Sender<Update>) -> Self {
        let mut preferences = prefs::get().clone();
        preferences.dom_webgpu_enabled = true;
        preferences.dom_webgpu_wgpu_backend = "vulkan".into();
        prefs::set(preferences);
        let channels = Channels::new();
        let known = channels.clone();
        let compositor = CrossProcessPaintApi::dummy_with_callback(Some(Box::new(move |message| {
            let PaintMessage::UpdateImages(_, images) = message else { return };
            for image in images {
                let ImageUpdate::UpdateImage(key, descriptor, data, Some(epoch)) = image else { continue };
                let SerializableImageData::External(data) = data else { continue };
                let (canvas, channel_index) = (key.1 as usize, data.channel_index);
                known.set(canvas, channel_index);
                // The receiver is gone once the case is over.
                let _ = updates.send(Update { canvas, epoch: epoch.0.into(), descriptor, channel_index });
            }
        })));
        let (thread, script, images) = variant.start(compositor);
        let ids = Ids::default();
        let (sender, receiver) = callback();
        let options = RequestAdapterOptions::default();
        let request = WebGPURequest::RequestAdapter { sender, options, adapter_id: ids.adapters.process() };
        thread.0.send(request).expect("the WebGPU thread runs");
        let adapter =
            receive(&receiver, "the adapter").expect("there is an answer").expect("there is an adapter");
        Self { thread, script, images, channels, ids, adapter: adapter.adapter_id }
    }

    /// Returns the renderer's side.
    pub fn images(&self) -> Box<dyn WebRenderExternalImageApi + Send> {
        (self.images)()
    }

    pub fn send(&self, request: WebGPURequest) {
        self.thread.0.send(request).expect("the WebGPU thread runs");
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
        receive(&receiver, "the device").2.expect("the adapter gives a device");
        device
    }

    /// Returns a receiver that gets a message once the device has done what was submitted.
    pub fn end_of_work(&self, device: Device) -> Receiver<()> {
        let (sender, receiver) = callback();
        self.send(WebGPURequest::QueueOnSubmittedWorkDone { sender, queue_id: device.queue });
        receiver
    }

    /// Waits until the thread has served all messages.
    pub fn catch_up(&self, device: Device) {
        let (callback, receiver) = callback();
        self.send(WebGPURequest::PopErrorScope { device_id: device.id, callback });
        // The answer is that there is no scope. Errors outside scopes arrive in `hear`.
        let _ = receive(&receiver, "an answer of the WebGPU thread");
    }

    /// Takes what script was told: ids that are free again, and errors, which are panics here.
    pub fn hear(&self) {
        for message in self.messages() {
            match message {
                WebGPUMsg::UncapturedError { error, .. } => panic!("an error: {error:?}"),
                WebGPUMsg::DeviceLost { msg, .. } => panic!("a device is lost: {msg}"),
                _ => (),
            }
        }
    }

    /// Takes what script was told. Ids that are free again are reused.
    pub fn messages(&self) -> Vec<WebGPUMsg> {
        let messages: Vec<_> = std::iter::from_fn(|| self.script.try_recv().ok()).collect();
        for message in &messages {
            match message {
                WebGPUMsg::FreeTexture(id) => self.ids.textures.free(*id),
                WebGPUMsg::FreeTextureView(id) => self.ids.views.free(*id),
                WebGPUMsg::FreeCommandEncoder(id) => self.ids.encoders.free(*id),
                WebGPUMsg::FreeCommandBuffer(id) => self.ids.command_buffers.free(*id),
                WebGPUMsg::FreeRenderPass(id) => self.ids.render_passes.free(*id),
                WebGPUMsg::FreeComputePass(id) => self.ids.compute_passes.free(*id),
                WebGPUMsg::FreeBuffer(id) => self.ids.buffers.free(*id),
                _ => (),
            }
        }
        messages
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
