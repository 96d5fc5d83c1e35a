// The labelling queue: one picture, one key, the next picture. The same code on the web page and in
// the notebook; what differs is the transport that is handed in:
//   ask(action, request) -> promise of an answer; its error has a `status`, 0 where none came back
//   picture(item) -> promise of a URL
// Other options: `addPage`, `finishPage`, `exportPage` are addresses, null where there are none; `storage`
// (localStorage or null) keeps what has not been acknowledged across a reload, under `prefix`;
// `keysFrom` is the document on a page, null in a notebook, where keys in the queue are kept from
// all else.

import { attemptBanner } from "./attempt.js";
import { count, element, percent } from "./element.js";
import { finishBox } from "./finish_here.js";
import { guidelinesBox } from "./guidelines.js";
import { classOf, isDigitOfClass, keysOf } from "./keys.js";
import { closerLook } from "./look.js";
import { noteField } from "./notes.js";
import { readingNotice } from "./reading.js";
import { classField } from "./typeahead.js";

const HOLD = 10; // pictures fetched ahead
const LOW = 5; // ask for more when fewer are left
const UNSURE = 0.5; // confidence below which the model is said to be unsure
const KEEP = 3; // stay when a new model brings a new order
const MOST_KEYS = 36; // with more classes, some have no key: typing comes first
const POLL_MS = 4000;
const SOON_MS = 400; // after an answer in an attempt to finish
const RELEASE_MS = 10000; // the queue goes on without an answer: pictures come free by themselves
const RETRY_MS = [500, 1000, 2000, 5000, 10000];
// An answer of its own, by keys that are no class's: the picture gets no label and does not come back.
const REJECT = {
  "-": { why: "none of these", text: "None of these", shown: "-" },
  Delete: { why: "bad picture", text: "Bad picture", shown: "Del" },
};
export const PASSING = (status) => status === 0 || status === 408 || status === 429 || status >= 500;

export function newKey() {
  // crypto.randomUUID is missing where the page is not served securely
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Sends what people did, one after another and in order; keeps it until it is acknowledged.
export class Outbox {
  // `onRefused(entry, error)` hears of what was kept from before a reload: nobody waits for it here
  constructor({ ask, storage = null, prefix = "", onChange = () => {}, onRefused = () => {} }) {
    Object.assign(this, { ask, storage, prefix, onChange, onRefused });
    this.waiting = [];
    this.problem = null;
    this.stopped = false;
    this.tries = 0;
    this.number = 0;
    for (const entry of this.#kept()) this.waiting.push(entry);
  }

  #kept() {
    if (!this.storage) return [];
    const places = Object.keys(this.storage).filter((place) => place.startsWith(this.prefix)).sort();
    const entries = [];
    for (const place of places) {
      try {
        entries.push({ ...JSON.parse(this.storage.getItem(place)), place });
      } catch {
        this.storage.removeItem(place); // half-written by a browser that was killed
      }
    }
    return entries;
  }

  get size() {
    return this.waiting.length;
  }

  // The pictures of what is kept.
  get items() {
    return this.waiting.map((entry) => entry.request.item).filter((item) => item !== undefined);
  }

  // `name` is the picture's, to tell by
  push(action, request, name = "") {
    const key = newKey();
    const order = `${Date.now()}`.padStart(15, "0") + `${this.number++}`.padStart(6, "0");
    const entry = { place: `${this.prefix}${order}:${key}`, action, name, request: { ...request, key } };
    if (this.storage) {
      try {
        this.storage.setItem(entry.place, JSON.stringify({ action, name, request: entry.request }));
      } catch (error) {
        this.problem = `the browser keeps nothing (${error.name}); do not reload before all is sent`;
      }
    }
    const done = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
    this.waiting.push(entry);
    this.onChange();
    this.pump();
    return done;
  }

  async pump() {
    if (this.busy || this.stopped || !this.waiting.length) return;
    this.busy = true;
    clearTimeout(this.timer);
    const entry = this.waiting[0];
    try {
      const answer = await this.ask(entry.action, entry.request);
      this.#finish(entry);
      entry.resolve?.(answer);
    } catch (error) {
      if (PASSING(error.status)) {
        this.problem = error.message;
        const wait = RETRY_MS[Math.min(this.tries++, RETRY_MS.length - 1)];
        this.timer = setTimeout(() => this.pump(), wait);
      } else if (error.status === 401 || error.status === 403 || error.code === "project" || /CSRF/.test(error.message)) {
        this.problem = error.message;
        this.stopped = true; // a reload, or the right project, mends it; nothing is lost until then
      } else {
        this.#finish(entry);
        if (entry.reject) entry.reject(error);
        else this.onRefused(entry, error);
      }
    }
    this.busy = false;
    this.onChange();
    if (!this.problem) this.pump();
  }

  #finish(entry) {
    this.storage?.removeItem(entry.place);
    this.waiting = this.waiting.filter((other) => other !== entry);
    this.problem = null;
    this.tries = 0;
  }
}

