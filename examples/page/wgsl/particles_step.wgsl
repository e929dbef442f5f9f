// Moves every particle along a field that swirls; xy is the position, zw the velocity.
@group(0) @binding(1) var<storage, read_write> particles: array<vec4f>;

@compute @workgroup_size(64)
fn step(@builtin(global_invocation_id) id: vec3u) {
    if id.x >= arrayLength(&particles) {
        return;
    }
    var particle = particles[id.x];
    let t = uniforms.time;
    let p = particle.xy;
    let sun = 0.45 * vec2f(cos(0.8 * t), sin(1.1 * t));
    let away = sun - p;
    let pull = away / (0.08 + dot(away, away));
    let swirl = vec2f(-p.y, p.x) + 0.6 * vec2f(sin(4.0 * p.y + t), cos(4.0 * p.x - t));
    let velocity = 0.988 * particle.zw + 0.022 * (0.40 * pull + 1.3 * swirl - 1.1 * p);
    particles[id.x] = vec4f(p + 0.022 * velocity, velocity);
}
