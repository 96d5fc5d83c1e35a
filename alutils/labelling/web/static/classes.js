// The classes of the project: added, renamed, merged, deleted, put in order, given keys.
import { ask } from "./http.js";
import { element } from "./element.js";
import { complain, tell } from "./told.js";

const at = (id) => document.getElementById(id);
const dialog = at("ask");
let classes = [];
let counts = {};

const many = (n) => `${n.toLocaleString("en")} ${n === 1 ? "picture" : "pictures"}`;

async function change(action, request, text) {
  try {
    const answer = await ask(action, request);
    await load();
    tell(text ?? answer.text);
  } catch (error) {
    complain(error);
  }
}

// Ask before something is done; gives what was typed or chosen, null where it was left.
function question(text, yes, { name = null, others = null } = {}) {
  at("ask-text").textContent = text;
  at("ask-yes").textContent = yes;
  at("ask-name").hidden = name === null;
  at("ask-name").required = name !== null;
  at("ask-name").value = name ?? "";
  at("ask-name").setAttribute("aria-label", "New name");
  at("ask-into").hidden = others === null;
  at("ask-into").replaceChildren(...(others ?? []).map((other) => element("option", { text: other })));
  dialog.returnValue = "no";
  dialog.showModal();
  if (name !== null) at("ask-name").select();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const given = name !== null ? at("ask-name").value.trim() : others ? at("ask-into").value : "yes";
      resolve(dialog.returnValue === "yes" ? given : null);
    }, { once: true });
  });
}

async function rename(name) {
  const now = await question(`Another name for ${name}:`, "Rename it", { name });
  if (now && now !== name) change("class_rename", { name, new: now }, `${name} is ${now} now.`);
}

async function merge(name) {
  const n = counts[name] ?? 0;
  const others = classes.map((one) => one.name).filter((other) => other !== name);
  const into = await question(`Give the ${many(n)} of ${name} another class, and end ${name}:`, "Merge", { others });
  if (into) change("class_merge", { name, into }, `${name} is part of ${into} now: ${many(n)}.`);
}

async function remove(name) {
  const n = counts[name] ?? 0;
  const text = n
    ? `Delete ${name}? The labels of ${many(n)} are taken back, and they come into the queue again.`
    : `Delete ${name}? No picture has it.`;
  if (await question(text, n ? `Delete it and take ${n.toLocaleString("en")} labels back` : "Delete it")) {
    change("class_delete", { name, take_back: n > 0 }, `${name} is deleted.`);
  }
}

function move(place, by) {
  const names = classes.map((one) => one.name);
  [names[place], names[place + by]] = [names[place + by], names[place]];
  change("class_order", { names }, `${names[place + by]} is number ${place + by + 1} now.`).then(() => {
    document.querySelector(`[data-place="${place + by}"][data-by="${by}"]:not(:disabled)`)?.focus();
  });
}

function row(one, place) {
  const button = (text, act, more = {}) =>
    element("button", { type: "button", text, on: { click: act }, "aria-label": `${text} ${one.name}`, ...more });
  const key = element("input", {
    class: "key", maxlength: "1", size: "2", autocomplete: "off", "aria-label": `Key of ${one.name}`, value: one.key ?? "",
    on: { change: (event) => change("class_key", { name: one.name, key: event.target.value.trim() || null }, "") },
  });
  const step = (text, by, what) => button(text, () => move(place, by), {
    "aria-label": `${what} ${one.name}`, "data-place": place, "data-by": by,
    disabled: place + by < 0 || place + by >= classes.length,
  });
  return element("tr", { children: [
    element("th", { scope: "row", text: one.name }),
    element("td", { children: [key, ...(one.also ? [" or ", element("kbd", { text: one.also })] : [])] }),
    element("td", { text: (counts[one.name] ?? 0).toLocaleString("en") }),
    element("td", { children: [element("div", { class: "row", children: [
      step("↑", -1, "Move up"), step("↓", 1, "Move down"),
      button("Rename", () => rename(one.name)),
      button("Merge", () => merge(one.name), { disabled: classes.length < 2 }),
      button("Delete", () => remove(one.name), { class: "danger" }),
    ] })] }),
  ] });
}

async function load() {
  const status = await ask("status");
  classes = status.classes;
  counts = status.progress.per_class;
  // Who works by keyboard stays where they are, though all rows are made anew.
  const here = at("classes").contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
  at("classes").replaceChildren(...classes.map(row));
  if (here) at("classes").querySelector(`[aria-label="${CSS.escape(here)}"]`)?.focus();
}

at("add").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = at("new").value.trim();
  at("new").value = "";
  if (name) change("add_class", { name }, `${name} is there.`);
});
at("undo").addEventListener("click", () => change("class_undo", {}));

try {
  await load();
} catch (error) {
  complain(error);
}
