// The viewer of a recording, drawn in WebGL 2: one module without dependencies, the same in a notebook and in a page.
//
//   mount(element, header, bytes)     a viewer in an element; `header` and `bytes` come from dvs/viewer/packing.py
//   startAll()                        one in each place that dvs/viewer/document.py left in a page
//   default.render                    what anywidget calls
//
// Times are microseconds since the recording began. The window ends at `time`, as pictures of dvs.rendering do:
// what is shown happened in [time - window, time).

const SPEEDS = [10, 5, 2, 1, 1 / 2, 1 / 5, 1 / 10, 1 / 20, 1 / 50, 1 / 100, 1 / 1000];
const SHADES = 32; // of a colour, from near to far
const HOME = { yaw: 0.72, pitch: 0.36, zoom: 1 };
const MOVES = ["time", "window", "depth", "yaw", "pitch", "zoom"];
const SLOWEST_FRAME_MS = 36; // 30 frames/s, and a little more for the jitter of timers
const [RATE_TOP, RATE_BOTTOM] = [24, 20]; // pixels of the curve's captions
const LEAST_DETAIL = 32; // the stride of an attribute is at most 255 bytes
const FEWEST = 100_000; // events of the cloud that are drawn in any case
const EDGE = 24; // pixels beside the curve, for the half of a number; as --edge in viewer.css

// What travels

/** The events, ready for the graphics card: places (x, its top bit the polarity, and y), times, and the rates. */
async function unpack(header, bytes) {
  let buffer = bytes;
  if (header.gzip) {
    if (!("DecompressionStream" in globalThis)) {
      throw new Error("This browser cannot unpack gzip. Take a newer one, or write the page with compress=False.");
    }
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    buffer = await new Response(stream).arrayBuffer();
  } else {
    buffer = bytes.slice().buffer; // a copy, so that the columns begin where their numbers may
  }
  const { count, bins } = header;
  let offset = 0;
  const column = (type, length) => {
    const found = new type(buffer, offset, length);
    offset += found.byteLength;
    return found;
  };
  const times = column(Uint32Array, count); // steps from one event to the next
  const rates = { off: column(Uint32Array, bins), on: column(Uint32Array, bins) };
  const x = column(Uint16Array, count);
  const y = column(Uint16Array, count);
  const places = new Uint16Array(2 * count);
  for (let i = 0, t = 0; i < count; i++) {
    t += times[i];
    times[i] = t;
    places[2 * i] = x[i];
    places[2 * i + 1] = y[i];
  }
  return { places, times, rates };
}

function fromBase64(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

/** How many of the sorted times come before t. */
function countBefore(times, t) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (times[middle] < t) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Numbers and words

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const threeDigits = (value) => Number(value.toPrecision(3));
const grouped = (value) => Math.round(value).toLocaleString("en");

/** Three digits and the unit that suits. */
function timeText(us) {
  const t = threeDigits(us);
  for (const [unit, size] of [["h", 3.6e9], ["min", 6e7], ["s", 1e6], ["ms", 1e3]]) {
    if (t >= size) return `${threeDigits(t / size)} ${unit}`;
  }
  return `${t} µs`;
}

function rateText(hz) {
  for (const [prefix, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (hz >= size) return `${threeDigits(hz / size)} ${prefix}ev/s`;
  }
  return `${threeDigits(hz)} ev/s`;
}

/** Round values from low to high, about `wanted` of them, and the text for each. */
function ticks(low, high, wanted) {
  const raw = Math.max((high - low) / Math.max(wanted, 1), 1);
  const decade = 10 ** Math.floor(Math.log10(raw));
  const step = decade * [1, 2, 5, 10].find((factor) => factor * decade >= raw);
  const [unit, size] = high >= 1e6 ? ["s", 1e6] : high >= 1e3 ? ["ms", 1e3] : ["µs", 1];
  const decimals = Math.max(0, Math.ceil(-Math.log10(step / size) - 1e-9));
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) {
    found.push([k * step, `${((k * step) / size).toFixed(decimals)} ${unit}`]);
  }
  return found;
}

const css = (colour, alpha = 1) => `rgb(${colour.join(" ")} / ${alpha})`;
const isDark = ([red, green, blue]) => 0.3 * red + 0.59 * green + 0.11 * blue < 118;

/** Change the text of a part, if it is another. */
function write(part, text) {
  if (part.textContent !== text) part.textContent = text;
}

// The graphics card

const DISTANCE = 5; // of the camera from the middle of the box, whose sides are about 1 long
const [NEAREST, DEPTH] = [3.5, 3]; // where fog begins, and how far it grows

const EVENT_SHADER = `#version 300 es
#define NEAREST ${NEAREST.toFixed(1)}
#define DEPTH ${DEPTH.toFixed(1)}
layout(location = 0) in uvec2 place;
layout(location = 1) in uint time;
uniform mat4 view;
uniform vec2 sensor;
uniform uint origin;
uniform float perTick;
uniform uint shown;  // bit 0: OFF, bit 1: ON
uniform vec3 ground, off, on;
uniform float fade;  // towards the ground, everywhere
uniform float fog;  // and more with distance
uniform vec2 size;  // of a point: in pixels at distance 1, and at least
out vec3 colour;
void main() {
  uint polarity = place.x >> 15;
  vec2 xy = (vec2(place.x & 32767u, place.y) + 0.5) / sensor - 0.5;
  gl_Position = view * vec4(float(time - origin) * perTick - 0.5, -xy.y, -xy.x, 1.0);
  gl_PointSize = max(size.x / gl_Position.w, size.y);
  float distant = clamp((gl_Position.w - NEAREST) / DEPTH, 0.0, 1.0);
  colour = mix(polarity == 1u ? on : off, ground, 1.0 - (1.0 - fade) * (1.0 - fog * distant));
  if ((shown >> polarity & 1u) == 0u) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
}`;

const POINT_SHADER = `#version 300 es
precision mediump float;
in vec3 colour;
out vec4 pixel;
void main() { pixel = vec4(colour, 1.0); }`;

const CORNER_SHADER = `#version 300 es
out vec2 at;
void main() {
  at = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  gl_Position = vec4(2.0 * at - 1.0, 0.0, 1.0);
}`;

const PICTURE_SHADER = `#version 300 es
precision mediump float;
uniform sampler2D picture;
in vec2 at;
out vec4 pixel;
void main() { pixel = vec4(texture(picture, at).rgb, 1.0); }`;

// From the box of events to a picture of the sensor: time, -y and -x become nothing, up and right.
const FLAT = new Float32Array([0, 0, 0, 0, 0, 2, 0, 0, -2, 0, 0, 0, 0, 0, 0, 1]);

function program(gl, vertex, fragment) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS) && !gl.isContextLost()) throw new Error(gl.getProgramInfoLog(made));
  const uniforms = {};
  for (let i = 0; i < gl.getProgramParameter(made, gl.ACTIVE_UNIFORMS); i++) {
    const { name } = gl.getActiveUniform(made, i);
    uniforms[name] = gl.getUniformLocation(made, name);
  }
  return { made, uniforms };
}

