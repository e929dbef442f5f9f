//! The WebGPU thread: it serves what the pages ask for, one request after the other, and owns the presenter.
//!
//! Everything that creates, draws, presents or destroys in wgpu-core happens here. wgpu-core allocates the ids; the tables of names say
//! which page they belong to.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use euclid::default::Size2D;
use ipc_channel::ipc::{IpcSender, IpcSharedMemory};
use webgpu_presentation::*;
use webrender::RenderApi;
use webrender_api::ImageKey;
use wgpu_core::command::{RenderPassColorAttachment, RenderPassDescriptor};
use wgpu_core::global::Global;
use wgpu_core::id::{AdapterId, DeviceId, QueueId, TextureId};
use wgpu_core::resource::{TextureDescriptor, TextureViewDescriptor};
use wgpu_types as wgt;

use crate::protocol::{CanvasName, DeviceName, Image, Request, TextureName};

/// What the thread is told.
pub enum Message {
    /// A page asks for something.
    Script(OwnerId, Request),
    /// The process of a page is gone, and the compositor does not show its canvases any more.
    EndPage(OwnerId),
    /// Sent by `PresenterOptions::wake`.
    Maintain,
    /// The engine asks what is held.
    Report(Sender<Usage>),
    /// The engine asks what is counted of a canvas.
    Count(ContextId, Sender<Statistics>),
    Exit,
}

/// What the canvases and wgpu-core hold.
pub struct Usage {
    pub memory: Vec<MemoryReport>,
    /// The entries in wgpu-core's hub: devices, queues, buffers, textures and views of them.
    pub hub: [usize; 5],
}

/// A canvas that can be displayed from now on.
pub struct Created {
    pub context: ContextId,
    pub key: ImageKey,
}

pub struct WebGpu {
    pub global: Arc<Global>,
    pub adapter: AdapterId,
    /// Makes the image keys.
    pub api: RenderApi,
    pub created: Sender<Created>,
    pub presenter: Presenter,
    pub pages: HashMap<OwnerId, Page>,
}

/// What a page has made.
#[derive(Default)]
pub struct Page {
    devices: HashMap<DeviceName, (DeviceId, QueueId)>,
    textures: HashMap<TextureName, PendingTexture>,
}

/// Names a canvas among those of all pages.
pub fn context_id(owner: OwnerId, canvas: CanvasName) -> ContextId {
    ContextId(owner.0 << 32 | u64::from(canvas.0))
}

impl WebGpu {
    /// Serves messages until `Exit`.
    pub fn run(mut self, messages: &Receiver<Message>) {
        let (images, copier) = start_copier();
        let mut next = messages.recv().ok();
        while let Some(message) = next.take() {
            match message {
                Message::Exit => break,
                Message::Script(
                    owner,
                    request @ (Request::Present(..) | Request::GetImage(..) | Request::DestroyTexture(_)),
                ) => {
                    next = self.gather(owner, request, messages, &images);
                }
                Message::Script(owner, request) => self.serve(owner, request),
                Message::EndPage(owner) => self.end_page(owner),
                Message::Maintain => self.presenter.maintain(),
                Message::Report(reply) => {
                    self.presenter.maintain();
                    let _ = reply.send(self.usage());
                }
                Message::Count(context, reply) => {
                    // Without an answer the engine finds its channel closed.
                    if let Ok(statistics) = self.presenter.statistics(context) {
                        let _ = reply.send(statistics);
                    }
                }
            }
            next = next.or_else(|| messages.recv().ok());
        }
        // Callbacks that wait for images end with the presenter, and hold senders.
        drop((self, images));
        let _ = copier.join();
    }

    /// Takes the presents, reads and destructions that wait in the channel into one batch, whichever page they are from. Returns the first
    /// message that must not overtake them.
    fn gather(
        &mut self,
        owner: OwnerId,
        first: Request,
        messages: &Receiver<Message>,
        images: &Sender<Read>,
    ) -> Option<Message> {
        let mut batch = self.presenter.batch();
        let mut next = Some(Message::Script(owner, first));
        while let Some(message) = next.take() {
            let (owner, request) = match message {
                Message::Script(owner, request) => (owner, request),
                other => return Some(other),
            };
            let page = self.pages.entry(owner).or_default();
            match request {
                Request::Present(canvas, texture, epoch) => {
                    if let Some(&texture) = page.textures.get(&texture) {
                        // There may be no such canvas. How a present ends is told to those who wait for its epoch.
                        let (context, epoch) = (context_id(owner, canvas), CanvasEpoch(epoch));
                        let _ = batch.present(context, Contents::Texture(texture), epoch);
                    }
                }
                Request::GetImage(canvas, reply) => {
                    let images = images.clone();
                    batch.get_image(context_id(owner, canvas), None, move |image| {
                        // This runs on the thread of a device, where a copy would hold up the other canvases of the device.
                        let _ = images.send((image, reply));
                    });
                }
                Request::DestroyTexture(texture) => {
                    if let Some(texture) = page.textures.remove(&texture) {
                        batch.destroy_texture(texture.texture_id);
                        batch.drop_texture(texture.texture_id);
                    }
                }
                other => return Some(Message::Script(owner, other)),
            }
            next = messages.try_recv().ok();
        }
        None
    }

