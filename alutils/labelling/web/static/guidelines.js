// The project's guidelines beside the queue: what belongs to which class.
import { element } from "./element.js";

export function guidelinesBox({ ask, announce }) {
  let shown = "";
  const text = element("div", { class: "alq-guide-text" });
  const box = element("details", {
    class: "alq-guide", hidden: true, children: [element("summary", { text: "Guidelines" }), text],
  });

  return {
    box,
    // `version` changes with the file; it is fetched again then, "" where there is none.
    async update(version = "") {
      if (version === shown) return;
      shown = version;
      box.hidden = !version;
      if (!version) return text.replaceChildren();
      try {
        // The server makes it of Markdown and lets no HTML of the file through.
        text.innerHTML = (await ask("guidelines")).html;
      } catch (error) {
        shown = "";
        announce(`No guidelines: ${error.message}`);
      }
    },
  };
}
