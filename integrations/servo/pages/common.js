// What all pages share: speaking to the browser, making canvases, drawing on them and reading them back.
//
// README.md describes the messages. Colors of drawings are four numbers from 0 to 1, premultiplied by alpha; colors of pixels are
// three or four bytes.

const RED = [1, 0, 0, 1], GREEN = [0, 1, 0, 1], BLUE = [0, 0, 1, 1], YELLOW = [1, 1, 0, 1];
const CYAN = [0, 1, 1, 1], MAGENTA = [1, 0, 1, 1], BLACK = [0, 0, 0, 1], WHITE = [1, 1, 1, 1];
const CLEAR = [0, 0, 0, 0];
// Red at an alpha of 0.6, which is 153 of 255.
const VEIL = [0.6, 0, 0, 0.6];
const QUADRANTS = [RED, GREEN, BLUE, YELLOW];

// What shines through a transparent canvas on the left and on the right.
const PAGE_LEFT = [255, 255, 255], PAGE_RIGHT = [0, 102, 204];

// Why an opaque canvas is not black before anything is drawn.
const NO_ALPHA_MODE = 'a present without a texture does not tell the alpha mode';

// --- Speaking to the browser

window.suite = (() => {
  // Ids go on after a reload, so that a late answer means nothing to the new page.
  let next = Math.floor(performance.timeOrigin || Date.now());
  const waiting = new Map();
  const say = message => console.log('suite ' + JSON.stringify(message));
  const ask = (kind, content) => new Promise(resolve => {
    const id = next++;
    waiting.set(id, resolve);
    say({ [kind]: { id, ...content } });
  });
  return {
    answer(id) {
      const resolve = waiting.get(id);
      waiting.delete(id);
      if (resolve) resolve();
    },
    check(label, ok, detail = '', limit = null) { say({ check: { label, ok: !!ok, detail: String(detail), limit } }); },
    rate(label, framesPerSecond) { say({ rate: { label, frames_per_second: framesPerSecond } }); },
    skip(reason) { say({ skip: { reason } }); },
    screenshot(name, pixels = []) { return ask('screenshot', { name, pixels: pixels.flat(Infinity) }); },
    watch(label, [x, y], colors, tolerance = 1, limit = null) {
      return ask('watch', { label, x, y, colors, tolerance, ...(limit && { limit }) });
    },
    unwatch(label) { return ask('unwatch', { label }); },
    reload() { return ask('reload', {}); },
    // Runs the page, whose end is told even if it fails.
    run(page) {
      Promise.resolve().then(page)
        .catch(error => suite.check('the page runs to its end', false, error))
        .then(() => say('done'));
    },
    // Compares bytes, or lists of them.
    equal(label, seen, right, tolerance = 0, limit = null) {
      const [a, b] = [[seen].flat(Infinity), [right].flat(Infinity)];
      const ok = a.length === b.length && a.every((byte, i) => Math.abs(byte - b[i]) <= tolerance);
      suite.check(label, ok, `${JSON.stringify(seen)}, right is ${JSON.stringify(right)}`, limit);
    },
    // Checks that a function throws an exception of this name.
    throws(label, name, act, limit = null) {
      try {
        act();
        suite.check(label, false, `nothing was thrown, right is ${name}`, limit);
      } catch (error) {
        suite.check(label, error.name === name, `${error.name}, right is ${name}`, limit);
      }
    },
  };
})();

// --- Time

const frame = () => new Promise(requestAnimationFrame);
const pause = ms => new Promise(resolve => setTimeout(resolve, ms));
async function frames(n) { for (let i = 0; i < n; i++) await frame(); }

