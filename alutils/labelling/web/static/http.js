// Requests to this tool, with the token that shows that they come from its own pages.

export class Refused extends Error {
  // status: 0 where nothing came back, else of the answer; code: "project" where another is served
  constructor(message, status, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;

// Whatever a proxy puts before the paths of pages stands before this one, too.
const within = (path) => new URL(path, new URL(meta("root"), document.baseURI)).href;

async function request(path, options) {
  let answer;
  try {
    answer = await fetch(within(path), {
      ...options,
      headers: { "X-Labelling-Project": meta("project"), Accept: "application/json", ...options.headers },
      credentials: "same-origin",
      redirect: "error",
    });
  } catch (error) {
    throw new Refused(`no answer (${error.message})`, 0);
  }
  const text = await answer.text().catch(() => "");
  let parts = {};
  try {
    parts = JSON.parse(text);
  } catch {
    if (answer.ok) throw new Refused("the answer was cut", 0);
  }
  if (!answer.ok) throw new Refused(parts.error || answer.statusText, answer.status, parts.code);
  return parts;
}

export const send = (path, body, headers = {}) =>
  request(path, { method: "POST", body, headers: { "X-CSRFToken": meta("csrf-token"), ...headers } });

// What all pages ask every few seconds: the browser keeps the answer, and hears if it still holds.
const status = () => request("api/status", { cache: "no-cache" });

export const ask = (action, about = {}) =>
  action === "status" ? status() : send(`api/${action}`, JSON.stringify(about), { "Content-Type": "application/json" });

export const picture = (item, small = false) =>
  within(`pictures/${item.id}?v=${item.version}${small ? "&small=1" : ""}`);

// Small pictures are made when they are asked for. Where many people ask at once, the tool refuses
// some for now: these listeners of an <img> ask again.
const MOST_TRIES = 6;
export const askAgain = {
  error({ target }) {
    const tries = Number(target.dataset.tries || 0) + 1;
    if (tries > MOST_TRIES) return;
    target.dataset.tries = tries;
    const { src } = target;
    setTimeout(() => (target.src = src), 500 * tries);
  },
};
