struct Uniforms {
    clip_from_model: mat4x4f,
    world_from_model: mat4x4f,
    size: vec2f,
    time: f32,
    frame: f32,
}

@group(0) @binding(0) var<uniform> uniforms: Uniforms;

// Colours by a cosine: the palette of all canvases.
fn palette(t: f32) -> vec3f {
    return vec3f(0.52, 0.46, 0.55) + vec3f(0.46, 0.40, 0.43) * cos(6.28318 * (t + vec3f(0.02, 0.30, 0.58)));
}

// -1 to 1 in the shorter direction, y up.
fn centred(position: vec4f) -> vec2f {
    let p = (2.0 * position.xy - uniforms.size) / min(uniforms.size.x, uniforms.size.y);
    return vec2f(p.x, -p.y);
}
