// The grid: check labels and mend them, by keys or by clicks.
import { ask, askAgain, picture } from "./http.js";
import { element, percent } from "./element.js";
import { classOf, isDigitOfClass } from "./keys.js";
import { newKey, PASSING } from "./queue.js";
import { complain, tell } from "./told.js";

const at = (id) => document.getElementById(id);
const grid = at("grid");
const filters = at("filters");
const cards = new Map(); // picture's number -> its button
const items = new Map();
const chosen = new Set();
let classes = [];
let after = null;
let total = 0;
let asked = 0;

// --- which pictures -----------------------------------------------------------------------------

function where() {
  const form = new FormData(filters);
  const wanted = {};
  for (const name of ["source", "label", "predicted", "name"]) if (form.get(name)) wanted[name] = form.get(name);
  for (const name of ["low", "high"]) if (form.get(name) !== "") wanted[name] = Number(form.get(name)) / 100;
  return wanted;
}

async function load({ more = false } = {}) {
  const number = ++asked;
  try {
    const request = { where: where(), order: filters.elements.order.value };
    if (more) request.after = after;
    const page = await ask("page", request);
    if (number !== asked) return; // another filter was chosen since
    if (!more) {
      cards.clear();
      items.clear();
      chosen.clear();
      grid.replaceChildren();
      total = page.total;
    }
    page.items.forEach(add);
    after = page.after;
    at("more").hidden = !after;
    showChosen();
    tell(total ? `${cards.size} of ${total} pictures shown` : nothing());
  } catch (error) {
    complain(error);
  }
}

function nothing() {
  const { source } = where();
  return Object.keys(where()).some((name) => name !== "source") || source === "none" ? "No such pictures." : "Nothing is labelled yet.";
}

function add(item) {
  const card = element("button", {
    type: "button", class: "card", "data-item": item.id, "aria-pressed": "false",
    tabindex: cards.size ? "-1" : "0", // one stop for Tab; arrow keys move within
    on: { click: () => toggle(item.id) },
    children: [
      element("img", { loading: "lazy", alt: "", on: askAgain, src: picture(item, true) }),
      element("strong"), element("span"), element("span"), element("span", { class: "name", text: item.name, title: item.name }),
      element("span", { class: "notes" }),
    ],
  });
  cards.set(item.id, card);
  grid.append(element("li", { children: [card] }));
  update(item);
}

function update(item) {
  const before = items.get(item.id);
  const notes = item.notes ?? before?.notes ?? []; // answers to what is done to a picture leave them out
  items.set(item.id, { ...item, notes });
  const card = cards.get(item.id);
  if (!card) return;
  const none = item.rejected ? "rejected" : "no label";
  const by = { auto: "by the model", human: "by a person" }[item.label_source] || none;
  const sure = item.confidence === null ? "" : `${item.predicted} ${percent(item.confidence, 1)}`;
  card.children[1].textContent = item.label ?? "–";
  card.children[2].textContent = by;
  card.children[3].textContent = sure && `model: ${sure}`;
  const noted = notes.map(({ person, text }) => `${person}: ${text}`).join("\n");
  card.children[5].textContent = noted;
  card.children[5].title = noted;
  card.classList.toggle("changed", Boolean(before) && (before.label !== item.label || before.label_source !== item.label_source || before.rejected !== item.rejected));
  card.setAttribute("aria-label",
    `${item.label ? `Labelled ${item.label}` : "No label"}, ${by}${sure ? `, predicted ${sure}` : ""}, ${item.name}` +
    `${noted ? `; noted: ${noted}` : ""}`);
}

// --- choosing -----------------------------------------------------------------------------------

function toggle(id, on = !chosen.has(id)) {
  if (on) chosen.add(id);
  else chosen.delete(id);
  cards.get(id)?.setAttribute("aria-pressed", String(on));
  showChosen();
}

function showChosen() {
  at("chosen").textContent = chosen.size ? `${chosen.size} chosen` : "none chosen";
  at("mend").disabled = !chosen.size || !classes.length;
  at("revoke").disabled = !chosen.size;
  at("reject").disabled = !chosen.size;
}

const targets = (focused) => (chosen.size ? [...chosen] : focused ? [focused] : []);

// --- doing --------------------------------------------------------------------------------------

