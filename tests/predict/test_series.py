"""`striate predict RUN FILE.ts`: an answer for each case, the same as evaluation gives."""

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from striate.base.errors import DataError
from striate.base.progress import Progress
from striate.cli.app import app
from striate.data import open_dataset
from striate.data.sources.series import read_file
from striate.predict import Predictor
from striate.run.execute import train
from striate.run.recipe import named


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", str(folder / "cache"))
        rng = np.random.default_rng(0)
        for name in ("TRAIN", "TEST"):
            head = ["@problemname Hand", "@timestamps false", "@classLabel true a b", "@data"]
            lines = []
            for n in range(24):
                wave = np.sin(np.linspace(0, 6 + 4 * (n % 2), 20 + n % 3)) + 0.2 * rng.normal(size=(2, 20 + n % 3))
                lines.append(":".join(",".join(f"{value:.3f}" for value in row) for row in wave) + f":{'ab'[n % 2]}")
            (folder / f"Hand_{name}.ts").write_text("\n".join([*head, *lines]) + "\n")
        recipe = named("series").changed(["train.epochs=3", "model.width=8"])
        return train(open_dataset(folder), "fcn_1d", recipe, out=folder / "run", progress=Progress("quiet"))


def test_each_case_has_the_answer_of_the_evaluation(run):
    file = run.path.parent / "Hand_TEST.ts"
    done = CliRunner().invoke(app, ["predict", str(run.path), str(file), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["predictions"]
    with run.predictions.open() as table:
        rows = {row["id"]: row for row in csv.DictReader(table) if row["split"] == "test"}
    assert [one["id"] for one in found] == [f"Hand_TEST/{n + 1}" for n in range(24)]
    predictor = Predictor.load(run)
    for one, answer in zip(found, predictor([file]), strict=True):
        assert rows[one["id"]]["prediction"] == answer.names[0]


def test_a_file_without_classes_and_arrays_are_predicted_alike(run, tmp_path):
    file = run.path.parent / "Hand_TEST.ts"
    text = file.read_text().replace("@classLabel true a b", "@classLabel false").splitlines()
    bare = [line.rpartition(":")[0] if not line.startswith("@") else line for line in text]
    (tmp_path / "New.ts").write_text("\n".join(bare) + "\n")
    predictor = Predictor.load(run)
    labelled, unlabelled = predictor([file]), predictor([tmp_path / "New.ts"])
    arrays = predictor(list(read_file(file).values))
    assert unlabelled[0].id == "New/1" and arrays[3].id == "3"
    for one, two, three in zip(labelled, unlabelled, arrays, strict=True):
        assert one.probabilities == pytest.approx(two.probabilities, abs=1e-6)
        assert one.probabilities == pytest.approx(three.probabilities, abs=1e-6)


def test_series_of_other_dimensions_are_refused(run):
    with pytest.raises(DataError, match="1 dimensions, 2 are wanted"):
        Predictor.load(run)([np.zeros(20)])
