// A flame of another colour in each life.
@fragment
fn paint(@builtin(position) position: vec4f) -> @location(0) vec4f {
    let p = centred(position.xy);
    let up = 0.5 + 0.5 * p.y;
    let t = frame.time * 1.5 + 31.0 * frame.life;
    let bend = vec2f(fbm(vec2f(p.x * 1.6, p.y * 1.1 - t)), fbm(vec2f(p.x * 1.6 + 9.2, p.y * 1.1 - t * 1.2))) - 0.5;
    let q = p + bend * vec2f(0.55, 0.9) * (0.35 + up);
    let tongue = fbm(vec2f(q.x * 2.2, q.y * 1.3 - t * 1.6));
    let wide = 1.05 - 0.72 * up;
    let body = 1.0 - smoothstep(0.15, 1.0, abs(q.x) / wide);
    let heat = clamp(body * (1.45 - 1.5 * up) * (0.45 + 1.3 * tongue), 0.0, 1.6);
    // Orange, blue, green, violet, ...
    let turn = fract(frame.life * 0.555);
    let rim = max(palette(0.97 - turn, vec3f(0.0, 0.36, 0.66)), vec3f(0.02)) * vec3f(1.1, 0.8, 1.1);
    let core = rim + vec3f(0.28);
    var light = rim * heat * heat * 1.5 + core * heat * heat * heat * heat * 0.8;
    let spark = vec2f(p.x * 9.0 + 1.5 * sin(p.y * 2.0 + t), p.y * 5.0 - t * 3.2);
    let grain = fract(spark) - 0.5;
    let lit = step(0.93, hash(floor(spark) + 3.0)) * (1.0 - smoothstep(0.0, 0.16, length(grain)));
    light += core * lit * (1.0 - up) * 2.0;
    return vec4f(tone(light + vec3f(0.006, 0.005, 0.012)), 1.0);
}
