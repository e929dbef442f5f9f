//! One canvas, from its texture to a PNG file, as a renderer sees it: `cargo run --example minimal`.

use std::sync::mpsc::{Sender, channel};

use euclid::default::Size2D;
use webgpu_presentation::*;
use webrender_api::{ExternalImageData, ExternalImageSource, IdNamespace, ImageDescriptor, ImageKey};
use wgpu_core::global::Global;
use wgpu_types::{self as wgt, TextureUsages};

/// Where WebRender's transactions would be built: the newest image update goes to the main function.
struct Compositor(Sender<(ImageDescriptor, ExternalImageData)>);

impl ImageSink for Compositor {
    fn add_image(&mut self, _: ImageKey, _: ImageDescriptor, _: ExternalImageData) {}
    fn update_image(&mut self, _: ImageKey, image: ImageDescriptor, data: ExternalImageData, _: CanvasEpoch) {
        let _ = self.0.send((image, data));
    }
    fn delete_image(&mut self, _: ImageKey) {}
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // wgpu-core, an adapter and a device, which an engine makes when script asks for them.
    let instance = wgt::InstanceDescriptor::new_without_display_handle();
    let global = std::sync::Arc::new(Global::new("minimal", instance, None));
    let adapter = global.request_adapter(&Default::default(), wgt::Backends::VULKAN, None)?;
    let (device_id, queue_id) = global.adapter_request_device(adapter, &Default::default(), None, None)?;

    let (sender, updates) = channel();
    let map = ContextMap::default();
    // SAFETY: nothing but the presenter names its staging buffers: this program names no buffers.
    let mut presenter =
        unsafe { Presenter::new(global.clone(), &map, Compositor(sender), PresenterOptions::default()) };
    let (canvas, size) = (ContextId(1), Size2D::new(300, 150));
    let buffer_ids = BufferIds::Allocated;
    presenter.create_context(canvas, ContextDescriptor { owner: OwnerId(0), size, buffer_ids })?;
    presenter.set_image_key(canvas, ImageKey::new(IdNamespace(0), 1))?;

    // getCurrentTexture(), and what script draws.
    let (format, alpha_mode) = (wgt::TextureFormat::Rgba8Unorm, AlphaMode::Opaque);
    let color_space = PredefinedColorSpace::Srgb;
    let configuration = ContextConfiguration { device_id, queue_id, format, color_space, alpha_mode, size };
    let extent = wgt::Extent3d { width: size.width, height: size.height, depth_or_array_layers: 1 };
    let descriptor = wgt::TextureDescriptor {
        label: None,
        size: extent,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgt::TextureDimension::D2,
        format,
        usage: TextureUsages::COPY_SRC | TextureUsages::COPY_DST | TextureUsages::RENDER_ATTACHMENT,
        view_formats: vec![],
    };
    let (texture_id, error) = presenter.create_canvas_texture(canvas, &configuration, &descriptor, None);
    error.map_or(Ok(()), Err)?;
    let pixels: Vec<u8> =
        (0..size.area()).flat_map(|at| [(at % 300 * 255 / 299) as u8, (at / 300) as u8, 90, 0]).collect();
    let layout = wgt::TexelCopyBufferLayout { bytes_per_row: Some(size.width * 4), ..Default::default() };
    let (mip_level, origin, aspect) = (0, wgt::Origin3d::ZERO, wgt::TextureAspect::All);
    let target = wgt::TexelCopyTextureInfo { texture: texture_id, mip_level, origin, aspect };
    global.queue_write_texture(queue_id, &target, &pixels, &layout, &extent)?;

    // The end of the frame.
    let texture = PendingTexture { texture_id, encoder_ids: None, configuration };
    presenter.present(canvas, Contents::Texture(texture), CanvasEpoch(1))?;
    let (image, data) = updates.recv()?;

    // What WebRender does on its renderer's thread.
    let mut images = ExternalImages::new(&map);
    let ExternalImageSource::RawData(bytes) = images.lock(data.id, Some(data.channel_index)) else {
        return Err("a renderer without GL is handed bytes".into());
    };
    let rows = bytes.chunks(image.compute_stride() as usize).take(size.height as usize);
    let shown: Vec<u8> = rows.flat_map(|row| &row[..size.width as usize * 4]).copied().collect();
    images.unlock(data.id, Some(data.channel_index));

    let mut encoder = png::Encoder::new(std::fs::File::create("minimal.png")?, size.width, size.height);
    encoder.set_color(png::ColorType::Rgba);
    Ok(encoder.write_header()?.write_image_data(&shown)?)
}
