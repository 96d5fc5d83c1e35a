// Which class a key gives: by what it types, and where that is no class's key, by where it lies on
// the keyboard. So Latin keys work under a Russian layout, and digits in a French row of digits.

const one = (text) => [...text].length === 1;
const same = (a, b) => a.toLowerCase() === b.toLowerCase();

// What the key types in the layout that keys are called after; "" where it is no letter or digit.
function placed({ key, code = "", shiftKey }) {
  if (!one(key) || /^[0-9a-z]$/i.test(key)) return ""; // it types what it means
  if (/^Key[A-Z]$/.test(code)) return shiftKey ? code[3] : code[3].toLowerCase();
  return /^Digit[0-9]$/.test(code) && !shiftKey ? code[5] : "";
}

function typed(classes, text) {
  return classes.find(({ key }) => key === text) // Shift tells a from A where both are keys
    || classes.find(({ key }) => key && same(key, text))
    || classes.find(({ also }) => also && same(also, text));
}

export function classOf(classes, event) {
  const place = placed(event);
  return typed(classes, event.key) || (place ? typed(classes, place) : undefined);
}

// Whether a row of digits types signs here: its "-" gives class 6 and rejects nothing.
export const isDigitOfClass = (classes, event) =>
  /^Digit/.test(event.code || "") && !/^[0-9]$/.test(event.key) && Boolean(classOf(classes, event));

// The keys to show beside a class.
export const keysOf = ({ key, also }) => [key, also].filter(Boolean);
