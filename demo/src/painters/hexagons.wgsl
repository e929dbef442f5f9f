// A honeycomb up to a bright line around the very edge, so that one pixel too few or too many shows.
fn hexagon(p: vec2f) -> vec4f {
    let s = vec2f(1.0, 1.7320508);
    let a = fract(p / s) * s - 0.5 * s;
    let b = fract((p - 0.5 * s) / s) * s - 0.5 * s;
    let local = select(b, a, dot(a, a) < dot(b, b));
    let q = abs(local);
    return vec4f(0.5 - max(dot(q, 0.5 * s), q.x), p - local, 0.0);
}

@fragment
fn paint(@builtin(position) position: vec4f) -> @location(0) vec4f {
    let middle = position.xy - 0.5 * frame.size;
    let edge = min(min(position.x, frame.size.x - position.x), min(position.y, frame.size.y - position.y));
    let cell = hexagon(rotated(middle / 21.0, 0.12 * frame.time));
    let ring = 0.5 + 0.5 * sin(length(cell.yz) * 1.15 - frame.time * 3.2);
    let inside = smoothstep(0.03, 0.10, cell.x - 0.16 * (1.0 - ring));
    let colour = palette(length(cell.yz) * 0.055 - frame.time * 0.12 + 0.55, vec3f(0.0, 0.22, 0.42));
    var light = colour * inside * (0.18 + 0.95 * ring * ring);
    light += vec3f(0.25, 0.8, 1.0) * exp(-0.16 * edge) * 0.5;
    var alpha = clamp(0.22 + 0.78 * inside, 0.0, 1.0);
    var shown = min(tone(light * 1.5), vec3f(1.0)) * alpha;
    if (edge < 1.0) {
        shown = vec3f(0.55, 0.93, 1.0);
        alpha = 1.0;
    }
    return vec4f(shown, alpha);
}
