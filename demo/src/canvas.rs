//! One canvas of the page: its context, and a new texture for each frame.

use euclid::default::Size2D;
use webgpu_presentation::*;
use webrender_api::ImageKey;
use webrender_api::units::{DeviceIntRect, DeviceIntSize};
use wgpu_core::id::{CommandEncoderId, TextureViewId};
use wgpu_types::{TextureFormat, TextureUsages};

use crate::backdrop::Cell;
use crate::cast::Role;
use crate::check::{Region, Truth};
use crate::error::DemoError;
use crate::gfx::{Gfx, GpuError};
use crate::painters::{Moment, Painter};
use crate::support::gpu::{Device, Gpu};
use crate::uploads::Uploads;

pub struct Canvas {
    pub id: ContextId,
    pub role: &'static Role,
    cell: Cell,
    size: Size2D<u32>,
    looks: Vec<Look>,
    /// The key of the canvas's image, while the canvas is on the page.
    key: Option<ImageKey>,
    creations: u32,
}

/// A device and a format that the canvas is drawn with. A canvas that is created again takes the next one.
struct Look {
    gfx: Gfx,
    device: usize,
    format: TextureFormat,
    painter: Box<dyn Painter>,
}

/// A texture that is drawn, and that is not yet presented.
pub struct Drawn {
    pub canvas: usize,
    /// Whether this is the canvas's last drawing in this frame.
    pub is_last: bool,
    pub pending: PendingTexture,
    pub view: TextureViewId,
}

impl Canvas {
    pub fn new(
        role: &'static Role,
        id: ContextId,
        page: DeviceIntSize,
        gfx: &[Gfx],
    ) -> Result<Self, GpuError> {
        let cell = Cell::of(role, page);
        let size = cell.room.size().to_u32().to_untyped();
        let look = |&(device, format): &(usize, TextureFormat)| {
            let gfx = gfx[device].clone();
            let painter = role.picture.painter(&gfx, format, size)?;
            Ok(Look { gfx, device, format, painter })
        };
        let looks = role.looks.iter().map(look).collect::<Result<_, _>>()?;
        Ok(Self { id, role, cell, size, looks, key: None, creations: 0 })
    }

    pub fn key(&self) -> Option<ImageKey> {
        self.key
    }

    /// Returns where the canvas is on the page.
    pub fn area(&self) -> DeviceIntRect {
        self.cell.place(self.size.width as i32, self.size.height as i32)
    }

    pub fn region(&self) -> Region {
        Region { name: self.role.name, area: self.area(), card: self.cell.card }
    }

    /// Takes the size that the canvas has in this frame, and returns whether that is another one than before.
    pub fn resize(&mut self, frame: u32) -> bool {
        let room = self.cell.room.size().to_u32().to_untyped();
        let size = self.role.habit.size(frame, room);
        std::mem::replace(&mut self.size, size) != size
    }

    pub fn create(&mut self, presenter: &mut Presenter, key: ImageKey) -> Result<(), DemoError> {
        let descriptor =
            ContextDescriptor { owner: OwnerId(0), size: self.size, buffer_ids: BufferIds::Allocated };
        presenter.create_context(self.id, descriptor)?;
        presenter.set_image_key(self.id, key)?;
        self.key = Some(key);
        self.creations += 1;
        Ok(())
    }

    /// Takes the canvas off the page. Its context still exists.
    pub fn hide(&mut self) {
        self.key = None;
    }

    pub fn destroy(&self, presenter: &mut Presenter) -> Result<(), DemoError> {
        Ok(presenter.destroy_context(self.id)?)
    }

    /// Whether the canvas is on the page and this device draws it at present.
    pub fn is_drawn_by(&self, device: usize) -> bool {
        self.key.is_some() && self.looks[self.look()].device == device
    }

    /// Writes what the shaders read for the next drawing.
    pub fn upload(&mut self, uploads: &mut Uploads, time: f32) -> Result<(), GpuError> {
        let (look, at) = (self.look(), Moment { size: self.size, time, life: self.life() });
        self.looks[look].painter.upload(uploads, at)
    }

    /// Records a drawing of what was uploaded last, into a new texture.
    ///
    /// With a presenter the texture is one that it makes for the canvas. (No painter discards what it drew.)
    pub fn draw(
        &self,
        encoder: CommandEncoderId,
        is_last: bool,
        presenter: Option<&mut Presenter>,
    ) -> Result<Drawn, GpuError> {
        let (alpha_mode, size, look) = (self.role.alpha_mode, self.size, &self.looks[self.look()]);
        let usage = TextureUsages::RENDER_ATTACHMENT | TextureUsages::COPY_SRC;
        let configuration = ContextConfiguration {
            device_id: look.gfx.device.id,
            queue_id: look.gfx.device.queue,
            format: look.format,
            color_space: PredefinedColorSpace::Srgb,
            alpha_mode,
            size,
        };
        let texture_id =
            look.gfx.texture(look.format, size, usage, presenter.map(|it| (it, self.id, &configuration)))?;
        let view = look.gfx.view(texture_id)?;
        look.painter.paint(encoder, view)?;
        let pending = PendingTexture { texture_id, encoder_ids: None, configuration };
        Ok(Drawn { canvas: self.id.0 as usize, is_last, pending, view })
    }

    /// Returns how often the canvas was created before its present life.
    fn life(&self) -> u32 {
        self.creations.saturating_sub(1)
    }

    fn look(&self) -> usize {
        self.life() as usize % self.looks.len()
    }

    /// Reads a texture of this canvas, without this crate. Waits for the GPU.
    pub fn truth(&self, gpu: &Gpu, drawn: &Drawn) -> Truth {
        let configuration = drawn.pending.configuration;
        let device = Device { id: configuration.device_id, queue: configuration.queue_id };
        Truth {
            region: self.region(),
            format: configuration.format,
            alpha_mode: configuration.alpha_mode,
            bytes: gpu.read(device, drawn.pending.texture_id, configuration.size),
        }
    }
}
