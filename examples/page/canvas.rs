//! One canvas: its context, its image, and the textures it draws into.

use euclid::default::{Rect, Size2D};
use glam::{Mat4, Vec3};
use webgpu_presentation::{
    AlphaMode, BufferIds, ContextConfiguration, ContextDescriptor, ContextId, PendingTexture, Presenter,
};
use webrender_api::ImageKey;
use wgpu_types::{TextureFormat, TextureUsages};

use crate::failure::Failure;
use crate::gallery::{Exhibit, Life};
use crate::layout::centre;
use crate::painter::{Painter, Uniforms};
use crate::support::gpu::{Device, Gpu};

/// How often an elastic canvas changes its size, in frames.
const STRETCH: u32 = 5;
/// In each so many frames a phoenix burns once, and lies in ashes for a while.
const CYCLE: u32 = 40;
const ASHES: std::ops::Range<u32> = 22..28;

pub struct Canvas {
    pub name: &'static str,
    pub id: ContextId,
    pub alpha_mode: AlphaMode,
    pub format: TextureFormat,
    pub device: Device,
    /// What it is displayed under, while its context lives.
    pub key: Option<ImageKey>,
    cell: Rect<u32>,
    life: Life,
    painter: Painter,
}

impl Canvas {
    pub fn new(
        gpu: &Gpu,
        device: Device,
        id: ContextId,
        cell: Rect<u32>,
        exhibit: Exhibit,
    ) -> Result<Self, Failure> {
        let Exhibit { name, sketch, format, alpha_mode, life, .. } = exhibit;
        let painter = Painter::new(gpu, device, name, format, sketch)?;
        Ok(Self { name, id, alpha_mode, format, device, key: None, cell, life, painter })
    }

    /// Whether its context is destroyed now and then.
    pub fn is_mortal(&self) -> bool {
        self.life == Life::Phoenix
    }

    pub fn lives(&self, frame: u32) -> bool {
        self.life != Life::Phoenix || !ASHES.contains(&(frame % CYCLE))
    }

    /// Where it is on the page in this frame; its size is that of its texture.
    pub fn place(&self, frame: u32) -> Rect<u32> {
        let full = self.cell.size;
        let size = match self.life {
            Life::Steady | Life::Phoenix => full,
            Life::Elastic => {
                let phase = (frame / STRETCH) as f32;
                let part = |speed: f32| 0.72 + 0.28 * (speed * phase).cos();
                let (width, height) = (full.width as f32 * part(0.9), full.height as f32 * part(1.3));
                Size2D::new(width as u32, height as u32)
            }
        };
        centre(self.cell, size)
    }

    pub fn create(&mut self, presenter: &mut Presenter, key: ImageKey, frame: u32) -> Result<(), Failure> {
        let failed = |what, error| Failure::Canvas { canvas: self.name, what, error };
        let descriptor = ContextDescriptor { size: self.place(frame).size, buffer_ids: BufferIds::Allocated };
        presenter
            .create_context(self.id, descriptor)
            .map_err(|error| failed("the context", error.to_string()))?;
        presenter.set_image_key(self.id, key).map_err(|error| failed("the image", error.to_string()))?;
        self.key = Some(key);
        Ok(())
    }

    pub fn destroy(&mut self, presenter: &mut Presenter) -> Result<(), Failure> {
        self.key = None;
        let failed = |error: webgpu_presentation::UnknownContext| Failure::Canvas {
            canvas: self.name,
            what: "the end",
            error: error.to_string(),
        };
        presenter.destroy_context(self.id).map_err(failed)
    }

    /// Draws into a new texture, which is the caller's to destroy.
    pub fn paint(&mut self, gpu: &Gpu, frame: u32) -> PendingTexture {
        let size = self.place(frame).size;
        let usage = TextureUsages::RENDER_ATTACHMENT | TextureUsages::COPY_SRC;
        let texture_id = gpu.texture(self.device, self.format, size, usage);
        self.painter.paint(gpu, self.device, texture_id, size, &uniforms(size, frame));
        let configuration = ContextConfiguration {
            device_id: self.device.id,
            queue_id: self.device.queue,
            format: self.format,
            alpha_mode: self.alpha_mode,
            size,
        };
        PendingTexture { texture_id, encoder_ids: None, configuration }
    }

    /// Ends what it has in wgpu-core.
    pub fn take_down(self, gpu: &Gpu) {
        self.painter.destroy(gpu);
    }
}

/// The camera and the time of a frame: a thirtieth of a second each.
fn uniforms(size: Size2D<u32>, frame: u32) -> Uniforms {
    let time = frame as f32 / 30.0;
    let projection = Mat4::perspective_rh(0.72, size.width as f32 / size.height as f32, 0.1, 20.0);
    let view = Mat4::look_at_rh(Vec3::new(0.0, 0.0, 5.0), Vec3::ZERO, Vec3::Y);
    let world_from_model = Mat4::from_rotation_y(0.9 * time) * Mat4::from_rotation_x(0.5 * time + 0.4);
    Uniforms { clip_from_model: projection * view * world_from_model, world_from_model, time, frame }
}
