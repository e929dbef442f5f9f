//! A torus knot.

use std::f32::consts::TAU;

use glam::Vec3;

/// Position and normal.
pub const VERTEX_SIZE: u64 = 6 * 4;

/// Indexed triangles as the GPU reads them.
pub struct Mesh {
    pub vertices: Vec<u8>,
    pub indices: Vec<u8>,
    pub count: u32,
}

const ALONG: u32 = 220;
const AROUND: u32 = 20;
const THICKNESS: f32 = 0.30;

/// The curve that winds twice around the axis and three times around the ring.
fn curve(t: f32) -> Vec3 {
    let radius = 1.0 + 0.45 * (3.0 * t).cos();
    Vec3::new(radius * (2.0 * t).cos(), radius * (2.0 * t).sin(), 0.55 * (3.0 * t).sin())
}

/// A tube along the curve.
pub fn torus_knot() -> Mesh {
    let mut vertices = Vec::new();
    let mut indices = Vec::new();
    for i in 0..ALONG {
        let t = TAU * i as f32 / ALONG as f32;
        let (centre, ahead) = (curve(t), curve(t + 0.01));
        let tangent = ahead - centre;
        let side = tangent.cross(ahead + centre).normalize();
        let up = side.cross(tangent).normalize();
        for j in 0..AROUND {
            let (sin, cos) = (TAU * j as f32 / AROUND as f32).sin_cos();
            let normal = cos * side + sin * up;
            let position = centre + THICKNESS * normal;
            vertices.extend([position, normal].iter().flat_map(|v| v.to_array()).flat_map(f32::to_le_bytes));
            let (next_i, next_j) = ((i + 1) % ALONG, (j + 1) % AROUND);
            let [a, b, c, d] =
                [(i, j), (next_i, j), (next_i, next_j), (i, next_j)].map(|(i, j): (u32, u32)| i * AROUND + j);
            indices.extend([a, b, c, a, c, d].into_iter().flat_map(u32::to_le_bytes));
        }
    }
    Mesh { vertices, indices, count: 6 * ALONG * AROUND }
}
