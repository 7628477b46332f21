"""What runs, studies and datasets give in a notebook, held against numpy and against the files of their folders."""

import csv
import io
import json
import signal

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import striate as st
from striate.base import progress as progresses
from striate.base.errors import DataError, Interrupted, ModelError
from striate.base.notebook import Place
from striate.base.progress import Progress, say


@pytest.fixture(scope="module")
def data():
    return st.open("toy:shapes?n=80&size=16")


@pytest.fixture(scope="module")
def study(data, tmp_path_factory):
    recipe = st.recipe("baseline").changed(["train.epochs=3", "train.patience=0", "train.precision=float32"])
    variants = [st.Variant("one", "mlp", recipe, "baseline"), st.Variant("two", "mlp", recipe, "baseline")]
    return st.study(
        data, variants, seeds=1, out=tmp_path_factory.mktemp("results") / "study", progress=Progress("quiet")
    )


def rows(run, split="test"):
    with (run.path / "predictions.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["split"] == split]


def drawn(figure):
    """The pixels of a figure as a notebook shows it."""
    assert isinstance(figure, Figure)
    pixels = np.asarray(Image.open(io.BytesIO(figure._repr_png_())).convert("L"))
    assert pixels.std() > 5
    return pixels


def test_a_confusion_matrix_counts_the_table(study):
    run = study.run("one")
    found = run.confusion()
    counts = np.zeros((5, 5), int)
    for row in rows(run):
        counts[found.names.index(row["truth"]), found.names.index(row["prediction"])] += 1
    np.testing.assert_array_equal(np.array(found), counts)
    assert found.rows()[0] == {"true": found.names[0], **dict(zip(found.names, counts[0].tolist(), strict=True))}
    assert repr(found) == f"Confusion(test: {np.trace(counts)} of {counts.sum()} images right, 5 classes)"
    drawn(found.figure())
    assert run.confusion("val").counts.sum() == 12
    html = run._repr_html_()
    assert all(f">{name}</td>" in html for name in found.names) and "currentColor" in found._repr_html_()
    with pytest.raises(ModelError, match="no scores of new"):
        run.confusion("new")


def test_mistakes_are_the_wrong_answers_with_the_highest_loss(study):
    run = study.run("one")
    found = run.mistakes(4)
    wrong = sorted((row for row in rows(run) if row["truth"] != row["prediction"]), key=lambda row: -float(row["loss"]))
    assert [one.id for one in found] == [row["id"] for row in wrong[:4]] and found.total == len(wrong)
    assert found[0].text == f"is {wrong[0]['truth']}, predicted {wrong[0]['prediction']}"
    assert found[0].image.shape == (16, 16, 3) and found[0].loss == pytest.approx(float(wrong[0]["loss"]))
    drawn(found.figure())
    assert "data:image/png" in found._repr_html_() and len(found._repr_html_()) < 200_000


def test_curves_draw_the_history(study):
    run = study.run("one")
    loss, score = run.curves().axes
    assert loss.lines[1].get_ydata().tolist() == [row["val"]["loss"] for row in run.history]
    assert score.lines[0].get_ydata().tolist() == [row["train"]["accuracy"] for row in run.history]
    drawn(run.curves())
    (axes,) = study.curves().axes
    assert [line.get_label() for line in axes.lines] == ["one", "two"]
    assert axes.lines[1].get_ydata().tolist() == [row["val"]["accuracy"] for row in study.run("two").history]


def test_the_table_of_a_study_has_a_row_a_variant(study):
    table = study.table()
    verdict = json.loads((study.path / "verdict.json").read_text())
    assert [row["variant"] for row in table] == ["one", "two"] and len({tuple(row) for row in table}) == 1
    for row, one in zip(table, verdict["variants"], strict=True):
        assert row["test_accuracy"] == one["test"]["mean"] and row["val_accuracy"] == one["val"]["mean"]
        assert [row["test_low"], row["test_high"]] == one["test"]["interval"] and row["runs"] == 1
    assert sum(row["best"] for row in table) == 1


def test_the_network_gives_what_predict_gives(study, data):
    run = study.run("one")
    image = data.images.read(0)
    outputs = run.network(st.Predictor.load(run.path).inputs([image]))
    shares = run.predict(image)[0].probabilities
    np.testing.assert_allclose(outputs.softmax(1)[0].tolist(), list(shares.values()), atol=1e-5)
    assert not run.network.training


def test_evaluating_its_own_data_gives_its_scores_and_other_data_theirs(study, data):
    run, quiet = study.run("one"), Progress("quiet")
    own = run.evaluate(progress=quiet)
    assert own["accuracy"] == run.scores["test"]["accuracy"] == run.evaluate(data, progress=quiet)["accuracy"]
    other = st.open("toy:shapes?n=40&size=16&seed=5")
    found = run.evaluate(other, split="all", progress=quiet)
    answers = run.predict([other.images.read(index) for index in range(40)])
    right = [one.names[0] == other[index].targets["label"] for index, one in enumerate(answers)]
    assert found["num_images"] == 40 and found["accuracy"] == pytest.approx(np.mean(right))


def test_an_image_of_a_dataset_is_what_its_parts_say(data):
    one = data[7]
    np.testing.assert_array_equal(one.image, data.images.read(7))
    assert one.targets["label"] == data.classes[data.target().values[7]] and one.split in data.splits
    assert 7 in data.splits[one.split] and data[one.id].id == data[7].id == data[7 - len(data)].id
    assert "data:image/jpeg" in one._repr_html_() and one.targets["label"] in repr(one)
    assert len(list(data)) == 80
    with pytest.raises(IndexError):
        data[80]
    with pytest.raises(DataError, match="no image 'x'"):
        data["x"]
    assert data.show(per_row=3).width == 4 + 3 * 100 and data.show(split="val").height > 100


class Shell:
    kernel = object()


class Display:
    """Keeps what a notebook would show."""

    def __init__(self):
        self.shown = []

    def __call__(self, content, **options):
        self.shown.append([content])
        return self

    def update(self, content, raw):
        self.shown[-1].append(content)


@pytest.fixture
def notebook(monkeypatch):
    import IPython

    display = Display()
    monkeypatch.setattr(IPython, "get_ipython", lambda: Shell())
    monkeypatch.setattr("IPython.display.display", display)
    return display


def test_progress_in_a_notebook_is_one_place_that_changes(notebook, capsys, monkeypatch):
    monkeypatch.setattr("striate.base.notebook.EVERY_S", 0)
    progress = Progress()
    for epoch in (1, 2):
        with progress.bar(f"epoch {epoch}/2", 4, "batch", "batches") as bar:
            for _ in range(4):
                bar.advance(text="loss <1>")
        progress.line(f"epoch {epoch} done")
    (place,) = notebook.shown
    assert place[-1]["text/plain"] == "epoch 1 done\nepoch 2 done"
    half = next(one for one in place if "2 of 4 batches" in one["text/plain"])
    assert f"epoch 1/2 |{12 * chr(9608)}{12 * ' '}|" in half["text/plain"] and "&lt;1&gt;" in half["text/html"]
    say("a note")
    heard = capsys.readouterr()
    assert heard.out == "a note\n" and heard.err == ""  # stderr is red in a notebook


def test_elsewhere_nothing_is_displayed(capsys):
    assert Progress().mode == "lines" and not progresses.in_notebook()
    display = Display()
    Place(display).line("x")
    assert display.shown[0][0]["text/plain"] == "x" and capsys.readouterr().out == ""


def test_an_interrupted_cell_gives_a_run_that_predicts_and_goes_on(data, tmp_path, notebook, monkeypatch):
    from striate.run.training import Training

    recipe = st.recipe("baseline").changed(["train.precision=float32"])
    record, options = Training.record, {"epochs": 4, "patience": 0, "recipe": recipe}

    def stopping(self, row):
        record(self, row)
        if row["epoch"] == 2:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "record", stopping)
        run = st.train(data, "mlp", out=tmp_path / "a", **options)
        patch.setattr(progresses, "in_notebook", lambda: False)
        patch.setattr("striate.api.in_notebook", lambda: False)
        with pytest.raises(Interrupted):
            st.train(data, "mlp", out=tmp_path / "b", **options)
    assert run.info["status"] == "interrupted" and len(run.history) == 2
    assert run.predict(data.images.read(0))[0].names and not run.network.training
    assert any("stopped after 2 of 4 epochs" in one["text/plain"] for one in notebook.shown[0])
    whole = st.train(data, "mlp", out=tmp_path / "c", **options)
    assert run.resume().scores == whole.scores


