fn hash(p: vec2f) -> f32 {
    return fract(sin(dot(p, vec2f(127.1, 311.7))) * 43758.55);
}

fn noise(p: vec2f) -> f32 {
    let i = floor(p);
    let f = fract(p);
    let u = f * f * (3.0 - 2.0 * f);
    let lower = mix(hash(i), hash(i + vec2f(1.0, 0.0)), u.x);
    let upper = mix(hash(i + vec2f(0.0, 1.0)), hash(i + vec2f(1.0, 1.0)), u.x);
    return mix(lower, upper, u.y);
}

// Flames.
@fragment
fn fragment(@builtin(position) position: vec4f) -> @location(0) vec4f {
    var p = centred(position);
    let t = uniforms.time;
    let height = 0.5 * p.y + 0.5;
    p = vec2f(p.x * (1.0 + 0.35 * height), p.y - 1.7 * t) * 2.2;
    let swirl = noise(p * 0.7 + vec2f(0.0, -0.4 * t)) - 0.5;
    let flames = 0.55 * noise(p + 0.9 * swirl) + 0.28 * noise(2.1 * p + 1.4 * swirl) + 0.17 * noise(4.3 * p);
    let heat = clamp(1.55 * flames - 0.80 * height + 0.06, 0.0, 1.0);
    let color = vec3f(1.45 * heat, 1.15 * heat * heat, 0.85 * pow(heat, 4.0)) + vec3f(0.05, 0.02, 0.07) * (1.0 - heat);
    return vec4f(color, 1.0);
}
