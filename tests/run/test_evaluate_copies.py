"""Other data that hold copies of the run's training images; and a few images, which are read as the run's kind."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from striate.base.errors import DataError
from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.data import open_dataset
from striate.data.evaluation import open_to_evaluate
from striate.run.evaluate import evaluate_run
from striate.run.execute import train
from striate.run.recipe import named

QUIET = Progress("quiet")
NAMES = ("ant", "bee")
RNG = np.random.default_rng(0)


def put(folder: Path, count: int, suffix: str = "png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(RNG.integers(0, 255, (17, 17, 3), dtype=np.uint8)).save(folder / f"{number}.{suffix}")
    return folder


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copies")
    for name in NAMES:
        put(root / "birds" / name, 12)
    recipe = named("baseline").changed(["train.epochs=1", "model.width=4", "train.precision=float32", "data.size=16"])
    train(open_dataset(root / "birds"), "bipyramid", recipe, out=root / "run", progress=QUIET)
    return root


def said(run: Path, where: Path, capsys: Any) -> tuple[str, list[str]]:
    """Return what was written to stderr and the notes that the scores are kept with."""
    found = evaluate_run(run, str(where), progress=QUIET)
    document = json.loads((Path(found["predictions"]).parent / "scores.json").read_text())
    assert document["data"]["notes"] == found["data"]["notes"]
    return capsys.readouterr().err, document["data"]["notes"]


def test_copies_of_training_images_are_counted_in_one_warning(kept, tmp_path, capsys):
    splits = RunDir(kept / "run").splits()
    other = tmp_path / "other"
    for name in NAMES:
        put(other / name, 3)
    assert not any("copies" in note for note in said(kept / "run", other, capsys)[1])
    for split, count in (("train", 3), ("val", 1), ("test", 1)):
        for name in splits[split][:count]:
            shutil.copy(kept / "birds" / name, other / name[:3] / f"{split}-{name[4:]}")
    err, notes = said(kept / "run", other, capsys)
    (note,) = [note for note in notes if "copies" in note]
    assert note.startswith("3 of 11 images are exact copies of training images of the run: ")
    assert err.count("warning: ") == 1 and note in err
    Image.open(kept / "birds" / splits["train"][3]).save(other / "ant" / "again.bmp")  # the same pixels, other bytes
    assert "4 of 12 images" in said(kept / "run", other, capsys)[0]


def test_copies_in_arrays_and_only_those_that_are_scored(kept, tmp_path, capsys):
    names = RunDir(kept / "run").splits()["train"]
    images = np.stack([np.asarray(Image.open(kept / "birds" / name)) for name in names])
    fresh = RNG.integers(0, 255, (4, 17, 17, 3), dtype=np.uint8)
    labels = np.array([NAMES.index(name[:3]) for name in names])
    arrays = {"x_test": np.concatenate([images[:2], fresh]), "y_test": np.array([*labels[:2], 0, 1, 0, 1])}
    path = tmp_path / "set.npz"
    np.savez(path, **arrays, classes=np.array(NAMES))
    assert "2 of 6 images are exact copies" in said(kept / "run", path, capsys)[0]
    np.savez(path, **{**arrays, "x_test": fresh, "y_test": labels[:4]}, x_train=images, y_train=labels, classes=NAMES)
    assert "copies" not in said(kept / "run", path, capsys)[0]


def test_where_the_training_images_are_gone_the_notes_say_so(kept, tmp_path, capsys):
    shutil.copytree(kept / "run", tmp_path / "run")
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    document["dataset"] |= {"where": str(tmp_path / "gone"), "path": str(tmp_path / "gone")}
    (tmp_path / "run" / "SHA256SUMS").unlink()
    (tmp_path / "run" / "run.json").write_text(json.dumps(document))
    for name in NAMES:
        put(tmp_path / "other" / name, 2)
    notes = said(tmp_path / "run", tmp_path / "other", capsys)[1]
    assert "not compared with the run's training images (the data are gone)" in notes


def test_arrays_need_no_training_images_to_be_scored(kept, tmp_path):
    path = tmp_path / "set.npz"
    for keys in (("x_test", "y_test"), ("val_images", "val_labels"), ("X_valid", "y_valid")):
        np.savez(path, **{keys[0]: RNG.integers(0, 255, (3, 17, 17, 3), dtype=np.uint8), keys[1]: [1, 1, 1]})
        with pytest.raises(DataError, match=f"no training images beside {keys[0]}"):
            open_dataset(path)
        dataset = open_to_evaluate(str(path), "label", "label", ("0", "1"), {})
        assert dataset.target().values.tolist() == [1, 1, 1] and set(dataset.splits) < {"val", "test"}
    np.savez(path, x_test=np.zeros((2, 17, 17, 3), np.uint8), y_test=[0, 1], classes=["ant", "bee"])
    found = evaluate_run(kept / "run", str(path), progress=QUIET)
    assert found["split"] == "test" and found["scores"]["num_images"] == 2


@pytest.mark.parametrize(("name", "label_bytes"), [("test_batch.bin", 1), ("test.bin", 2), ("data_batch_3.bin", 1)])
def test_a_part_of_cifar_is_enough(tmp_path, name, label_bytes):
    records = RNG.integers(0, 255, (3, label_bytes + 3072), dtype=np.uint8)
    records[:, :label_bytes] = [[3], [5], [3]]
    records.tofile(tmp_path / name)
    dataset = open_to_evaluate(str(tmp_path), "label", "label", tuple("0123456789"), {})
    assert dataset.target().values.tolist() == [3, 5, 3]
    assert np.array_equal(dataset.images.read(1), records[1, label_bytes:].reshape(3, 32, 32).transpose(1, 2, 0))
    if name.startswith("test"):
        with pytest.raises(DataError, match=f"no training file beside {name}"):
            open_dataset(tmp_path)
    else:
        assert "4 of 5 training files are missing" in dataset.notes


def test_a_stray_file_makes_no_cifar_of_a_folder_of_classes(kept, tmp_path):
    shutil.copytree(kept / "birds", tmp_path / "birds")
    (tmp_path / "birds" / "test.bin").write_bytes(b"weights of something")
    assert open_dataset(tmp_path / "birds").classes == NAMES


def test_few_values_are_read_as_the_kind_that_the_run_predicts(tmp_path):
    put(tmp_path, 4)
    ones = np.eye(2, dtype=int)[[0, 1, 0, 1]]  # might be classes, and is tags
    np.savez(tmp_path / "tags.npz", x_test=np.zeros((4, 8, 8), np.uint8), y_test=ones)
    np.savez(tmp_path / "numbers.npz", x_test=np.zeros((4, 8, 8), np.uint8), y_test=np.array([1, 2, 1, 2]))
    for name, columns in (("tags", ones.tolist()), ("numbers", [[1], [2], [1], [2]])):
        head = ",".join(["path", "a", "b"][: 1 + len(columns[0])])
        rows = [",".join([f"{number}.png", *map(str, row)]) for number, row in enumerate(columns)]
        (tmp_path / f"{name}.csv").write_text("\n".join([head, *rows]))

    def read(file: str, name: str, kind: str, names: tuple[str, ...], **options: str) -> Any:
        return open_to_evaluate(str(tmp_path / file), name, kind, names, options).target().values.tolist()

    assert read("tags.npz", "label", "tags", ("0", "1")) == ones.tolist()
    assert read("tags.csv", "label", "tags", ("b", "a"), task="classify") == ones[:, ::-1].tolist()
    assert read("numbers.npz", "value", "value", ("value0",)) == [[1], [2], [1], [2]]
    assert read("numbers.csv", "a", "value", ("a",)) == [[1], [2], [1], [2]]
