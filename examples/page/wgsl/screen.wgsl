// One triangle that covers the canvas.
@vertex
fn vertex(@builtin(vertex_index) index: u32) -> @builtin(position) vec4f {
    let corner = vec2f(f32((index << 1u) & 2u), f32(index & 2u));
    return vec4f(2.0 * corner - 1.0, 0.0, 1.0);
}
