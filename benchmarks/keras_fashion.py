"""The convolutional network of Keras' "simple MNIST convnet" example on Fashion-MNIST: time and test accuracy.

    .bench/peers/bin/python benchmarks/keras_fashion.py FOLDER_OF_IDX_FILES --threads 2

Runs in an environment with keras and tensorflow; the images come from the same IDX files that Striate reads.
"""

import argparse
import gzip
import json
import os
import time
from pathlib import Path

import numpy as np

os.environ["KERAS_BACKEND"] = "tensorflow"
parser = argparse.ArgumentParser()
parser.add_argument("data", type=Path)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--epochs", type=int, default=15)
arguments = parser.parse_args()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import layers  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
keras.utils.set_random_seed(0)


def read(name: str, offset: int) -> np.ndarray:
    """Return the bytes behind the header of a gzipped IDX file."""
    return np.frombuffer(gzip.decompress((arguments.data / f"{name}.gz").read_bytes()), np.uint8, offset=offset)


x_train, x_test = (
    read(f"{part}-images-idx3-ubyte", 16).reshape(-1, 28, 28, 1) / np.float32(255) for part in ("train", "t10k")
)
y_train, y_test = (keras.utils.to_categorical(read(f"{part}-labels-idx1-ubyte", 8), 10) for part in ("train", "t10k"))
convolutions = [
    layers.Conv2D(32, 3, activation="relu"),
    layers.MaxPooling2D(),
    layers.Conv2D(64, 3, activation="relu"),
    layers.MaxPooling2D(),
]
model = keras.Sequential(
    [
        layers.Input((28, 28, 1)),
        *convolutions,
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
start, reached = time.perf_counter(), []
for epoch in range(arguments.epochs):
    found = model.fit(x_train, y_train, batch_size=128, epochs=1, validation_split=0.1, verbose=0)
    reached.append(
        {
            "epoch": epoch + 1,
            "time_s": round(time.perf_counter() - start, 1),
            "val": round(found.history["val_accuracy"][0], 4),
        }
    )
result = {"epochs": reached, "train_s": round(time.perf_counter() - start, 1)}
print(json.dumps(result | {"test_accuracy": round(model.evaluate(x_test, y_test, verbose=0)[1], 4)}))
