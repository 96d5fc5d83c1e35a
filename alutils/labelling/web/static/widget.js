
// In the notebook: the queue above, talking to the kernel through the widget's messages.

const ANSWER_MS = 10000;
const SLOW = { finish_forecast: 60, finish_plan: 60 }; // times as long: models may be trained first
const AGAIN = "the kernel was started anew or has ended. Run the cell again";

class Unanswered extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

function transportOf(model) {
  const waiting = new Map();
  const settle = (content, buffers) => {
    const request = waiting.get(content?.id);
    if (!request) return; // of another view
    waiting.delete(content.id);
    clearTimeout(request.timer);
    if (content.error) request.reject(new Unanswered(content.error, content.status));
    else request.resolve({ answer: content.answer, buffers });
  };
  model.on("msg:custom", settle);
  const send = (action, request) =>
    new Promise((resolve, reject) => {
      const id = newKey();
      const timer = setTimeout(() => {
        waiting.delete(id);
        reject(new Unanswered("the kernel does not answer: it is busy, or was started anew. If it is idle, run the cell again", 0));
      }, ANSWER_MS * (SLOW[action] ?? 1));
      waiting.set(id, { resolve, reject, timer });
      try {
        model.send({ id, action, request });
      } catch {
        // Its line to the kernel is closed: a new kernel knows nothing of this widget.
        waiting.delete(id);
        clearTimeout(timer);
        reject(new Unanswered(AGAIN, 0));
      }
    });
  return {
    ask: async (action, request) => (await send(action, request)).answer,
    picture: async (item) => {
      const { buffers } = await send("picture", { item: item.id });
      return URL.createObjectURL(new Blob([buffers[0]], { type: "image/png" }));
    },
    close: () => model.off("msg:custom", settle),
  };
}

// What keeps answers across a new kernel; null where the page has nothing of the kind.
function kept() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

export default {
  render({ model, el }) {
    const transport = transportOf(model);
    const room = element("div");
    el.replaceChildren(element("style", { text: STYLE }), room); // wherever it is shown, a shadow too
    const prefix = `labelling:${model.get("project")}:${encodeURIComponent(model.get("person"))}:`;
    const unmount = mountQueue(room, { transport, storage: kept(), prefix });
    return () => {
      unmount();
      transport.close();
    };
  },
};