    /// Serves a request that is none of presents, destructions of textures and reads. A request with a name that the page does not
    /// have, or has already, is ignored. An engine would hand errors of wgpu-core to the error scopes of script; this one drops them.
    fn serve(&mut self, owner: OwnerId, request: Request) {
        let page = self.pages.entry(owner).or_default();
        match request {
            Request::CreateDevice(name) if !page.devices.contains_key(&name) => {
                let made = self.global.adapter_request_device(self.adapter, &Default::default(), None, None);
                page.devices.extend(made.ok().map(|device| (name, device)));
            }
            Request::CreateContext(canvas, size) => {
                let context = context_id(owner, canvas);
                let descriptor =
                    ContextDescriptor { owner, size: size.into(), buffer_ids: BufferIds::Allocated };
                let key = self.api.generate_image_key();
                let made = self.presenter.create_context(context, descriptor);
                if made.is_ok() && self.presenter.set_image_key(context, key).is_ok() {
                    let _ = self.created.send(Created { context, key });
                }
            }
            Request::CreateTexture { texture, canvas, device, size, is_opaque } => {
                if let Some(&device) = page.devices.get(&device)
                    && !page.textures.contains_key(&texture)
                {
                    let context = context_id(owner, canvas);
                    let made = create_texture(&mut self.presenter, context, device, size.into(), is_opaque);
                    page.textures.insert(texture, made);
                }
            }
            Request::Clear(texture, color) => {
                if let Some(texture) = page.textures.get(&texture) {
                    clear(&self.global, texture, color);
                }
            }
            Request::Write { texture, corner: [x, y], side, pixels } => {
                if let Some(texture) = page.textures.get(&texture) {
                    let origin = wgt::Origin3d { x, y, z: 0 };
                    write(&self.global, texture, origin, side, &pixels);
                }
            }
            Request::DestroyDevice(device) => {
                // The device keeps its name until the page ends, because textures can still be made on it: they are invalid.
                if let Some(&(device, _)) = page.devices.get(&device) {
                    self.presenter.destroy_device(device);
                }
            }
            Request::CreateDevice(_)
            | Request::Present(..)
            | Request::DestroyTexture(_)
            | Request::GetImage(..) => {}
        }
    }

    /// Gives back all that a page had.
    fn end_page(&mut self, owner: OwnerId) {
        self.presenter.destroy_owner(owner);
        let Page { devices, textures } = self.pages.remove(&owner).unwrap_or_default();
        let mut batch = self.presenter.batch();
        for PendingTexture { texture_id, .. } in textures.into_values() {
            batch.destroy_texture(texture_id);
            batch.drop_texture(texture_id);
        }
        batch.submit();
        for (device, queue) in devices.into_values() {
            self.presenter.destroy_device(device);
            self.presenter.drop_queue(device, queue);
            self.presenter.drop_device(device);
        }
    }

    fn usage(&self) -> Usage {
        let report = self.global.generate_report();
        let hub = report.hub_report();
        let registries = [&hub.devices, &hub.queues, &hub.buffers, &hub.textures, &hub.texture_views];
        let hub = registries.map(|registry| registry.num_allocated.max(registry.num_kept_from_user));
        Usage { memory: self.presenter.memory_report(), hub }
    }
}