// Calls `draw` with 0, 1, 2, … in each frame, until `stop` is called.
function animate(draw) {
  const running = { count: 0, stopped: false, stop() { running.stopped = true; } };
  const step = () => {
    if (running.stopped) return;
    draw(running.count++);
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
  return running;
}

// --- Devices and canvases

// Returns a device. An error that nothing captures fails the page, unless the page makes such errors itself.
async function gpu({ errors = false } = {}) {
  const adapter = navigator.gpu && await navigator.gpu.requestAdapter();
  if (!adapter) throw new Error('there is no WebGPU adapter');
  const device = await adapter.requestDevice();
  if (!errors) device.addEventListener('uncapturederror', event => suite.check('no uncaptured error', false, event.error.message));
  return device;
}

// Makes a canvas, on a pattern at the end of the page unless `parent` is given. It is configured if there is a device.
function make(width, height, { device, css, parent, ...configuration } = {}) {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  if (css) [canvas.style.width, canvas.style.height] = css.map(side => `${side}px`);
  if (!parent) {
    parent = document.createElement('figure');
    document.body.append(parent);
  }
  parent.append(canvas);
  const made = { canvas, context: canvas.getContext('webgpu') };
  if (device) configure(made, { device, ...configuration });
  return made;
}

function configure(made, configuration) {
  made.configuration = { format: 'bgra8unorm', ...configuration };
  made.context.configure(made.configuration);
}

// --- Drawing

// Fills the canvas by clearing it.
function fill({ context, configuration: { device } }, [r, g, b, a], view) {
  const encoder = device.createCommandEncoder();
  encoder.beginRenderPass({ colorAttachments: [{
    view: view || context.getCurrentTexture().createView(), clearValue: { r, g, b, a }, loadOp: 'clear', storeOp: 'store',
  }] }).end();
  device.queue.submit([encoder.finish()]);
}

const QUADRANT_SHADER = `
  struct Picture { colors: array<vec4f, 4>, size: vec2f }
  @group(0) @binding(0) var<uniform> picture: Picture;

  @vertex fn corner(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
    return vec4f(f32(i & 1u) * 4.0 - 1.0, f32(i >> 1u) * 4.0 - 1.0, 0.0, 1.0);
  }

  @fragment fn quadrant(@builtin(position) at: vec4f) -> @location(0) vec4f {
    let right = u32(at.x >= picture.size.x * 0.5);
    let below = u32(at.y >= picture.size.y * 0.5);
    return picture.colors[right + 2u * below];
  }`;
const painters = new WeakMap();

function painter(device, format) {
  if (!painters.has(device)) painters.set(device, new Map());
  const ofDevice = painters.get(device);
  if (!ofDevice.has(format)) {
    const module = device.createShaderModule({ code: QUADRANT_SHADER });
    const pipeline = device.createRenderPipeline({
      layout: 'auto',
      vertex: { module, entryPoint: 'corner' },
      fragment: { module, entryPoint: 'quadrant', targets: [{ format }] },
    });
    const uniform = device.createBuffer({ size: 80, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
    const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource: { buffer: uniform } }] });
    ofDevice.set(format, { pipeline, uniform, group });
  }
  return ofDevice.get(format);
}

// Draws the four colors into the quadrants: upper left, upper right, lower left, lower right.
function quadrants({ canvas, context, configuration: { device, format } }, colors = QUADRANTS) {
  const { pipeline, uniform, group } = painter(device, format);
  device.queue.writeBuffer(uniform, 0, new Float32Array([...colors.flat(), canvas.width, canvas.height, 0, 0]));
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginRenderPass({ colorAttachments: [{
    view: context.getCurrentTexture().createView(), clearValue: { r: 0, g: 0, b: 0, a: 0 }, loadOp: 'clear', storeOp: 'store',
  }] });
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.draw(3);
  pass.end();
  device.queue.submit([encoder.finish()]);
}

// Writes the pixels one by one: `color(x, y)` returns four bytes in the order red, green, blue, alpha. The canvas needs the usage
// COPY_DST.
function write({ canvas: { width, height }, context, configuration: { device, format } }, color) {
  const bytes = new Uint8Array(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [r, g, b, a] = color(x, y);
      bytes.set(format === 'bgra8unorm' ? [b, g, r, a] : [r, g, b, a], (y * width + x) * 4);
    }
  }
  device.queue.writeTexture({ texture: context.getCurrentTexture() }, bytes, { bytesPerRow: width * 4 }, [width, height]);
}

