@group(0) @binding(1) var<storage, read> particles: array<vec4f>;

struct Varying {
    @builtin(position) position: vec4f,
    @location(0) corner: vec2f,
    @location(1) color: vec3f,
}

// Two triangles around a particle.
@vertex
fn vertex(@builtin(vertex_index) index: u32, @builtin(instance_index) instance: u32) -> Varying {
    let particle = particles[instance];
    let right = index == 1u || index == 2u || index == 4u;
    let upper = index == 2u || index == 4u || index == 5u;
    let corner = select(vec2f(-1.0), vec2f(1.0), vec2<bool>(right, upper));
    let radius = (0.030 + 0.014 * f32(instance % 3u)) * min(uniforms.size.x, uniforms.size.y);
    let middle = particle.xy * min(uniforms.size.x, uniforms.size.y) / uniforms.size;
    let speed = length(particle.zw);
    let color = palette(0.02 + 0.16 * f32(instance % 7u) / 7.0 + 0.16 * speed + 0.05 * uniforms.time) * (0.26 + 0.12 * speed);
    return Varying(vec4f(middle + corner * radius / uniforms.size, 0.0, 1.0), corner, color);
}

@fragment
fn fragment(in: Varying) -> @location(0) vec4f {
    let falloff = max(1.0 - dot(in.corner, in.corner), 0.0);
    return vec4f(in.color * falloff * falloff, 0.0);
}
