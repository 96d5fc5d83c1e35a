// Finishing where there is no page for it, as in a notebook: what it costs, begin, stop.
import { count, element, percent, targetText } from "./element.js";

// `changed` is called when an attempt was begun or stopped.
export function finishBox({ ask, changed, announce }) {
  const said = element("div", { role: "status" });
  const stopButton = element("button", { type: "button", text: "Stop this attempt", hidden: true, on: { click: () => stop() } });
  const costButton = element("button", { type: "button", text: "What it costs now", on: { click: () => costs() } });
  const box = element("details", { class: "alq-more", children: [
    element("summary", { text: "Finish with a certificate" }),
    element("p", { text: "The model labels all that is left, and a certificate says how many of all labels are right at least. " +
      "First you answer some pictures more, without its predictions." }),
    element("p", { children: [costButton, stopButton] }), said,
  ] });
  let open = "";

  const problem = (error) => said.replaceChildren(element("p", { class: "alq-bad", text: `${error.message}.` }));

  async function costs() {
    said.replaceChildren(element("p", { text: "Being computed …" }));
    try {
      const { note, targets } = await ask("finish_forecast", {});
      said.replaceChildren(element("p", { text: note }), ...targets.map(offer));
    } catch (error) {
      problem(error);
    }
  }

  function offer({ target, rows: [now] }) {
    const text = `${targetText(target)} right at least: about ${count(now.expected)} answers (${count(now.low)} to ` +
      `${count(now.high)}), accepted with a chance of ${percent(now.chance)} `;
    const button = element("button", { type: "button", text: `Finish at ${targetText(target)}` });
    const line = element("p", { children: [text, button] });
    button.addEventListener("click", () => { // once more: an attempt counts, whatever comes of it
      if (button.dataset.sure) return begin(target);
      button.dataset.sure = "1";
      button.textContent = `Begin at ${targetText(target)}: the model stays as it is meanwhile`;
    });
    return line;
  }

  async function begin(target) {
    try {
      await ask("finish_plan", { target });
      said.replaceChildren();
      announce(`Finishing at ${targetText(target)} has begun.`);
      changed();
    } catch (error) {
      problem(error);
    }
  }

  async function stop() {
    if (!stopButton.dataset.sure) {
      stopButton.dataset.sure = "1";
      stopButton.textContent = "Stop it: the model labels nothing, and the attempt counts";
      return;
    }
    try {
      await ask("finish_stop", {});
      changed();
    } catch (error) {
      problem(error);
    }
  }

  return {
    box,
    // `plan` is the state of the last attempt, null before the first.
    update(plan = null) {
      const now = JSON.stringify(plan);
      if (open === now) return;
      open = now;
      const asking = plan?.phase === "asking";
      costButton.hidden = asking;
      stopButton.hidden = !asking;
      if (!asking) {
        delete stopButton.dataset.sure;
        stopButton.textContent = "Stop this attempt";
      }
      if (plan) said.replaceChildren(...plan.text.map((text) => element("p", { text })));
      if (plan?.phase === "certified") {
        said.append(element("p", { text: "The certificate lies in the project's folder, labelling/certificates; in Python: Finish(widget.store).certificate()." }));
      }
    },
  };
}
