// The queue on its page.
import { ask, picture } from "./http.js";
import { mountQueue } from "./queue.js";

const root = document.getElementById("queue");
const { project, person, add } = root.dataset;

mountQueue(root, {
  transport: { ask, picture: async (item) => picture(item) },
  storage: window.localStorage,
  prefix: `labelling:${project}:${person}:`,
  keysFrom: document,
  addPage: add,
});
