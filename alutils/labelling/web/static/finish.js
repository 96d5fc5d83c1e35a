// The page Finish: what a certificate costs, how far an attempt is, how it ended.
import { count, element, percent, targetText } from "./element.js";
import { ask } from "./http.js";
import { readingNotice } from "./reading.js";

const POLL_MS = 3000;
const WIDE = 3; // times the lower end of an interval: from here on little is known
const at = (id) => document.getElementById(id);
const places = at("finish").dataset;
let shown = ""; // the state that is on the page
let chosen = null; // the target that a dialog asks about
let waiting = 0; // pictures that the forecast is about

function complain(error) {
  at("problem").textContent = error ? error.message : "";
  at("problem").hidden = !error;
}

const link = (href, text, more = {}) => element("a", { href, class: "button", text, ...more });
const lines = (texts) => (texts || []).map((text) => element("p", { text }));

// --- how the model reads the pictures ---------------------------------------------------------------

const reading = readingNotice({ ask, changed: () => showReading() });
at("reading").replaceWith(reading.box);
let asked = ""; // what has to be decided, as it was last seen

async function showReading() {
  try {
    const now = (await ask("status")).reading;
    reading.update(now);
    const text = JSON.stringify(now);
    if (asked && asked !== text && !at("prices").hidden) showPrices();
    asked = text;
  } catch (error) {
    complain(error);
  }
}

// --- what it costs ------------------------------------------------------------------------------

async function showPrices() {
  const prices = at("prices");
  prices.setAttribute("aria-busy", "true");
  try {
    const forecasts = await ask("finish_forecast");
    waiting = forecasts.n_waiting;
    prices.hidden = !forecasts.n_waiting; // nothing is left to be promised
    at("known").textContent = forecasts.note;
    const wide = forecasts.targets.some((each) => now(each).high > WIDE * Math.max(now(each).low, 1));
    at("tables").replaceChildren(...lines(await unread()), nowTable(forecasts), element("p", { class: "quiet", text:
      "“In all” is the average, with a 90% interval: by hand, to check, and what comes after a refusal." }), laterTable(forecasts),
      ...(wide ? [element("p", { text: "Little is known yet, so these numbers can be far off. Every label makes them surer." })] : []));
    showPicture(forecasts.picture);
  } catch (error) {
    at("known").textContent = error.message;
    at("explained").open = true; // nothing else to read yet
    at("tables").replaceChildren();
  }
  prices.setAttribute("aria-busy", "false");
}

// What the tool or its model has not read would be left out of a certificate.
async function unread() {
  const { progress, folder, reading: seen } = await ask("status");
  const n = progress.remaining - waiting - (seen?.set_aside || 0) + (folder?.to_read || 0);
  return n > 0 ? [`${count(n)} ${n === 1 ? "picture is" : "pictures are"} still being read. Wait for them, and open ` +
    "this page again: what is not read when you begin is no part of the certificate."] : [];
}

const now = (forecast) => forecast.rows[0];
const head = (...names) => element("thead", { children: [element("tr", { children:
  names.map((text) => element("th", { scope: "col", text })) })] });
const cell = (tag, what, more = {}) =>
  element(tag, { ...more, ...(typeof what === "string" ? { text: what } : { children: [what] }) });
const row = (name, ...cells) => element("tr", { children: [cell("th", name, { scope: "row" }),
  ...cells.map((each) => cell("td", each))] });
// Under its own heading, which stays where a narrow screen scrolls the table sideways.
const titled = (title, table) => element("section", { children: [
  element("h3", { text: title }),
  element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title, children: [table] }),
] });
const between = (each) => `${count(each.expected)} (${count(each.low)}–${count(each.high)})`;

function nowTable({ targets }) {
  const rows = targets.map((forecast) => {
    const each = now(forecast);
    const start = element("button", {
      type: "button", class: "primary", text: `Finish at ${targetText(forecast.target)} …`,
      on: { click: () => askToBegin(forecast) },
    });
    return row(start, between(each), count(each.by_hand), count(each.audit), percent(each.chance));
  });
  const table = element("table", { children: [
    head("Right at least", "More labels in all", "by hand", "to check", "Chance to be accepted"),
    element("tbody", { children: rows }),
  ] });
  return titled("If you finish now", table);
}

function laterTable({ targets }) {
  const steps = targets[0].rows.map((each) => each.train_more);
  const rows = targets.map((forecast) =>
    row(targetText(forecast.target), ...forecast.rows.map((each, i) => {
      const text = between(each);
      return i === forecast.best ? element("strong", { text: `${text} ←` }) : text;
    })));
  const names = steps.map((more) => (more ? `after ${more} more` : "now"));
  const table = element("table", { children: [
    head("Right at least", ...names),
    element("tbody", { children: rows }),
  ] });
  return titled("If you label on first: more labels in all, those included (← advised)", table);
}

