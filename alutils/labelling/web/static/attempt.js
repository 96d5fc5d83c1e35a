// An attempt to finish, above the picture: how far it is, and how it ended.
import { count, element, targetText } from "./element.js";

// `finishPage` is the address of the page that says more; null where there is none.
export function attemptBanner(finishPage) {
  const box = element("section", { class: "alq-finish", "aria-label": "Finishing", hidden: true });
  let shown = "";
  let followed = null; // the attempt that was open while this page was
  const link = (text) => (finishPage ? [element("a", { href: finishPage, text })] : []);

  function asking(plan) {
    const most = plan.asked + plan.may_still_take_most;
    const still = plan.may_still_take_most
      ? `${count(plan.may_still_take_low)} to ${count(plan.may_still_take_most)} more to be accepted`
      : "it is being decided";
    return [
      element("p", { children: [
        element("strong", { text: `Finishing: attempt ${plan.attempt}, ${targetText(plan.target)}` }),
        ` – ${count(plan.asked)} answered, ${still} `, ...link("Look or stop")] }),
      element("progress", { class: "alq-bar", max: String(Math.max(most, 1)), value: String(plan.asked),
        "aria-label": "Answered, of the most that it may take" }),
    ];
  }

  function ended(plan) {
    const target = targetText(plan.target);
    const said = {
      certified: `Finished: at least ${target} of all labels are right.`,
      refused: `Not accepted at ${target}; the answers stay as labels.`,
      stopped: `The attempt at ${target} was stopped; the answers stay as labels.`,
    }[plan.phase];
    const where = link(plan.phase === "certified" ? "To the certificate" : "What it means");
    return [element("p", { children: [element("strong", { text: `${said} ` }), ...where] })];
  }

  return {
    box,
    update(plan = null) {
      const now = JSON.stringify(plan);
      if (shown === now) return;
      shown = now;
      if (plan?.phase === "asking") followed = plan.number;
      // How an older attempt ended is no news; a certificate stays worth a look.
      box.hidden = !plan || (plan.phase !== "certified" && plan.number !== followed);
      if (!box.hidden) box.replaceChildren(...(plan.phase === "asking" ? asking(plan) : ended(plan)));
    },
  };
}
