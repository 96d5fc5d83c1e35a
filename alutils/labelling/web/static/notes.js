// Notes on a picture, for whoever sees it next; they go out with the labels.
import { element } from "./element.js";

// `ask(action, request)` as for the queue; `leave()` goes back to the picture.
export function noteField({ ask, leave, announce }) {
  let item = null;
  const list = element("ul", { class: "alq-notes-there", "aria-label": "Notes on this picture" });
  const input = element("input", {
    id: "alq-note", maxlength: "1000", autocomplete: "off", placeholder: "Cut off? Two of them? Say so.",
  });
  const form = element("form", {
    on: { submit: (event) => { event.preventDefault(); keep(); } },
    children: [element("label", { for: "alq-note", text: "Note" }), input, element("button", { text: "Keep note" })],
  });
  const summary = element("summary", { text: "Note" });
  const box = element("details", { class: "alq-notes", children: [summary, list, form] });
  box.addEventListener("toggle", () => { if (box.open) input.focus(); });

  function show(now) {
    if (now?.id !== item?.id) input.value = "";
    item = now;
    const notes = item?.notes || [];
    box.hidden = !item;
    summary.textContent = notes.length ? `Notes (${notes.length})` : "Note";
    list.replaceChildren(...notes.map(({ person, text }) => element("li", { children: [element("strong", { text: `${person}: ` }), element("span", { text })] })));
    box.classList.toggle("alq-has-notes", notes.length > 0);
  }

  async function keep() {
    const [of, text] = [item, input.value.trim()];
    if (!of || !text) return;
    try {
      of.notes = (await ask("note", { item: of.id, text })).notes;
      if (item?.id === of.id) {
        input.value = "";
        show(of);
      }
      announce(`Noted for ${of.name}.`);
      leave();
    } catch (error) {
      announce(`Not noted: ${error.message}`);
    }
  }

  const onKey = ({ key }) => key === "Escape" && (leave(), true);

  return { box, show, input, onKey };
}
