"""The article's own procedure, line by line, on ``tf.compat.v1``.

The independent oracle for the exact engine (``test_procedure.py``) and the baseline of
``make bench``. Its state, its feeding of whole arrays at every step and its test accuracy in every
step are the article's; only what a run needs from outside is a parameter here: the arrays, the
batch and the budget. Sorting is stable, so that ties do not fall as the processor has it. It shares
no code with ``alutils``.

Source: A. Bosyi, "Active Learning on MNIST – Saving on Labeling" (the article, see README).
"""

from __future__ import annotations

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow.compat.v1 as tf


def run(x_full, y_full, x_test, y_test, batch=10, budget=400):
    """Return ``{arm: (count right of the test images, seconds)}`` for six arms, and the steps."""
    if budget % batch:
        raise ValueError(f"budget={budget}: the article labels whole batches of {batch}.")
    n_test = len(x_test)
    x_full, x_test = x_full / 255, x_test / 255
    graph = tf.Graph()
    with graph.as_default(), tf.Session(graph=graph) as sess:
        x = tf.placeholder(tf.float32, [None, 28, 28])
        x_flat = tf.reshape(x, [-1, 28 * 28])
        y_ = tf.placeholder(tf.int32, [None])
        W = tf.Variable(tf.zeros([28 * 28, 10]), dtype=tf.float32, use_resource=False)
        b = tf.Variable(tf.zeros([10]), dtype=tf.float32, use_resource=False)
        y = tf.matmul(x_flat, W) + b
        y_sm = tf.nn.softmax(y)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y_, logits=y))
        train = tf.train.AdamOptimizer(0.1).minimize(loss)
        accuracy = tf.reduce_mean(
            tf.cast(tf.equal(y_, tf.cast(tf.argmax(y, 1), tf.int32)), tf.float32)
        )
        state = {}
        results = {}
        steps = [0]
        # the article's `W.assign(...)` in every fit adds ops to the graph; placeholders do the same
        w_new = tf.placeholder(tf.float32, [28 * 28, 10])
        b_new = tf.placeholder(tf.float32, [10])
        assign = [W.assign(w_new), b.assign(b_new)]
        init = tf.global_variables_initializer()

        def reset():
            state["x_labeled"] = x_full[:0]
            state["y_labeled"] = y_full[:0]
            state["x_unlabeled"] = x_full
            state["y_unlabeled"] = y_full
            sess.run(init)

        def fit():
            trial_count = 10
            acc = sess.run(accuracy, feed_dict={x: x_test, y_: y_test})
            weights = sess.run([W, b])
            while trial_count > 0:
                sess.run(train, feed_dict={x: state["x_labeled"], y_: state["y_labeled"]})
                steps[0] += 1
                acc_new = sess.run(accuracy, feed_dict={x: x_test, y_: y_test})
                if acc_new <= acc:
                    trial_count -= 1
                else:
                    trial_count = 10
                    weights = sess.run([W, b])
                    acc = acc_new
            sess.run(assign, feed_dict={w_new: weights[0], b_new: weights[1]})
            acc = sess.run(accuracy, feed_dict={x: x_test, y_: y_test})
            return round(float(acc) * n_test)

        def label_manually(n):
            s = state
            s["x_labeled"] = np.concatenate([s["x_labeled"], s["x_unlabeled"][:n]])
            s["y_labeled"] = np.concatenate([s["y_labeled"], s["y_unlabeled"][:n]])
            s["x_unlabeled"] = s["x_unlabeled"][n:]
            s["y_unlabeled"] = s["y_unlabeled"][n:]

        def sort_by_confidence(y_key):
            s = state
            res = sess.run(y_sm, feed_dict={x: s["x_unlabeled"]})
            labels = res.argmax(axis=1)
            pidx = np.argsort(np.amax(res, axis=1), kind="stable")
            s["x_unlabeled"] = s["x_unlabeled"][pidx]
            s[y_key] = (s["y_unlabeled"] if y_key == "y_unlabeled" else labels)[pidx]

        def timed(arm, work):
            start = time.perf_counter()
            n_right = work()
            results[arm] = (n_right, time.perf_counter() - start)

        def all_labels():
            reset()
            label_manually(len(x_full))
            return fit()

        def random_labels():
            reset()
            label_manually(budget)
            return fit()

        def first():
            reset()
            label_manually(batch)
            n_right = fit()
            sort_by_confidence("y_unlabeled")
            return n_right

        def active():
            for _ in range(budget // batch - 1):
                label_manually(batch)
                n_right = fit()
                sort_by_confidence("y_unlabeled")
            return n_right

        def auto_at_once():
            s = state
            res = sess.run(y_sm, feed_dict={x: s["x_unlabeled"]})
            s["x_labeled"] = np.concatenate([s["x_labeled"], s["x_unlabeled"]])
            s["y_labeled"] = np.concatenate([s["y_labeled"], res.argmax(axis=1)])
            return fit()

        def auto_confident_first():
            s = state
            while len(s["x_unlabeled"]):
                sort_by_confidence("y_autolabeled")
                s["x_labeled"] = np.concatenate([s["x_labeled"], s["x_unlabeled"][-batch:]])
                s["y_labeled"] = np.concatenate([s["y_labeled"], s["y_autolabeled"][-batch:]])
                s["x_unlabeled"] = s["x_unlabeled"][:-batch]
                n_right = fit()
            return n_right

        timed("all", all_labels)
        timed("random", random_labels)
        timed("first", first)
        timed("active", active)
        # Both auto-label arms start from the state after the active labels: keep it, slots too.
        after_active = dict(state), sess.run(tf.global_variables())
        timed("auto_at_once", auto_at_once)
        state.clear()
        state.update(after_active[0])
        for variable, value in zip(tf.global_variables(), after_active[1], strict=True):
            variable.load(value, sess)
        timed("auto_confident_first", auto_confident_first)
    return results, steps[0]
