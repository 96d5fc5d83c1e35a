// How models see the pictures: what a person has to decide before they label anything, and what was
// decided. `ask` is the transport's; `changed` is called once a decision is written.
import { element } from "./element.js";

export function readingNotice({ ask, changed }) {
  const box = element("section", { class: "alq-reading", "aria-label": "How the model reads the pictures", hidden: true });
  let shown = "";

  async function decide(kind, choice) {
    try {
      await ask("reading_decide", { kind, choice });
      changed();
    } catch (error) {
      box.prepend(element("p", { class: "alq-bad", role: "alert", text: `Not decided: ${error.message}.` }));
    }
  }

  const button = (text, kind, choice) =>
    element("button", { type: "button", text, on: { click: (event) => event.detail < 2 && decide(kind, choice) } });

  const question = ({ kind, text, ways }) => [
    element("p", { children: [element("strong", { text })] }),
    element("div", { class: "alq-ways", role: "group", "aria-label": text,
      children: ways.map((way) => button(way.text, kind, way.choice)) }),
  ];

  const decided = ({ kind, text, person }) =>
    element("p", { class: "alq-note", children: [`${text} (${person}) `, button("Ask again", kind, null)] });

  return {
    box,
    // `reading` is a part of the status; null where there is no model.
    update(reading = null) {
      const now = JSON.stringify(reading);
      if (shown === now) return;
      shown = now;
      const { questions = [], holds = false, set_aside: aside = 0, decided: done = [] } = reading || {};
      box.hidden = !questions.length && !done.length;
      box.classList.toggle("alq-asks", questions.length > 0);
      box.setAttribute("role", questions.length ? "alert" : "note"); // is read aloud when it comes
      const until = holds
        ? "Until you decide, the model labels nothing and offers no prediction. You can label meanwhile."
        : `Until you decide, the model says nothing of ${aside === 1 ? "this picture" : "these pictures"}.`;
      box.replaceChildren(...questions.flatMap(question),
        ...(questions.length ? [element("p", { text: until })] : []), ...done.map(decided));
    },
  };
}
