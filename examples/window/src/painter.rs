//! Draws the canvases with wgpu-core, each in each frame into a new texture, as script does.

use webgpu_presentation::{AlphaMode, ContextConfiguration, PendingTexture, PredefinedColorSpace};
use wgpu_core::id::{BindGroupId, BufferId, CommandEncoderId, RenderPipelineId};
use wgpu_types::{BufferUsages, PrimitiveTopology, TextureFormat, TextureUsages};

use crate::canvas::Canvas;
use crate::gfx::{Attachments, Attempt, Drawing, Gfx, GpuError, bytes};

const FORMAT: TextureFormat = TextureFormat::Bgra8Unorm;
/// Bytes of the struct `Look` of painter.wgsl.
const LOOK: usize = 32;

pub struct Painter {
    pub gfx: Gfx,
    pipeline: RenderPipelineId,
}

/// What the shader reads of one canvas.
pub struct Brush {
    look: BufferId,
    group: BindGroupId,
}

impl Painter {
    pub fn new(gfx: Gfx) -> Result<Self, GpuError> {
        let pipeline = gfx.render_pipeline(Drawing {
            shader: gfx.shader(include_str!("painter.wgsl").into())?,
            vertex: "cover",
            fragment: "paint",
            vertices: &[],
            format: FORMAT,
            topology: PrimitiveTopology::TriangleList,
            blend: None,
            depth: None,
        })?;
        Ok(Self { gfx, pipeline })
    }

    pub fn brush(&self) -> Result<Brush, GpuError> {
        let look = self.gfx.buffer(BufferUsages::UNIFORM, LOOK)?;
        Ok(Brush { look, group: self.gfx.bind(self.pipeline, &[(0, look)])? })
    }

    /// Records the drawing of a canvas `time` seconds after the start.
    pub fn draw(
        &self,
        encoder: CommandEncoderId,
        brush: &Brush,
        canvas: &Canvas,
        time: f32,
    ) -> Result<PendingTexture, GpuError> {
        let Gfx { global, device } = &self.gfx;
        let size = canvas.size;
        let [r, g, b] = canvas.color().map(|color| f32::from(color) / 255.0);
        let rings = if canvas.is_animated { 1.0 } else { 0.0 };
        let look = [r, g, b, canvas.alpha, size.width as f32, size.height as f32, time, rings];
        global.queue_write_buffer(device.queue, brush.look, 0, &bytes(&look)).attempt("a write")?;

        let usage = TextureUsages::RENDER_ATTACHMENT | TextureUsages::COPY_SRC;
        let texture_id = self.gfx.texture(FORMAT, size, usage, None)?;
        let view = self.gfx.view(texture_id)?;
        let mut pass = self.gfx.begin(encoder, Attachments { color: view, depth: None })?;
        self.gfx.set(&mut pass, self.pipeline, brush.group)?;
        self.gfx.draw(&mut pass, 3, 1)?;
        self.gfx.end(pass)?;
        global.texture_view_drop(view);
        let configuration = ContextConfiguration {
            device_id: device.id,
            queue_id: device.queue,
            format: FORMAT,
            color_space: PredefinedColorSpace::Srgb,
            alpha_mode: if canvas.alpha == 1.0 { AlphaMode::Opaque } else { AlphaMode::Premultiplied },
            size,
        };
        Ok(PendingTexture { texture_id, encoder_ids: None, configuration })
    }
}
