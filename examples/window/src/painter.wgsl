// A canvas: one color, or rings that move; a dark edge; and a light corner by which it is resized.

struct Look {
    color: vec4f,
    size: vec2f,
    // In seconds.
    time: f32,
    // 1 if the canvas is animated.
    rings: f32,
}

@group(0) @binding(0) var<uniform> look: Look;

const HANDLE = 20.0;

// A triangle that covers the canvas.
@vertex
fn cover(@builtin(vertex_index) index: u32) -> @builtin(position) vec4f {
    let corner = vec2f(f32(index & 1u), f32(index >> 1u));
    return vec4f(corner * 4.0 - 1.0, 0.0, 1.0);
}

@fragment
fn paint(@builtin(position) position: vec4f) -> @location(0) vec4f {
    let at = position.xy;
    let rest = look.size - at;
    var color = look.color.rgb;
    if look.rings > 0.5 {
        let distance = length(at - look.size * (0.5 + 0.3 * vec2f(cos(look.time), sin(look.time * 1.3))));
        let wave = 0.5 + 0.5 * cos(distance * 0.12 - look.time * 5.0 + vec3f(0.0, 0.9, 1.8));
        color = mix(color, vec3f(1.0), wave * 0.8);
    }
    if min(min(at.x, at.y), min(rest.x, rest.y)) < 3.0 {
        color *= 0.6;
    }
    if rest.x + rest.y < HANDLE {
        color = vec3f(0.95);
    }
    return vec4f(color * look.color.a, look.color.a);
}
