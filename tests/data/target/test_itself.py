"""Images that are their own targets: any folder will do, and what a network gets is a task's to make."""

import numpy as np
import pytest
import torch
from PIL import Image

from striate.data.augment import Pipeline
from striate.data.augment.pipeline import Brightness, Flip
from striate.data.evaluation import open_to_evaluate
from striate.data.geometry import Geometry
from striate.data.loader import Loader
from striate.data.open import open_dataset
from striate.data.sample import Batch
from striate.data.store import open_store


def folder(root, names):
    rng = np.random.default_rng(0)
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(root / name)
    return root


@pytest.mark.parametrize(
    "names",
    [
        [f"{index}.png" for index in range(9)],
        [f"only/{index}.png" for index in range(9)],
        [f"{'cat' if index % 2 else 'dog'}/deep/{index}.png" for index in range(9)],
    ],
)
def test_any_folder_will_do(tmp_path, names):
    dataset = open_dataset(folder(tmp_path, names), task="denoise", split=(5, 2, 2))
    assert {name: len(found) for name, found in dataset.splits.items()} == {"train": 5, "val": 2, "test": 2}
    assert list(dataset.targets) == ["image"] and sorted(dataset.ids) == sorted(names)


def test_splits_of_folders_hold(tmp_path):
    names = [f"{split}/{index}.png" for split in ("train", "val", "test") for index in range(3)]
    dataset = open_dataset(folder(tmp_path, names), task="inpaint")
    assert {name: [dataset.ids[index] for index in found] for name, found in dataset.splits.items()} == {
        split: [name for name in names if name.startswith(split)] for split in ("train", "val", "test")
    }
    other = open_to_evaluate(str(tmp_path / "test"), "image", "itself", (), {"task": "inpaint"})
    assert len(other) == 3 and other.target().kind == "itself"


def test_labels_of_other_sources_stay(tmp_path):
    dataset = open_dataset("toy:shapes?n=30", task="colourise")
    assert next(iter(dataset.targets)) == "image" and "label" in dataset.targets


def test_a_network_gets_what_is_made_of_a_batch(tmp_path):
    dataset = open_dataset(folder(tmp_path, [f"{index}.png" for index in range(12)]), task="denoise")
    store = open_store(dataset, Geometry((16, 16)))
    keys = []

    def see(batch: Batch, own: np.ndarray) -> Batch:
        keys.append(dict(zip(batch.index.tolist(), own.tolist(), strict=True)))
        assert torch.equal(batch.images, batch.targets["image"])
        return Batch(-batch.images, batch.targets, batch.index)

    options = {"mean": [0.5] * 3, "std": [0.25] * 3, "see": see}
    pipeline = Pipeline((Flip(), Brightness(amount=0.3)))
    for batch_size, is_shuffled in ((3, False), (5, False), (3, True), (5, True)):
        loader = Loader(
            store, dataset, "train", shuffle=is_shuffled, batch_size=batch_size, pipeline=pipeline, **options
        )
        for epoch in (0, 0, 1):
            for batch in loader.batches(epoch):
                assert torch.equal(batch.images, -batch.targets["image"])
            keys.append({})
    ends = [place for place, known in enumerate(keys) if not known]
    epochs = [
        {index: key for known in keys[start:end] for index, key in known.items()}
        for start, end in zip([0, *ends], ends, strict=False)
    ]
    first, again, second = epochs[:3]
    assert first == again == epochs[3] and first != second  # neither order nor batch size matter, the epoch does
    assert epochs[6] == epochs[7] == epochs[9] != epochs[8] and len(set(first.values())) == len(first)
    assert epochs[6].keys() == first.keys() and epochs[6] != first
