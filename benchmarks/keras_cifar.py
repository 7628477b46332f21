"""The convolutional network of Keras' "cifar10_cnn" example on a folder of CIFAR-10 images: time and accuracy.

    .bench/peers/bin/python benchmarks/keras_cifar.py FOLDER --threads 2

FOLDER has train/, val/ and test/ with class folders of 32x32 images. As the example has it: two pairs of 3x3
convolutions (32, 64) with max-pooling and dropout, 512 hidden units, RMSprop at 1e-4 with its decay of 1e-6, batches of
32, mirrored and shifted by up to 10 %, 100 epochs; its retired calls (ImageDataGenerator, `decay=`) are written with
today's layers and schedule. Runs in an environment with keras and tensorflow.

Prints JSON lines: an epoch each, with the seconds since training began (validation included, opening the images not)
and the validation accuracy; then the best validation accuracy, the epoch and time at which it was first reached, and
the test accuracy of the best epoch's and of the last weights.
"""

import argparse
import json
import os
import time
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("data")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--epochs", type=int, default=100)
parser.add_argument("--limit-train", type=int, default=0, help="train on this many images, drawn at random; 0: all")
arguments = parser.parse_args()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import layers  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
keras.utils.set_random_seed(0)


def opened(split: str, limit: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, 32, 32, 3) float32 0..1 and one-hot labels (N, K) of a split, in an order drawn once."""
    batches = keras.utils.image_dataset_from_directory(
        f"{arguments.data}/{split}", label_mode="categorical", image_size=(32, 32), batch_size=512, shuffle=True,
        seed=0, verbose=False,
    )  # fmt: skip
    images, labels = zip(*batches.as_numpy_iterator(), strict=True)
    chosen = slice(limit or None)
    return np.concatenate(images)[chosen] / np.float32(255), np.concatenate(labels)[chosen]


begin = time.perf_counter()
x_train, y_train = opened("train", arguments.limit_train)
val, test = opened("val"), opened("test")
load_s = time.perf_counter() - begin
moves = keras.Sequential(
    [layers.RandomFlip("horizontal"), layers.RandomTranslation(0.1, 0.1, fill_mode="nearest")], name="moves"
)
train = (
    tf.data.Dataset.from_tensor_slices((x_train, y_train))
    .shuffle(len(x_train))
    .batch(32)
    .map(lambda x, y: (moves(x, training=True), y), num_parallel_calls=tf.data.AUTOTUNE)
    .prefetch(tf.data.AUTOTUNE)
)
model = keras.Sequential(
    [
        layers.Input((32, 32, 3)),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Dropout(0.25),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Dropout(0.25),
        layers.Flatten(),
        layers.Dense(512, activation="relu"),
        layers.Dropout(0.5),
        layers.Dense(y_train.shape[1], activation="softmax"),
    ]
)
rate = keras.optimizers.schedules.InverseTimeDecay(1e-4, decay_steps=1, decay_rate=1e-6)
model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.RMSprop(rate), metrics=["accuracy"])


class Clock(keras.callbacks.Callback):
    """Says after each epoch how long training took so far, and keeps the best epoch's weights."""

    best: dict[str, Any] = {"val": -1.0}
    weights: list[np.ndarray] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Print the epoch's line; validation is done."""
        val_accuracy = (logs or {})["val_accuracy"]
        row = {"epoch": epoch + 1, "time_s": round(time.perf_counter() - start, 2), "val": round(val_accuracy, 4)}
        print(json.dumps(row), flush=True)
        if row["val"] > self.best["val"]:
            self.best, self.weights = row, self.model.get_weights()


clock, start = Clock(), time.perf_counter()
options = {"epochs": arguments.epochs, "validation_data": val, "callbacks": [clock], "verbose": 0}
model.fit(train, shuffle=False, **options)  # the dataset shuffles itself
train_s = time.perf_counter() - start
last = model.evaluate(*test, batch_size=512, verbose=0)[1]
model.set_weights(clock.weights)
best = model.evaluate(*test, batch_size=512, verbose=0)[1]
result = {
    "best_val": clock.best["val"],
    "best_epoch": clock.best["epoch"],
    "reached_s": clock.best["time_s"],
    "test_accuracy": round(best, 4),
    "last_test_accuracy": round(last, 4),
    "train_s": round(train_s, 2),
    "load_s": round(load_s, 2),
    "images": len(x_train),
    "parameters": model.count_params(),
    "versions": {"keras": keras.__version__, "tensorflow": tf.__version__},
}
print(json.dumps(result), flush=True)