def test_an_interrupted_study_gives_its_runs_and_goes_on(tmp_path, notebook, monkeypatch):
    from striate.run.training import Training

    pixels = np.random.default_rng(0).integers(0, 255, (40, 8, 8), dtype=np.uint8)
    data = st.from_arrays(pixels, ["cat", "dog"] * 20)  # which can't be opened again from a path
    variants = [st.variant(name, "mlp", changes=["train.precision=float32"], epochs=2) for name in ("one", "two")]
    record, seen = Training.record, []

    def stopping(self, row):
        record(self, row)
        seen.append(row)
        if len(seen) == 3:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "record", stopping)
        study = st.study(data, variants, seeds=1, out=tmp_path / "a")
        seen.clear()
        patch.setattr("striate.api.in_notebook", lambda: False)
        with pytest.raises(Interrupted):
            st.study(data, variants, seeds=1, out=tmp_path / "b")
    assert study.info["status"] == "interrupted" and study.verdict == "" and "not finished" in repr(study)
    assert len(study.run("two").history) == 1 and len(study.curves().axes[0].lines) == 2
    assert study.run("one").evaluate(split="val")["accuracy"] == study.run("one").scores["val"]["accuracy"]
    assert any("stopped after 1 of 2 runs" in one["text/plain"] for one in notebook.shown[0])
    whole = st.study(data, variants, seeds=1, out=tmp_path / "c")
    for name in ("one", "two"):
        assert study.resume().run(name).scores == whole.run(name).scores


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variants": []}, "without variants"),
        ({"variants": ["mlp"]}, "str is no variant"),
        ({"seeds": 0}, "number of seeds"),
        ({"seeds": 2.5}, "number of seeds"),
    ],
)
def test_a_study_of_nothing_is_refused(data, options, message):
    with pytest.raises(st.UserError, match=message):
        st.study(data, **options)


def test_a_variant_is_a_row_of_a_study_file(tmp_path):
    from striate.studies.plan import read_plan

    rows = 'name = "a"\nmodel = "resnet18"\nrecipe = "regularized"\nset = ["model.width=8", "train.epochs=5"]\n'
    path = tmp_path / "study.toml"
    path.write_text(f'data = "birds"\n[[variant]]\n{rows}num_train = 9\n')
    (row,) = read_plan(path)[1]
    assert st.variant("a", "resnet18", "regularized", changes=["model.width=8"], epochs=5, num_train=9) == row
    with pytest.raises(st.UserError, match="unknown option 'epoch'"):
        st.variant("a", epoch=5)


def test_a_run_of_arrays_scores_its_own_images(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 8, 8), dtype=np.uint8)
    data = st.from_arrays(pixels, ["cat", "dog"] * 20)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    run = st.train(data, network, epochs=1, size=8, out=tmp_path / "run", progress=Progress("quiet"))
    assert run.evaluate()["accuracy"] == run.scores["test"]["accuracy"]
    with pytest.raises(ModelError, match="give run.resume, evaluate or export the dataset"):
        st.Run(run.path, network).evaluate()
