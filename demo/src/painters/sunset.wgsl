// The alpha that it writes must never be seen: its canvas is opaque.
@fragment
fn paint(@builtin(position) position: vec4f) -> @location(0) vec4f {
    let p = centred(position.xy);
    let horizon = -0.18;
    var colour: vec3f;
    if (p.y > horizon) {
        let sky = clamp((p.y - horizon) / 1.1, 0.0, 1.0);
        colour = mix(vec3f(0.98, 0.36, 0.42), vec3f(0.10, 0.05, 0.28), pow(sky, 0.6));
        let d = p - vec2f(0.0, 0.22);
        let stripes = smoothstep(0.0, 0.04, sin((d.y + 0.06 * frame.time) * 38.0) + 0.95 + 2.2 * d.y);
        let sun = smoothstep(0.54, 0.525, length(d)) * mix(stripes, 1.0, step(0.18, d.y));
        colour = mix(colour, mix(vec3f(1.0, 0.30, 0.45), vec3f(1.0, 0.87, 0.36), 0.5 + d.y), sun);
        colour += vec3f(0.55, 0.16, 0.22) * exp(-3.0 * length(d)) * (1.0 - sun);
        let ridge = horizon + 0.26 * fbm(vec2f(p.x * 1.7 + 4.0, 2.0)) * smoothstep(0.1, 1.1, abs(p.x));
        colour = mix(vec3f(0.13, 0.04, 0.22), colour, smoothstep(ridge - 0.012, ridge + 0.012, p.y));
    } else {
        let depth = 0.30 / (horizon - p.y + 0.02);
        let line = abs(fract(vec2f(p.x * depth * 2.2, depth * 2.0 + frame.time * 0.9)) - 0.5);
        let width = 0.012 * depth + 0.03;
        let grid = max(smoothstep(width, 0.0, line.x), smoothstep(width * 1.6, 0.0, line.y));
        colour = mix(vec3f(0.05, 0.02, 0.13), vec3f(0.20, 0.90, 1.0), grid * clamp(1.6 / depth, 0.0, 1.0));
        colour += vec3f(0.75, 0.20, 0.40) * exp(-9.0 * (horizon - p.y));
    }
    let alpha = 0.35 + 0.35 * sin(frame.time * 2.0 + 6.0 * p.x);
    return vec4f(colour, alpha);
}
