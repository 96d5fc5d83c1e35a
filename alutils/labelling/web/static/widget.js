
// In the notebook: the queue above, talking to the kernel through the widget's messages.

const ANSWER_MS = 10000;

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
        reject(new Unanswered("the kernel is busy or gone", 0));
      }, ANSWER_MS);
      waiting.set(id, { resolve, reject, timer });
      model.send({ id, action, request });
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

export default {
  render({ model, el }) {
    const transport = transportOf(model);
    const unmount = mountQueue(el, { transport });
    return () => {
      unmount();
      transport.close();
    };
  },
};
