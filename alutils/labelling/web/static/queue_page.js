// The queue on its page.
import { ask, picture } from "./http.js";
import { mountQueue } from "./queue.js";

const root = document.getElementById("queue");
const { project, person, add, finish, exports } = root.dataset;

mountQueue(root, {
  transport: { ask, picture: async (item) => picture(item) },
  storage: window.localStorage,
  // by the project's id: the browser's storage is one for all projects at this address
  prefix: `labelling:${project}:${encodeURIComponent(person)}:`,
  keysFrom: document,
  addPage: add,
  finishPage: finish,
  exportPage: exports,
});
