// Sines that bend each other: opaque, no loop over anything but five octaves.
@fragment
fn paint(@builtin(position) position: vec4f) -> @location(0) vec4f {
    var p = centred(position.xy) * 1.6;
    let t = frame.time * 0.7;
    for (var i = 1.0; i < 6.0; i += 1.0) {
        p += vec2f(0.62 / i * sin(i * 1.7 * p.y + t + 0.4 * i), 0.55 / i * cos(i * 1.5 * p.x - t * 0.8 + 1.3 * i));
    }
    let wave = 0.5 + 0.5 * sin(p.x + p.y);
    let fold = abs(sin(p.x * 1.3 - p.y));
    let ridge = (1.0 - fold) * (1.0 - fold);
    let deep = mix(vec3f(0.012, 0.010, 0.075), vec3f(0.0, 0.26, 0.36), wave);
    let warm = mix(vec3f(0.85, 0.06, 0.34), vec3f(1.0, 0.42, 0.06), 0.5 + 0.5 * sin(p.y * 1.4 + t));
    let heat = smoothstep(0.55, 1.0, wave);
    let light = deep * (1.0 - 0.8 * heat) + warm * heat * 0.85 + ridge * ridge * vec3f(0.22, 0.42, 0.75) * 0.7;
    return vec4f(tone(light * 1.25), 1.0);
}
