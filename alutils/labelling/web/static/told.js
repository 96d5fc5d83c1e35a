// The two lines of a page that say what happened: `told` what was done, `problem` what was not.

const at = (id) => document.getElementById(id);

export function tell(text) {
  at("told").textContent = text;
  at("problem").hidden = true;
}

export function complain(error) {
  at("problem").textContent = error.message;
  at("problem").hidden = false;
}
