"""The report's own procedure, line by line, in Keras.

The baseline of ``make bench``: every epoch goes through the frozen convolutions, every round starts
from a new network, and the loop appends and deletes whole arrays while it goes through them. Only
what a run needs from outside is a parameter here: the letters, the weights (the report's
``weights='imagenet'`` downloads the same ones), and how many rounds there are, whatever the share
of unsure predictions. It shares no code with ``alutils``.

Source: P. Kumar, "Automated data labeling system with active learning" (the report, see README).
"""

from __future__ import annotations

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from keras import Model
from keras.applications import vgg16
from keras.layers import Dense, Flatten
from keras.utils import array_to_img, img_to_array, to_categorical

STAGES = ("prepare", "build", "fit", "predict", "loop")


def prepare(images):
    """Return (n, 28, 28) grey letters as the report makes them: (n, 32, 32, 3) float32."""
    x = np.dstack([images.reshape(len(images), -1)] * 3)
    x = x.reshape(-1, 28, 28, 3)
    return np.asarray([img_to_array(array_to_img(im, scale=False).resize((32, 32))) for im in x])


def run(images, labels, pool_images, pool_labels, weights, rounds=3, n_classes=26, verbose=0):
    """Run some rounds of the report's ``build_model``.

    Parameters
    ----------
    images, labels : (n, 28, 28) uint8 and (n,) int: labelled at the start
    pool_images, pool_labels : the same of the letters that wait
    weights : VGG16's 26 arrays, in Keras' order
    rounds : how many networks are trained

    Returns
    -------
    list of a dict a round: n_train, accuracy (in the pool), share (as counted), and the seconds of
    each of `STAGES` (``prepare`` is done once, in the first round)
    """
    clock = time.perf_counter
    began = clock()
    train_X, test_X = prepare(images), prepare(pool_images)
    train_Y_one_hot = to_categorical(labels, n_classes)
    test_Y_one_hot = to_categorical(pool_labels, n_classes)
    prepared, results = clock() - began, []
    for number in range(rounds):
        seconds = dict.fromkeys(STAGES, 0.0)
        seconds["prepare"] = 0.0 if number else prepared
        began = clock()
        vgg16_model = vgg16.VGG16(
            pooling="avg", weights=None, include_top=False, input_shape=(32, 32, 3)
        )
        vgg16_model.set_weights(list(weights))
        for layers in vgg16_model.layers:
            layers.trainable = False
        last_output = vgg16_model.layers[-1].output
        vgg_x = Flatten()(last_output)
        vgg_x = Dense(128, activation="relu")(vgg_x)
        vgg_x = Dense(n_classes, activation="softmax")(vgg_x)
        vgg16_final_model = Model(vgg16_model.input, vgg_x)
        vgg16_final_model.compile(
            loss="categorical_crossentropy", optimizer="adam", metrics=["acc"]
        )
        seconds["build"] = clock() - began

        began = clock()
        vgg16_final_model.fit(train_X, train_Y_one_hot, epochs=10, shuffle=True, verbose=verbose)
        seconds["fit"] = clock() - began

        began = clock()
        predicted_prob = vgg16_final_model.predict(test_X, verbose=verbose)
        seconds["predict"] = clock() - began
        right = predicted_prob.argmax(axis=1) == test_Y_one_hot.argmax(axis=1)
        n_train = len(train_X)

        began, count = clock(), 0
        for i, j in enumerate(predicted_prob):
            if np.max(j) < 0.6:
                try:
                    train_X = np.append(train_X, np.array([test_X[i]]), axis=0)
                    train_Y_one_hot = np.append(
                        train_Y_one_hot, np.array([test_Y_one_hot[i]]), axis=0
                    )
                    test_X = np.delete(test_X, i, axis=0)
                    test_Y_one_hot = np.delete(test_Y_one_hot, i, axis=0)
                    count += 1
                except IndexError:  # the report's bare `except: pass` can meet nothing else here
                    continue
        seconds["loop"] = clock() - began
        results.append(
            {
                "n_train": n_train,
                "accuracy": float(right.mean()),
                "share": count / len(predicted_prob),
                **seconds,
            }
        )
    return results