async function sure(action, request) {
  // sent again with the same key until there is an answer: it is done once
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

const AT_ONCE = 200; // pictures in one request, at most
const parts = (ids) => Array.from({ length: Math.ceil(ids.length / AT_ONCE) },
  (_, i) => ids.slice(i * AT_ONCE, (i + 1) * AT_ONCE));
const pictures = (n) => (n === 1 ? "1 picture" : `${n} pictures`);

async function relabel(ids, label) {
  let done = 0;
  try {
    for (const part of parts(ids)) {
      const answer = await sure("relabel", { items: part, label, key: newKey() });
      answer.items.forEach(update);
      part.forEach((id) => toggle(id, false));
      done += part.length;
    }
    tell(`${pictures(done)} ${done === 1 ? "is" : "are"} ${label} now.`);
  } catch (error) {
    const before = done ? `${pictures(done)} ${done === 1 ? "is" : "are"} ${label} now; the others are not. ` : "";
    complain(new Error(before + error.message));
  }
}

async function confirmLabels(ids) {
  const byLabel = new Map();
  for (const id of ids) {
    const { label } = items.get(id);
    if (label) byLabel.set(label, [...(byLabel.get(label) || []), id]);
  }
  for (const [label, part] of byLabel) await relabel(part, label);
}

async function revoke(ids) {
  try {
    let revoked = 0;
    for (const part of ids ? parts(ids) : [null]) {
      revoked += (await sure("revoke", part ? { items: part } : {})).revoked;
    }
    tell(`${revoked} automatic ${revoked === 1 ? "label" : "labels"} taken back.`);
    if (!ids) return load();
    for (const id of ids) update((await ask("history", { item: id })).item);
    clear();
  } catch (error) {
    complain(error);
  }
}

async function reject(ids) {
  try {
    const answer = await sure("reject_these", { items: ids, why: "none of these" });
    answer.items.forEach(update);
    clear();
    tell(`${ids.length === 1 ? "1 picture is" : `${ids.length} pictures are`} rejected.`);
  } catch (error) {
    complain(error);
  }
}

async function undo() {
  try {
    const answer = await sure("undo", { key: newKey() });
    answer.items.forEach((item) => items.has(item.id) && update(item));
    const names = answer.items.map((item) => item.name).join(", ");
    tell(answer.items.length ? `Undone: ${names}.` : "Nothing left to undo.");
  } catch (error) {
    complain(error);
  }
}

function clear() {
  for (const id of [...chosen]) toggle(id, false);
}

// --- keys and buttons ---------------------------------------------------------------------------

function move(card, key) {
  const all = [...grid.querySelectorAll(".card")];
  const here = all.indexOf(card);
  const top = card.offsetTop;
  const across = Math.max(1, all.filter((other) => other.offsetTop === top).length);
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[key];
  const next = key === "Home" ? all[0] : key === "End" ? all.at(-1) : all[here + by];
  if (!next) return;
  card.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

grid.addEventListener("keydown", (event) => {
  const card = event.target.closest(".card");
  if (!card || event.ctrlKey || event.altKey || event.metaKey) return;
  const id = Number(card.dataset.item);
  const { key } = event;
  const found = classOf(classes, event);
  if (/^(Arrow|Home|End)/.test(key)) move(card, key);
  else if (event.repeat) return;
  else if (found && isDigitOfClass(classes, event)) relabel(targets(id), found.name);
  else if (key === " ") toggle(id);
  else if (key === "Enter") confirmLabels(targets(id));
  else if (key === "-") reject(targets(id));
  else if (key === "Delete") revoke(targets(id));
  else if (key === "Backspace") undo();
  else if (found) relabel(targets(id), found.name);
  else return;
  event.preventDefault();
});
grid.addEventListener("focusin", (event) => {
  const card = event.target.closest(".card");
  grid.querySelectorAll('.card[tabindex="0"]').forEach((other) => (other.tabIndex = -1));
  if (card) card.tabIndex = 0;
});
filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("change", () => load());
at("more").addEventListener("click", () => load({ more: true }));
at("mend").addEventListener("click", () => relabel([...chosen], at("give").value));
at("revoke").addEventListener("click", () => revoke([...chosen]));
at("reject").addEventListener("click", () => reject([...chosen]));
at("undo").addEventListener("click", () => undo());
at("all").addEventListener("click", () => [...cards.keys()].forEach((id) => toggle(id, true)));
at("revoke-all").addEventListener("click", () => at("sure").showModal());
at("sure").addEventListener("close", () => {
  if (at("sure").returnValue === "yes") revoke(null);
  at("sure").returnValue = "";
});

try {
  classes = (await ask("status")).classes;
} catch (error) {
  complain(error);
}
load();