export function mountQueue(root, options) {
  const { transport, storage = null, prefix = "", keysFrom = null, addPage = null, finishPage = null, exportPage = null } = options;
  const state = {
    items: [],
    classes: [],
    urls: new Map(),
    where: null,
    loading: false,
    answered: new Set(), // what the server may not have heard of yet when it was last asked
    order: 0, // grows when what was asked for before is not wanted any more
    released: Promise.resolve(), // when all that was given back is free
    undoing: 0,
    status: null,
    ended: false,
    done: "", // what was done last and is not read aloud yet
    heard: "", // which picture and prediction were
    plan: "", // which attempt to finish is open, "" for none
    alerts: new Map(), // what is not as it should be now -> its text, what to try
    lost: [], // texts of what was done here and refused
  };

  // --- what is on the page -------------------------------------------------------------------

  const image = element("img", { class: "alq-picture", alt: "", draggable: "false" });
  const nothing = element("div", { class: "alq-nothing", hidden: true });
  const stage = element("div", {
    class: "alq-stage",
    tabindex: "0",
    role: "application",
    "aria-label": "Picture to label",
    "aria-describedby": "alq-prediction alq-help",
    children: [image, nothing],
  });
  const caption = element("p", { class: "alq-caption" });
  const attempt = attemptBanner(finishPage);
  const reading = readingNotice({ ask: transport.ask, changed: () => poll() });
  const prediction = element("p", { class: "alq-prediction", id: "alq-prediction" });
  const button = (text, key, act, more = {}) =>
    element("button", {
      type: "button",
      on: { click: (event) => event.detail < 2 && (act(), stage.focus()) },
      children: [element("span", { text }), element("kbd", { text: key, "aria-hidden": "true" })],
      ...more,
    });
  const acceptButton = button("Accept", "Enter", () => accept(), { class: "alq-accept", disabled: true });
  const undoButton = button("Undo", "⌫", () => undo(), { "aria-keyshortcuts": "Backspace" });
  const skipButton = button("Skip", "Tab", () => skip(), { "aria-keyshortcuts": "Tab" });
  const rejectButtons = Object.entries(REJECT).map(([key, { why, text, shown }]) =>
    button(text, shown, () => reject(why), { class: "alq-reject", "aria-keyshortcuts": key }));
  const live = element("p", { class: "alq-live", role: "status", "aria-live": "polite" });
  const alertBox = element("div", { class: "alq-alert", role: "alert", hidden: true });
  const keys = element("div", { class: "alq-keys", role: "group", "aria-label": "Classes" });

  const typed = classField({
    give: (name) => give(name),
    add: (name) => addClass(name),
    leave: () => stage.focus(),
    announce: (text) => announce(text),
  });
  const look = closerLook({ stage, image, announce: (text) => announce(text) });
  const notes = noteField({ ask: transport.ask, leave: () => stage.focus(), announce: (text) => announce(text) });
  const guide = guidelinesBox({ ask: transport.ask, announce: (text) => announce(text) });

  // The page Finish says more; where there is none, an attempt is begun here.
  const finishing = finishPage ? null : finishBox({ ask: transport.ask, changed: () => poll(), announce: (text) => announce(text) });

  const bar = element("progress", { class: "alq-bar", max: "1", value: "0", "aria-label": "Labelled" });
  const facts = element("dl", { class: "alq-facts" });
  const model = element("div", { class: "alq-model" });
  const curve = element("figure", { class: "alq-curves", hidden: true });
  const moreText = element("div", { class: "alq-model" });
  const more = element("details", { class: "alq-more", hidden: true,
    children: [element("summary", { text: "More about the model" }), moreText, curve] });
  const predictedSelect = element("select", { id: "alq-predicted", on: { change: () => refilter() } });
  const highInput = element("input", {
    id: "alq-high", type: "number", min: "0", max: "100", step: "any", placeholder: "100",
    on: { change: () => refilter() },
  });
  const filter = element("details", {
    class: "alq-filter",
    children: [
      element("summary", { text: "Only some pictures" }),
      element("label", { for: "alq-predicted", text: "Predicted as" }), predictedSelect,
      element("label", { for: "alq-high", text: "Confidence up to %" }), highInput,
    ],
  });
  const help = element("p", {
    id: "alq-help",
    class: "alq-help",
    text: "Press a class’s key to label, or / and a few letters of its name. " +
      "The other keys stand on the buttons. Escape leaves the picture, so that Tab moves on as usual.",
  });

  const box = element("div", {
    class: "alq",
    children: [
      element("div", {
        class: "alq-main",
        children: [
          alertBox, reading.box, attempt.box, stage, prediction,
          element("div", { class: "alq-actions", role: "group", "aria-label": "Actions",
            children: [acceptButton, undoButton, skipButton, ...rejectButtons] }),
          live,
          element("div", { class: "alq-about", role: "group", "aria-label": "The picture", children: [caption, ...look.buttons] }),
          notes.box,
        ],
      }),
      element("div", {
        class: "alq-side",
        children: [
          element("section", { "aria-label": "Classes and their keys", class: "alq-classes", children: [keys, typed.form, guide.box] }),
          element("section", { "aria-label": "Progress", children: [bar, facts, model, more, ...(finishing ? [finishing.box] : []), filter, help] }),
        ],
      }),
    ],
  });
  root.replaceChildren(box);

  const outbox = new Outbox({
    ask: transport.ask,
    storage,
    prefix,
    onChange: () => {
      showOutbox();
      showProgress();
      if (!outbox.size && !current()) poll();
      else if (state.plan && !outbox.size) pollSoon(); // each answer may be the last that it takes
    },
    onRefused: lost,
  });

  // --- the queue -----------------------------------------------------------------------------

  const current = () => state.items[0];
  const isFinishing = () => state.status?.finish?.phase === "asking";
  const isHidden = (item) => Boolean(item.hidden && (isFinishing() || state.status?.model?.model));
  const isReady = () => current() && state.urls.get(current().id)?.ready && !state.undoing;

  async function refill() {
    if (state.loading || state.ended) return;
    state.loading = true;
    // The server may offer these, and what is answered meanwhile, because it has not heard yet.
    state.answered = new Set(outbox.items);
    let again = false;
    try {
      for (let waited; waited !== state.released; ) await (waited = state.released);
      const { order } = state;
      const n = Math.min(HOLD + outbox.size, 100);
      const request = state.where ? { n, where: state.where } : { n };
      const { items } = await transport.ask("next", request);
      const now = items.find((item) => item.id === current()?.id);
      // What is on the screen gets a first prediction, but none changes under somebody's fingers.
      if (now?.predicted && !current().predicted) Object.assign(current(), now);
      const known = new Set(state.items.map((item) => item.id));
      const fresh = items.filter((item) => !known.has(item.id) && !state.answered.has(item.id));
      hideAlert("next");
      if (order === state.order) {
        state.items.push(...fresh);
        fresh.forEach(prefetch);
        again = items.length > 0 && !current() && !outbox.size; // what was skipped may come again
      } else {
        // What is being taken back comes here too: it is kept, and comes again.
        if (!state.undoing) giveBack(fresh);
        again = true;
      }
    } catch (error) {
      showAlert("next", `No new pictures: ${error.message}.`, () => refill());
    } finally {
      state.loading = false;
      show();
    }
    if (again) refill();
  }

  // Let others have these; what has been asked for and not come yet is given back as well.
  function giveBack(items, onError = () => {}) {
    state.order += 1;
    items.forEach(forget);
    const request = { items: items.map((item) => item.id) };
    const patience = () => new Promise((resolve) => setTimeout(resolve, RELEASE_MS));
    state.released = state.released
      .then(() => items.length && Promise.race([transport.ask("release", request), patience()]))
      .catch(onError); // they stay this person's, and come again
  }

  async function prefetch(item) {
    if (state.urls.has(item.id)) return;
    const entry = { ready: false, failed: false, url: null, img: new Image() };
    state.urls.set(item.id, entry);
    try {
      entry.url = await transport.picture(item);
      entry.img.src = entry.url;
      await entry.img.decode();
      entry.ready = true;
    } catch {
      entry.failed = true;
    }
    if (current()?.id === item.id) show();
  }

  function forget(item) {
    const url = state.urls.get(item.id)?.url;
    state.urls.delete(item.id);
    if (url?.startsWith("blob:")) URL.revokeObjectURL(url);
  }

  function show() {
    const item = current();
    const entry = item && state.urls.get(item.id);
    if (item && !entry) prefetch(item);
    const visible = Boolean(item && entry?.ready);
    image.hidden = !visible;
    nothing.hidden = visible;
    if (visible && image.src !== entry.img.src) {
      image.src = entry.img.src;
      image.decode().catch(() => {}).then(look.next); // its greys can be read from then on
    }
    notes.show(visible ? item : null);
    image.alt = visible ? `Picture ${item.id}, ${item.name}` : "";
    image.classList.toggle("alq-small", visible && Math.max(item.width, item.height) < 200);
    caption.textContent = item ? `${item.name} · ${item.width} × ${item.height}` : "";
    prediction.replaceChildren();
    const offered = visible && item.predicted;
    if (offered) {
      prediction.append("Prediction: ", element("strong", { text: item.predicted }),
        ` with confidence ${percent(item.confidence, 2)}${item.confidence < UNSURE ? ", unsure" : ""}`);
    } else if (visible && isHidden(item)) {
      prediction.append(isFinishing()
        ? "Finishing: what the model says is hidden until you have answered."
        : "What the model says is hidden: this picture is one that two people are asked about.");
    } else if (visible && state.status?.reading?.holds) {
      prediction.append("No prediction: somebody has to decide first how the pictures are read.");
    } else if (visible && state.status?.model?.model) {
      prediction.append("No prediction yet.");
    }
    if (visible && item.skipped && !item.back) {
      prediction.append(element("span", { class: "alq-again", text: " Only skipped pictures are left: answer, or reject this one." }));
    }
    acceptButton.disabled = !offered;
    acceptButton.firstChild.textContent = offered ? `Accept ${item.predicted}` : "Accept";
    for (const one of keys.children) {
      one.classList.toggle("alq-likely", Boolean(offered) && one.dataset.name === item.predicted);
    }
    box.dataset.item = visible && !state.undoing ? item.id : "";
    box.dataset.waiting = outbox.size;
    if (!visible) showNothing(item, entry);
    if (!state.undoing) sayWhatIsThere(visible ? item : null);
  }

  // The focus stays where it is, so what Enter would accept now has to be read aloud.
  function sayWhatIsThere(item) {
    const now = item ? `${item.id} ${item.predicted}` : "";
    if (item && (state.done || state.heard !== now)) {
      let what = "no prediction";
      if (isHidden(item)) what = "its prediction is hidden";
      else if (item.predicted) what = `prediction ${item.predicted}, ${percent(item.confidence)}`;
      announce(`${state.done} Now ${item.name}, ${what}.`.trim());
    } else if (state.done) announce(state.done);
    state.heard = now;
    if (item || !current()) state.done = ""; // while the picture is loading, it is said with it
  }

  function showNothing(item, entry) {
    if (item && entry?.failed) {
      nothing.replaceChildren(element("p", { text: "This picture cannot be shown. Skip it with Tab, or try again." }),
        element("button", { type: "button", text: "Try again", on: { click: () => { forget(item); show(); } } }));
    } else if (item || state.loading) {
      nothing.replaceChildren(element("p", { text: "Loading …" }));
    } else {
      const progress = state.status?.progress;
      let text = "Looking for pictures …";
      const toRead = state.status?.folder?.to_read || 0;
      const plan = state.status?.finish;
      if (progress && toRead) text = `The pictures are being read: ${count(progress.total)} of ${count(progress.total + toRead)} so far.`;
      else if (progress && !progress.total) text = "There are no pictures yet.";
      else if (plan?.phase === "asking" && !progress?.held) text = "The attempt to finish is being decided …";
      else if (state.where) text = "No more pictures like these.";
      else if (progress && !progress.remaining) text = `Every picture has a label${progress.rejected ? " or was rejected" : ""}. Well done.`;
      else if (progress?.held) text = "All pictures left are with other people.";
      nothing.replaceChildren(element("p", { text }));
      const isDone = progress?.total && !progress.remaining;
      if (isDone && exportPage) nothing.append(element("a", { href: exportPage, class: "button", text: "Export the labels" }));
      if (addPage) nothing.append(element("a", { href: addPage, class: "button", text: "Add pictures" }));
    }
  }

  function advance() {
    const item = state.items.shift();
    state.answered.add(item.id);
    show();
    forget(item);
    if (state.items.length < LOW) refill();
  }

  function announce(text) {
    live.textContent = text;
  }

  // --- what people do ------------------------------------------------------------------------

  function give(label) {
    if (!isReady()) return;
    const item = current();
    send("label", { item: item.id, label }, item.name);
    typed.remember(label);
    state.done = `${label} for ${item.name}.`;
    advance();
  }

  function send(action, request, name) {
    outbox.push(action, request, name).catch((error) => lost({ action, request, name }, error));
  }

  // One line for each: what came to nothing must not hide what came to nothing before.
  function lost({ action, request, name }, error) {
    const what = name || `Picture ${request.item}`;
    const text = {
      label: `${what} was not labelled ${request.label}`,
      skip: `${what} was not skipped`,
      reject: `${what} was not rejected`,
      undo: "Not undone",
    }[action];
    state.lost.push(`${text}: ${error.message}.`);
    showAlerts();
  }

  function accept() {
    const item = current();
    if (isReady() && item.predicted) give(item.predicted);
  }

  function skip() {
    const item = current();
    if (!item || state.undoing) return;
    send("skip", { item: item.id }, item.name);
    state.done = `Skipped ${item.name}.`;
    advance();
  }

  function reject(why) {
    if (!isReady()) return;
    const item = current();
    send("reject", { item: item.id, why }, item.name);
    state.done = `Rejected ${item.name}: ${why}.`;
    advance();
  }

  async function undo() {
    state.undoing += 1;
    show();
    try {
      const { items } = await outbox.push("undo", {});
      const back = items.filter((item) => item.label === null); // others have their old label again
      const ids = new Set(back.map((item) => item.id));
      state.items = [...back, ...state.items.filter((item) => !ids.has(item.id))];
      for (const item of back) {
        item.back = true;
        prefetch(item);
      }
      state.done = items.length ? `Taken back: ${items.map((item) => item.name).join(", ")}.` : "Nothing left to undo.";
    } catch (error) {
      lost({ action: "undo" }, error);
    } finally {
      state.undoing -= 1;
      show();
      poll();
    }
  }

  async function addClass(name) {
    if (!name) return typed.askForName();
    try {
      const { added, classes } = await transport.ask("add_class", { name });
      typed.clear();
      showClasses(classes);
      announce(`Class ${added.name} is there${added.key ? `, key ${added.key}` : ""}.`);
      stage.focus();
    } catch (error) {
      announce(`Not added: ${error.message}`);
    }
  }

  // An attempt to finish begins or ends: what is ahead was handed out for something else.
  function startAnew(plan) {
    state.plan = plan;
    giveBack(state.items.splice(0));
    refill();
    show();
  }

  // What came before it was known that the pictures differ is offered no more.
  function forgetPredictions() {
    const offered = state.items.filter((item) => item.predicted);
    for (const item of offered) Object.assign(item, { predicted: null, confidence: null });
    if (offered.length) show();
  }

  function renew() {
    giveBack(state.items.splice(KEEP));
    refill();
  }

  function refilter() {
    state.where = {};
    if (predictedSelect.value) state.where.predicted = predictedSelect.value;
    if (highInput.value !== "") state.where.high = Number(highInput.value) / 100;
    if (!Object.keys(state.where).length) state.where = null;
    const held = (error) => announce(`The pictures ahead are still held: ${error.message}`);
    giveBack(state.items.splice(0), held);
    refill();
    show(); // at once: what is on the screen is this person's no longer
  }

  // --- keys ----------------------------------------------------------------------------------

  const onStage = () => document.activeElement === stage || root.getRootNode().activeElement === stage;

  function onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (!keysFrom) {
      if (!event.composedPath().includes(box)) return;
      event.stopPropagation(); // else the notebook would take letters for its own commands
    }
    // Their own listeners would not hear of a key in a notebook, where it goes no further than here.
    const field = [typed, notes].find(({ input }) => input === event.composedPath()[0]);
    if (field) return field.onKey(event) && event.preventDefault();
    const nowhere = keysFrom && document.activeElement === document.body;
    if (!onStage() && !nowhere) return;
    if (act(event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  const isFree = (key) => !classOf(state.classes, { key });

  function act(event) {
    const { key, repeat, shiftKey } = event;
    if (key === "Tab") {
      if (shiftKey || !current()) return false; // backwards, and at the end, Tab moves the focus
      if (!repeat) skip();
      return true;
    }
    if (key === "Enter") return repeat || accept(), true;
    if (key === "Backspace") return repeat || undo(), true;
    if (isDigitOfClass(state.classes, event)) return repeat || give(classOf(state.classes, event).name), true;
    if (key in REJECT) return repeat || reject(REJECT[key].why), true;
    if (key === "/") return typed.focus(), true;
    if (look.onKey(event, isFree)) return true;
    if (key === "Escape") return (acceptButton.disabled ? undoButton : acceptButton).focus(), true;
    const found = classOf(state.classes, event);
    if (!found) return noSuchKey(key);
    if (!repeat) give(found.name); // a key that is held down labels one picture, not thirty
    return true;
  }

  // A key that does nothing looks like a fault: say why, and where there are no classes, offer one.
  function noSuchKey(key) {
    if ([...key].length !== 1 || key === " ") return false;
    if (state.classes.length) {
      announce(`No class has the key ${key}.`);
      return false;
    }
    typed.offer(key);
    announce(`There are no classes yet. Enter adds the class “${key}”; or type another name.`);
    return true;
  }

  // --- progress ------------------------------------------------------------------------------

  function showClasses(classes) {
    const text = (some) => some.map((one) => [one.name, ...keysOf(one)].join("\n")).join("\n\n");
    if (text(state.classes) === text(classes) && keys.children.length) return;
    state.classes = classes;
    keys.replaceChildren(...classes.map((one) =>
      element("button", {
        type: "button",
        class: "alq-class",
        "data-name": one.name,
        "aria-label": one.key ? `${one.name}, key ${keysOf(one).join(" or ")}` : one.name,
        "aria-keyshortcuts": keysOf(one).join(" ") || null,
        on: { click: (event) => event.detail < 2 && (give(one.name), stage.focus()) },
        children: [
          element("span", { text: one.name }),
          ...keysOf(one).filter((key) => key.toUpperCase() !== one.name).map((text) => element("kbd", { text })),
        ],
      })));
    if (!classes.length) {
      keys.append(element("p", { class: "alq-none",
        text: "There are no classes yet. Type the name of one below: it gets a key at once." }));
    }
    box.classList.toggle("alq-many", classes.length > MOST_KEYS);
    keys.classList.toggle("alq-letters", classes.length > 0 && classes.every((one) => one.name.length < 3));
    typed.setClasses(classes);
    const chosen = predictedSelect.value;
    predictedSelect.replaceChildren(element("option", { value: "", text: "any" }),
      ...classes.map((one) => element("option", { text: one.name })));
    predictedSelect.value = chosen;
    show();
  }

  const fact = (name, value) => [element("dt", { text: name }), element("dd", { text: value })];

  function showProgress() {
    box.dataset.waiting = outbox.size;
    const progress = state.status?.progress;
    if (!progress) return;
    const done = progress.human + progress.auto;
    const rejected = progress.rejected ? fact("Rejected", count(progress.rejected)) : [];
    bar.max = Math.max(progress.total, 1);
    bar.value = done + progress.rejected;
    const lines = [
      ...fact("Labelled", `${count(done)} of ${count(progress.total)}`),
      ...fact("Left", count(progress.remaining)),
      ...rejected,
      ...fact("Answers a minute", progress.per_minute.toFixed(0)),
    ];
    if (progress.auto) lines.push(...fact("By the model", count(progress.auto)));
    if (progress.unreadable) lines.push(...fact("Files missing", count(progress.unreadable)));
    const others = Object.keys(progress.per_person).length;
    if (others > 1) {
      lines.push(...fact("People", Object.entries(progress.per_person).map(([who, n]) => `${who} ${count(n)}`).join(", ")));
    }
    facts.replaceChildren(...lines);
    showCurve(state.status.curve);
    showModel(state.status.model_text || []);
    attempt.update(state.status.finish);
    finishing?.update(state.status.finish);
  }

  // Drawn by the server, of numbers only; read as XML, in which no script runs.
  function showCurve(drawn) {
    const now = drawn ? drawn.svg : "";
    if ((curve.dataset.shown || "") === now) return;
    curve.dataset.shown = now;
    curve.hidden = !drawn;
    if (!drawn) return curve.replaceChildren();
    const svg = document.importNode(new DOMParser().parseFromString(drawn.svg, "image/svg+xml").documentElement, true);
    svg.setAttribute("aria-hidden", "true");
    curve.replaceChildren(svg, element("figcaption", { class: "alq-caption", text: drawn.text }));
  }

  // One line, and the rest in a fold that stays as people left it.
  function showModel(lines) {
    const now = JSON.stringify(lines);
    if (model.dataset.shown === now) return; // what somebody has marked stays marked
    model.dataset.shown = now;
    const said = (some) => some.map(({ text, kind }) => element("p", { class: `alq-${kind || "note"}`, text }));
    model.replaceChildren(...said(lines.filter((line) => !line.more)));
    moreText.replaceChildren(...said(lines.filter((line) => line.more)));
    more.hidden = !moreText.children.length && curve.hidden;
  }

  let timer = null;
  let soon = false; // whether the timer is set for an answer: later answers must not put it off
  function pollSoon() {
    if (soon) return;
    soon = true;
    clearTimeout(timer);
    timer = setTimeout(poll, SOON_MS);
  }

  async function poll() {
    soon = false;
    clearTimeout(timer);
    if (state.ended) return;
    if (!document.hidden) {
      try {
        const before = state.status?.model?.model;
        state.status = await transport.ask("status", {});
        const plan = state.status.finish?.phase === "asking" ? `${state.status.finish.number}` : "";
        if (plan !== state.plan) startAnew(plan);
        else if (before !== undefined && before !== state.status.model?.model) renew();
        reading.update(state.status.reading);
        if (state.status.reading?.holds) forgetPredictions();
        showClasses(state.status.classes);
        guide.update(state.status.guidelines);
        showProgress();
        if (!current() && !state.loading) refill();
      } catch (error) {
        const why = error.status ? error.message : "No connection";
        if (!outbox.problem && PASSING(error.status)) announce(`${why}; trying again.`);
      }
    }
    if (soon) return; // an answer came meanwhile, its look is due
    clearTimeout(timer);
    timer = setTimeout(poll, POLL_MS);
  }

  // --- what went wrong -----------------------------------------------------------------------

  // What lasts ("outbox", "next") has one place each and goes by itself; what was lost stays.
  function showAlert(of, text, again) {
    state.alerts.set(of, { text, again });
    showAlerts();
  }

  function hideAlert(of) {
    if (state.alerts.delete(of)) showAlerts();
  }

  function showAlerts() {
    const line = (texts, word, click) =>
      element("div", { children: [
        element("div", { class: "alq-lines", children: texts.map((text) => element("p", { text })) }),
        ...(click ? [element("button", { type: "button", text: word, on: { click } })] : []),
      ] });
    const lines = [...state.alerts.values()].map(({ text, again }) => line([text], "Try now", again));
    if (state.lost.length) {
      const close = () => { state.lost = []; showAlerts(); stage.focus(); };
      lines.unshift(line(state.lost, "Close", close));
    }
    const shown = JSON.stringify([state.lost, ...[...state.alerts].map(([of, { text }]) => [of, text])]);
    if (alertBox.dataset.shown === shown) return; // is read aloud once, and keeps the focus
    alertBox.dataset.shown = shown;
    alertBox.hidden = !lines.length;
    alertBox.replaceChildren(...lines);
  }

  function showOutbox() {
    if (outbox.problem) {
      const [verb, they] = outbox.size === 1 ? ["answer is", "It is"] : ["answers are", "They are"];
      const what = `${outbox.size} ${verb} not saved yet`;
      const kept = storage ? ` ${they} kept in this browser and sent again.` : ` ${they} sent again.`;
      if (outbox.stopped) showAlert("outbox", `${what}: ${outbox.problem}. Reload the page.`);
      else showAlert("outbox", `${what}: ${outbox.problem}.${kept}`, () => outbox.pump());
    } else if (state.alerts.has("outbox")) {
      hideAlert("outbox");
      announce("All answers are saved.");
      refill();
    }
  }

  // --- begin ---------------------------------------------------------------------------------

  // The notebook listens on its document before any element in it; the window comes first of all.
  const target = keysFrom || window;
  const keep = (event) => {
    if (!keysFrom && event.composedPath().includes(box)) event.stopPropagation();
  };
  if (!keysFrom) box.setAttribute("data-lm-suppress-shortcuts", "true");
  target.addEventListener("keydown", onKey, true);
  for (const kind of ["keyup", "keypress"]) target.addEventListener(kind, keep, true);
  const onVisible = () => { if (!document.hidden) poll(); };
  document.addEventListener("visibilitychange", onVisible);

  (async () => {
    show();
    outbox.pump(); // what was left from before a reload goes first
    for (let i = 0; outbox.size && !outbox.problem && i < 200; i++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await poll();
    await refill();
    if (keysFrom) stage.focus({ preventScroll: true });
  })();

  return function unmount() {
    state.ended = true;
    clearTimeout(timer);
    target.removeEventListener("keydown", onKey, true);
    for (const kind of ["keyup", "keypress"]) target.removeEventListener(kind, keep, true);
    document.removeEventListener("visibilitychange", onVisible);
    state.items.forEach(forget);
    root.replaceChildren();
  };
}
