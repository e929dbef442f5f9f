// A Julia set whose parameter goes round.
@fragment
fn fragment(@builtin(position) position: vec4f) -> @location(0) vec4f {
    let t = 0.35 * uniforms.time;
    var z = 1.15 * centred(position);
    let c = 0.7885 * vec2f(cos(2.4 + 0.55 * sin(t)), sin(2.4 + 0.55 * sin(t)));
    var steps = 0.0;
    for (var i = 0; i < 48; i++) {
        z = vec2f(z.x * z.x - z.y * z.y, 2.0 * z.x * z.y) + c;
        if dot(z, z) > 64.0 {
            break;
        }
        steps += 1.0;
    }
    let smooth_steps = steps - log2(max(log2(max(dot(z, z), 4.0)) * 0.5, 1.0));
    let outside = f32(steps < 48.0);
    let value = clamp(smooth_steps / 48.0, 0.0, 1.0);
    let color = palette(0.62 + 1.4 * value) * (0.10 + 1.25 * pow(value, 0.55));
    return vec4f(mix(vec3f(0.02, 0.02, 0.05), color, outside), 1.0);
}
