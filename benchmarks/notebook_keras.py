"""One training as a plain Keras notebook has it, from import to confusion matrix; `notebooks.py` starts it.

Keras 3 on TensorFlow, in an environment of its own. The input is that of the tutorials:
image_dataset_from_directory, cache, augmentation layers in the dataset's map, prefetch, a ModelCheckpoint that keeps
the best epoch. The recipe (network, augmentation, one cycle of AdamW, epochs) is Striate's.
"""

import argparse
import json
import math
import os
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["KERAS_BACKEND"] = "tensorflow"
parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--variant", choices=["baseline", "augmented", "regularized"], default="baseline")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--size", type=int, default=64)
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--threads", type=int, default=2)
arguments = parser.parse_args()
has_moves, is_regularized = arguments.variant != "baseline", arguments.variant == "regularized"

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import layers  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
keras.utils.set_random_seed(arguments.seed)


def opened(split: str, shuffle: bool = False) -> tf.data.Dataset:
    """Return the batches of a split: images (N, H, W, C) 0..255 and one-hot labels (N, K), which smoothing needs."""
    return keras.utils.image_dataset_from_directory(
        f"{arguments.data}/{split}", label_mode="categorical", image_size=(arguments.size, arguments.size),
        batch_size=arguments.batch, crop_to_aspect_ratio=True, shuffle=shuffle, seed=arguments.seed, verbose=False,
    )  # fmt: skip


moves = keras.Sequential(
    [
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(12 / 360),
        layers.RandomTranslation(0.1, 0.1),
        layers.RandomZoom((1 / 1.25 - 1, 1 / 0.85 - 1)),  # its factor is that of the window, not of the image
        layers.RandomBrightness(0.2, value_range=(0, 1)),
        layers.RandomContrast(0.2, value_range=(0, 1)),
        layers.RandomSaturation((0.8 / 1.8, 1.2 / 2.2), value_range=(0, 1)),  # f / (1 - f) is what it multiplies by
    ]
)
rescale = layers.Rescaling(1 / 255)
train = opened("train", shuffle=True)
num_classes = len(train.class_names)
train = train.map(lambda x, y: (rescale(x), y)).cache().shuffle(1000)
if has_moves:
    train = train.map(lambda x, y: (moves(x, training=True), y), num_parallel_calls=tf.data.AUTOTUNE)
train = train.prefetch(tf.data.AUTOTUNE)
val = opened("val").map(lambda x, y: (rescale(x), y)).cache().prefetch(tf.data.AUTOTUNE)
test = opened("test").map(lambda x, y: (rescale(x), y)).prefetch(tf.data.AUTOTUNE)

blocks = []
for level in range(max(1, math.ceil(math.log2(arguments.size)) - 1)):
    width = 32 * 2 ** min(level, 4)
    pool = layers.MaxPooling2D(padding="same")
    if is_regularized:
        norm = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)  # 0.99 lags behind where epochs have few steps
        blocks += [layers.Conv2D(width, 3, padding="same", use_bias=False), pool, norm, layers.ReLU()]
    else:
        blocks += [layers.Conv2D(width, 3, padding="same", activation="relu"), pool]
blocks += [layers.GlobalAveragePooling2D()]
blocks += [layers.Dropout(0.3)] if is_regularized else []
model = keras.Sequential([layers.Input((arguments.size, arguments.size, 3)), *blocks, layers.Dense(num_classes)])
lr, weight_decay = (0.01, 0.05) if is_regularized else (1e-3, 0.0)
num_steps = arguments.epochs * len(train)
warmup_steps = round(num_steps / 4)
rate = keras.optimizers.schedules.CosineDecay(
    lr / 25, num_steps - warmup_steps, warmup_target=lr, warmup_steps=warmup_steps
)
optimizer = keras.optimizers.AdamW(rate, weight_decay=weight_decay)
loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1 if is_regularized else 0.0)
model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])

with TemporaryDirectory() as folder:
    path = Path(folder) / "best.weights.h5"
    keep = keras.callbacks.ModelCheckpoint(
        path, "val_accuracy", mode="max", save_best_only=True, save_weights_only=True
    )
    options = {"validation_data": val, "epochs": arguments.epochs, "callbacks": [keep], "verbose": 0}
    history = model.fit(train, shuffle=False, **options).history  # the dataset shuffles itself
    model.load_weights(path)
truth = tf.concat([labels for _, labels in test], 0).numpy().argmax(1)
predicted = model.predict(test, verbose=0).argmax(1)
counts = tf.math.confusion_matrix(truth, predicted, num_classes)
scores = {"val_accuracy": max(history["val_accuracy"]), "test_accuracy": float((truth == predicted).mean())}
num_parameters = sum(math.prod(variable.shape) for variable in model.trainable_variables)
versions = {"keras": keras.__version__, "tensorflow": tf.__version__}
print(json.dumps({**versions, "parameters": num_parameters, **scores, "confusion": counts.numpy().tolist()}))