/** What both ways of drawing share: panels are cleared, pictures are put into them. */
class Painter {
  constructor(gl, header, events) {
    this.gl = gl;
    this.sensor = [header.width, header.height];
    this.events = events;
    this.picture = program(gl, CORNER_SHADER, PICTURE_SHADER);
    this.textures = {};
  }

  setColours(palette, shown) {
    this.palette = palette;
    this.shown = shown;
  }

  clear(area) {
    const { gl } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(...area);
    gl.clearColor(...this.palette.ground.map((value) => value / 255), 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.disable(gl.SCISSOR_TEST);
  }

  /**
   * The events first, ..., last - 1 as a picture in `area`; the last event of a pixel is seen. Where the area has
   * fewer pixels than the sensor, so has the picture: an event alone is as strong as it is on a large screen.
   */
  drawFrame(first, last, area) {
    const [width, height] = this.sensor.map((pixels, side) => Math.min(pixels, area[2 + side]));
    const wanted = JSON.stringify([first, last, width, height, this.palette, this.shown]);
    if (wanted !== this.pictured) this.fillFrame(first, last, width, height);
    this.pictured = wanted;
    this.show("frame", area);
  }

  /** A texture of this size, for the picture of that name. */
  texture(name, width, height) {
    const { gl, textures } = this;
    const before = textures[name];
    if (before?.width !== width || before?.height !== height) {
      if (before) gl.deleteTexture(before.made);
      const made = gl.createTexture();
      gl.bindTexture(gl.TEXTURE_2D, made);
      gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, width, height);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
      textures[name] = { made, width, height };
    }
    return textures[name].made;
  }

  show(name, area) {
    const { gl } = this;
    gl.disable(gl.DEPTH_TEST);
    gl.viewport(...area);
    gl.useProgram(this.picture.made);
    gl.bindTexture(gl.TEXTURE_2D, this.textures[name].made);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }
}

/** Draws on the graphics card. Events go there once; a span of them is one call with its first and its number. */
class CardPainter extends Painter {
  constructor(gl, header, events) {
    super(gl, header, events);
    this.points = program(gl, EVENT_SHADER, POINT_SHADER);
    gl.bindVertexArray(gl.createVertexArray());
    this.buffers = [events.places, events.times].map((values, location) => {
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(location);
      return buffer;
    });
    this.target = gl.createFramebuffer();
    gl.useProgram(this.points.made);
    gl.uniform2f(this.points.uniforms.sensor, ...this.sensor);
  }

  setColours(palette, shown) {
    super.setColours(palette, shown);
    const { gl, points } = this;
    gl.useProgram(points.made);
    for (const name of ["ground", "off", "on"]) {
      gl.uniform3fv(points.uniforms[name], palette[name].map((value) => value / 255));
    }
    gl.uniform1ui(points.uniforms.shown, shown);
  }

  fillFrame(first, last, width, height) {
    const { gl, points } = this;
    const texture = this.texture("frame", width, height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
    gl.viewport(0, 0, width, height);
    gl.clearColor(...this.palette.ground.map((value) => value / 255), 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.disable(gl.DEPTH_TEST);
    gl.useProgram(points.made);
    gl.uniformMatrix4fv(points.uniforms.view, false, FLAT);
    gl.uniform1f(points.uniforms.perTick, 0);
    this.#draw(first, last, 1, { fade: 0, fog: 0, dot: 0, least: 1 });
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  }

  /** Spans of events, each [first, last, options], as a cloud in `area`; of n = every events one. */
  drawCloud(spans, area, view, origin, perTick, every) {
    const { gl } = this;
    const { made, uniforms } = this.points;
    gl.enable(gl.DEPTH_TEST);
    gl.viewport(...area);
    gl.useProgram(made);
    gl.uniformMatrix4fv(uniforms.view, false, view);
    gl.uniform1ui(uniforms.origin, origin);
    gl.uniform1f(uniforms.perTick, perTick);
    gl.enable(gl.SCISSOR_TEST); // a point may be larger than what is left of the panel
    gl.scissor(...area);
    for (const [first, last, options] of spans) this.#draw(first, last, every, options);
    gl.disable(gl.SCISSOR_TEST);
  }

  #draw(first, last, every, { fade, fog, dot, least }) {
    const { gl } = this;
    const { uniforms } = this.points;
    if (every !== this.every) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[0]);
      gl.vertexAttribIPointer(0, 2, gl.UNSIGNED_SHORT, 4 * every, 0);
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[1]);
      gl.vertexAttribIPointer(1, 1, gl.UNSIGNED_INT, 4 * every, 0);
      this.every = every;
    }
    gl.uniform1f(uniforms.fade, fade);
    gl.uniform1f(uniforms.fog, fog);
    gl.uniform2f(uniforms.size, dot, least);
    const from = Math.ceil(first / every);
    const count = Math.ceil(last / every) - from;
    if (count > 0) gl.drawArrays(gl.POINTS, from, count);
  }
}

/**
 * Draws the same without a card: where WebGL itself is made by a program, it takes about a microsecond a point, and
 * this loop a hundredth of it.
 */
class ProcessorPainter extends Painter {
  fillFrame(first, last, width, height) {
    const { places } = this.events;
    const [wide, high] = [width / this.sensor[0], height / this.sensor[1]];
    const pixels = new Uint32Array(width * height).fill(packed(this.palette.ground));
    const colours = [packed(this.palette.off), packed(this.palette.on)];
    for (let i = first; i < last; i++) {
      const place = places[2 * i];
      if (!((this.shown >> (place >> 15)) & 1)) continue;
      const column = Math.trunc(((place & 32767) + 0.5) * wide);
      const row = height - 1 - Math.trunc((places[2 * i + 1] + 0.5) * high);
      pixels[row * width + column] = colours[place >> 15];
    }
    this.#upload("frame", pixels, width, height);
  }

