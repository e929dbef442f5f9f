// Curtains of light, premultiplied and mostly transparent, over the page's own colours.
@fragment
fn fragment(@builtin(position) position: vec4f) -> @location(0) vec4f {
    let p = centred(position);
    let t = uniforms.time;
    var color = vec3f(0.0);
    var alpha = 0.0;
    for (var i = 0.0; i < 4.0; i += 1.0) {
        let crest = 0.28 * sin(1.8 * p.x + 0.8 * t + 1.7 * i) + 0.12 * sin(4.3 * p.x - 1.1 * t + i) - 0.42 + 0.22 * i;
        let above = p.y - crest;
        let curtain = exp(-3.2 * above) * smoothstep(-0.03, 0.02, above);
        let folds = 0.65 + 0.35 * sin(13.0 * p.x + 3.0 * sin(2.0 * p.x + t) + 2.1 * i);
        let light = 0.5 * curtain * folds;
        color = color * (1.0 - light) + palette(0.44 + 0.11 * i + 0.12 * above) * light;
        alpha = alpha * (1.0 - light) + light;
    }
    return vec4f(min(color, vec3f(alpha)), alpha);
}
