// What every painter's shader starts with.

struct Frame {
    size: vec2f,
    time: f32,
    // How often the canvas was created before.
    life: f32,
}

@group(0) @binding(0) var<uniform> frame: Frame;

const TAU = 6.2831853;

// A triangle that covers the canvas.
@vertex
fn fullscreen(@builtin(vertex_index) index: u32) -> @builtin(position) vec4f {
    let corner = vec2f(f32(index & 1u), f32(index >> 1u));
    return vec4f(corner * 4.0 - 1.0, 0.0, 1.0);
}

// The pixel, with the origin in the middle, y up, and the shorter side from -1 to 1.
fn centred(pixel: vec2f) -> vec2f {
    let p = (2.0 * pixel - frame.size) / min(frame.size.x, frame.size.y);
    return vec2f(p.x, -p.y);
}

fn palette(t: f32, phase: vec3f) -> vec3f {
    return 0.5 + 0.5 * cos(TAU * (t + phase));
}

fn rotated(p: vec2f, angle: f32) -> vec2f {
    let c = cos(angle);
    let s = sin(angle);
    return vec2f(c * p.x - s * p.y, s * p.x + c * p.y);
}

fn hash(p: vec2f) -> f32 {
    let q = fract(p * vec2f(0.1031, 0.1030) + dot(p, vec2f(0.0113, 0.0217)));
    return fract((q.x + q.y + 0.37) * (q.x * 41.7 + q.y * 57.3 + 3.1));
}

fn noise(p: vec2f) -> f32 {
    let cell = floor(p);
    let f = fract(p);
    let u = f * f * (3.0 - 2.0 * f);
    let bottom = mix(hash(cell), hash(cell + vec2f(1.0, 0.0)), u.x);
    let top = mix(hash(cell + vec2f(0.0, 1.0)), hash(cell + vec2f(1.0, 1.0)), u.x);
    return mix(bottom, top, u.y);
}

fn fbm(start: vec2f) -> f32 {
    var p = start;
    var sum = 0.0;
    var weight = 0.5;
    for (var octave = 0; octave < 4; octave++) {
        sum += weight * noise(p);
        p = rotated(p, 0.6) * 2.03 + 17.1;
        weight *= 0.5;
    }
    return sum;
}

// Compresses bright light and encodes it for the screen, nearly: a root is much cheaper than a power.
fn tone(light: vec3f) -> vec3f {
    return sqrt(1.0 - exp(-light));
}