  drawCloud(spans, area, view, origin, perTick, every) {
    const [, , width, height] = area;
    if (this.distances?.length !== width * height) {
      this.distances = new Float32Array(width * height);
      this.pixels = new Uint32Array(width * height);
    }
    this.distances.fill(Infinity);
    this.pixels.fill(packed(this.palette.ground));
    const rows = this.#rows(view, origin, perTick, width, height);
    for (const [first, last, options] of spans) this.#splat(first, last, every, options, rows, width, height);
    this.#upload("cloud", this.pixels, width, height);
    this.show("cloud", area);
  }

  /** The view as three rows of numbers: of 1, the time in ticks, x and y, for column, row and distance. */
  #rows(view, origin, perTick, width, height) {
    const [wide, high] = this.sensor;
    const [across, up, distance] = [0, 1, 3].map((row) => {
      const [a, b, c, one] = [0, 4, 8, 12].map((column) => view[column + row]);
      const fixed = one + a * (-0.5 - origin * perTick) + b * (0.5 - 0.5 / high) + c * (0.5 - 0.5 / wide);
      return [fixed, a * perTick, -c / wide, -b / high];
    });
    const scaled = (row, size) => row.map((value, k) => ((value + distance[k]) * size) / 2);
    return [scaled(across, width), scaled(up, height), distance];
  }

  #splat(first, last, every, { fade, fog, dot, least }, rows, width, height) {
    const { places, times } = this.events;
    const { distances, pixels, shown } = this;
    const [[x0, xt, xx, xy], [y0, yt, yx, yy], [w0, wt, wx, wy]] = rows;
    const shades = this.#shades(fade, fog);
    const hidden = shown === 3 ? -1 : shown === 2 ? 0 : 1;
    // A million times in a frame: no calls and no small arrays in here.
    for (let i = Math.ceil(first / every) * every; i < last; i += every) {
      const place = places[2 * i];
      const polarity = place >> 15;
      if (polarity === hidden) continue;
      const x = place & 32767;
      const y = places[2 * i + 1];
      const t = times[i];
      const distance = w0 + wt * t + wx * x + wy * y;
      const near = 1 / distance;
      const column = (x0 + xt * t + xx * x + xy * y) * near + 0.5;
      const row = (y0 + yt * t + yx * x + yy * y) * near + 0.5;
      const half = (dot * near > least ? dot * near : least) / 2;
      // As on a card: the pixels whose middles are in the square.
      const left = (column - half) | 0;
      const right = (column + half) | 0;
      const low = (row - half) | 0;
      const high = (row + half) | 0;
      if (left < 0 || low < 0 || right > width || high > height) continue;
      let shade = ((distance - NEAREST) * (SHADES / DEPTH)) | 0;
      if (shade < 0) shade = 0;
      else if (shade >= SHADES) shade = SHADES - 1;
      const colour = shades[polarity * SHADES + shade];
      for (let line = low; line < high; line++) {
        for (let at = line * width + left, end = line * width + right; at < end; at++) {
          if (distance < distances[at]) {
            distances[at] = distance;
            pixels[at] = colour;
          }
        }
      }
    }
  }

  /** Colours of OFF, then of ON, from near to far. */
  #shades(fade, fog) {
    const { ground, off, on } = this.palette;
    const shades = [off, on].flatMap((colour) =>
      Array.from({ length: SHADES }, (_, k) => {
        const full = (1 - fade) * (1 - (fog * k) / SHADES);
        return packed(colour.map((value, part) => Math.round(ground[part] + full * (value - ground[part]))));
      }),
    );
    return new Uint32Array(shades);
  }

  #upload(name, pixels, width, height) {
    const { gl } = this;
    gl.bindTexture(gl.TEXTURE_2D, this.texture(name, width, height));
    const bytes = new Uint8Array(pixels.buffer);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
  }
}

/** A colour as the four bytes of a pixel. */
function packed([red, green, blue]) {
  return (red | (green << 8) | (blue << 16) | (255 << 24)) >>> 0;
}

/** Whether there is no card behind WebGL. */
function isSoftware(gl) {
  let name = gl.getParameter(gl.RENDERER);
  // Chromium and Safari hide it there.
  if (name === "WebKit WebGL") {
    const names = gl.getExtension("WEBGL_debug_renderer_info");
    if (names) name = gl.getParameter(names.UNMASKED_RENDERER_WEBGL);
  }
  return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
}

// The camera

const CORNERS = [0, 1, 2, 3, 4, 5, 6, 7].map((k) => [k & 1, (k >> 1) & 1, k >> 2].map((side) => side - 0.5));

/** How the box of events (time, up, -x; each from -1/2 to 1/2) is seen, as a 4 x 4 matrix, columns first. */
function camera(box, aspect, { yaw, pitch, zoom }) {
  const focus = fit(box, aspect) * zoom;
  return projection(box, aspect, yaw, pitch, focus);
}

function projection([length, height, width], aspect, yaw, pitch, focus) {
  const [sy, cy, sp, cp] = [Math.sin(yaw), Math.cos(yaw), Math.sin(pitch), Math.cos(pitch)];
  const axes = [
    [cy * length, -sy * sp * length, sy * cp * length],
    [0, cp * height, sp * height],
    [-sy * width, -cy * sp * width, cy * cp * width],
  ];
  const [near, far] = [DISTANCE - 3, DISTANCE + 3];
  const scale = (far + near) / (far - near);
  const shift = (-2 * far * near) / (far - near) + scale * DISTANCE;
  const columns = axes.map(([right, up, towards]) => [(focus * right) / aspect, focus * up, -scale * towards, -towards]);
  return new Float32Array([...columns.flat(), 0, 0, shift, DISTANCE]);
}

/** The focus at which the box just fits, seen as it is at first. */
function fit(box, aspect) {
  const view = projection(box, aspect, HOME.yaw, HOME.pitch, 1);
  const seen = CORNERS.map((corner) => project(view, corner));
  return 0.85 / Math.max(...seen.flatMap(([right, up]) => [Math.abs(right), Math.abs(up)]));
}

