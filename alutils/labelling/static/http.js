// Requests to this tool, with the token that shows that they come from its own pages.

export class Refused extends Error {
  // status: 0 where nothing came back, else of the answer
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const token = () => document.querySelector('meta[name="csrf-token"]').content;

export async function send(path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      body,
      headers: { "X-CSRFToken": token(), Accept: "application/json", ...headers },
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
  if (!answer.ok) throw new Refused(parts.error || answer.statusText, answer.status);
  return parts;
}

export const ask = (action, request = {}) =>
  send(`/api/${action}`, JSON.stringify(request), { "Content-Type": "application/json" });

export const picture = (item, small = false) =>
  `/pictures/${item.id}?v=${item.version}${small ? "&small=1" : ""}`;
