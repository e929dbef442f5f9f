@fragment
fn fragment(@builtin(position) position: vec4f) -> @location(0) vec4f {
    let t = uniforms.time;
    var p = centred(position) * 1.6;
    for (var i = 1.0; i < 4.0; i += 1.0) {
        p += vec2f(0.55 * sin(1.7 * i * p.y + 0.7 * t + i), 0.45 * cos(1.5 * i * p.x + 0.9 * t)) / i;
    }
    let value = sin(p.x) * cos(p.y) + 0.35 * sin(length(p) * 2.0 - t);
    let ridge = 1.0 - abs(fract(2.0 * value) - 0.5) * 2.0;
    return vec4f(palette(0.28 * value + 0.05 * t) * (0.55 + 0.6 * ridge * ridge), 1.0);
}
