// A lit torus knot in front of a dim wall.

struct Camera {
    view_projection: mat4x4f,
    model: mat4x4f,
    eye: vec4f,
}

@group(0) @binding(1) var<uniform> camera: Camera;

struct Vertex {
    @builtin(position) position: vec4f,
    @location(0) world: vec3f,
    @location(1) normal: vec3f,
    @location(2) along: f32,
}

@vertex
fn place(@location(0) position: vec3f, @location(1) normal: vec3f, @location(2) along: f32) -> Vertex {
    var out: Vertex;
    let world = camera.model * vec4f(position, 1.0);
    out.position = camera.view_projection * world;
    out.world = world.xyz;
    out.normal = (camera.model * vec4f(normal, 0.0)).xyz;
    out.along = along;
    return out;
}

fn lamp(direction: vec3f, colour: vec3f, base: vec3f, normal: vec3f, eye: vec3f) -> vec3f {
    let l = normalize(direction);
    let diffuse = max(dot(normal, l), 0.0);
    // To the 64th: six squares are cheaper than a power.
    var highlight = max(dot(normal, normalize(l + eye)), 0.0);
    for (var i = 0; i < 6; i++) {
        highlight *= highlight;
    }
    return colour * (base * diffuse + 1.1 * highlight);
}

@fragment
fn shade(in: Vertex) -> @location(0) vec4f {
    let normal = normalize(in.normal);
    let eye = normalize(camera.eye.xyz - in.world);
    let facing = max(dot(normal, eye), 0.0);
    let film = palette(in.along * 2.0 + 0.35 * facing + 0.05 * frame.time, vec3f(0.0, 0.18, 0.42));
    let base = mix(film * film, vec3f(0.9), 0.08);
    var light = base * mix(vec3f(0.035, 0.03, 0.06), vec3f(0.10, 0.13, 0.20), 0.5 + 0.5 * normal.y);
    light += lamp(vec3f(0.7, 0.9, 0.8), vec3f(1.75, 1.55, 1.3), base, normal, eye);
    light += lamp(vec3f(-0.9, 0.1, 0.35), vec3f(0.25, 0.45, 1.15), base, normal, eye);
    light += lamp(vec3f(0.2, -0.9, 0.1), vec3f(0.7, 0.18, 0.45), base, normal, eye);
    let rim = (1.0 - facing) * (1.0 - facing);
    light += rim * rim * vec3f(0.45, 0.65, 1.0) * 0.9;
    // Dark where the surface turns away: an edge that is as dark as the wall shows no steps.
    light *= smoothstep(0.02, 0.34, facing);
    return vec4f(tone(light + vec3f(0.003, 0.004, 0.009)), 1.0);
}

@fragment
fn wall(@builtin(position) position: vec4f) -> @location(0) vec4f {
    let p = centred(position.xy) - vec2f(0.15, 0.1);
    let glow = 1.0 / (1.0 + 1.6 * dot(p, p));
    return vec4f(mix(vec3f(0.035, 0.042, 0.070), vec3f(0.165, 0.195, 0.285), glow * glow), 1.0);
}
