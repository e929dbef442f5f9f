// A little of everything, for ways of running Servo that differ in how its threads speak to each other.
async function mixture() {
  const device = await gpu();
  const all = ['bgra8unorm', 'rgba8unorm'].flatMap(format => ['opaque', 'premultiplied'].map(alphaMode => ({
    label: `${format}, ${alphaMode}`, alphaMode, made: make(64, 48, { device, format, alphaMode }),
  })));
  const resized = make(20, 20, { device }), read = make(66, 34, { device, alphaMode: 'premultiplied' });
  for (let n = 0; n <= 20; n++) {
    await frame();
    for (const { made } of all) fill(made, n < 20 ? [n / 20, 0, 0, 1] : VEIL);
    resized.canvas.width = resized.canvas.height = 20 + 2 * n;
    quadrants(resized);
    quadrants(read, [VEIL, GREEN, BLUE, CLEAR]);
  }
  await suite.screenshot('mixture', [
    all.map(({ made, alphaMode, label }) => alphaMode === 'opaque'
      ? halves(made, [153, 0, 0], [153, 0, 0], label)
      : halves(made, [255, 102, 102], [153, 41, 82], label, { tolerance: 2 })),
    corners(resized, QUADRANTS, 'resized'),
    spot(read, [15, 8], [255, 102, 102], 'a veil over white', { tolerance: 2 }), spot(read, [50, 25], PAGE_RIGHT, 'nothing over blue'),
  ]);
  const right = [[255, 0, 0, 153], [0, 255, 0, 255], [0, 0, 255, 255], [0, 0, 0, 0]];
  const { width, height } = read.canvas;
  checkQuadrants('toDataURL', bytesOf(await decode(read.canvas.toDataURL()), width, height), width, height, right, { tolerance: 2 });
  quadrants(read, [GREEN, VEIL, CLEAR, BLUE]);
  const bitmap = await createImageBitmap(read.canvas);
  checkQuadrants('createImageBitmap', bytesOf(bitmap, width, height), width, height, [right[1], right[0], right[3], right[2]], { tolerance: 2 });
}
