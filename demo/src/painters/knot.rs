//! A painter that draws a mesh, with vertices, indices and a depth test, in front of a wall.

use std::f32::consts::TAU;

use euclid::default::Size2D;
use glam::{Mat4, Vec3};
use wgpu_core::id::{BindGroupId, BufferId, CommandEncoderId, RenderPipelineId, TextureViewId};
use wgpu_core::pipeline::VertexBufferLayout;
use wgpu_types::{
    BufferUsages, IndexFormat, PrimitiveTopology, TextureFormat, TextureUsages, VertexAttribute,
    VertexFormat, VertexStepMode,
};

use super::{Moment, Painter, wgsl};
use crate::gfx::{Attachments, Attempt, DEPTH, DepthTest, Drawing, Gfx, GpuError, bytes};
use crate::uploads::Uploads;

/// Rings of vertices along the knot.
const ALONG: u16 = 220;
/// Vertices of a ring.
const AROUND: u16 = 18;
/// Floats of a vertex: its position, its normal, and its place along the knot.
const VERTEX_FLOATS: u64 = 7;
/// Bytes of two matrices and the position of the eye.
const CAMERA_BYTES: usize = (16 + 16 + 4) * 4;

pub struct Knot {
    gfx: Gfx,
    mesh: RenderPipelineId,
    mesh_group: BindGroupId,
    wall: RenderPipelineId,
    wall_group: BindGroupId,
    frame: BufferId,
    camera: BufferId,
    vertices: BufferId,
    indices: BufferId,
    index_count: u32,
    depth: TextureViewId,
}

impl Knot {
    pub fn new(gfx: &Gfx, format: TextureFormat, size: Size2D<u32>) -> Result<Self, GpuError> {
        let attribute = |format, floats: u64, shader_location| VertexAttribute {
            format,
            offset: floats * 4,
            shader_location,
        };
        let layout = VertexBufferLayout {
            array_stride: VERTEX_FLOATS * 4,
            step_mode: VertexStepMode::Vertex,
            attributes: vec![
                attribute(VertexFormat::Float32x3, 0, 0),
                attribute(VertexFormat::Float32x3, 3, 1),
                attribute(VertexFormat::Float32, 6, 2),
            ]
            .into(),
        };
        let drawing = Drawing {
            shader: gfx.shader(wgsl(include_str!("knot.wgsl")))?,
            vertex: "place",
            fragment: "shade",
            vertices: &[Some(layout)],
            format,
            topology: PrimitiveTopology::TriangleList,
            blend: None,
            depth: Some(DepthTest::Nearest),
        };
        let mesh = gfx.render_pipeline(drawing)?;
        let wall = gfx.render_pipeline(Drawing {
            vertex: "fullscreen",
            fragment: "wall",
            vertices: &[],
            depth: Some(DepthTest::Behind),
            ..drawing
        })?;
        let frame = gfx.buffer(BufferUsages::UNIFORM, Moment::BYTES)?;
        let camera = gfx.buffer(BufferUsages::UNIFORM, CAMERA_BYTES)?;
        let (vertices, indices) = torus_knot();
        let depth = gfx.texture(DEPTH, size, TextureUsages::RENDER_ATTACHMENT, None)?;
        Ok(Self {
            mesh,
            mesh_group: gfx.bind(mesh, &[(0, frame), (1, camera)])?,
            wall,
            wall_group: gfx.bind(wall, &[(0, frame)])?,
            frame,
            camera,
            vertices: gfx.filled_buffer(BufferUsages::VERTEX, &bytes(&vertices))?,
            indices: gfx.filled_buffer(
                BufferUsages::INDEX,
                &indices.iter().flat_map(|index| index.to_ne_bytes()).collect::<Vec<_>>(),
            )?,
            index_count: indices.len() as u32,
            depth: gfx.view(depth)?,
            gfx: gfx.clone(),
        })
    }
}

impl Painter for Knot {
    fn upload(&mut self, uploads: &mut Uploads, at: Moment) -> Result<(), GpuError> {
        uploads.write(self.frame, 0, &at.bytes())?;
        let eye = Vec3::new(0.0, 0.6, 7.4);
        let wide = at.size.width as f32 / at.size.height as f32;
        let view_projection = Mat4::perspective_rh(0.85, wide, 0.1, 30.0)
            * Mat4::look_at_rh(eye, Vec3::new(0.0, 0.0, 0.0), Vec3::Y);
        let model = Mat4::from_rotation_y(0.75 * at.time) * Mat4::from_rotation_x(0.5 + 0.31 * at.time);
        let mut camera = Vec::from(view_projection.to_cols_array());
        camera.extend(model.to_cols_array());
        camera.extend(eye.extend(1.0).to_array());
        uploads.write(self.camera, 0, &bytes(&camera))
    }

    fn paint(&self, encoder: CommandEncoderId, target: TextureViewId) -> Result<(), GpuError> {
        let gfx = &self.gfx;
        let to = Attachments { color: target, depth: Some(self.depth) };
        let mut pass = gfx.begin(encoder, to)?;
        gfx.set(&mut pass, self.wall, self.wall_group)?;
        gfx.draw(&mut pass, 3, 1)?;
        gfx.set(&mut pass, self.mesh, self.mesh_group)?;
        let (vertices, indices) = (Some(self.vertices), self.indices);
        gfx.global.render_pass_set_vertex_buffer(&mut pass, 0, vertices, 0, None).attempt("vertices")?;
        gfx.global
            .render_pass_set_index_buffer(&mut pass, indices, IndexFormat::Uint16, 0, None)
            .attempt("indices")?;
        gfx.global
            .render_pass_draw_indexed(&mut pass, self.index_count, 1, 0, 0, 0)
            .attempt("an indexed draw")?;
        gfx.end(pass)
    }
}

/// Returns vertices and indices of a tube, around a curve that winds twice around a torus and three times through it.
fn torus_knot() -> (Vec<f32>, Vec<u16>) {
    const TUBE: f32 = 0.42;
    let curve = |along: f32| {
        let angle = along * TAU;
        let radius = 1.55 + 0.72 * (3.0 * angle).cos();
        Vec3::new(radius * (2.0 * angle).cos(), radius * (2.0 * angle).sin(), 0.95 * (3.0 * angle).sin())
    };
    let mut vertices = Vec::new();
    let mut indices = Vec::new();
    // The last ring lies where the first one does, with another place along the knot, which gives it another color.
    for i in 0..=ALONG {
        let along = f32::from(i) / f32::from(ALONG);
        let (here, next) = (curve(along), curve(along + 0.001));
        let tangent = (next - here).normalize();
        // The curve never points at the origin, so that the tangent and the direction from the origin differ.
        let side = tangent.cross(here).normalize();
        let out = side.cross(tangent);
        for j in 0..AROUND {
            let (sin, cos) = (f32::from(j) / f32::from(AROUND) * TAU).sin_cos();
            let normal = out * cos + side * sin;
            vertices.extend((here + normal * TUBE).to_array());
            vertices.extend(normal.to_array());
            vertices.push(along);
            if i < ALONG {
                let vertex = |i: u16, j: u16| i * AROUND + j % AROUND;
                let (a, b) = (vertex(i, j), vertex(i, j + 1));
                let (c, d) = (vertex(i + 1, j), vertex(i + 1, j + 1));
                indices.extend([a, c, b, b, c, d]);
            }
        }
    }
    (vertices, indices)
}
