// Reads of each kind of canvas: both formats, both alpha modes. Each has one veiled, two plain and one transparent quadrant.
async function everyKind(page) {
  const device = await gpu();
  for (const format of ['bgra8unorm', 'rgba8unorm']) {
    for (const alphaMode of ['opaque', 'premultiplied']) {
      const made = make(90, 70, { device, format, alphaMode });
      // Pixels that are read are not premultiplied: a red of 0.6 at an alpha of 0.6 is 255. An opaque canvas has no alpha.
      const right = alphaMode === 'opaque'
        ? [[153, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255], [0, 0, 0, 255]]
        : [[255, 0, 0, 153], [0, 255, 0, 255], [0, 0, 255, 255], [0, 0, 0, 0]];
      await page({ device, made, right, label: `${format}, ${alphaMode}`, draw: () => quadrants(made, [VEIL, GREEN, BLUE, CLEAR]) });
    }
  }
  await suite.screenshot('read');
}
