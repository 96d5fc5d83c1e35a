// Doubtful labels, one below the other: say that a label is right, or give another, by keys or clicks.
import { element, percent } from "./element.js";
import { ask, askAgain, picture } from "./http.js";
import { classOf } from "./keys.js";
import { newKey, PASSING } from "./queue.js";
import { complain, tell } from "./told.js";

const at = (id) => document.getElementById(id);
const list = at("doubts");
let classes = [];
let total = 0;
let unjudged = 0; // labels that are newer than the model
let hasModel = true;

// Sent again with the same key until there is an answer: it is done once.
async function sure(action, request) {
  for (let wait = 500; ; wait *= 2) {
    try {
      return await ask(action, request);
    } catch (error) {
      if (!PASSING(error.status) || wait > 8000) throw error;
      tell(`${error.status ? error.message : "No connection"}; trying again.`);
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

// --- what is shown ------------------------------------------------------------------------------

async function load(focus = false) {
  try {
    show(await ask("doubtful", {}), focus);
  } catch (error) {
    complain(error);
  }
}

function show(found, focus) {
  total = found.total;
  unjudged = found.n_new;
  hasModel = found.has_model;
  list.replaceChildren(...found.doubts.map(row));
  if (list.firstElementChild) list.firstElementChild.tabIndex = 0; // one stop for Tab, arrows within
  tell(left());
  if (focus) list.firstElementChild?.focus({ preventScroll: true });
}

// What the doubts come from is trained anew first, so that the newest labels are judged, too.
async function lookAgain() {
  try {
    let found = await ask("look_again", {});
    for (let tries = 0; found.is_judging && tries < 120; tries++) {
      tell(`The model learns from all labels, ${found.n_new} of them new or changed …`);
      await new Promise((resolve) => setTimeout(resolve, 500));
      found = await ask("doubtful", {});
    }
    show(found, true);
  } catch (error) {
    complain(error);
  }
}

function left() {
  let later = unjudged ? ` The model has not judged the ${unjudged} newest or changed labels yet; “Look again” lets it.` : "";
  if (!hasModel) later = " No model has judged any label yet: only people and pictures speak here.";
  if (!total) return `Nothing speaks against any label now.${later}`;
  return `${total} ${total === 1 ? "label is" : "labels are"} doubtful.${later}`;
}

function row({ item, suggested, reasons, folders }) {
  const named = item.label ?? "No label yet";
  const offered = [...new Set([suggested, ...folders])].filter((name) => name && name !== item.label);
  const give = element("input", { list: "names", placeholder: "another class", maxlength: "300", autocomplete: "off", "aria-label": `Another class for ${item.name}` });
  const other = element("form", {
    class: "row",
    on: { submit: (event) => { event.preventDefault(); if (give.value.trim()) settle(made, give.value.trim()); } },
    children: [give, element("button", { text: "Give it" })],
  });
  const button = (text, label, more = {}) =>
    element("button", { type: "button", text, on: { click: () => settle(made, label) }, ...more });
  const made = element("li", {
    class: "doubt", tabindex: "-1", "data-item": item.id, ...(item.label === null ? {} : { "data-label": item.label }),
    "aria-label": `${item.name}, ${item.label === null ? "without a label" : `labelled ${item.label}`}: ${reasons.map(({ text }) => text).join("; ")}`,
    children: [
      element("img", { alt: "", loading: "lazy", on: askAgain, src: picture(item, true) }),
      element("div", { children: [
        element("p", { children: [element("strong", { text: named }), ` · ${item.name}`] }),
        element("ul", { children: reasons.map(reason) }),
        element("div", { class: "row", children: [
          ...(item.label === null ? [] : [button(`${item.label} is right`, item.label)]),
          ...offered.map((name) => button(`It is ${name}`, name, name === suggested ? { class: "primary" } : {})),
          other,
        ] }),
      ] }),
    ],
  });
  return made;
}

function reason({ text, other }) {
  const parts = [element("span", { text: text[0].toUpperCase() + text.slice(1) })];
  if (other) {
    parts.push(element("img", { class: "twin", alt: `${other.name}, labelled ${other.label}`, loading: "lazy", on: askAgain, src: picture(other, true) }));
  }
  return element("li", { children: parts });
}

async function showPeople() {
  const found = await ask("agreement");
  at("agreement").textContent = found.text;
  at("confused").hidden = !found.confusions.length;
  at("confusions").replaceChildren(...found.confusions.map(({ one, other, n, share }) =>
    element("li", { text: `${one} and ${other}: ${n} ${n === 1 ? "picture" : "pictures"}, ${percent(share)} of those that somebody took for either` })));
}

// --- what is done -------------------------------------------------------------------------------

async function settle(made, label) {
  if (made.dataset.sent) return; // a second press before the answer
  made.dataset.sent = "1";
  const next = made.nextElementSibling || made.previousElementSibling;
  try {
    await sure("settle", { item: Number(made.dataset.item), label, key: newKey() });
    const kept = label === made.dataset.label;
    made.remove();
    total -= 1;
    tell(`${kept ? "Kept" : "Now"} ${label}. ${left()}`);
    if (list.children.length) focusOn(next);
    else if (total) load(true);
    else at("undo").focus();
  } catch (error) {
    delete made.dataset.sent;
    complain(error);
  }
}

async function undo() {
  try {
    const { items } = await sure("undo", { key: newKey() });
    await load(true);
    const back = items.map((item) => list.querySelector(`[data-item="${item.id}"]`)).find(Boolean);
    if (back) focusOn(back);
    tell(items.length ? `Undone: ${items.map((item) => item.name).join(", ")}. ${left()}` : "Nothing left to undo.");
  } catch (error) {
    complain(error);
  }
}

function focusOn(made) {
  list.querySelectorAll('[tabindex="0"].doubt').forEach((other) => (other.tabIndex = -1));
  made.tabIndex = 0;
  made.focus();
}

list.addEventListener("keydown", (event) => {
  const made = event.target;
  if (!made.classList.contains("doubt") || event.ctrlKey || event.altKey || event.metaKey) return;
  const { key, repeat } = event;
  const found = classOf(classes, event);
  const next = { ArrowDown: made.nextElementSibling, ArrowUp: made.previousElementSibling }[key];
  if (next) focusOn(next);
  else if (key === "Enter") repeat || made.dataset.label === undefined || settle(made, made.dataset.label);
  else if (key === "Backspace") repeat || undo();
  else if (found) repeat || settle(made, found.name);
  else if (!key.startsWith("Arrow")) return;
  event.preventDefault();
});
at("undo").addEventListener("click", undo);
at("again").addEventListener("click", lookAgain);

try {
  classes = (await ask("status")).classes;
  at("names").replaceChildren(...classes.map((one) => element("option", { value: one.name })));
  await showPeople();
} catch (error) {
  complain(error);
}
load(true);