/// Makes a texture as `getCurrentTexture` does. wgpu-core returns an invalid one if it cannot be made, and presenting that shows a
/// blank canvas. If the page has no such canvas the texture is an ordinary one.
fn create_texture(
    presenter: &mut Presenter,
    context: ContextId,
    (device_id, queue_id): (DeviceId, QueueId),
    size: Size2D<u32>,
    is_opaque: bool,
) -> PendingTexture {
    let format = wgt::TextureFormat::Bgra8Unorm;
    let descriptor = TextureDescriptor {
        label: None,
        size: wgt::Extent3d { width: size.width, height: size.height, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgt::TextureDimension::D2,
        format,
        usage: wgt::TextureUsages::RENDER_ATTACHMENT
            | wgt::TextureUsages::COPY_SRC
            | wgt::TextureUsages::COPY_DST,
        view_formats: vec![],
    };
    let alpha_mode = if is_opaque { AlphaMode::Opaque } else { AlphaMode::Premultiplied };
    let configuration = ContextConfiguration {
        device_id,
        queue_id,
        format,
        color_space: PredefinedColorSpace::Srgb,
        alpha_mode,
        size,
    };
    let (texture_id, _) = presenter.create_canvas_texture(context, &configuration, &descriptor, None);
    PendingTexture { texture_id, encoder_ids: None, configuration }
}

fn clear(global: &Global, texture: &PendingTexture, [r, g, b, a]: [f64; 4]) {
    let ContextConfiguration { device_id, queue_id, .. } = texture.configuration;
    let descriptor = TextureViewDescriptor {
        label: None,
        format: None,
        dimension: None,
        usage: None,
        range: Default::default(),
    };
    let (view, _) = global.texture_create_view(texture.texture_id, &descriptor, None);
    let (encoder, _) = global.device_create_command_encoder(device_id, &Default::default(), None);
    let attachment = RenderPassColorAttachment {
        view,
        depth_slice: None,
        resolve_target: None,
        load_op: wgt::LoadOp::Clear(wgt::Color { r, g, b, a }),
        store_op: wgt::StoreOp::Store,
    };
    let mut descriptor = RenderPassDescriptor {
        color_attachments: vec![Some(attachment)].into(),
        ..RenderPassDescriptor::default()
    };
    // This pass discards nothing. An engine that lets script choose the store operation cannot know.
    let discarded = DiscardedAttachments::keep(&mut descriptor);
    let (mut pass, _) = global.command_encoder_begin_render_pass(encoder, &descriptor);
    let _ = global.render_pass_end(&mut pass);
    discarded.clear(global, encoder);
    let (commands, _) = global.command_encoder_finish(encoder, &Default::default(), None);
    let _ = global.queue_submit(queue_id, &[commands]);
    global.command_buffer_drop(commands);
    global.command_encoder_drop(encoder);
    global.texture_view_drop(view);
}

fn write(global: &Global, texture: &PendingTexture, origin: wgt::Origin3d, side: u32, pixels: &[u8]) {
    let (mip_level, aspect) = (0, wgt::TextureAspect::All);
    let target =
        wgt::TexelCopyTextureInfo::<TextureId> { texture: texture.texture_id, mip_level, origin, aspect };
    let layout = wgt::TexelCopyBufferLayout {
        offset: 0,
        bytes_per_row: Some(side.saturating_mul(4)),
        rows_per_image: None,
    };
    let size = wgt::Extent3d { width: side, height: side, depth_or_array_layers: 1 };
    let _ = global.queue_write_texture(texture.configuration.queue_id, &target, pixels, &layout, &size);
}

type Read = (Result<Snapshot, GetImageError>, IpcSender<Option<Image>>);

/// Starts the thread that copies what was read into shared memory. It ends when all senders are gone.
fn start_copier() -> (Sender<Read>, JoinHandle<()>) {
    let (images, reads) = channel::<Read>();
    let copy_all = move || {
        for (snapshot, reply) in reads {
            // The page may be gone.
            let _ = reply.send(snapshot.ok().and_then(|snapshot| share(&snapshot)));
        }
    };
    (images, std::thread::spawn(copy_all))
}

/// Upper bound of the bytes of an image that script gets. A page chooses how large its canvases are, drawn or not.
const LARGEST_IMAGE: usize = 256 << 20;

/// Copies an image to where script reads it: once, with the conversion on the way.
fn share(snapshot: &Snapshot) -> Option<Image> {
    let Size2D { width, height, .. } = snapshot.size();
    let stride = width as usize * 4;
    // Shared memory that cannot be had ends this thread.
    let len = stride.checked_mul(height as usize).filter(|len| *len <= LARGEST_IMAGE)?;
    let mut pixels = IpcSharedMemory::from_byte(0, len);
    // SAFETY: no other process has the memory before it is sent, and there is one value of it here.
    let bytes = unsafe { pixels.deref_mut() };
    snapshot.copy_into(bytes, stride, PixelEncoding::IMAGE_DATA).ok()?;
    Some(Image { size: [width, height], pixels })
}
