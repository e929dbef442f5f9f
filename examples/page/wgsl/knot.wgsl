struct Varying {
    @builtin(position) position: vec4f,
    @location(0) world: vec3f,
    @location(1) normal: vec3f,
}

@vertex
fn vertex(@location(0) position: vec3f, @location(1) normal: vec3f) -> Varying {
    let world = uniforms.world_from_model * vec4f(position, 1.0);
    return Varying(
        uniforms.clip_from_model * vec4f(position, 1.0),
        world.xyz,
        (uniforms.world_from_model * vec4f(normal, 0.0)).xyz,
    );
}

const EYE = vec3f(0.0, 0.0, 5.0);

// A warm key light, a cool one from behind, and a rim.
@fragment
fn fragment(in: Varying) -> @location(0) vec4f {
    let n = normalize(in.normal);
    let v = normalize(EYE - in.world);
    let key = normalize(vec3f(0.6, 0.9, 0.7));
    let cool = normalize(vec3f(-0.9, -0.4, 0.2));
    let half = normalize(key + v);
    let diffuse = max(dot(n, key), 0.0);
    let glossy = pow(max(dot(n, half), 0.0), 60.0);
    let rim = pow(1.0 - max(dot(n, v), 0.0), 3.0);
    let base = palette(0.05 + 0.22 * in.world.x + 0.10 * in.world.z + 0.10 * uniforms.time);
    let light = 0.10 + 0.95 * diffuse * vec3f(1.0, 0.92, 0.80)
        + 0.40 * max(dot(n, cool), 0.0) * vec3f(0.35, 0.55, 1.0);
    let fade = clamp(1.15 + 0.28 * in.world.z, 0.45, 1.0);
    return vec4f(base * light * fade + 0.85 * glossy + 0.45 * rim * vec3f(0.45, 0.6, 1.0), 1.0);
}
