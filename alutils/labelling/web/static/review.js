// The grid: check labels and mend them, by keys or by clicks.
import { ask, picture } from "./http.js";
import { element, newKey, PASSING, percent } from "./queue.js";

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

function tell(text) {
  at("told").textContent = text;
  at("problem").hidden = true;
}

function complain(error) {
  at("problem").textContent = error.message;
  at("problem").hidden = false;
}

// --- which pictures -----------------------------------------------------------------------------

function where() {
  const form = new FormData(filters);
  const wanted = {};
  for (const name of ["source", "label", "predicted"]) if (form.get(name)) wanted[name] = form.get(name);
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
    tell(total ? `${cards.size} of ${total} pictures shown` : "No such pictures.");
  } catch (error) {
    complain(error);
  }
}

function add(item) {
  const card = element("button", {
    type: "button", class: "card", "data-item": item.id, "aria-pressed": "false",
    tabindex: cards.size ? "-1" : "0", // one stop for Tab; arrow keys move within
    on: { click: () => toggle(item.id) },
    children: [
      element("img", { loading: "lazy", alt: "", src: picture(item, true) }),
      element("strong"), element("span"), element("span"),
    ],
  });
  cards.set(item.id, card);
  grid.append(element("li", { children: [card] }));
  update(item);
}

function update(item) {
  const before = items.get(item.id);
  items.set(item.id, item);
  const card = cards.get(item.id);
  if (!card) return;
  const by = { auto: "by the model", human: "by a person" }[item.label_source] || "no label";
  const sure = item.confidence === null ? "" : `${item.predicted} ${percent(item.confidence, 1)}`;
  card.children[1].textContent = item.label ?? "–";
  card.children[2].textContent = by;
  card.children[3].textContent = sure && `model: ${sure}`;
  card.classList.toggle("changed", Boolean(before) && (before.label !== item.label || before.label_source !== item.label_source));
  card.setAttribute("aria-label",
    `${item.label ? `Labelled ${item.label}` : "No label"}, ${by}${sure ? `, predicted ${sure}` : ""}, ${item.name}`);
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

async function relabel(ids, label) {
  try {
    const answer = await sure("relabel", { items: ids, label, key: newKey() });
    answer.items.forEach(update);
    clear();
    tell(`${ids.length === 1 ? "1 picture is" : `${ids.length} pictures are`} ${label} now.`);
  } catch (error) {
    complain(error);
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
    const { revoked } = await sure("revoke", ids ? { items: ids } : {});
    tell(`${revoked} automatic ${revoked === 1 ? "label" : "labels"} taken back.`);
    if (!ids) return load();
    for (const id of ids) update((await ask("history", { item: id })).item);
    clear();
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
  const found = classes.find((one) => one.key && one.key === key.toLowerCase());
  if (/^(Arrow|Home|End)/.test(key)) move(card, key);
  else if (event.repeat) return;
  else if (key === " ") toggle(id);
  else if (key === "Enter") confirmLabels(targets(id));
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
at("undo").addEventListener("click", () => undo());
at("all").addEventListener("click", () => [...cards.keys()].slice(0, 200).forEach((id) => toggle(id, true)));
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