/** Where a point is seen: right and up from -1 to 1, and its distance. */
function project(view, [a, b, c]) {
  const [right, up, , w] = [0, 1, 2, 3].map((row) => view[row] * a + view[4 + row] * b + view[8 + row] * c + view[12 + row]);
  return [right / w, up / w, w];
}

// The viewer

const BODY = `
<div class="dvs-stage">
  <canvas class="dvs-gl" aria-hidden="true"></canvas><canvas class="dvs-ink" aria-hidden="true"></canvas>
  <div class="dvs-panel dvs-frame" role="img"><span class="dvs-caption"></span></div>
  <div class="dvs-panel dvs-cloud" role="application" tabindex="0" aria-roledescription="view in three dimensions"
    title="Drag to turn; wheel to zoom, after a click or with Ctrl; double-click to put it back"><span class="dvs-caption"></span></div>
</div>
<div class="dvs-timeline"><canvas class="dvs-rate" aria-hidden="true"></canvas><div class="dvs-band"></div>
  <span class="dvs-caption"></span>
  <input class="dvs-time" type="range" min="0" step="any" aria-label="Time"></div>
<div class="dvs-controls">
  <div><button class="dvs-play" type="button" aria-label="Play" title="Play or pause (space)"></button>
    <output class="dvs-clock"></output>
    <label>Speed <select class="dvs-speed"></select></label></div>
  <div><label>Window <input class="dvs-window" type="range" min="0" max="1" step="0.005"><output></output></label>
    <label>Cloud <input class="dvs-depth" type="range" min="0" max="1" step="0.005"><output></output></label></div>
  <div><fieldset class="dvs-polarity"><legend>Polarity</legend></fieldset>
    <label>Palette <select class="dvs-palette"></select></label></div>
</div>
<p class="dvs-said" role="note" hidden></p>`;

let mounted = 0;

class Viewer {
  #frame = 0; // the animation frame that is asked for
  #last = null; // when the one before was drawn, null at rest
  #pace = 0; // milliseconds a frame, averaged over a few
  #every = 1; // of so many events of the cloud one is drawn while it moves
  #finer = 0; // not before this time more of them
  #patience = 700; // milliseconds until more are tried, longer each time that was too slow
  #tried = false; // whether the last change was to more
  #moved = -Infinity; // when something was moved by hand, or by a program
  #undo = [];
  picture = null; // where the picture of the sensor is: left, top, width, height in pixels of the stage's canvas

  constructor(root, header, events, { state = {}, changed = () => {} } = {}) {
    this.root = root;
    this.header = header;
    this.events = events;
    this.changed = changed;
    const span = header.span_us;
    this.shortest = Math.min(100, span);
    this.state = {
      window: Math.max(1, Math.min(33_333, Math.round(span / 20))),
      depth: Math.min(span, 3_000_000),
      speed: SPEEDS.filter((speed) => speed <= 1).sort((a, b) => badness(a, span) - badness(b, span))[0],
      playing: false,
      polarity: "both",
      palette: "auto",
      detail: "auto", // or full: all events of the cloud, however slow
      drawing: "auto", // or card, or processor
      ...HOME,
    };
    this.state.time = this.#busiest();
    root.classList.add("dvs-viewer");
    root.setAttribute("role", "region");
    root.setAttribute("aria-label", "Viewer of events");
    root.tabIndex = -1;
    root.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes the keys
    root.innerHTML = BODY;
    this.#find();
    this.#fill();
    this.#listen();
    this.set({ palette: "auto", ...state });
    root.viewer = this; // for scripts of the page: viewer.set({ time: 500_000 })
  }

  /** Change what is shown: time, window, depth, speed, playing, polarity, palette, yaw, pitch, zoom. */
  set(changes) {
    const { state, header } = this;
    const known = Object.entries(changes).filter(([name, value]) => name in state && value !== undefined && value !== null);
    Object.assign(state, Object.fromEntries(known));
    state.time = clamp(Math.round(state.time), 0, header.span_us);
    state.window = clamp(Math.round(state.window), 1, header.span_us);
    state.depth = clamp(state.depth, Math.min(state.window, header.span_us), header.span_us);
    state.pitch = clamp(state.pitch, -Math.PI / 2, Math.PI / 2);
    state.zoom = clamp(state.zoom, 0.4, 12);
    if (known.some(([name]) => MOVES.includes(name))) this.#moved = performance.now();
    if (known.some(([name]) => name === "drawing") || !this.gl) this.#openCard();
    if (known.some(([name]) => name === "palette")) this.#dress();
    this.#show();
    this.changed(state);
    this.redraw();
  }

  redraw() {
    this.#frame ||= requestAnimationFrame((now) => this.#step(now));
  }

