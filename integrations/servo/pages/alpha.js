// Both alpha modes of one format, over white and over #0066cc.
//
// A premultiplied canvas adds its color to what is behind it times (1 - alpha); an opaque one ignores alpha. The pixels were worked
// out by hand: at an alpha of 0.6, four tenths of 255, 102 and 204 are 102, 41 and 82; at 0.2, eight tenths of them are 204, 82 and
// 163.
const ALPHA_CASES = [
  { color: [0, 0, 0, 0], opaque: [0, 0, 0], overWhite: [255, 255, 255], overBlue: [0, 102, 204] },
  { color: [0.6, 0, 0, 0.6], opaque: [153, 0, 0], overWhite: [255, 102, 102], overBlue: [153, 41, 82] },
  { color: [0, 0, 0.2, 0.2], opaque: [0, 0, 51], overWhite: [204, 204, 255], overBlue: [0, 82, 214] },
  { color: [0, 0.6, 0, 1], opaque: [0, 153, 0], overWhite: [0, 153, 0], overBlue: [0, 153, 0] },
];

async function alphaModes(format) {
  const device = await gpu();
  const probe = make(8, 8);
  try {
    configure(probe, { device, format });
  } catch (error) {
    return suite.skip(`no canvas can have the format ${format}: ${error.message}`);
  }
  probe.canvas.parentElement.remove();

  const all = ['opaque', 'premultiplied'].flatMap(alphaMode =>
    ALPHA_CASES.map(each => ({ ...each, alphaMode, made: make(84, 60, { device, format, alphaMode }) })));
  // More than once, so that every buffer is used and used again.
  for (let n = 0; n < 5; n++) {
    await frame();
    for (const { made, color } of all) fill(made, n < 4 ? WHITE : color);
  }
  await suite.screenshot('alpha', all.map(({ made, color, alphaMode, opaque, overWhite, overBlue }) => {
    const label = `${alphaMode}, ${color}`;
    return alphaMode === 'opaque' ? halves(made, opaque, opaque, label) : halves(made, overWhite, overBlue, label, { tolerance: 2 });
  }));
}
