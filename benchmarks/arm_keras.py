"""Keras 3 on TensorFlow as its image classification guide has it, in an environment of its own (--peer-python)."""

import argparse
import os
import time

os.environ["KERAS_BACKEND"] = "tensorflow"
parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--size", type=int, default=64)
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--threads", type=int, default=2)
arguments = parser.parse_args()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from arms import serve  # noqa: E402
from keras import layers  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
keras.utils.set_random_seed(0)
options = {"image_size": (arguments.size, arguments.size), "batch_size": arguments.batch, "verbose": False}
train = keras.utils.image_dataset_from_directory(f"{arguments.data}/train", crop_to_aspect_ratio=True, **options)
val = keras.utils.image_dataset_from_directory(f"{arguments.data}/val", crop_to_aspect_ratio=True, **options)
num_classes, num_images = len(train.class_names), len(train.file_paths)
moves = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.05), layers.RandomZoom(0.2)])
train = (
    train.cache()
    .shuffle(1000)
    .map(lambda x, y: (moves(x, training=True), y), num_parallel_calls=tf.data.AUTOTUNE)
    .prefetch(tf.data.AUTOTUNE)
)
val = val.cache().prefetch(tf.data.AUTOTUNE)

blocks = []
for width in (32, 64, 128, 256):
    blocks += [layers.Conv2D(width, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
top = [layers.GlobalAveragePooling2D(), layers.Dense(num_classes)]
model = keras.Sequential([layers.Input((arguments.size, arguments.size, 3)), layers.Rescaling(1 / 255), *blocks, *top])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])


def epoch(word: str) -> dict[str, float]:
    """Train one epoch, or validate."""
    begin = time.perf_counter()
    if word == "validate":
        return {"accuracy": model.evaluate(val, verbose=0)[1], "time_s": time.perf_counter() - begin}
    found = model.fit(train, epochs=1, verbose=0)
    return {"time_s": time.perf_counter() - begin, "images": num_images, "loss": found.history["loss"][0]}


serve({"keras": keras.__version__, "tensorflow": tf.__version__}, epoch)
