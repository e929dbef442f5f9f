// Drops of coloured glass, premultiplied: what lies beneath shines through.
@fragment
fn fragment(@builtin(position) position: vec4f) -> @location(0) vec4f {
    let p = centred(position);
    let t = uniforms.time;
    var field = 0.0;
    var slope = vec2f(0.0);
    var tint = vec3f(0.0);
    for (var i = 0.0; i < 5.0; i += 1.0) {
        let middle = vec2f(1.05 * sin(0.7 * t + 1.9 * i), 0.6 * cos(0.9 * t + 2.6 * i));
        let away = p - middle;
        let near = 0.085 / (dot(away, away) + 0.012);
        field += near;
        slope += away * near * near;
        tint += near * palette(0.21 * i + 0.04 * t);
    }
    tint /= field;
    let inside = smoothstep(0.85, 1.0, field);
    let edge = smoothstep(1.9, 1.0, field);
    let alpha = inside * mix(0.45, 0.92, edge * edge);
    let normal = normalize(vec3f(slope * 0.5, 1.0));
    let glint = pow(max(dot(normal, normalize(vec3f(-0.5, 0.7, 0.8))), 0.0), 30.0);
    let glow = 0.22 * smoothstep(0.35, 1.0, field) * (1.0 - inside);
    let covered = clamp(alpha + glow + 0.8 * inside * glint, 0.0, 1.0);
    let color = tint * (alpha + glow) + vec3f(0.8 * inside * glint);
    return vec4f(min(color, vec3f(covered)), covered);
}