// --- What pixels must be

const bytes = color => color.slice(0, 3).map(part => Math.round(part * 255));

// Returns where a point of an element lies in the viewport. Negative coordinates count from the right and from below.
function place(element, x, y) {
  const box = element.getBoundingClientRect();
  return [Math.floor((x < 0 ? box.right : box.left) + x), Math.floor((y < 0 ? box.bottom : box.top) + y)];
}

// Says what a pixel of a canvas, or of another element, must be in the next screenshot.
function spot(target, [u, v], color, label, { tolerance = 1, limit = null } = {}) {
  const [x, y] = place(target.canvas || target, u, v);
  return { label: `${label} at ${u},${v}`, x, y, color, tolerance, limit };
}

// Says what the four quadrants of a canvas must be.
function corners(made, colors, label, options) {
  const { width, height } = made.canvas.getBoundingClientRect();
  const [near, far] = [0.25, 0.75];
  return [[near, near], [far, near], [near, far], [far, far]]
    .map(([u, v], i) => spot(made, [Math.floor(width * u), Math.floor(height * v)], bytes(colors[i]), label, options));
}

// Says what both halves of a canvas must be: over the white half of the pattern, and over the blue one.
function halves(made, left, right, label, options) {
  const { width, height } = made.canvas.getBoundingClientRect();
  const middle = Math.floor(height / 2);
  return [
    spot(made, [Math.floor(width / 4), middle], left, `${label}, over white,`, options),
    spot(made, [Math.floor(width * 3 / 4), middle], right, `${label}, over blue,`, options),
  ];
}

// Says that the page must shine through the canvas.
const transparent = (made, label, options) => halves(made, PAGE_LEFT, PAGE_RIGHT, label, options);
// Says that the canvas must be of one color.
const plain = (made, color, label, options) => halves(made, bytes(color), bytes(color), label, options);

// --- Reading

// Returns the bytes of a picture, in the order red, green, blue, alpha, not premultiplied.
function bytesOf(picture, width, height) {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  return context.getImageData(0, 0, width, height).data;
}

// Returns four bytes.
const pixelAt = (data, width, x, y) => [...data.slice((y * width + x) * 4, (y * width + x) * 4 + 4)];

async function decode(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

const blobOf = canvas => new Promise(resolve => canvas.toBlob(resolve));

async function bytesOfBlob(blob, width, height) {
  const url = URL.createObjectURL(blob);
  const data = bytesOf(await decode(url), width, height);
  URL.revokeObjectURL(url);
  return data;
}

// Compares the middles of the quadrants with four colors of four bytes each.
function checkQuadrants(label, data, width, height, colors, { tolerance = 1, limit = null } = {}) {
  const seen = [[1, 1], [3, 1], [1, 3], [3, 3]].map(([u, v]) => pixelAt(data, width, Math.floor(width * u / 4), Math.floor(height * v / 4)));
  suite.equal(label, seen, colors, tolerance, limit);
}

// Returns the bytes of a texture, whose format is rgba8unorm.
async function textureBytes(device, texture, width, height) {
  const bytesPerRow = Math.ceil(width * 4 / 256) * 256;
  const buffer = device.createBuffer({ size: bytesPerRow * height, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyTextureToBuffer({ texture }, { buffer, bytesPerRow }, [width, height]);
  device.queue.submit([encoder.finish()]);
  await buffer.mapAsync(GPUMapMode.READ);
  const padded = new Uint8Array(buffer.getMappedRange());
  const data = new Uint8Array(width * height * 4);
  for (let y = 0; y < height; y++) data.set(padded.subarray(y * bytesPerRow, y * bytesPerRow + width * 4), y * width * 4);
  buffer.unmap();
  return data;
}