// Drawn by the server, of numbers and fixed words; read as XML, in which no script runs.
function showPicture(drawn) {
  at("picture").hidden = !drawn;
  if (!drawn) return;
  const svg = document.importNode(new DOMParser().parseFromString(drawn.svg, "image/svg+xml").documentElement, true);
  svg.setAttribute("aria-hidden", "true");
  at("picture").replaceChildren(svg, element("figcaption", { children: [
    "Labels in all, against those trained on first, with 90% intervals; a dot where one is advised to finish.",
    element("details", { children: [element("summary", { text: "In words" }), element("p", { text: drawn.text })] }),
  ] }));
}

// --- to begin -----------------------------------------------------------------------------------

async function askToBegin(forecast) {
  const each = now(forecast);
  let late = [];
  try {
    late = await unread();
  } catch (error) {
    complain(error);
    return;
  }
  chosen = forecast.target;
  at("begin-title").textContent = `Finish at ${targetText(chosen)}`;
  const asked = each.by_hand
    ? `about ${count(each.by_hand + each.audit)} pictures: ${count(each.by_hand)} of which the model is least sure, and ` +
      `about ${count(each.audit)} that check it`
    : `about ${count(each.audit)} pictures, which check the model`;
  at("begin-text").replaceChildren(...lines(late), element("ul", { children: [
    `You answer ${asked}. They come mixed, without its guesses. With what follows where it is refused, it is ` +
      `${count(each.expected)} on average (${count(each.low)} to ${count(each.high)}).`,
    "The model stays as it is meanwhile; these answers train it only afterwards.",
    `With a chance of about ${percent(each.chance)} it is accepted: the model labels all that is left, and a ` +
      `certificate says that at least ${targetText(chosen)} of all labels are right.`,
    "Else nothing is labelled by the model, your answers stay, and a next attempt is held to a stricter level.",
  ].map((text) => element("li", { text })) }));
  at("begin").showModal();
}

async function begin() {
  try {
    await ask("finish_plan", { target: chosen });
    window.location.assign(places.queue);
  } catch (error) {
    complain(error);
    showState(true);
  }
}

async function stop() {
  try {
    await ask("finish_stop");
    complain(null);
  } catch (error) {
    complain(error);
  }
  showState(true);
}

// --- the attempt --------------------------------------------------------------------------------

function asking(state) {
  const most = state.asked + state.may_still_take_most;
  const bar = element("progress", { max: String(Math.max(most, 1)), value: String(state.asked),
    "aria-label": "Answers of the most that it may take" });
  return [
    element("h2", { text: `Attempt ${state.attempt}: ${targetText(state.target)} of all labels right` }),
    bar,
    element("p", { text: `${count(state.asked)} answered; ${count(state.may_still_take_low)} to ` +
      `${count(state.may_still_take_most)} more to be accepted. It ends as soon as it is clear; it may be refused sooner.` }),
    ...lines(state.text),
    element("p", { class: "row", children: [
      link(places.queue, "Go on answering", { class: "button primary" }),
      element("button", { type: "button", class: "danger", text: "Stop this attempt …",
        on: { click: () => at("stop").showModal() } }),
    ] }),
  ];
}

const certified = (state) => [
  element("h2", { text: "Finished" }),
  element("div", { class: "promise", children: lines(state.text) }),
  element("p", { class: "row", children: [
    link(places.certificate, "The certificate", { class: "button primary" }),
    link(places.certificateJson, "as JSON", { download: true }),
    link(places.export, "Export the labels"),
  ] }),
];

const ended = (state) => [
  element("h2", { text: state.phase === "stopped" ? "Stopped" : "Not accepted" }),
  ...lines(state.text),
  element("p", { class: "row", children: [
    link(places.queue, "Label on"),
    element("a", { href: "#prices", class: "button", text: "What a next attempt costs" }),
  ] }),
];

const SHOWN = { asking, certified, refused: ended, stopped: ended };

// The focus goes to what takes the place of what had it.
function replace(box, parts) {
  const focused = box.contains(document.activeElement) ? document.activeElement.textContent : "";
  box.replaceChildren(...parts);
  if (focused) [...box.querySelectorAll("a, button")].find((each) => each.textContent === focused)?.focus();
}

async function showState(anew = false) {
  try {
    const state = (await ask("finish_state")).state;
    const text = JSON.stringify(state);
    if (anew || text !== shown) {
      const before = shown;
      shown = text;
      at("state").hidden = !state;
      if (state) replace(at("state"), SHOWN[state.phase](state));
      const isOpen = state?.phase === "asking";
      at("prices").hidden = isOpen;
      if (!isOpen && (anew || !before || JSON.parse(before)?.phase === "asking")) showPrices();
    }
  } catch (error) {
    complain(error);
  }
}

for (const [id, act] of [["begin", begin], ["stop", stop]]) {
  at(id).addEventListener("close", () => {
    if (at(id).returnValue === "yes") act();
    at(id).returnValue = "";
  });
}
showState(true);
showReading();
setInterval(() => {
  if (document.hidden) return;
  showState();
  showReading();
}, POLL_MS);