  destroy() {
    cancelAnimationFrame(this.#frame);
    for (const undo of this.#undo) undo();
    this.gl?.getExtension("WEBGL_lose_context")?.loseContext();
    this.root.replaceChildren();
  }

  // Parts

  #find() {
    const find = (name) => this.root.querySelector(`.dvs-${name}`);
    for (const name of ["stage", "gl", "ink", "frame", "cloud", "rate", "band", "time", "play", "clock", "speed", "window",
      "depth", "polarity", "palette", "said", "timeline"]) this[`${name}Part`] = find(name);
  }

  #fill() {
    const { header, state } = this;
    const option = (value, text) => new Option(text, value);
    const speeds = SPEEDS.map((speed) => option(speed, speed >= 1 ? `${speed} ×` : `1/${Math.round(1 / speed)}`));
    this.speedPart.append(...speeds);
    const palettes = ["auto", ...Object.keys(header.palettes)];
    this.palettePart.append(...palettes.map((name) => option(name, name)));
    mounted += 1;
    for (const name of ["Both", "ON", "OFF"]) {
      const label = document.createElement("label");
      const button = Object.assign(document.createElement("input"), {
        type: "radio", name: `dvs-polarity-${mounted}`, value: name.toLowerCase(),
      });
      const swatch = Object.assign(document.createElement("span"), { className: "dvs-swatch" });
      label.append(button, ...(name === "Both" ? [] : [swatch]), name);
      this.polarityPart.append(label);
    }
    this.timePart.max = header.span_us;
    const highest = rateText((this.#mostInBin() * this.events.rates.on.length * 1e6) / header.span_us);
    this.timelinePart.querySelector(".dvs-caption").textContent = `ON above, OFF below; up to ${highest} each`;
    this.cloudPart.setAttribute(
      "aria-label",
      "Cloud of the events in space and time; drag it or use the arrow keys to turn it, plus and minus to zoom, 0 to " +
        "put it back",
    );
    if (header.count < header.total) {
      this.saidPart.hidden = false;
      this.saidPart.textContent =
        `Drawn are ${grouped(header.count)} of the ${grouped(header.total)} events, chosen evenly over the ` +
        "recording; the curve of the rate counts all.";
    } else if (header.total === 0) {
      this.saidPart.hidden = false;
      this.saidPart.textContent = "No pixel fired: there is nothing to show.";
    }
    state.depth = Math.max(state.depth, state.window);
  }

  #listen() {
    const on = (target, kind, act, options) => {
      target.addEventListener(kind, act, options);
      this.#undo.push(() => target.removeEventListener(kind, act, options));
    };
    const { span_us: span } = this.header;
    on(this.playPart, "click", () => this.set({ playing: !this.state.playing }));
    on(this.timePart, "input", () => this.set({ time: Number(this.timePart.value), playing: false }));
    on(this.speedPart, "change", () => this.set({ speed: Number(this.speedPart.value) }));
    on(this.palettePart, "change", () => this.set({ palette: this.palettePart.value }));
    on(this.polarityPart, "change", (event) => this.set({ polarity: event.target.value }));
    for (const name of ["window", "depth"]) {
      const part = this[`${name}Part`];
      on(part, "input", () => this.set({ [name]: this.shortest * (span / this.shortest) ** Number(part.value) }));
    }
    on(this.root, "keydown", (event) => this.#key(event));
    on(this.root, "pointerdown", (event) => {
      if (!event.target.closest("input, select, button, label, .dvs-cloud")) this.root.focus({ preventScroll: true });
    });
    this.#turn(on);
    const resized = new ResizeObserver(() => this.redraw());
    resized.observe(this.root);
    this.#undo.push(() => resized.disconnect());
    const theme = matchMedia("(prefers-color-scheme: dark)");
    on(theme, "change", () => this.#dress());
    // Notebooks and editors name their theme on the body.
    const renamed = new MutationObserver(() => this.#dress());
    renamed.observe(document.body, { attributes: true, attributeFilter: ["class", "data-jp-theme-light"] });
    this.#undo.push(() => renamed.disconnect());
    on(this.glPart, "webglcontextlost", (event) => {
      event.preventDefault();
      this.painter = null;
    });
    on(this.glPart, "webglcontextrestored", () => {
      this.#openCard();
      this.redraw();
    });
  }

  /** The mouse or fingers turn the cloud; two fingers zoom, and the wheel where a click or Ctrl says so. */
  #turn(on) {
    const held = new Map();
    const spread = () => {
      const [a, b] = held.values();
      return Math.hypot(a[0] - b[0], a[1] - b[1]);
    };
    on(this.cloudPart, "pointerdown", (event) => {
      held.set(event.pointerId, [event.clientX, event.clientY]);
      this.cloudPart.setPointerCapture(event.pointerId);
    });
    on(this.cloudPart, "pointermove", (event) => {
      const before = held.get(event.pointerId);
      if (!before) return;
      const { yaw, pitch, zoom } = this.state;
      const apart = held.size === 2 ? spread() : 0;
      held.set(event.pointerId, [event.clientX, event.clientY]);
      if (held.size === 1) {
        const turned = [event.clientX - before[0], event.clientY - before[1]].map((pixels) => 0.008 * pixels);
        this.set({ yaw: yaw - turned[0], pitch: pitch + turned[1] });
      } else if (apart) this.set({ zoom: (zoom * spread()) / apart });
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      on(this.cloudPart, kind, (event) => held.delete(event.pointerId));
    }
    const wheel = (event) => {
      // Else the page around is being scrolled, and goes on.
      if (!event.ctrlKey && !event.metaKey && !this.cloudPart.matches(":focus")) return;
      event.preventDefault();
      const lines = event.deltaMode === 0 ? event.deltaY / 100 : event.deltaY / 3;
      this.set({ zoom: this.state.zoom * 0.86 ** clamp(lines, -3, 3) });
    };
    on(this.cloudPart, "wheel", wheel, { passive: false });
    on(this.cloudPart, "dblclick", () => this.set(HOME));
  }

  #key(event) {
    const { state, header } = this;
    const { target, key } = event;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const turns = target === this.cloudPart && {
      ArrowLeft: { yaw: state.yaw + 0.1 }, ArrowRight: { yaw: state.yaw - 0.1 },
      ArrowUp: { pitch: state.pitch - 0.1 }, ArrowDown: { pitch: state.pitch + 0.1 },
      "+": { zoom: state.zoom * 1.16 }, "=": { zoom: state.zoom * 1.16 }, "-": { zoom: state.zoom / 1.16 }, 0: HOME,
    }[key];
    const owns = target !== this.timePart && target.matches("input, select"); // keys that are their own
    const step = state.window * (event.shiftKey ? 10 : 1);
    const moves = !owns && {
      ArrowLeft: { time: state.time - step, playing: false }, ArrowRight: { time: state.time + step, playing: false },
      ArrowDown: { time: state.time - step, playing: false }, ArrowUp: { time: state.time + step, playing: false },
      Home: { time: state.window, playing: false }, End: { time: header.span_us, playing: false },
    }[key];
    // A button takes the space for itself, and a list opens with it.
    const plays = key === " " && !target.matches("select, button") && { playing: !state.playing };
    const change = turns || moves || plays;
    if (!change) return;
    event.preventDefault();
    event.stopPropagation();
    this.set(change);
  }

  #openCard() {
    const gl = this.glPart.getContext("webgl2", { alpha: true, antialias: false, powerPreference: "high-performance" });
    if (!gl) throw new Error("This browser draws no WebGL 2, which the viewer needs.");
    this.gl = gl;
    const software = { auto: isSoftware(gl), card: false, processor: true }[this.state.drawing];
    this.painter = new (software ? ProcessorPainter : CardPainter)(gl, this.header, this.events);
  }

  /** The end of the window where most happens, as well as the bins of the curve tell. */
  #busiest() {
    const { on, off } = this.events.rates;
    const { window } = this.state;
    const width = this.header.span_us / on.length;
    const long = clamp(Math.round(window / width), 1, on.length);
    let [sum, most, best] = [0, 0, 0];
    for (let bin = 0; bin < on.length; bin++) {
      sum += on[bin] + off[bin] - (bin >= long ? on[bin - long] + off[bin - long] : 0);
      if (sum > most) [most, best] = [sum, bin];
    }
    return clamp((best + 1 - long / 2) * width + window / 2, window, this.header.span_us);
  }

  // What is shown

  /** Take the colours of the palette, and light or dark from the page around. */
  #dress() {
    const { palettes } = this.header;
    const card = getComputedStyle(this.root).backgroundColor.match(/[\d.]+/g).slice(0, 3).map(Number);
    this.root.style.colorScheme = isDark(card) ? "dark" : "light";
    this.colours = palettes[this.state.palette] ?? palettes[isDark(card) ? "dark" : "light"];
    for (const [name, colour] of Object.entries(this.colours)) this.root.style.setProperty(`--${name}`, css(colour));
    this.root.style.setProperty("--mark", isDark(this.colours.ground) ? "#fff" : "#000");
    this.redraw();
  }

