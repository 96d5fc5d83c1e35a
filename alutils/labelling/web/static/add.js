// Sends pictures one by one, so that each is told about at once and a bad one stops none.
import { send } from "./http.js";

const form = document.getElementById("add");
const input = document.getElementById("files");
const bar = document.getElementById("bar");
const told = document.getElementById("told");
const results = document.getElementById("results");
const RETRIES = 3;
const BUSY_RETRIES = 20; // where the tool says that others' pictures are being read
let waiting = [];
let sending = false;

function tell(text, isBad) {
  const line = document.createElement("li");
  line.textContent = text;
  line.classList.toggle("bad", isBad);
  results.append(line);
}

async function sendOne(file) {
  const body = new FormData();
  body.append("files", file, file.name);
  for (let attempt = 1; ; attempt++) {
    try {
      return (await send("api/pictures", body)).pictures[0];
    } catch (error) {
      const passing = error.status === 0 || error.status >= 500;
      if (!passing || attempt === (error.status === 503 ? BUSY_RETRIES : RETRIES)) return { name: file.name, error: `${file.name}: ${error.message}` };
      await new Promise((resolve) => setTimeout(resolve, Math.min(1000 * attempt, 5000)));
    }
  }
}

async function sendAll(files) {
  waiting.push(...files);
  if (sending) return;
  sending = true;
  document.getElementById("upload").hidden = false;
  const counts = { added: 0, known: 0, bad: 0 };
  let done = 0;
  while (waiting.length) {
    const one = await sendOne(waiting.shift());
    done += 1;
    if (one.error) {
      counts.bad += 1;
      tell(one.error, true);
    } else {
      counts[one.known ? "known" : "added"] += 1;
      if (one.notes.length) tell(`${one.name}: ${one.notes.join(", ")}`, false);
    }
    bar.max = done + waiting.length;
    bar.value = done;
    told.textContent = `${counts.added} added, ${counts.known} were here already, ${counts.bad} not taken`;
  }
  sending = false;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  sendAll([...input.files]);
  form.reset();
});
for (const name of ["dragover", "dragenter"]) {
  form.addEventListener(name, (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
}
form.addEventListener("dragleave", () => form.classList.remove("over"));
form.addEventListener("drop", (event) => {
  event.preventDefault();
  form.classList.remove("over");
  sendAll([...event.dataTransfer.files]);
});
