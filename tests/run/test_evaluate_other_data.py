"""A finished run on other data: what they need not have, what they may not have, and where the scores go."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score

from striate.base.errors import DataError
from striate.base.progress import Progress
from striate.base.rundir import RunDir
from striate.cli.app import run as striate
from striate.data import open_dataset
from striate.data.evaluation import open_to_evaluate
from striate.evaluate.predictions import read
from striate.predict import Predictor
from striate.run.evaluate import calibrate_run, evaluate_run
from striate.run.execute import train
from striate.run.recipe import named

QUIET = Progress("quiet")
NAMES = ("ant", "bee", "cat")


def put(folder: Path, name: str, count: int, first: int = 0) -> None:
    """Write noise with a bright third that tells the class."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        pixels = np.random.default_rng([number, NAMES.index(name)]).integers(0, 120, (18, 18, 3), dtype=np.uint8)
        pixels[6 * NAMES.index(name) : 6 * NAMES.index(name) + 6] += 130
        Image.fromarray(pixels).save(folder / f"{number}.png")


def tree(root: Path, counts: dict[str, int], first: int = 0) -> Path:
    for place, count in counts.items():
        put(root / place, place.rpartition("/")[2], count, first)
    return root


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("kept")
    tree(root / "birds", dict.fromkeys(NAMES, 12))
    recipe = named("baseline").changed(["train.epochs=2", "model.width=4", "train.precision=float32", "data.size=16"])
    train(open_dataset(root / "birds"), "bipyramid", recipe, out=root / "run", progress=QUIET)
    return root


@pytest.fixture
def run(kept: Path, tmp_path: Path) -> Path:
    shutil.copytree(kept / "run", tmp_path / "run")
    return tmp_path / "run"


