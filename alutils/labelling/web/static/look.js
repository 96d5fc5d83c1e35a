// A closer look at the picture: larger, and with its greys spread over the whole range. Both change
// what is seen only, never what is stored or what the model sees.
import { element } from "./element.js";

const SIZES = [1, 2, 4]; // times as large
const STEP = 15; // per cent of the picture that an arrow key moves
const SAMPLE = 128; // pixels a side from which the greys are read
const CUT = 0.01; // of the darkest and of the brightest pixels, which may be specks

// The CSS filter that maps greys from `low` to 0 and from `high` to 1.
export function spreading(low, high) {
  const range = Math.max(high - low, 1 / 255);
  return `brightness(${1 / (low + low + range)}) contrast(${1 + (2 * low) / range})`;
}

// The greys, from 0 to 1, between which all but the outermost pixels lie.
export function greys(image) {
  const scale = Math.min(1, SAMPLE / Math.max(image.naturalWidth, image.naturalHeight, 1));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const light = [];
  for (let i = 0; i < data.length; i += 4) {
    light.push((0.2126 * data[i] + 0.7152 * data[i + 1] + 0.0722 * data[i + 2]) / 255);
  }
  light.sort((a, b) => a - b);
  return [light[Math.floor(CUT * (light.length - 1))], light[Math.ceil((1 - CUT) * (light.length - 1))]];
}

export function closerLook({ stage, image, announce }) {
  const state = { size: 0, x: 50, y: 50, spread: false };
  const button = (text, key, act) => element("button", {
    type: "button", class: "alq-look", "aria-pressed": "false", "aria-keyshortcuts": key,
    on: { click: (event) => event.detail < 2 && (act(), stage.focus()) },
    children: [element("span", { text }), element("kbd", { text: key, "aria-hidden": "true" })],
  });
  const zoomButton = button("Zoom", "Space", () => zoom());
  const contrastButton = button("Contrast", ".", () => contrast());

  function draw() {
    // On the image itself: the pages' policy forbids styles in the text of a page, not by script.
    const size = SIZES[state.size];
    image.style.transform = size > 1 ? `scale(${size})` : "";
    image.style.transformOrigin = size > 1 ? `${state.x}% ${state.y}%` : "";
    image.style.filter = state.spread && image.complete && image.naturalWidth ? spreading(...greys(image)) : "";
    stage.classList.toggle("alq-zoomed", size > 1);
    zoomButton.setAttribute("aria-pressed", String(size > 1));
    contrastButton.setAttribute("aria-pressed", String(state.spread));
  }

  function zoom() {
    state.size = (state.size + 1) % SIZES.length;
    [state.x, state.y] = state.size ? [state.x, state.y] : [50, 50];
    draw();
    announce(state.size ? `${SIZES[state.size]} times as large; the arrow keys and the mouse move it.` : "The whole picture.");
  }

  function contrast() {
    state.spread = !state.spread;
    draw();
    announce(state.spread ? "More contrast." : "The picture as it is.");
  }

  function move(x, y) {
    state.x = Math.min(100, Math.max(0, x));
    state.y = Math.min(100, Math.max(0, y));
    draw();
  }

  stage.addEventListener("pointermove", (event) => {
    if (!state.size) return;
    const { left, top, width, height } = stage.getBoundingClientRect();
    move((100 * (event.clientX - left)) / width, (100 * (event.clientY - top)) / height);
  });

  return {
    buttons: [zoomButton, contrastButton],
    // The next picture is shown whole again; the contrast stays, as its pictures are alike.
    next: () => { Object.assign(state, { size: 0, x: 50, y: 50 }); draw(); },
    // Whether a key was one of these; `free(key)` tells that no class has it.
    onKey: ({ key, repeat }, free) => {
      const by = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[key];
      if (by && state.size) move(state.x + by[0], state.y + by[1]);
      else if (key === " " || (key.toLowerCase() === "z" && free("z"))) repeat || zoom();
      else if (key === ".") repeat || contrast();
      else return false;
      return true;
    },
  };
}
