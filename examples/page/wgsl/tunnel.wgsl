// An opaque canvas with an alpha below 1, which must not show: a tunnel of tiles.
@fragment
fn fragment(@builtin(position) position: vec4f) -> @location(0) vec4f {
    let t = uniforms.time;
    let p = centred(position) - 0.22 * vec2f(cos(0.7 * t), sin(0.9 * t));
    let radius = length(p) + 0.001;
    let depth = 0.55 / radius + 1.2 * t;
    let angle = atan2(p.y, p.x) / 6.28318 + 0.06 * depth + 0.03 * t;
    let tile = vec2f(fract(depth), fract(angle * 10.0));
    let seam = min(min(tile.x, 1.0 - tile.x) * 2.6, min(tile.y, 1.0 - tile.y) * 2.0);
    let lit = smoothstep(0.04, 0.28, seam);
    let pick = fract(sin(dot(vec2f(floor(depth), floor(fract(angle) * 10.0)), vec2f(12.99, 78.23))) * 437.58);
    let fog = smoothstep(0.03, 0.75, radius);
    let color = palette(0.5 + 0.25 * pick + 0.04 * depth) * (0.25 + 0.85 * lit) * fog;
    return vec4f(color, 0.15 + 0.7 * pick);
}
