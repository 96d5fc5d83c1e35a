// One element of a page: its text, attributes, listeners and children in one call.
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

export const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)}%`;
export const count = (n) => Number(n).toLocaleString("en");
// Of a promise: as many digits as it has, 98% and 99.5%.
export const targetText = (target) => `${Number((100 * target).toFixed(6))}%`;
