// Sparks that a compute pass carries along a flow, drawn as streaks of light.

struct Particle {
    position: vec2f,
    velocity: vec2f,
}

@group(0) @binding(1) var<storage, read_write> moved: array<Particle>;
@group(0) @binding(2) var<storage, read> drawn: array<Particle>;

const STEP = 1.0 / 30.0;
// In seconds.
const LIFE = 2.5;

// From 0 to 1 in the course of a life: they are born one after the other, again and again.
fn age(index: u32) -> f32 {
    return fract(frame.time / LIFE - f32(index) / f32(arrayLength(&drawn)));
}

// The curl of a sum of waves: nothing piles up and nothing thins out.
fn flow(p: vec2f, t: f32) -> vec2f {
    var v = vec2f(0.0);
    v += 1.00 * cos(dot(p, vec2f(0.9, 2.3)) + 0.7 * t) * vec2f(2.3, -0.9);
    v += 0.80 * cos(dot(p, vec2f(2.6, -0.7)) - 0.5 * t + 1.0) * vec2f(-0.7, -2.6);
    v += 0.42 * cos(dot(p, vec2f(-3.1, 3.7)) + 1.1 * t + 2.0) * vec2f(3.7, 3.1);
    v += 0.20 * cos(dot(p, vec2f(6.3, 4.4)) - 1.6 * t) * vec2f(4.4, -6.3);
    return v * 0.34 + vec2f(0.22, 0.0);
}

@compute @workgroup_size(64)
fn move_on(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= arrayLength(&moved)) {
        return;
    }
    var particle = moved[id.x];
    let reach = vec2f(frame.size.x / frame.size.y + 0.2, 1.2);
    particle.velocity = mix(particle.velocity, flow(particle.position, frame.time), 0.2);
    particle.position += particle.velocity * STEP;
    // What leaves on one side comes back on the other.
    particle.position -= 2.0 * reach * round(particle.position / (2.0 * reach));
    moved[id.x] = particle;
}

struct Streak {
    @builtin(position) position: vec4f,
    @location(0) across: vec2f,
    @location(1) colour: vec3f,
}

@vertex
fn place(@builtin(vertex_index) corner: u32, @builtin(instance_index) instance: u32) -> Streak {
    let particle = drawn[instance];
    let speed = length(particle.velocity);
    let ahead = particle.velocity / max(speed, 1e-4);
    let life = age(instance);
    let bright = smoothstep(0.0, 0.15, life) * smoothstep(1.0, 0.7, life);
    let side = vec2f(f32(corner & 1u), f32(corner >> 1u)) * 2.0 - 1.0;
    let pixel = 2.0 / frame.size.y;
    let reach = vec2f(1.6 * pixel + 0.045 * speed, 1.15 * pixel);
    let p = particle.position + ahead * side.x * reach.x + vec2f(-ahead.y, ahead.x) * side.y * reach.y;
    var out: Streak;
    out.position = vec4f(p.x * frame.size.y / frame.size.x, p.y, 0.0, 1.0);
    out.across = side;
    let hue = 0.5 + 0.16 * particle.velocity.x + 0.10 * particle.velocity.y;
    out.colour = (palette(hue, vec3f(0.02, 0.22, 0.45)) + 0.10) * (0.08 + 0.22 * min(speed, 2.0)) * bright;
    return out;
}

@fragment
fn glow(in: Streak) -> @location(0) vec4f {
    let fall = max(1.0 - in.across.x * in.across.x, 0.0) * max(1.0 - in.across.y * in.across.y, 0.0);
    return vec4f(in.colour * fall, 1.0);
}
