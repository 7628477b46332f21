"""Few series all train; in a study, and of many, some are held out."""

import numpy as np
import pytest

from striate.base.errors import DataError
from striate.base.progress import Progress
from striate.data import open_dataset
from striate.run.execute import train
from striate.run.hold_out import require_held_out, with_val_trained
from striate.run.recipe import named
from striate.studies.execute import study
from striate.studies.plan import Variant

SHORT = named("series").changed(["train.epochs=1"])
QUIET = Progress("quiet")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    lines = [",".join(f"{value:.3f}" for value in rng.normal(size=12)) + f":{'ab'[n % 2]}" for n in range(60)]
    for name, part in (("TRAIN", lines[:20]), ("TEST", lines[20:])):
        head = ["@problemname Hand", "@timestamps false", "@classLabel true a b", "@data"]
        (tmp_path / "Hand").mkdir(exist_ok=True)
        (tmp_path / "Hand" / f"Hand_{name}.ts").write_text("\n".join([*head, *part]) + "\n")
    return tmp_path / "Hand"


def test_all_few_series_train(folder, tmp_path):
    run = train(open_dataset(folder), "fcn_1d", SHORT, out=tmp_path / "run", progress=QUIET)
    splits = run.splits()
    assert len(splits["train"]) == 20 and set(splits["val"]) == set(splits["train"])
    assert set(splits["test"]).isdisjoint(splits["train"]) and len(splits["test"]) == 40
    assert any("no estimate" in note for note in run.info()["dataset"]["notes"])


def test_a_study_holds_validation_series_out(folder, tmp_path):
    variant = Variant("one", "fcn_1d", SHORT, "series")
    found = study([open_dataset(folder)], [variant], seeds=1, out=tmp_path / "study", progress=QUIET)
    counts = found.run("one", 0).info()["dataset"]["counts"]
    assert counts == {"train": 16, "val": 4, "test": 40}


def test_many_series_are_held_out_and_so_are_those_of_a_file_of_their_own(folder):
    dataset = open_dataset(folder)
    assert with_val_trained(dataset, 20) is dataset  # 20 are not fewer than 20
    assert len(with_val_trained(dataset, 21).splits["train"]) == 20
    (folder / "Hand_VAL.ts").write_text((folder / "Hand_TRAIN.ts").read_text().replace("0.", "0.9"))
    own = open_dataset(folder)
    assert with_val_trained(own, 1000) is own


def test_what_trained_is_refused_as_held_out(folder):
    dataset = open_dataset(folder)
    require_held_out(dataset)
    with pytest.raises(DataError, match="20 validation images trained too"):
        require_held_out(with_val_trained(dataset, 1000))
