// A class by a few letters: `/`, some of its name, Enter. Any of 500 classes is chosen so; what was
// given last is offered first, before anything is typed.
import { element } from "./element.js";

const SHOWN = 8; // of the classes that fit
const REMEMBERED = 5;

// Without accents and capitals, so that "e" finds "É".
const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

const wordsOf = (text) => text.split(/[^\p{L}\p{N}]+/u).filter(Boolean);

// Whether each word that was typed begins a word of the name, in their order: "ba ki" Back Kitchen.
function beginsWords(words, typed) {
  let at = 0;
  return typed.length > 0 && typed.every((begin) => {
    while (at < words.length && !words[at].startsWith(begin)) at++;
    return at++ < words.length;
  });
}

// How well a name fits what was typed: 0 is the name itself, null does not fit.
export function fit(name, text) {
  const [whole, wanted] = [plain(name), plain(text)];
  if (name === text) return 0;
  if (whole === wanted) return 1;
  if (whole.startsWith(wanted)) return 2;
  if (beginsWords(wordsOf(whole), wordsOf(wanted))) return 3;
  if (whole.includes(wanted)) return 4;
  let from = 0; // else its letters in their order, with others between
  for (const letter of wanted) {
    from = whole.indexOf(letter, from) + 1;
    if (!from) return null;
  }
  return 5;
}

// The classes that fit, the best first; among equals, those given last come first.
export function matching(classes, text, recent = []) {
  const place = (name) => (recent.includes(name) ? recent.indexOf(name) : recent.length);
  if (!text) return recent.map((name) => classes.find((one) => one.name === name)).filter(Boolean);
  return classes
    .map((one) => ({ one, how: fit(one.name, text) }))
    .filter(({ how }) => how !== null)
    .sort((a, b) => a.how - b.how || place(a.one.name) - place(b.one.name))
    .map(({ one }) => one);
}

// `give(name)` labels, `add(name)` makes a class, `leave()` goes back to the picture.
export function classField({ give, add, leave, announce }) {
  const state = { classes: [], recent: [], found: [], at: -1 };
  const list = element("ul", { class: "alq-found", id: "alq-found", role: "listbox", "aria-label": "Classes that fit", hidden: true });
  const input = element("input", {
    id: "alq-typed", autocomplete: "off", maxlength: "300", spellcheck: "false", role: "combobox",
    "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": "alq-found", "aria-keyshortcuts": "/",
    on: { input: () => show(), focus: () => show(), blur: () => hide() },
  });
  const form = element("form", {
    class: "alq-type",
    on: { submit: (event) => { event.preventDefault(); chosen(); } },
    children: [
      element("label", { for: "alq-typed", children: [element("span", { text: "Another class" }), element("kbd", { text: "/", "aria-hidden": "true" })] }),
      element("div", { class: "alq-combo", children: [input, list] }),
      element("button", { text: "Give it" }),
      element("button", { type: "button", text: "Add class", on: { click: () => add(input.value.trim()) } }),
    ],
  });

  function show() {
    const text = input.value.trim();
    state.found = matching(state.classes, text, state.recent).slice(0, SHOWN);
    // Letters with others between them may mean something else: Enter takes no such class unasked.
    state.at = state.found.length && (!text || fit(state.found[0].name, text) < 5) ? 0 : -1;
    draw();
  }

  function draw() {
    list.replaceChildren(...state.found.map((one, i) => element("li", {
      role: "option", id: `alq-found-${i}`, "aria-selected": String(i === state.at), text: one.name,
      // not a click: the field would lose the focus first, and the list would be gone
      on: { pointerdown: (event) => { event.preventDefault(); state.at = i; chosen(); } },
    })));
    list.hidden = !state.found.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
    if (state.at < 0) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", `alq-found-${state.at}`);
    list.children[state.at]?.scrollIntoView?.({ block: "nearest" });
  }

  function hide() {
    state.found = [];
    state.at = -1;
    draw();
  }

  function onKey({ key }) {
    const n = state.found.length;
    if (key === "Escape") {
      clear();
      leave();
    } else if (key === "ArrowDown" && n) state.at = (state.at + 1) % n;
    else if (key === "ArrowUp" && n) state.at = (Math.max(state.at, 0) + n - 1) % n;
    else return false;
    draw();
    return true;
  }

  function chosen() {
    const text = input.value.trim();
    if (text && !state.classes.length) return add(text); // the first class needs no second button
    const one = state.found[state.at] || matching(state.classes, text).find(({ name }) => fit(name, text) < 2);
    if (!one) {
      if (text) announce(`There is no class “${text}” yet; “Add class” makes it.`);
      return;
    }
    clear();
    give(one.name);
    leave();
  }

  function clear() {
    input.value = "";
    hide();
  }

  return {
    form,
    input,
    onKey,
    focus: () => input.focus(),
    offer: (text) => { input.value = text; input.focus(); },
    clear,
    // What was given, by whatever key: the next time it is offered first.
    remember: (name) => { state.recent = [name, ...state.recent.filter((other) => other !== name)].slice(0, REMEMBERED); },
    setClasses: (classes) => { state.classes = classes; },
    askForName: () => { announce("Type the new class’s name first."); input.focus(); },
  };
}