  /** Bring the controls up to date. */
  #show() {
    const { state, header } = this;
    this.playPart.classList.toggle("dvs-playing", state.playing);
    this.playPart.setAttribute("aria-label", state.playing ? "Pause" : "Play");
    const [first, last] = this.#within(state.time - state.window, state.time);
    const thinned = header.count < header.total;
    const about = thinned ? "about " : "";
    const shown = this.#countShown(first, last);
    const events = thinned ? threeDigits((shown * header.total) / header.count) : shown;
    const decimals = header.span_us < 1e5 ? 6 : header.span_us < 1e8 ? 3 : 2;
    const clock = `${(state.time / 1e6).toFixed(decimals)} s`;
    write(this.clockPart, clock);
    this.timePart.value = state.time;
    const opens = Math.max(state.time - state.window, 0);
    this.bandPart.style.left = `calc(${EDGE}px + ${opens / header.span_us} * (100% - ${2 * EDGE}px))`;
    this.bandPart.style.width = `calc(${(state.time - opens) / header.span_us} * (100% - ${2 * EDGE}px))`;
    this.timePart.setAttribute("aria-valuetext", `${clock} of ${timeText(header.span_us)}, ${about}${grouped(events)} events`);
    this.speedPart.value = SPEEDS.find((speed) => speed === state.speed) ?? "";
    this.palettePart.value = state.palette;
    for (const button of this.polarityPart.querySelectorAll("input")) button.checked = button.value === state.polarity;
    for (const name of ["window", "depth"]) {
      const part = this[`${name}Part`];
      const share = Math.log(state[name] / this.shortest) / Math.log(header.span_us / this.shortest);
      part.value = Number.isFinite(share) ? share : 1;
      part.setAttribute("aria-valuetext", timeText(state[name]));
      write(part.nextElementSibling, timeText(state[name]));
    }
    const rate = rateText((events / state.window) * 1e6);
    const seen = { both: "Events", on: "ON events", off: "OFF events" }[state.polarity];
    write(this.framePart.firstElementChild, `${seen} of ${timeText(state.window)}: ${about}${grouped(events)}, ${rate}`);
    this.framePart.setAttribute("aria-label", `Picture: ${this.framePart.textContent}, until ${clock}`);
  }

  /** What the cloud is of, and of how many events one is drawn. */
  #captionCloud(every) {
    const { depth } = this.state;
    const span = depth === this.header.span_us ? "Whole recording" : `${timeText(depth)} around the window`;
    write(this.cloudPart.firstElementChild, every > 1 ? `${span}, 1 of ${every} events while it moves` : span);
  }

  /** How many of the events first, ..., last - 1 have the polarity that is shown. */
  #countShown(first, last) {
    const { polarity } = this.state;
    if (polarity === "both") return last - first;
    const { places } = this.events;
    let on = 0;
    for (let i = first; i < last; i++) on += places[2 * i] >> 15;
    return polarity === "on" ? on : last - first - on;
  }

  /** First and last + 1 of the events in [from, to), of both polarities. */
  #within(from, to) {
    const { times } = this.events;
    return [from, to].map((us) => countBefore(times, Math.ceil(us / this.header.tick_us)));
  }

  #step(now) {
    this.#frame = 0;
    const { state, header } = this;
    const interval = this.#last === null ? 0 : now - this.#last;
    const moving = state.playing || now - this.#moved < 150;
    this.#last = moving ? now : null;
    if (state.playing && interval > 0) {
      const time = state.time + Math.min(interval, 200) * 1e3 * state.speed;
      this.set({ time: time > header.span_us ? 0 : time });
    }
    if (moving && interval > 0 && state.detail === "auto") this.#adapt(interval, now);
    // The first frame at rest shows all of the cloud again.
    this.#draw(moving && state.detail === "auto" ? this.#every : 1);
    if (moving) this.redraw();
  }

  /** Draw fewer events of the cloud while it moves where this machine is too slow for all of them. */
  #adapt(interval, now) {
    this.#pace += 0.2 * (Math.min(interval, 250) - this.#pace);
    if (this.#pace > SLOWEST_FRAME_MS && this.#every < LEAST_DETAIL) {
      this.#every *= 2;
      if (this.#tried) this.#patience = Math.min(2 * this.#patience, 30_000);
      this.#tried = false;
      this.#finer = now + this.#patience;
    } else if (this.#pace < 0.95 * SLOWEST_FRAME_MS && this.#every > 1 && now > this.#finer) {
      this.#every /= 2;
      this.#tried = true;
      this.#finer = now + 700;
    } else return;
    this.#pace = 0.7 * SLOWEST_FRAME_MS;
  }

  /** Whether everything is drawn and nothing moves. */
  get resting() {
    return this.#frame === 0;
  }

  /** How many of the events of the cloud are drawn while it moves: 1, 1/2, 1/4, ... */
  get detail() {
    return 1 / this.#every;
  }

  #draw(every) {
    const { painter, state, header, colours } = this;
    const area = this.stagePart.getBoundingClientRect();
    if (!painter || area.width === 0 || this.gl.isContextLost()) return;
    const ratio = globalThis.devicePixelRatio || 1;
    for (const canvas of [this.glPart, this.inkPart]) resize(canvas, area, ratio);
    const panels = [this.framePart, this.cloudPart].map((part) => within(part, area, ratio));
    const bottom = this.glPart.height;
    const upwards = ([left, top, width, height]) => [left, bottom - top - height, width, height];
    painter.setColours(colours, { both: 3, on: 2, off: 1 }[state.polarity]);
    for (const panel of panels) painter.clear(upwards(panel));

    const [first, last] = this.#within(state.time - state.window, state.time);
    const picture = inside(panels[0], header.width / header.height, this.framePart, ratio);
    this.picture = picture;
    painter.drawFrame(first, last, upwards(picture));

    const cloud = this.#cloud(panels[1]);
    const [from, to] = this.#within(cloud.start, cloud.start + state.depth);
    while (every > 1 && (to - from) / every < FEWEST) every /= 2;
    this.#captionCloud(every);
    const [low, high] = [clamp(first, from, to), clamp(last, from, to)];
    const { dot } = cloud;
    const around = { fade: 0.5, fog: 0.35, dot, least: ratio };
    const now = { fade: 0, fog: 0, dot: 1.6 * dot, least: 1.5 * ratio };
    const spans = [[from, low, around], [high, to, around], [low, high, now]];
    const origin = Math.floor(cloud.start / header.tick_us);
    painter.drawCloud(spans, upwards(panels[1]), cloud.view, origin, header.tick_us / state.depth, every);

    const ink = this.inkPart.getContext("2d");
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    ink.clearRect(0, 0, area.width, area.height);
    const onPage = (numbers) => numbers.map((value) => value / ratio);
    this.#inkFrame(ink, onPage(picture));
    this.#inkCloud(ink, onPage(panels[1]), cloud);
    this.#drawRate(ratio);
  }

  /** Where the cloud begins, how it is seen, and how large a pixel of the sensor is at distance 1. */
  #cloud(panel) {
    const { state, header } = this;
    const start = clamp(state.time - (state.window + state.depth) / 2, 0, header.span_us - state.depth);
    const aspect = panel[2] / panel[3];
    const tall = Math.min(header.height / header.width, 1.4);
    const box = [clamp(1.35 * aspect, 1.1, 2.4), tall, Math.min(1, (1.4 * header.width) / header.height)];
    const view = camera(box, aspect, state);
    const dot = (0.5 * panel[3] * fit(box, aspect) * state.zoom * box[1]) / header.height;
    return { start, view, dot };
  }

  // Lines and letters

  #pen(ink, strength) {
    ink.strokeStyle = ink.fillStyle = css(isDark(this.colours.ground) ? [255, 255, 255] : [0, 0, 0], strength);
  }

  #inkFrame(ink, [left, top, width, height]) {
    this.#pen(ink, 0.25);
    ink.lineWidth = 1;
    ink.strokeRect(left - 0.5, top - 0.5, width + 1, height + 1);
  }

  #inkCloud(ink, [left, top, width, height], { start, view }) {
    const { state } = this;
    const at = (corner) => {
      const [right, up] = project(view, corner);
      return [left + ((1 + right) / 2) * width, top + ((1 - up) / 2) * height];
    };
    const line = (points, closed) => {
      ink.beginPath();
      for (const point of points) ink.lineTo(...at(point));
      if (closed) ink.closePath();
      ink.stroke();
    };
    const loop = (t) => [[t, -0.5, -0.5], [t, 0.5, -0.5], [t, 0.5, 0.5], [t, -0.5, 0.5]];
    ink.save();
    ink.beginPath();
    ink.rect(left, top, width, height);
    ink.clip();
    ink.lineWidth = 1;
    this.#pen(ink, 0.22);
    for (const t of [-0.5, 0.5]) line(loop(t), true);
    for (const [, b, c] of loop(0)) line([[-0.5, b, c], [0.5, b, c]]);

    const place = (us) => (us - start) / state.depth - 0.5;
    const [opens, closes] = [place(state.time - state.window), place(state.time)].map((t) => clamp(t, -0.5, 0.5));
    this.#pen(ink, 0.45);
    line(loop(opens), true);
    this.#pen(ink, 0.95);
    ink.lineWidth = 1.5;
    line(loop(closes), true);

    // Names stand at the lowest edges, away from the middle.
    const centre = at([0, 0, 0]);
    const edges = loop(0).map(([, b, c]) => [b, c]);
    const lowest = (ends) => ends.map((end) => [end, at(end)]).sort((a, b) => b[1][1] - a[1][1])[0][0];
    // [place, text] along an edge, outside the box, if the edge is long enough to be written at.
    const label = (from, to, texts) => {
      const [begin, end] = [at(from), at(to)];
      const [right, down] = [end[0] - begin[0], end[1] - begin[1]];
      const long = Math.hypot(right, down);
      if (long < 60) return;
      const outwards = down * (begin[0] - centre[0]) < right * (begin[1] - centre[1]) ? 1 : -1;
      const away = [(-outwards * down) / long, (outwards * right) / long];
      ink.textAlign = away[0] < -0.3 ? "right" : away[0] > 0.3 ? "left" : "center";
      for (const [place, text] of texts(long)) {
        const [x, y] = at(from.map((value, side) => value + place * (to[side] - value)));
        const end = x + 13 * away[0];
        // Where there is no room for the unit, the name alone.
        const cut = ink.textAlign === "right" && end - ink.measureText(text).width < left;
        ink.fillText(cut ? text.split(" ")[0] : text, end, y + 13 * away[1]);
      }
    };
    ink.font = "11px system-ui, sans-serif";
    ink.textBaseline = "middle";
    this.#pen(ink, 0.75);
    const [, b, c] = lowest(edges.map(([up, across]) => [0, up, across]));
    label([-0.5, b, c], [0.5, b, c], (long) =>
      ticks(start, start + state.depth, clamp(long / 70, 1, 8)).map(([us, text]) => [place(us) + 0.5, text]),
    );
    const side = (name, pixels) => () => [[0, "0"], [0.5, `${name} (pixels)`], [1, String(pixels)]];
    const [across] = lowest([-0.5, 0.5].map((t) => [t, b, 0]));
    label([across, b, 0.5], [across, b, -0.5], side("x", this.header.width));
    const [t, , z] = edges.flatMap(([, z]) => [[-0.5, 0, z], [0.5, 0, z]]).sort((p, q) => at(p)[0] - at(q)[0])[0];
    label([t, 0.5, z], [t, -0.5, z], side("y", this.header.height));
    ink.restore();
  }

  /** The curve of the rate, below a line for its caption and above one for the times. */
  #drawRate(ratio) {
    const { state, header, colours } = this;
    const { on, off } = this.events.rates;
    const area = this.ratePart.getBoundingClientRect();
    const drawn = JSON.stringify([area.width, area.height, ratio, colours, state.polarity]);
    if (drawn === this.curve) return;
    this.curve = drawn;
    resize(this.ratePart, area, ratio);
    const ink = this.ratePart.getContext("2d");
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    ink.fillStyle = css(colours.ground);
    ink.fillRect(0, 0, area.width, area.height);
    const width = area.width - 2 * EDGE;
    const [top, bottom] = [RATE_TOP, area.height - RATE_BOTTOM];
    const middle = (top + bottom) / 2;
    const most = this.#mostInBin();
    const bars = (counts, colour, sign, shown) => {
      ink.fillStyle = css(colour, shown ? 1 : 0.2);
      ink.beginPath();
      ink.moveTo(EDGE, middle);
      for (let bin = 0; bin < counts.length; bin++) {
        const y = middle - (sign * counts[bin] * (middle - top)) / most;
        ink.lineTo(EDGE + (bin / counts.length) * width, y);
        ink.lineTo(EDGE + ((bin + 1) / counts.length) * width, y);
      }
      ink.lineTo(EDGE + width, middle);
      ink.fill();
    };
    bars(on, colours.on, 1, state.polarity !== "off");
    bars(off, colours.off, -1, state.polarity !== "on");
    this.#pen(ink, 0.3);
    ink.fillRect(EDGE, middle - 0.5, width, 1);
    ink.font = "11px system-ui, sans-serif";
    ink.textAlign = "center";
    for (const [us, text] of ticks(0, header.span_us, clamp(width / 90, 2, 12))) {
      const x = EDGE + (us / header.span_us) * width;
      this.#pen(ink, 0.35);
      ink.fillRect(x - 0.5, bottom, 1, 4);
      this.#pen(ink, 0.75);
      ink.fillText(text, x, area.height - 4);
    }
  }

  /** The largest number of events of one polarity in a bin of the curve. */
  #mostInBin() {
    const { on, off } = this.events.rates;
    return on.reduce((most, count, bin) => Math.max(most, count, off[bin]), 1);
  }
}

