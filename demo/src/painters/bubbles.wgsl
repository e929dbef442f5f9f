// Soap bubbles: colour multiplied by alpha, mostly transparent.
fn bubble(p: vec2f, centre: vec2f, radius: f32, tint: f32) -> vec4f {
    let d = (p - centre) / radius;
    let r = length(d);
    let pixel = 2.0 / min(frame.size.x, frame.size.y) / radius;
    let inside = 1.0 - smoothstep(1.0 - pixel, 1.0 + pixel, r);
    let height = sqrt(max(1.0 - r * r, 0.0));
    let rim = pow(1.0 - height, 2.2);
    let film = palette(tint + 0.75 * height + 0.16 * d.y + 0.12 * sin(3.0 * d.x + frame.time), vec3f(0.0, 0.33, 0.67));
    let glint = smoothstep(0.26, 0.0, length(d - vec2f(-0.42, 0.48))) + 0.5 * smoothstep(0.16, 0.0, length(d - vec2f(0.5, -0.52)));
    let alpha = clamp((0.13 + 0.75 * rim + glint) * inside, 0.0, 1.0);
    let colour = mix(film, vec3f(1.0), clamp(glint, 0.0, 1.0));
    return vec4f(colour * alpha, alpha);
}

@fragment
fn paint(@builtin(position) position: vec4f) -> @location(0) vec4f {
    let p = centred(position.xy);
    let wide = frame.size.x / frame.size.y;
    var canvas = vec4f(0.0);
    for (var i = 0; i < 7; i++) {
        let n = f32(i);
        let radius = 0.22 + 0.36 * fract(n * 0.618 + 0.2);
        let rise = fract(n * 0.377 + frame.time * (0.07 + 0.02 * fract(n * 0.71)));
        let sway = 0.18 * sin(frame.time * 0.9 + n * 2.1);
        let x = (fract(n * 0.754 + 0.13) * 2.0 - 1.0) * wide * 0.86;
        let next = bubble(p, vec2f(x + sway, mix(-1.0 - radius, 1.0 + radius, rise)), radius, n * 0.19);
        canvas = next + canvas * (1.0 - next.a);
    }
    return vec4f(min(canvas.rgb, vec3f(canvas.a)), canvas.a);
}
