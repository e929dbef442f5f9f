//! A painter that runs one fragment shader for the whole canvas.

use wgpu_core::id::{BindGroupId, BufferId, CommandEncoderId, RenderPipelineId, TextureViewId};
use wgpu_types::{BufferUsages, PrimitiveTopology, TextureFormat};

use super::{Moment, Painter, wgsl};
use crate::gfx::{Attachments, Drawing, Gfx, GpuError};
use crate::uploads::Uploads;

pub struct Fullscreen {
    gfx: Gfx,
    pipeline: RenderPipelineId,
    group: BindGroupId,
    frame: BufferId,
}

impl Fullscreen {
    pub fn new(gfx: &Gfx, format: TextureFormat, fragment: &str) -> Result<Self, GpuError> {
        let pipeline = gfx.render_pipeline(Drawing {
            shader: gfx.shader(wgsl(fragment))?,
            vertex: "fullscreen",
            fragment: "paint",
            vertices: &[],
            format,
            topology: PrimitiveTopology::TriangleList,
            blend: None,
            depth: None,
        })?;
        let frame = gfx.buffer(BufferUsages::UNIFORM, Moment::BYTES)?;
        let group = gfx.bind(pipeline, &[(0, frame)])?;
        Ok(Self { gfx: gfx.clone(), pipeline, group, frame })
    }
}

impl Painter for Fullscreen {
    fn upload(&mut self, uploads: &mut Uploads, at: Moment) -> Result<(), GpuError> {
        uploads.write(self.frame, 0, &at.bytes())
    }

    fn paint(&self, encoder: CommandEncoderId, target: TextureViewId) -> Result<(), GpuError> {
        let mut pass = self.gfx.begin(encoder, Attachments { color: target, depth: None })?;
        self.gfx.set(&mut pass, self.pipeline, self.group)?;
        self.gfx.draw(&mut pass, 3, 1)?;
        self.gfx.end(pass)
    }
}