def scored(run: Path, where: Path | str, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what came of an evaluation and its scores by scikit-learn, from the predictor and the files alone."""
    found = evaluate_run(run, str(where), progress=QUIET, **options)
    table = read(Path(found["predictions"]), {"kind": "label"})[found["split"]]
    paths = [next(path for path in Path(where).parent.rglob("*.png") if str(path).endswith(name)) for name in table.ids]
    said = [one.names[0] for one in Predictor.load(RunDir(run))(paths)]
    truth = [path.parent.name for path in paths]
    recalls = {name: np.mean([s == t for s, t in zip(said, truth, strict=True) if t == name]) for name in set(truth)}
    wanted = {"accuracy": accuracy_score(truth, said), "recalls": recalls, "num_images": len(truth)}
    return found, wanted


def agrees(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    scores = found["scores"]
    recalls = {row["name"]: row["recall"] for row in scores["per_class"] if row["support"]}
    absent = [row for row in scores["per_class"] if not row["support"]]
    return (
        scores["num_images"] == wanted["num_images"]
        and scores["accuracy"] == pytest.approx(wanted["accuracy"])
        and recalls == pytest.approx(wanted["recalls"])
        and scores["balanced_accuracy"] == pytest.approx(np.mean(list(wanted["recalls"].values())))
        and all(row["recall"] is row["precision"] is row["f1"] is None for row in absent)
        and [row["name"] for row in scores["per_class"]] == list(NAMES)
    )


@pytest.mark.parametrize(
    ("counts", "split", "num"),
    [
        (dict.fromkeys(NAMES, 3), "all", 9),
        ({"test/ant": 3, "test/cat": 2}, "test", 5),
        ({"test/ant": 2, "val/ant": 4, "val/bee": 1}, "test", 2),
        ({"Validation/cat": 3, "Validation/bee": 2}, "all", 5),
        ({"train/ant": 1, "test/bee": 3, "val/cat": 2}, "test", 3),
        ({"cat": 3}, "all", 3),
        ({"cat": 3, "ant": 2}, "all", 5),
    ],
)
def test_a_folder_needs_no_train_split_and_not_every_class(
    run: Path, tmp_path: Path, counts: dict[str, int], split: str, num: int
) -> None:
    found, wanted = scored(run, tree(tmp_path / "other", counts, 50))
    assert found["split"] == split and found["scores"]["num_images"] == num
    assert agrees(found, wanted)


@pytest.mark.parametrize("splits", ["", "test", "val,test", "train,test"])
@pytest.mark.parametrize("classes", [("cat",), ("ant", "cat"), NAMES])
def test_a_table_needs_no_train_split_and_not_every_class(
    run: Path, tmp_path: Path, classes: tuple[str, ...], splits: str
) -> None:
    root = tree(tmp_path / "other", dict.fromkeys(classes, 4), 50)
    rows = [f"{name}/{number}.png,{name}" for number in range(50, 54) for name in classes]
    kinds = splits.split(",")
    lines = [f"{row},{kinds[index % len(kinds)]}" if splits else row for index, row in enumerate(rows)]
    path = root / "labels.csv"
    path.write_text("\n".join([f"path,label{',split' if splits else ''}", *lines]))
    found, wanted = scored(run, path)
    assert found["split"] == ("test" if splits else "all") and agrees(found, wanted)


def test_lists_of_birds_may_all_be_for_testing(run: Path, tmp_path: Path) -> None:
    root = tree(tmp_path / "cub", {"images/ant": 3, "images/bee": 2}, 50)
    files = [f"{path.parent.name}/{path.name}" for path in sorted(root.rglob("*.png"))]
    lists = {
        "images": [f"{index} {name}" for index, name in enumerate(files)],
        "image_class_labels": [f"{index} {1 + NAMES.index(name[:3])}" for index, name in enumerate(files)],
        "classes": [f"{index} 00{index}.{name}" for index, name in enumerate(NAMES, 1)],
        "train_test_split": [f"{index} 0" for index in range(len(files))],
    }
    for name, lines in lists.items():
        (root / f"{name}.txt").write_text("\n".join(lines))
    found, wanted = scored(run, root)
    assert found["split"] == "test" and agrees(found, wanted)


def test_what_the_run_cannot_know_is_refused(run: Path, tmp_path: Path) -> None:
    def refused(where: Path, **options: Any) -> DataError:
        with pytest.raises(DataError) as caught:
            evaluate_run(run, str(where), progress=QUIET, **options)
        return caught.value

    root = tree(tmp_path / "other", {"ant": 2, "cat": 2}, 50)
    put(root / "cats", "cat", 2, 60)
    problem = refused(root)
    assert "1 class that the run does not know: cats" in problem.what and problem.fix == "rename it to 'cat'"
    (root / "cats").rename(root / "cat" / "more")
    (root / "dog").mkdir()  # a class without images harms nobody
    assert evaluate_run(run, str(root), progress=QUIET)["scores"]["num_images"] == 6
    assert "no val images" in refused(root, split="val").what
    flat = tree(tmp_path / "flat", {"test/ant": 2, "cat": 0}, 50) / "test" / "ant"
    assert "striate predict RUN FOLDER" in refused(flat).fix
    put(tmp_path / "loose" / "test", "ant", 2)
    assert "striate predict RUN FOLDER" in refused(tmp_path / "loose").fix


def test_training_still_needs_what_it_needs(tmp_path: Path) -> None:
    for number, (counts, says) in enumerate(
        [({"test/ant": 3, "test/cat": 3}, "only one class, 'test'"), ({"cat": 3}, "only one class, 'cat'")]
    ):
        with pytest.raises(DataError, match=says):
            open_dataset(tree(tmp_path / str(number), counts))
    root = tree(tmp_path / "set", {"train/ant": 3, "train/cat": 3})
    put(root / "test", "ant", 3)
    with pytest.raises(DataError, match="3 images directly in the folder") as caught:
        open_dataset(root)
    assert caught.value.where == str(root / "test") and "move the folder elsewhere" in caught.value.fix
    (root / "test").rename(tmp_path / "unlabelled")
    assert open_dataset(root).classes == ("ant", "cat")
    table = root / "labels.csv"
    names = [f"train/{name}/{number}.png" for name in ("ant", "cat") for number in range(3)]
    for label, split, says in (("ant", "train", "only one class, 'ant'"), ("", "test", "no line has the split train")):
        rows = [f"{name},{label or name[6:9]},{split}" for name in names]
        table.write_text("\n".join(["path,label,split", *rows]))
        with pytest.raises(DataError, match=says):
            open_dataset(table)


def test_scores_of_other_data_of_the_same_name_are_kept(run: Path, tmp_path: Path) -> None:
    first = tree(tmp_path / "a" / "new", dict.fromkeys(NAMES, 2), 50)
    second = tree(tmp_path / "b" / "new", dict.fromkeys(NAMES, 3), 80)
    folders = [Path(evaluate_run(run, str(where), progress=QUIET)["predictions"]).parent for where in (first, second)]
    assert [folder.name for folder in folders] == ["new-all", "new-all-2"]
    before = [(folder / "predictions.csv").read_bytes() for folder in folders]
    for where, folder in ((second, folders[1]), (first, folders[0])):
        again = evaluate_run(run, str(where), progress=QUIET)
        assert Path(again["predictions"]).parent == folder
        document = json.loads((folder / "scores.json").read_text())
        assert document["data"]["where"] == document["data"]["path"] == str(where)
        assert document["accuracy"] == again["scores"]["accuracy"] and document["split"] == "all"
    assert [(folder / "predictions.csv").read_bytes() for folder in folders] == before
    put(first / "ant", "ant", 1, 99)
    changed = Path(evaluate_run(run, str(first), progress=QUIET)["predictions"]).parent
    assert changed.name == "new-all-3" and before[0] == (folders[0] / "predictions.csv").read_bytes()
    (folders[0] / "scores.json").write_text("[1")  # an older version's, or damaged: nobody knows of which data
    assert Path(evaluate_run(run, str(first), progress=QUIET)["predictions"]).parent == changed


def test_the_runs_own_data_at_a_new_place(kept: Path, run: Path, tmp_path: Path, capsys) -> None:
    own = evaluate_run(run, progress=QUIET)
    given = evaluate_run(run, str(kept / "birds"), progress=QUIET)  # not its training images as well
    assert given["split"] == "test" and given["scores"] == own["scores"] and given["predictions"] == own["predictions"]
    calibrated = calibrate_run(run, progress=QUIET)
    (run / "calibration.json").unlink()
    shutil.copytree(kept / "birds", tmp_path / "moved")
    document = json.loads((run / "run.json").read_text())
    document["dataset"] |= {"where": str(tmp_path / "gone"), "path": str(tmp_path / "gone")}
    (run / "SHA256SUMS").unlink(missing_ok=True)
    (run / "run.json").write_text(json.dumps(document))
    for words in (["evaluate", str(run)], ["evaluate", str(run), "--calibrate"]):
        assert striate(words) == 3
        last = capsys.readouterr().err.strip().split("\n")[-1]
        assert "the data are gone" in last and last.endswith("--data")
        assert striate([*words, "--data", str(tmp_path / "moved"), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (
            found.get("scores") == own["scores"]
            if "--calibrate" not in words
            else found["temperature"] == (calibrated["temperature"])
        )
    assert evaluate_run(run, str(tmp_path / "moved"), progress=QUIET)["scores"] == own["scores"]
    assert striate(["evaluate", str(run), str(tmp_path / "moved"), "--data", str(tmp_path / "moved")]) == 2


def test_the_command_says_what_is_not_applicable(run: Path, tmp_path: Path, capsys) -> None:
    other = tree(tmp_path / "other", {"cat": 3}, 50)
    assert striate(["evaluate", str(run), str(other)]) == 0
    said = capsys.readouterr()
    assert "n/a: 2 classes without images (ant, bee)" in said.out and "all.accuracy" in said.out
    assert "2 classes without images, whose scores are n/a: ant, bee" in said.err


def test_data_without_the_target_of_the_run_are_told_what_they_need(kept):
    with pytest.raises(DataError, match="no target 'weight', which the run predicts; these data have label") as caught:
        open_to_evaluate(str(kept / "birds"), "weight", "value", ("weight",), {})
    assert caught.value.fix == "name a table that has a column 'weight'"


@pytest.mark.filterwarnings("ignore")
def test_images_of_other_channels_are_refused_by_what_the_run_reads(tmp_path):
    rng = np.random.default_rng(0)
    for name, channels in (("three", 3), ("five", 5)):
        images = rng.integers(0, 255, (60, 8, 8, channels), dtype=np.uint8)
        np.savez(tmp_path / f"{name}.npz", x_train=images, y_train=np.arange(60) % 2)
    words = [
        "train",
        str(tmp_path / "five.npz"),
        "--model",
        "mlp",
        "--epochs",
        "1",
        "--quiet",
        "--out",
        str(tmp_path / "run"),
    ]
    assert striate(words) == 0
    with pytest.raises(DataError, match="the run does not read them: images of 5 channels from images of 3"):
        evaluate_run(tmp_path / "run", str(tmp_path / "three.npz"), progress=Progress("quiet"))