/** How far from eight seconds a recording lasts at this speed. */
function badness(speed, span) {
  return Math.abs(Math.log(span / speed / 8e6));
}

function resize(canvas, area, ratio) {
  const [width, height] = [Math.round(area.width * ratio), Math.round(area.height * ratio)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
}

/** [left, top, width, height] of a part in device pixels of the canvas. */
function within(part, area, ratio) {
  const own = part.getBoundingClientRect();
  return [own.left - area.left, own.top - area.top, own.width, own.height].map((value) => Math.round(value * ratio));
}

/** The largest area of this aspect in a panel, below its caption; pixels of the sensor are not cut. */
function inside([left, top, width, height], aspect, part, ratio) {
  const [edge, caption] = [Math.round(10 * ratio), Math.round((part.firstElementChild.offsetHeight + 10) * ratio)];
  const room = [width - 2 * edge, height - caption - edge];
  const wide = Math.max(1, Math.min(room[0], Math.floor(room[1] * aspect)));
  const high = Math.max(1, Math.round(wide / aspect));
  return [left + Math.round((width - wide) / 2), top + caption + Math.round((room[1] - high) / 2), wide, high];
}

// Doors

/** A viewer in `root`; where it cannot be, a line that says why. */
export async function mount(root, header, bytes, options) {
  try {
    return new Viewer(root, header, await unpack(header, bytes), options);
  } catch (error) {
    root.classList.add("dvs-viewer");
    root.replaceChildren(Object.assign(document.createElement("p"), { className: "dvs-said", textContent: error.message }));
    root.firstElementChild.setAttribute("role", "alert");
    return null;
  }
}

/** A viewer in each place of the page that has none yet. */
export async function startAll({ focus = false } = {}) {
  for (const place of document.querySelectorAll(".dvs-viewer-place:not([data-started])")) {
    place.dataset.started = "";
    const header = JSON.parse(place.dataset.header);
    const bytes = fromBase64(place.querySelector("script").textContent);
    await mount(place, header, bytes, { state: header.state });
    if (focus) place.focus({ preventScroll: true });
  }
}

const SYNCED = { time: "time_us", window: "window_us", polarity: "polarity", palette: "palette", playing: "playing" };

/** The viewer of a widget: what is shown follows its traits, and they follow what is shown. */
async function render({ model, el }) {
  const root = document.createElement("div");
  el.append(root);
  const header = model.get("_header");
  const data = model.get("_data");
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const fromTrait = (name) => (name === "time" ? model.get("time_us") - header.start_us : model.get(SYNCED[name]));
  let waiting = 0;
  const send = (state) => {
    for (const [name, trait] of Object.entries(SYNCED)) {
      const value = name === "time" ? state.time + header.start_us : state[name];
      if (value !== model.get(trait)) model.set(trait, value);
    }
    // Ten times a second is enough for Python.
    waiting ||= setTimeout(() => {
      waiting = 0;
      model.save_changes();
    }, 100);
  };
  const state = Object.fromEntries(Object.keys(SYNCED).map((name) => [name, fromTrait(name)]));
  if (model.get("time_us") === null) delete state.time;
  if (model.get("window_us") === null) delete state.window;
  const viewer = await mount(root, header, bytes, { state, changed: send });
  if (!viewer) return undefined;
  const undo = Object.entries(SYNCED).map(([name, trait]) => {
    const follow = () => {
      if (fromTrait(name) !== viewer.state[name]) viewer.set({ [name]: fromTrait(name) });
    };
    model.on(`change:${trait}`, follow);
    return () => model.off(`change:${trait}`, follow);
  });
  return () => {
    clearTimeout(waiting);
    for (const each of undo) each();
    viewer.destroy();
  };
}

export default { render };
