// The labelling queue: one picture, one key, the next picture. The same code on the web page and in
// the notebook; what differs is the transport that is handed in:
//   ask(action, request) -> promise of an answer; its error has a `status`, 0 where none came back
//   picture(item) -> promise of a URL
// Other options: `storage` (localStorage or null) keeps what has not been acknowledged across a
// reload, under `prefix`; `keysFrom` is the document on a page, null in a notebook, where keys in
// the queue are kept from all else.

const HOLD = 10; // pictures fetched ahead
const LOW = 5; // ask for more when fewer are left
const KEEP = 3; // stay when a new model brings a new order
const POLL_MS = 4000;
const RELEASE_MS = 10000; // the queue goes on without an answer: pictures come free by themselves
const RETRY_MS = [500, 1000, 2000, 5000, 10000];
export const PASSING = (status) => status === 0 || status === 408 || status === 429 || status >= 500;

export const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)}%`;
const count = (n) => Number(n).toLocaleString("en");

export function newKey() {
  // crypto.randomUUID is missing where the page is not served securely
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function element(tag, { text, children = [], on = {}, ...attributes } = {}) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  if (text !== undefined) made.textContent = text;
  for (const [name, act] of Object.entries(on)) made.addEventListener(name, act);
  made.append(...children);
  return made;
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
  const { transport, storage = null, prefix = "", keysFrom = null, addPage = null } = options;
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
  const live = element("p", { class: "alq-live", role: "status", "aria-live": "polite" });
  const alertBox = element("div", { class: "alq-alert", role: "alert", hidden: true });
  const keys = element("div", { class: "alq-keys", role: "group", "aria-label": "Classes" });

  const typed = element("input", { id: "alq-typed", autocomplete: "off", maxlength: "300", list: "alq-names" });
  const names = element("datalist", { id: "alq-names" });
  const typeForm = element("form", {
    class: "alq-type",
    on: { submit: (event) => { event.preventDefault(); giveTyped(); } },
    children: [
      element("label", { for: "alq-typed", text: "Another class" }),
      typed,
      names,
      element("button", { text: "Give it" }),
      element("button", { type: "button", text: "Add class", on: { click: () => addClass() } }),
    ],
  });

  const bar = element("progress", { class: "alq-bar", max: "1", value: "0", "aria-label": "Labelled" });
  const facts = element("dl", { class: "alq-facts" });
  const model = element("div", { class: "alq-model" });
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
    text: "Press a class’s key to label. Enter accepts the prediction, Backspace undoes, Tab skips. " +
      "Escape leaves the picture: then Tab moves on as usual.",
  });

  const box = element("div", {
    class: "alq",
    children: [
      element("div", {
        class: "alq-main",
        children: [
          alertBox, stage, caption, prediction,
          element("div", { class: "alq-actions", role: "group", "aria-label": "Actions",
            children: [acceptButton, undoButton, skipButton] }),
          live,
        ],
      }),
      element("div", {
        class: "alq-side",
        children: [
          element("section", { "aria-label": "Classes and their keys", children: [keys, typeForm] }),
          element("section", { "aria-label": "Progress", children: [bar, facts, model, filter, help] }),
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
    },
    onRefused: lost,
  });

  // --- the queue -----------------------------------------------------------------------------

  const current = () => state.items[0];
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
    if (visible && image.src !== entry.img.src) image.src = entry.img.src;
    image.alt = visible ? `Picture ${item.id}, ${item.name}` : "";
    image.classList.toggle("alq-small", visible && Math.max(item.width, item.height) < 200);
    caption.textContent = item ? `${item.name} · ${item.width} × ${item.height}` : "";
    prediction.replaceChildren();
    const offered = visible && !item.audit && item.predicted;
    if (offered) {
      prediction.append("Prediction: ", element("strong", { text: item.predicted }),
        ` with confidence ${percent(item.confidence, 2)}`);
    } else if (visible && item.audit) {
      prediction.append("Checks the model: its prediction is hidden until you have answered.");
    } else if (visible) {
      prediction.append("No prediction yet.");
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
      if (item.audit) what = "it checks the model";
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
      if (progress && !progress.total) text = "There are no pictures yet.";
      else if (state.where) text = "No more pictures like these.";
      else if (progress && !progress.remaining) text = "Every picture has a label. Well done.";
      else if (progress?.held) text = "All pictures left are with other people.";
      nothing.replaceChildren(element("p", { text }));
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
      undo: "Not undone",
    }[action];
    state.lost.push(`${text}: ${error.message}.`);
    showAlerts();
  }

  function accept() {
    const item = current();
    if (isReady() && !item.audit && item.predicted) give(item.predicted);
  }

  function skip() {
    const item = current();
    if (!item || state.undoing) return;
    send("skip", { item: item.id }, item.name);
    state.done = `Skipped ${item.name}.`;
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
      back.forEach(prefetch);
      state.done = items.length ? `Taken back: ${items.map((item) => item.name).join(", ")}.` : "Nothing left to undo.";
    } catch (error) {
      lost({ action: "undo" }, error);
    } finally {
      state.undoing -= 1;
      show();
      poll();
    }
  }

  function giveTyped() {
    const name = typed.value.trim();
    if (!name) return;
    const found = state.classes.find((one) => one.name === name) ||
      state.classes.find((one) => one.name.toLowerCase() === name.toLowerCase());
    if (!found) {
      announce(`There is no class “${name}” yet; “Add class” makes it.`);
      return;
    }
    typed.value = "";
    give(found.name);
    stage.focus();
  }

  async function addClass() {
    const name = typed.value.trim();
    if (!name) {
      announce("Type the new class’s name first.");
      typed.focus();
      return;
    }
    try {
      const { added, classes } = await transport.ask("add_class", { name });
      typed.value = "";
      showClasses(classes);
      announce(`Class ${added.name} is there${added.key ? `, key ${added.key}` : ""}.`);
      stage.focus();
    } catch (error) {
      announce(`Not added: ${error.message}`);
    }
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
    const nowhere = keysFrom && document.activeElement === document.body;
    if (!onStage() && !nowhere) return;
    if (act(event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  function act(event) {
    const { key, repeat, shiftKey } = event;
    if (key === "Tab") {
      if (shiftKey || !current()) return false; // backwards, and at the end, Tab moves the focus
      if (!repeat) skip();
      return true;
    }
    if (key === "Enter") return repeat || accept(), true;
    if (key === "Backspace") return repeat || undo(), true;
    if (key === "Escape") return (acceptButton.disabled ? undoButton : acceptButton).focus(), true;
    const found = state.classes.find((one) => one.key && one.key === key.toLowerCase());
    if (!found) return false;
    if (!repeat) give(found.name); // a key that is held down labels one picture, not thirty
    return true;
  }

  // --- progress ------------------------------------------------------------------------------

  function showClasses(classes) {
    const before = state.classes.map((one) => `${one.name}\n${one.key}`).join("\n\n");
    if (before === classes.map((one) => `${one.name}\n${one.key}`).join("\n\n") && keys.children.length) return;
    state.classes = classes;
    keys.replaceChildren(...classes.map((one) =>
      element("button", {
        type: "button",
        class: "alq-class",
        "data-name": one.name,
        "aria-label": one.key ? `${one.name}, key ${one.key}` : one.name,
        "aria-keyshortcuts": one.key,
        on: { click: (event) => event.detail < 2 && (give(one.name), stage.focus()) },
        children: [
          element("span", { text: one.name }),
          ...(one.key && one.key.toUpperCase() !== one.name ? [element("kbd", { text: one.key })] : []),
        ],
      })));
    keys.classList.toggle("alq-letters", classes.length > 0 && classes.every((one) => one.name.length < 3));
    names.replaceChildren(...classes.map((one) => element("option", { value: one.name })));
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
    bar.max = Math.max(progress.total, 1);
    bar.value = done;
    const lines = [
      ...fact("Labelled", `${count(done)} of ${count(progress.total)}`),
      ...fact("Left", count(progress.remaining)),
      ...fact("A minute", progress.per_minute.toFixed(0)),
    ];
    if (progress.auto) lines.push(...fact("By the model", count(progress.auto)));
    if (progress.judged) {
      lines.push(...fact("Model was right", `${percent(progress.right / progress.judged)} of ${count(progress.judged)} asked about, unsure ones first`));
    }
    if (progress.unreadable) lines.push(...fact("Files missing", count(progress.unreadable)));
    const others = Object.keys(progress.per_person).length;
    if (others > 1) {
      lines.push(...fact("People", Object.entries(progress.per_person).map(([who, n]) => `${who} ${count(n)}`).join(", ")));
    }
    facts.replaceChildren(...lines);
    showModel(state.status.model_text || []);
  }

  function showModel(lines) {
    const now = JSON.stringify([lines, state.status.offers]);
    if (model.dataset.shown === now) return; // a button that has the focus stays
    model.dataset.shown = now;
    model.replaceChildren(...lines.map(({ text, kind }) => element("p", { class: `alq-${kind || "note"}`, text })));
    model.append(...(state.status.offers || []).map(({ action, text }) =>
      element("button", { type: "button", class: "alq-offer", text, on: { click: (event) => ask(action, event.target) } })));
  }

  async function ask(action, pressed) {
    pressed.disabled = true;
    try {
      const answer = await transport.ask(action, {});
      announce(answer.reason || `${count(answer.labelled)} pictures labelled by the model; “Review” shows them.`);
    } catch (error) {
      announce(`Not done: ${error.message}`);
    }
    model.dataset.shown = "";
    poll();
  }

  let timer = null;
  async function poll() {
    clearTimeout(timer);
    if (state.ended) return;
    if (!document.hidden) {
      try {
        const before = state.status?.model?.model;
        state.status = await transport.ask("status", {});
        if (before !== undefined && before !== state.status.model?.model) renew();
        showClasses(state.status.classes);
        showProgress();
        if (!current() && !state.loading) refill();
      } catch (error) {
        const why = error.status ? error.message : "No connection";
        if (!outbox.problem && PASSING(error.status)) announce(`${why}; trying again.`);
      }
    }
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
