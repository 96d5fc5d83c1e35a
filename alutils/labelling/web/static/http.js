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

export async function send(path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      body,
      headers: {
        "X-CSRFToken": meta("csrf-token"),
        "X-Labelling-Project": meta("project"),
        Accept: "application/json",
        ...headers,
      },
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

export const ask = (action, request = {}) =>
  send(`/api/${action}`, JSON.stringify(request), { "Content-Type": "application/json" });

export const picture = (item, small = false) =>
  `/pictures/${item.id}?v=${item.version}${small ? "&small=1" : ""}`;
