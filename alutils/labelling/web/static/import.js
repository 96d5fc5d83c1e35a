// Labels from a file: checked first, told what would be written, then written.
import { ask, send } from "./http.js";
import { element } from "./element.js";

const form = document.getElementById("import");
const file = document.getElementById("labels");
const report = document.getElementById("import-report");
const write = document.getElementById("import-write");

function show(lines, isBad = false) {
  report.replaceChildren(...lines.map((text) =>
    element("li", { text: text.trim(), class: isBad || text.startsWith("  ") ? "bad" : "" })));
}

async function post(written) {
  const body = new FormData(form);
  body.append("write", written ? "1" : "");
  write.disabled = true;
  show(["Reading …"]);
  try {
    const answer = await send("api/import", body);
    show(written ? [`Written: ${answer.lines[0]}`, ...answer.lines.slice(1)] : answer.lines);
    const possible = !written && answer.writes > 0 && (!answer.problems || form.elements.leave_out.checked);
    write.disabled = !possible;
    write.textContent = possible ? `Write ${answer.writes.toLocaleString("en")}` : "Write";
    if (possible) write.focus();
  } catch (error) {
    show([error.message], true);
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  post(false);
});
write.addEventListener("click", () => post(true));
document.getElementById("import-undo").addEventListener("click", async () => {
  try {
    show([(await ask("import_undo")).text]);
  } catch (error) {
    show([error.message], true);
  }
});
form.addEventListener("change", () => {
  // what was checked is not what would be written now
  write.disabled = true;
  write.textContent = "Write";
  if (file.files.length) post(false);
});
