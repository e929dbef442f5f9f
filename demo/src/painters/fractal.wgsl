// A Julia set whose constant walks around the main cardioid.
@fragment
fn paint(@builtin(position) position: vec4f) -> @location(0) vec4f {
    let angle = frame.time * 0.35 + 2.0;
    let radius = 0.5 + 0.012 * sin(frame.time * 0.9);
    let c = radius * vec2f(cos(angle), sin(angle)) - 0.25 * vec2f(cos(2.0 * angle), sin(2.0 * angle)) * 1.03;
    var z = rotated(centred(position.xy), 0.25 * frame.time) * 1.22;
    var steps = 0.0;
    var trap = 1e9;
    while (steps < 90.0 && dot(z, z) < 256.0) {
        z = vec2f(z.x * z.x - z.y * z.y, 2.0 * z.x * z.y) + c;
        trap = min(trap, dot(z, z));
        steps += 1.0;
    }
    if (steps >= 90.0) {
        let glow = sqrt(trap);
        return vec4f(tone(palette(glow * 1.4 + 0.1 * frame.time, vec3f(0.55, 0.65, 0.85)) * (0.1 + glow)), 1.0);
    }
    let smoothed = steps + 4.0 - log2(log2(dot(z, z)));
    let shade = smoothed / 34.0;
    let colour = palette(shade * 0.9 + 0.58, vec3f(0.0, 0.12, 0.28));
    return vec4f(tone(colour * colour * min(shade * 2.6, 1.7)), 1.0);
}
