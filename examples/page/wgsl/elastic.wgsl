// Rings that keep their shape while the canvas changes its size.
@fragment
fn fragment(@builtin(position) position: vec4f) -> @location(0) vec4f {
    let p = centred(position);
    let t = uniforms.time;
    let a = length(p - vec2f(0.7 * cos(t), 0.4 * sin(1.3 * t)));
    let b = length(p + vec2f(0.7 * cos(0.8 * t), 0.4 * sin(t)));
    let wave = 0.5 + 0.25 * (sin(16.0 * a - 5.0 * t) + sin(16.0 * b - 4.0 * t));
    let border = min(min(position.x, uniforms.size.x - position.x), min(position.y, uniforms.size.y - position.y));
    let color = mix(vec3f(0.07, 0.08, 0.26), vec3f(0.98, 0.42, 0.52), wave) * (0.45 + 0.65 * wave);
    return select(vec4f(color, 1.0), vec4f(1.0, 0.93, 0.75, 1.0), border < 2.0);
}
