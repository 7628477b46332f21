"""What is said and refused before training: batches that do not come out even, and a head for other classes."""

import numpy as np
import pytest

from striate.base.errors import SettingsError
from striate.base.progress import Progress
from striate.data.sources.arrays import from_arrays
from striate.run.execute import train
from striate.run.recipe import Recipe, named


class Heard(Progress):
    """Keeps the lines instead of showing them."""

    def __init__(self):
        super().__init__("quiet")
        self.lines = []

    def line(self, text):
        self.lines.append(text)


def dataset_of(counts, num_classes=2):
    rng = np.random.default_rng(0)
    splits = [name for name, count in counts.items() for _ in range(count)]
    labels = np.arange(len(splits)) % num_classes
    images = rng.integers(0, 256, (len(splits), 16, 16, 3), dtype=np.uint8)
    parts = {name: np.flatnonzero(np.array(splits) == name) for name in counts}
    return from_arrays(images, labels).with_splits(parts)


def small(recipe: Recipe, *changes) -> Recipe:
    return recipe.changed(["train.epochs=1", "train.precision=float32", "model.width=4", "model.depth=1", *changes])


@pytest.mark.parametrize(
    ("num", "batch_size", "says"),
    [(9, 4, "the last batch takes 5"), (3, 8, "fewer than the batch of 8"), (8, 4, ""), (4, 4, ""), (5, 1, "")],
)
def test_odd_batches_are_told_of(num, batch_size, says, recipe, tmp_path):
    heard, settings = Heard(), small(recipe, f"train.batch_size={batch_size}")
    train(dataset_of({"train": num, "val": 4}), "bipyramid", settings, out=tmp_path / "run", progress=heard)
    told = [line for line in heard.lines if "training images" in line]
    assert len(told) == bool(says) and all(says in line for line in told)


def test_one_image_in_a_batch_is_refused_where_batch_norm_cannot_learn_from_it(tmp_path, quiet):
    data, out = dataset_of({"train": 4, "val": 4}), tmp_path / "run"
    changes = ["train.epochs=1", "train.precision=float32", "model.width=8", "train.batch_size=1"]
    settings = named("baseline").changed(changes)
    with pytest.raises(SettingsError, match="batch norm cannot learn") as caught:
        train(data, "resnet18", settings, out=out, progress=quiet)
    assert "train.batch_size" in str(caught.value) and not out.exists()
    train(data, "resnet18", settings.changed(["train.freeze_norm=true"]), out=out, progress=quiet)


def test_a_head_for_other_classes_is_new_and_noted(recipe, tmp_path):
    first = train(
        dataset_of({"train": 8, "val": 4}), "bipyramid", small(recipe), out=tmp_path / "two", progress=Heard()
    )
    assert first.info()["start"] is None
    heard, said = Heard(), "the head had 2 outputs, the new one has 3"
    settings = small(recipe, f"transfer.weights={first.path}")
    second = train(dataset_of({"train": 9, "val": 6}, 3), "bipyramid", settings, out=tmp_path / "three", progress=heard)
    assert any(said in line for line in heard.lines) and said in second.info()["start"]["text"]
